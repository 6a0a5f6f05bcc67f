"""Whatever bytes the readers of clip labels are fed, they end in rows or in an error that names the file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.formats.activitynet import read_activitynet, read_activitynet_predictions
from gesta.formats.annotations import (
    BOX_COLUMNS,
    CLIP_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    shaped,
)
from gesta.formats.fiftyone_temporal import read_fiftyone_temporal
from gesta.formats.hmdb51 import read_hmdb51
from gesta.formats.kinetics import read_kinetics_csv
from gesta.formats.kinetics_json import read_kinetics_json
from gesta.formats.path_labels import read_path_labels
from gesta.formats.ucf101 import read_ucf101
from gesta.formats.video_folder import read_video_folder
from gesta.schema import GestaError

RATED = Context(videos=shaped(pl.DataFrame({"video_id": ["v"], "fps_num": [30], "fps_den": [1]}), VIDEO_COLUMNS))


def offsets(path: Path) -> Annotations:
    return read_path_labels(path, layout="offsets", multi_label=True, context=RATED)


def frames(path: Path) -> Annotations:
    return read_path_labels(path, layout="frames", separator=",", ids="path")


def clip_files(path: Path) -> Annotations:
    return read_path_labels(path, ids="kinetics")


def fiftyone(path: Path) -> Annotations:
    return read_fiftyone_temporal(path, context=RATED)


def kinetics(path: Path) -> Annotations:
    return Annotations(clips=shaped(read_kinetics_csv(path), CLIP_COLUMNS))


READERS: dict[str, tuple[str, Callable[[Path], Annotations], bytes]] = {
    "kinetics": ("f.csv", kinetics, b"label,youtube_id,time_start,time_end,split\na,v,0,10,val\n"),
    "path_labels": ("f.txt", read_path_labels, b"a/v.mp4 0\nb/w.mp4 -1\nx\n"),
    "offsets": ("f.txt", offsets, b"v 5 10 1 2\nv 7 1\n"),
    "frames": ("f.txt", frames, b"v,5,1\nw,3,2\n"),
    "clip_files": ("f.txt", clip_files, b"a/v_000001_000011.mp4 1\n"),
    "trainlist": ("trainlist01.txt", read_ucf101, b"A/v.avi 1\nB/w.avi 2\n"),
    "testlist": ("testlist01.txt", read_ucf101, b"A/v.avi\nB/w.avi\n"),
    "hmdb51": ("wave_test_split1.txt", read_hmdb51, b"v.avi 1 \nw.avi 0 \n"),
    "metadata_csv": ("metadata.csv", read_video_folder, b'file_name,label,class_id,start_us,is_cc\na,"b",1,5,true\n'),
    "metadata_jsonl": ("metadata.jsonl", read_video_folder, b'{"file_name": "a.mp4", "label": "x", "score": 0.5}\n'),
    "kinetics_json": (
        "f.json", read_kinetics_json,
        b'{"v": {"annotations": {"label": "a", "segment": [0, 1]}, "duration": 10.0, "subset": "val"}}',
    ),
    "activitynet": (
        "f.json", read_activitynet,
        b'{"taxonomy": [{"nodeId": 1, "nodeName": "a", "parentId": null}], "database": {"v": {"resolution": "1x1", '
        b'"duration": 3, "annotations": [{"label": "a", "segment": [0, 1]}]}}}',
    ),
    "predictions": (
        "f.json", read_activitynet_predictions, b'{"results": {"v": [{"label": "a", "score": 1, "segment": [0, 1]}]}}',
    ),
    "fiftyone": (
        "f.json", fiftyone,
        b'{"classes": ["a"], "labels": {"v": [{"label": 0, "support": [1, 2]}, {"label": 0, "timestamps": [0, 1]}]}}',
    ),
}  # fmt: skip


def rows_or_error(read: Callable[[Path], Annotations], path: Path) -> tuple[Annotations | None, str]:
    try:
        return read(path), ""
    except GestaError as error:
        return None, str(error) if error.mend else "an error without a way to mend it"


def read_or_refuse(name: str, data: bytes) -> None:
    file, read, _ = READERS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, file)
        path.write_bytes(data)
        rows, said = rows_or_error(read, path)
    if rows is None:
        assert file in said
        return
    assert rows.videos.schema == VIDEO_COLUMNS
    assert rows.clips.schema == CLIP_COLUMNS
    assert rows.boxes.schema == BOX_COLUMNS
    assert rows.label_map.schema == LABEL_MAP_COLUMNS
    assert rows.videos["video_id"].null_count() == 0
    assert rows.videos["video_id"].is_unique().all()


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
@settings(max_examples=60)
def test_bytes_and_broken_files_end_in_rows_or_a_named_error(*, name: str, data: st.DataObject) -> None:
    good = READERS[name][2]
    cut = data.draw(st.integers(0, len(good)))
    noise = data.draw(
        st.binary(max_size=20)
        | st.text(max_size=10).map(lambda text: text.encode("utf-8", "surrogatepass"))
        | st.sampled_from(
            [b"\n", b"\r", b",", b'"', b" ", b"-", b"9" * 400, b"\x00", b"\\ud800", b"NaN", b"1e999", b"../"]
        )
    )
    skip = data.draw(st.integers(0, 8))
    read_or_refuse(name, data.draw(st.sampled_from([good[:cut] + noise + good[cut + skip :], noise, good[:cut]])))


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from([1e308, [], {}])
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)


JSONS = st.recursive(LEAVES, nested, max_leaves=6)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every member of every object and array inside, as (holder, key)."""
    found: list[tuple[Any, Any]] = []
    members = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for key, inner in members:
        found.append((value, key))
        found.extend(places(inner))
    return found


@pytest.mark.parametrize("name", [name for name, (file, _, _) in READERS.items() if "json" in file])
@given(data=st.data())
@settings(max_examples=80)
def test_any_json_in_any_place_ends_in_rows_or_a_named_error(*, name: str, data: st.DataObject) -> None:
    value = json.loads(READERS[name][2])
    holder, key = data.draw(st.sampled_from(places(value)))
    holder[key] = data.draw(JSONS)
    read_or_refuse(name, json.dumps(value).encode("utf-8", "surrogatepass"))


@given(at=st.integers(4, 2000), noise=st.binary(min_size=1, max_size=4))
@settings(max_examples=5)
def test_a_broken_parquet_file_ends_in_rows_or_a_named_error(at: int, noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "metadata.parquet")
        pl.DataFrame({"file_name": ["a.mp4", "b.mp4"], "label": ["x", None], "start_us": [1, 2]}).write_parquet(path)
        good = path.read_bytes()
        path.write_bytes(good[:at] + noise + good[at + len(noise) :])
        rows, said = rows_or_error(read_video_folder, path)
        assert rows is not None or "metadata.parquet" in said
