"""Croissant files: sound to mlcroissant, whose records are those of the tables; read back with their annotations."""

from __future__ import annotations

import json
import runpy
import socket
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gesta.formats.croissant import (
    RAI_PROPERTIES,
    DatasetCard,
    read_croissant,
    validate_croissant,
    write_croissant,
)
from gesta.release import annotations_of, run_release
from gesta.schema import BadInput, BadRow, MissingExtra, UnknownName
from gesta.tables import read_table, table_path

ROOT = Path(__file__).resolve().parents[1]
write_work = runpy.run_path(str(ROOT / "release" / "tables_by_hand.py"))["write_work"]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise AssertionError("something wants the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = write_work(tmp_path_factory.mktemp("croissant") / "work")
    run_release(work, name="tiny | acts", licence="cc-by-4.0", published="2024-05-17")
    return work / "releases" / "1.0.0"


def plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def records(release: Path, name: str) -> list[dict[str, Any]]:
    """mlcroissant's records of a set, with bare names of fields and texts instead of bytes."""
    mlcroissant = pytest.importorskip("mlcroissant")
    rows = []
    for record in mlcroissant.Dataset(jsonld=str(release / "croissant.json")).records(name):
        row = {key.removeprefix(f"{name}/"): plain(value) for key, value in record.items()}
        row.update({key.removeprefix(f"{name}/box/"): value for key, value in row.pop("box", {}).items()})
        rows.append(row)
    return rows


def test_mlcroissant_finds_nothing_wrong(release: Path):
    pytest.importorskip("mlcroissant")
    assert validate_croissant(release / "croissant.json") == []
    assert validate_croissant(release) == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_its_records_are_those_of_the_tables(release: Path):
    split_of = dict(read_table(release, "splits").select("clip_id", "split").iter_rows())
    name_of = dict(read_table(release, "label_map").select("class_id", "name").iter_rows())
    assert records(release, "splits") == [
        {"name": "train", "url": "cr:TrainingSplit"},
        {"name": "val", "url": "cr:ValidationSplit"},
        {"name": "test", "url": "cr:TestSplit"},
    ]
    for record_set, table in (("label_map", "label_map"), ("videos", "videos"), ("tracks", "tracks")):
        assert records(release, record_set) == read_table(release, table).to_dicts()
    clips = [{**row, "split": split_of[row["clip_id"]]} for row in read_table(release, "clips").to_dicts()]
    assert records(release, "clips") == clips
    for record_set, table in (("clip_labels", "kept"), ("box_labels", "box_labels")):
        rows = read_table(release, table).to_dicts()
        assert records(release, record_set) == [{**row, "class_name": name_of[row["class_id"]]} for row in rows]


def test_the_card_says_what_the_tables_say(release: Path):
    document = json.loads((release / "croissant.json").read_text())
    assert document["license"] == "https://spdx.org/licenses/CC-BY-4.0.html"
    assert document["datePublished"] == "2024-05-17"
    texts = {key.removeprefix("rai:"): value for key, value in document.items() if key.startswith("rai:")}
    assert texts.keys() <= RAI_PROPERTIES.keys()
    assert texts.keys() == RAI_PROPERTIES.keys() - {"dataSocialImpact"}
    assert all(isinstance(text, list) == RAI_PROPERTIES[name] for name, text in texts.items())
    assert texts["annotationsPerItem"].startswith("box: 2 to 2 answers an item, median 2, 34 items; clip: 3 to 4")
    assert "accepted at 3 positives of at most 5 answers" in texts["dataAnnotationProtocol"]
    assert "accepted at 2 positives of at most 3 answers" in texts["dataAnnotationProtocol"]
    assert texts["dataCollectionTimeframe"] == ["1970-01-01T00:00:01Z", "1970-01-01T00:03:28Z"]
    assert "91.7 % of 48 answers" in " ".join(texts["dataAnnotationAnalysis"])
    assert texts["machineAnnotationTools"] == ["gesta detect with the person detector 'hog'"]
    assert "3 at curate (duplicate)" in texts["dataCollectionMissingData"]


def test_every_file_but_those_that_describe_others_is_listed(release: Path):
    files = read_croissant(release).files
    manifest = json.loads((release / "manifest.json").read_text())["files"]
    assert "croissant.json" in manifest
    described = {name for name in manifest if not name.endswith(".parquet.json") and name != "croissant.json"}
    objects = files.filter(kind="FileObject")
    assert set(objects["path"]) == described
    assert dict(objects.select("path", "sha256").iter_rows()) == {name: manifest[name]["sha256"] for name in described}
    assert files.filter(kind="FileSet")["path"].to_list() == ["../../../videos/*.mp4"]


def test_reading_gives_fields_splits_and_annotations(release: Path):
    found = read_croissant(release / "croissant.json")
    assert (found.name, found.version, found.splits) == ("tiny | acts", "1.0.0", ("train", "val", "test"))
    field = found.fields.filter(record_set="box_labels", field="box/x1").row(0, named=True)
    assert field["description"] == "left, fraction of the frame's width"
    assert (field["data_type"], field["source"], field["column"]) == ("sc:Float", "box_labels.parquet", "x1")
    ours = annotations_of(release)
    assert found.annotations is not None
    assert found.annotations.boxes.equals(ours.boxes)
    assert found.annotations.clips.equals(ours.clips)
    assert found.annotations.label_map.equals(ours.label_map)
    assert found.annotations.videos.drop("split").equals(ours.videos.drop("split"))
    assert found.responsible["annotatorDemographics"][0].startswith("Not recorded")


def copied(release: Path, folder: Path) -> Path:
    folder.mkdir()
    for file in release.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_tables_that_are_gone_or_others(release: Path, tmp_path: Path):
    folder = copied(release, tmp_path / "copy")
    table_path(folder, "kept").write_bytes(b"other")
    with pytest.raises(BadInput, match=r"kept.parquet: the file is not the one that croissant.json means"):
        read_croissant(folder)
    table_path(folder, "kept").unlink()
    assert read_croissant(folder).annotations is None


def test_another_programs_file(tmp_path: Path):
    document = {
        "@type": "sc:Dataset", "name": {"en": "Others"}, "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": ["a", {"@id": "b"}],
        "distribution": {"@type": "cr:FileSet", "@id": "x", "includes": ["*.jpg", "*.png"]},
        "recordSet": {"@id": "r", "field": {"@id": "r/a", "dataType": ["sc:Text"], "source": {"fileSet": {"@id": "x"}},
                                            "subField": [{"@id": "r/a/b", "source": {"field": {"@id": "r/c"}}}]}},
    }  # fmt: skip
    path = tmp_path / "croissant.json"
    path.write_text(json.dumps(document))
    found = read_croissant(path)
    assert (found.name, found.licence, found.annotations) == ("Others", "a\nb", None)
    assert found.files["path"].to_list() == ["*.jpg\n*.png"]
    assert found.fields.select("field", "source").rows() == [("a", "x"), ("a/b", "r/c")]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("{", BadRow, "croissant.json:1: this is not JSON"),
        ("[]", BadInput, "want an object"),
        ("{}", BadInput, "nothing in it says that it conforms to Croissant"),
        (
            '{"conformsTo": "http://mlcommons.org/croissant/1.1", "recordSet": [3]}',
            BadInput,
            r"recordSet\[0\]: found 3",
        ),
        (
            '{"conformsTo": "http://mlcommons.org/croissant/1.1", "distribution": [3]}',
            BadInput,
            r"distribution\[0\]: fou",
        ),
    ],
)
def test_files_that_are_none(text: str, error: type[Exception], message: str, tmp_path: Path):
    (tmp_path / "croissant.json").write_text(text)
    with pytest.raises(error, match=message):
        read_croissant(tmp_path)


