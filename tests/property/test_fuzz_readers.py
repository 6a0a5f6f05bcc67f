"""Whatever file a reader is fed, it ends in rows, or in an error that names the file and the line; never otherwise.

What the readers are, the valid files that are harmed, and which ends are right stand in `benchmarks.fuzz_readers`, for
`benchmarks.fuzz` holds the same readers to the same law for longer, led by coverage.
"""

from __future__ import annotations

import dataclasses
import random
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from benchmarks.fuzz_mutations import NOISE, mutated
from benchmarks.fuzz_readers import Case, cases, ended, outcome
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gesta.formats import FORMATS
from gesta.lint import KINDS
from gesta.schema import BadInput, BadRow

NAMES = (
    *FORMATS,
    "ava-compiled", "ava-scores", "ava-scores-compiled", "excluded-timestamps", "included-timestamps",
    "label-map-names", "clip-scores", "clip-scores-named", "clip-labels", "catalogue-column", "list-of-videos",
    "path-labels-offsets", "path-labels-frames", "path-labels-kinetics", "ucf101-list", "ucf101-test-list",
    "video-folder-csv", "video-folder-jsonl", "video-folder-parquet", "proposals-csv", "proposals-alone",
    "action-tubes-alone", "tube-detections", "tube-detections-csv", "cvat-images", "cvat-alone", "coco-vid-alone",
    "label-studio-alone", "activitynet-alone", "kinetics-json-alone", "fiftyone-temporal-alone", "format-of-csv",
    "format-of-txt", "format-of-json", "format-of-pickle", "evaluate-csv", "import-csv", "import-json", "stats-csv",
    "stats-json", "stats-groups", "table-parquet", "table-jsonl", "table-sidecar", "croissant-card", "json", "pickle",
    "lint-csv", "lint-txt", "lint-json", "lint-xml", "lint-pickle",
    *(f"lint-as-{kind}" for kind in KINDS),
)  # fmt: skip
SLOW = ("video-folder-parquet",)
"""A process decodes each file, which takes a fifth of a second."""


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Case]:
    return cases(tmp_path_factory.mktemp("fuzz") / "samples")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_every_reader_is_named(readers: Mapping[str, Case]):
    assert set(NAMES) == set(readers)


@pytest.mark.parametrize("name", NAMES)
def test_the_valid_files_are_read(name: str, readers: Mapping[str, Case], folder: Path):
    ends = [outcome(readers[name], data, folder).kind for data in readers[name].seeds]
    assert "rows" in ends


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_not_there_and_a_folder_in_its_place(name: str, readers: Mapping[str, Case], folder: Path):
    case = dataclasses.replace(readers[name], names_lines=False)
    if not case.folder:
        missing = ended(case, folder / case.file)
        assert not missing.defect
        assert missing.kind != "rows"
    (folder / "in its place" / case.file).mkdir(parents=True)
    assert not ended(case, folder / "in its place" / case.file).defect


def few_examples(name: str) -> int:
    return 3 if name in SLOW else 20


@pytest.mark.parametrize("name", NAMES)
def test_harmed_files_end_in_rows_or_a_named_error(name: str, readers: Mapping[str, Case], folder: Path):
    case = readers[name]

    @given(chance=st.randoms(use_true_random=False))
    @settings(max_examples=few_examples(name), suppress_health_check=list(HealthCheck))
    def ends_well(chance: random.Random) -> None:
        data = mutated(case.seeds[chance.randrange(len(case.seeds))], case.kind, chance)
        assert not outcome(case, data, folder).defect

    ends_well()


AWKWARD_TEXT = st.lists(
    st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.sampled_from(NOISE), max_size=6
).map(b"".join)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_and_awkward_text_end_in_rows_or_a_named_error(name: str, readers: Mapping[str, Case], folder: Path):
    case = readers[name]

    @given(data=st.binary(max_size=60) | AWKWARD_TEXT, is_before=st.booleans())
    @settings(max_examples=few_examples(name) // 2 + 1, suppress_health_check=list(HealthCheck))
    def ends_well(*, data: bytes, is_before: bool) -> None:
        assert not outcome(case, data + case.seeds[0] if is_before else data, folder).defect

    ends_well()


@pytest.mark.parametrize(
    ("error", "defect"),
    [
        (BadInput("odd", where="f.csv", mend="Mend it"), "without the file's name"),
        (BadInput("odd", where="{path}"), "without a way to mend it"),
        (BadInput("odd", where="{path}", mend="Mend it"), "that blames no line"),
        (BadInput("\ud800", where="{path}:3", mend="Mend it"), "cannot be printed"),
        (BadRow("odd", path="{path}", line=3, mend="Mend it"), ""),
        (BadInput("the file is empty", where="{path}", mend="Mend it"), ""),
    ],
)
def test_what_counts_as_an_error_well_said(error: BadInput, defect: str, folder: Path):
    def read(path: Path) -> object:
        raise BadInput(error.problem, where=error.where.replace("{path}", str(path)), mend=error.mend)

    found = outcome(Case(file="g.csv", kind="lines", read=read, seeds=(b"",), names_lines=True), b"", folder)
    assert defect in found.defect
    assert (found.kind == "defect") == bool(defect)
