"""Features of videos: equal to a forward pass by hand, resumable, bounded in memory, with what made them beside."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import polars as pl
import pytest
import torch
from tests.unit.predict.clip_stand_in import FRAMES, bright_model, save_small, write_levels

import gesta.predict.features as features_module
from gesta.predict.clip_models import load_clip_model
from gesta.predict.feature_files import FeatureRows, feature_file_of
from gesta.predict.features import feature_ids, run_features, video_features
from gesta.predict.layers import find_layer
from gesta.predict.windows import whole_video
from gesta.schema import BadInput, BadVideo, UnknownName
from gesta.tables import made_by, read_rejects
from gesta.train.clips import clip_batches, clip_set, to_model

LAYER = "trunk.blocks.Mixed_3c"


@pytest.fixture
def model_file(tmp_path):
    return save_small(tmp_path / "model.pt")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in" / "deep").mkdir(parents=True)
    write_levels(tmp_path / "in" / "a.mp4", [0, 120, 240])
    write_levels(tmp_path / "in" / "deep" / "b.mp4", [10, 200])
    (tmp_path / "in" / "broken.mp4").write_bytes(b"no video")
    return tmp_path / "in"


def run(model_file, videos, out, **options):
    return run_features(model_file, videos=videos, out=out, **({"layer": LAYER, "device": "cpu"} | options))


def test_values_are_those_of_a_forward_pass_by_hand(model_file, shared):
    model = load_clip_model(model_file, device="cpu")
    video = shared / "videos" / "asl" / "book.mkv"
    layer = find_layer(model.net, LAYER, frames=model.frames)
    # One window as long as the video is the middle clip, which training without changes is shown too.
    (rows,) = video_features(model, video, layer=layer, stride_us=60_000_000, pools=False)
    clips = clip_set([whole_video(video)], classes={0: "x"})
    with clip_batches(
        clips, frames=model.frames, augment=None, numbers=[[0]], seed=0, epoch=0, num_workers=0
    ) as batches, torch.inference_mode():  # fmt: skip
        wanted = model.net.features(to_model(next(batches), frames=model.frames, device="cpu"), end_point="Mixed_3c")
    assert rows.values.dtype == np.float32
    np.testing.assert_array_equal(rows.values, wanted.numpy())
    (mean,) = video_features(model, video, layer=layer, stride_us=60_000_000, pools=True)
    np.testing.assert_allclose(mean.values, wanted.mean(dim=(2, 3, 4)).numpy(), rtol=1e-5)


def test_times_are_of_the_frames_shown(tmp_path):
    model = bright_model()
    video = write_levels(tmp_path / "v.mp4", [0, 255])
    layer = find_layer(model.net, "pool", frames=FRAMES)
    (rows,) = video_features(model, video, layer=layer, stride_us=1_000_000)
    # Four frames, every second of ten a second: 0.7 s around the middle of each second.
    assert list(zip(rows.start_us, rows.end_us, strict=True)) == [(200_000, 900_000), (1_200_000, 1_900_000)]
    np.testing.assert_allclose(rows.values, [[-1] * 3, [1] * 3], atol=0.02)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_parquet_file_has_a_row_a_window(model_file, folder, tmp_path, dtype):
    summary = run(model_file, folder, tmp_path / "out" / "f.parquet", dtype=dtype, stride_s=0.5)
    frame = pl.read_parquet(tmp_path / "out" / "f.parquet")
    assert frame.columns == ["video_id", "start_us", "end_us", "vector"]
    assert frame["video_id"].to_list() == ["a"] * 6 + ["deep/b"] * 4
    assert frame["vector"].dtype.inner == (pl.Float32 if dtype == "float32" else pl.Float16)
    assert set(frame["vector"].list.len()) == {summary.numbers["shape"][0]}
    assert (summary.kept, summary.rejected, summary.numbers["windows"]) == (2, {"not-video": 1}, 10)
    about = json.loads((tmp_path / "out" / "f.parquet.json").read_bytes())
    assert about["arguments"]["layer"] == LAYER
    assert about["arguments"]["frames"]["num_frames"] == 4
    assert len(about["inputs"]["model"]) == 64
    assert {name: row["num_windows"] for name, row in about["videos"].items()} == {"a": 6, "deep/b": 4}
    assert read_rejects(tmp_path / "out")["path"].to_list() == ["broken.mp4"]
    assert not (tmp_path / "out" / "f.parquet.parts").exists()


def test_a_folder_has_an_npz_a_video_with_the_same_numbers(model_file, folder, tmp_path):
    run(model_file, folder, tmp_path / "f.parquet", pools=False)
    summary = run(model_file, folder, tmp_path / "npz", pools=False)
    assert summary.outputs == ("a.npz", "deep/b.npz", "features.json")
    frame = pl.read_parquet(tmp_path / "f.parquet")
    for video_id in ("a", "deep/b"):
        rows = frame.filter(video_id=video_id)
        with np.load(tmp_path / "npz" / f"{video_id}.npz") as found:
            assert found["values"].shape == (len(rows), *summary.numbers["shape"])
            assert found["values"].dtype == np.float32
            np.testing.assert_array_equal(found["values"].reshape(len(rows), -1), rows["vector"].to_list())
            assert found["start_us"].tolist() == rows["start_us"].to_list()
            assert found["end_us"].tolist() == rows["end_us"].to_list()
    assert json.loads((tmp_path / "npz" / "features.json").read_bytes())["shape"] == list(summary.numbers["shape"])
    assert read_rejects(tmp_path / "npz")["stage"].to_list() == ["features"]


@pytest.mark.parametrize("name", ["f.parquet", "npz"])
def test_what_is_done_is_not_done_again_and_a_new_video_is_added(model_file, folder, tmp_path, monkeypatch, name):
    asked = []

    def counting(model, video, **options):
        asked.append(video.stem)
        return video_features(model, video, **options)

    monkeypatch.setattr(features_module, "video_features", counting)
    first = run(model_file, folder, tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and "in" not in path.parts}
    again = run(model_file, folder, tmp_path / name)
    assert again.was_current
    assert again.as_json() == first.as_json() | {"was_current": True}
    assert asked == ["a", "broken", "b", "broken"]
    assert {path: path.read_bytes() for path in before} == before
    write_levels(folder / "c.mp4", [50])
    asked.clear()
    added = run(model_file, folder, tmp_path / name)
    assert (added.kept, added.was_current) == (3, False)
    assert asked == ["broken", "c"]
    if name == "f.parquet":
        frame = pl.read_parquet(tmp_path / name)
        assert frame["video_id"].unique(maintain_order=True).to_list() == ["a", "deep/b", "c"]
        run(model_file, folder, tmp_path / "fresh.parquet")
        fresh = pl.read_parquet(tmp_path / "fresh.parquet")
        assert frame.sort("video_id", "start_us").equals(fresh.sort("video_id", "start_us"))
    asked.clear()
    run(model_file, folder, tmp_path / name, stride_s=0.5)
    assert asked == ["a", "broken", "c", "b"]


@pytest.mark.parametrize("name", ["f.parquet", "npz"])
def test_a_killed_run_goes_on_behind_the_last_whole_video(model_file, folder, tmp_path, monkeypatch, name):
    (folder / "broken.mp4").unlink()
    run(model_file, folder, tmp_path / "whole" / name)
    whole = {p.name: p.read_bytes() for p in (tmp_path / "whole").rglob("*") if p.suffix in (".parquet", ".npz")}
    asked = []

    def dying(model, video, **options):
        asked.append(video.stem)
        for rows in video_features(model, video, **options):
            yield rows
            if video.stem == "b" and asked.count("b") == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(features_module, "video_features", dying)
    with pytest.raises(KeyboardInterrupt):
        run(model_file, folder, tmp_path / "cut" / name)
    run(model_file, folder, tmp_path / "cut" / name)
    assert asked == ["a", "b", "b"]
    assert {p.name: p.read_bytes() for p in (tmp_path / "cut").rglob("*") if p.suffix in (".parquet", ".npz")} == whole


def test_a_video_that_is_gone_leaves_the_parquet_file(model_file, folder, tmp_path):
    run(model_file, folder, tmp_path / "f.parquet")
    (folder / "a.mp4").unlink()
    assert not run(model_file, folder, tmp_path / "f.parquet").was_current
    assert set(pl.read_parquet(tmp_path / "f.parquet")["video_id"]) == {"deep/b"}


@pytest.mark.parametrize("name", ["f.parquet", "npz"])
def test_memory_holds_a_few_windows_of_a_long_video(tmp_path, name):
    made = made_by("features", arguments={}, inputs={})
    values = np.ones((4, 64, 32, 32), dtype=np.float32)

    def rows():
        for number in range(100):
            yield FeatureRows(start_us=(number,) * 4, end_us=(number + 1,) * 4, values=values + number, num_total=400)

    target = feature_file_of(tmp_path / name, made_by=made)
    assert not target.has("v", key="k")
    tracemalloc.start()
    target.add("v", rows(), key="k")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A hundred batches of 1 MiB; a few of them at a time.
    assert peak_bytes < 12 * 2**20
    assert target.has("v", key="k")
    assert not target.has("v", key="other")
    assert target.finish({"v": "k"}).num_windows == 400


@pytest.mark.slow
def test_every_real_video_gives_finite_features_or_a_reject(model_file, shared, tmp_path):
    summary = run(model_file, shared / "videos", tmp_path / "f.parquet", stride_s=2)
    frame = pl.read_parquet(tmp_path / "f.parquet")
    assert read_rejects(tmp_path)["path"].to_list() == ["hard/corrupted.mp4"]
    assert len(frame) == summary.numbers["windows"]
    assert frame["video_id"].n_unique() == summary.kept > 35
    assert frame["vector"].explode().is_finite().all()
    assert frame.group_by("video_id").agg(pl.col("start_us").is_sorted())["start_us"].all()
    assert (frame["end_us"] > frame["start_us"]).all()


def test_videos_of_one_name_keep_their_endings(tmp_path):
    files = [tmp_path / "a.mp4", tmp_path / "a.mkv", tmp_path / "b.mp4"]
    assert list(feature_ids(files, tmp_path).values()) == ["a.mp4", "a.mkv", "b"]


def test_one_broken_file_is_an_error(model_file, folder, tmp_path):
    with pytest.raises(BadVideo, match=r"broken\.mp4"):
        run(model_file, folder / "broken.mp4", tmp_path / "npz")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layer": "trunk.Mixed_9z"}, UnknownName, r"no layer 'trunk\.Mixed_9z'\. .*trunk\.blocks\.Mixed_3c"),
        ({"dtype": "int8"}, UnknownName, r"no type of numbers 'int8'"),
        ({"stride_s": 0}, BadInput, r"stride_s=0. Want more than 0"),
    ],
)
def test_what_cannot_be_asked_says_why(model_file, folder, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        run(model_file, folder, tmp_path / "f.parquet", **options)


def test_places_that_are_neither_file_nor_folder_are_refused(model_file, folder, tmp_path):
    with pytest.raises(BadInput, match=r"features go to a \.parquet file or to a folder"):
        run(model_file, folder, tmp_path / "f.npz")
    (tmp_path / "d.parquet").mkdir()
    with pytest.raises(BadInput, match=r"this is a folder"):
        run(model_file, folder, tmp_path / "d.parquet")
