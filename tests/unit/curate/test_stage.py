"""The verb `curate` on a handful of small files."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.curate import run_curate
from gesta.schema import BadInput, Clip, ClipLabel, ClipReview, MissingTable, Video
from gesta.tables import frame_of, made_by, read_rejects, read_table, table_path, write_table

by_hand = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("footage_by_hand.py"))))

MADE = made_by("test", arguments={}, inputs={})


def put(work, table, rows):
    write_table(table_path(work, table), table, frame_of(table, rows), made_by=MADE)


def video(name, *, width_px=192):
    return Video(
        video_id=name, path=f"{name}.mp4", sha256="0" * 64, size_bytes=1, container="mp4", codec="h264",
        width_px=width_px, height_px=144, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=50,
        start_us=0, duration_us=2_000_000, has_audio=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    by_hand.write(folder / "one.mp4", by_hand.film(1, 1))
    by_hand.write(folder / "one_mirrored.mp4", by_hand.flipped(by_hand.film(1, 1)))
    by_hand.write(folder / "other.mp4", by_hand.film(2, 2))
    by_hand.write(folder / "same_place.mp4", by_hand.film(1, 5))
    (folder / "broken.mp4").write_text("not a video")
    return folder


@pytest.fixture
def work(files, tmp_path):
    names = ["one", "one_mirrored", "other", "same_place", "broken"]
    for name in names:
        (tmp_path / f"{name}.mp4").symlink_to(files / f"{name}.mp4")
    put(tmp_path, "videos", [video(name, width_px=384 if name == "one" else 192) for name in names])
    spans = [(name, 0, 2_000_000) for name in names] + [("other", 0, 1_500_000), ("absent", 0, 9)]
    clips = [Clip(clip_id=f"{name}-{end}", video_id=name, start_us=start, end_us=end) for name, start, end in spans]
    put(tmp_path, "clips", clips)
    labels = [
        ClipLabel(
            clip_id=clip.clip_id, class_id=1, verdict="rejected" if clip.video_id == "same_place" else "accepted",
            num_yes=4 if clip.video_id == "one_mirrored" else 3, num_no=0, num_unsure=0, num_broken=0,
        )
        for clip in clips
    ]  # fmt: skip
    put(tmp_path, "clip_labels", labels)
    return tmp_path


def test_the_whole_stage(work):
    done = []
    summary = run_curate(work, workers=1, on_rows=done.append)
    assert summary.kept == 2
    assert summary.rejected["duplicate"] == 1
    assert summary.rejected["one-per-video"] == 1
    assert summary.rejected["absent"] == 1
    assert sum(done) >= 6
    pairs = read_table(work, "duplicates").rows(named=True)
    assert [(row["clip_id_a"], row["clip_id_b"]) for row in pairs] == [("one-2000000", "one_mirrored-2000000")]
    assert pairs[0]["kept_clip_id"] == "one_mirrored-2000000"
    assert pairs[0]["is_mirrored"]
    assert pairs[0]["agreement"] > 0.9
    kept = read_table(work, "kept")["video_id"].to_list()
    assert sorted(kept) == ["one_mirrored", "other"]
    rejects = read_rejects(work)
    broken = rejects.filter(video_id="broken")
    assert broken["path"].to_list() == ["broken.mp4"]
    assert rejects.filter(reason="duplicate")["detail"].to_list() == [
        "class 1: the same footage as video one_mirrored, which stays"
    ]
    assert not (work / "shards").exists() or not list((work / "shards").iterdir())


def test_it_is_done_once_and_the_same_with_more_workers(work):
    run_curate(work, workers=1)
    before = {path: path.read_bytes() for path in work.rglob("*.parquet")}
    assert run_curate(work).was_current
    for name in ("duplicates", "frame_features"):
        table_path(work, name).unlink()
    assert not run_curate(work, workers=2).was_current
    assert before == {path: path.read_bytes() for path in work.rglob("*.parquet")}


def test_what_people_decided_of_copies_and_classes_holds(work):
    run_curate(work, workers=1)
    kept = read_table(work, "kept")["clip_id"].to_list()
    assert {"one_mirrored-2000000"} < set(kept)
    facts = {"num_workers": 1, "num_keep": 1}
    said = [("k", "one-2000000", "cluster", None, True), ("k", "one_mirrored-2000000", "cluster", None, False)]
    said += [(f"l{n}", f"other-{n}", "class", 1, n == 1_500_000) for n in (1_500_000, 2_000_000)]
    reviews = [
        ClipReview(item_id=i, clip_id=c, kind=kind, class_id=k, is_kept=stays, **facts) for i, c, kind, k, stays in said
    ]
    put(work, "reviews", reviews)
    summary = run_curate(work, workers=1)
    assert sorted(read_table(work, "kept")["clip_id"]) == ["one-2000000", "other-1500000"]
    assert summary.rejected["duplicate"] == summary.rejected["other-action"] == 1
    assert read_table(work, "duplicates")["kept_clip_id"].to_list() == ["one-2000000"]
    assert run_curate(work).was_current


def test_new_labels_do_not_cost_another_pass_over_the_videos(work, monkeypatch):
    run_curate(work, workers=1)
    put(work, "clip_labels", [])
    monkeypatch.setattr("gesta.curate.stage.clip_vectors", None)
    assert run_curate(work, workers=1).kept == 0


def test_what_is_missing_or_wrong_is_said(work):
    with pytest.raises(BadInput, match="min_cosine=2"):
        run_curate(work, min_cosine=2)
    table_path(work, "clip_labels").unlink()
    with pytest.raises(MissingTable, match="Run `gesta consensus` first"):
        run_curate(work)


def test_the_verb(work):
    shown = CliRunner().invoke(main, ["curate", str(work), "--workers", "1", "--json"])
    assert json.loads(shown.output)["num_duplicate_pairs"] == 1
    again = CliRunner().invoke(main, ["curate", str(work)])
    assert again.output.endswith("already done\n")