CARD = DatasetCard(name="n", version="1.0.0", licence="l", citation="c", description="d")


def test_what_cannot_be_written(tmp_path: Path):
    path = tmp_path / "croissant.json"
    with pytest.raises(BadInput, match=r"file 'a.csv' has no sha256"):
        write_croissant(path, card=CARD, files={"a.csv": {}})
    wrong = DatasetCard(
        name="n", version="1", licence="l", citation="c", description="d", responsible={"useCases": "x"}
    )
    with pytest.raises(UnknownName, match=r"no property of the RAI vocabulary 'useCases'. Did you mean 'dataUseCases'"):
        write_croissant(path, card=wrong, files={})
    assert not path.exists()


def test_what_mlcroissant_warns_of(tmp_path: Path):
    pytest.importorskip("mlcroissant")
    path = tmp_path / "croissant.json"
    write_croissant(path, card=CARD, files={})
    (issue,) = validate_croissant(path)
    assert issue.startswith("warning: ")
    assert "datePublished" in issue
    document = json.loads(path.read_text())
    document["recordSet"] = [{"@type": "cr:RecordSet", "@id": "r", "field": [{"@type": "cr:Field", "@id": "r/a"}]}]
    path.write_text(json.dumps(document))
    assert any(issue.startswith("error: ") for issue in validate_croissant(path))


def test_without_mlcroissant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mlcroissant", None)
    with pytest.raises(MissingExtra, match=r"gesta\[croissant\]"):
        validate_croissant(tmp_path)


def test_a_release_of_clip_labels_alone(tmp_path: Path):
    work = write_work(tmp_path / "work")
    for table in ("key_frames", "tracks", "box_labels", "duplicates", "workers", "votes"):
        table_path(work, table).unlink()
    run_release(work, published="2024-05-17")
    found = read_croissant(work / "releases" / "1.0.0")
    assert found.annotations is not None
    assert found.annotations.boxes.height == 0
    assert found.responsible["annotationsPerItem"] == ("Not recorded: the labels were imported.",)
    assert (
        not {"dataAnnotationPlatform", "dataCollectionTimeframe", "dataImputationProtocol"} & found.responsible.keys()
    )
    pytest.importorskip("mlcroissant")
    assert validate_croissant(work / "releases" / "1.0.0") == []
    assert pl.read_parquet(table_path(work / "releases" / "1.0.0", "box_labels")).height == 0
