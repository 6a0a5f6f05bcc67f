"""Clusters as animations: in step, side by side, drawn once, and a page with the loosest first."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from gesta.cli import main
from gesta.curate.animations import (
    FORMATS,
    GAP_PX,
    NUM_INSTANTS,
    TILE_PX,
    animation_path,
    run_animations,
    side_by_side,
    times_in_step,
    write_animation,
)
from gesta.schema import (
    BadInput,
    Clip,
    ClipReview,
    Component,
    Duplicate,
    MissingTable,
    UnknownName,
    Video,
    cluster_item_id_of,
)
from gesta.tables import frame_of, made_by, table_path, write_table

by_hand = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("footage_by_hand.py"))))

MADE = made_by("test", arguments={}, inputs={})


def put(folder, table, rows):
    write_table(table_path(folder, table), table, frame_of(table, rows), made_by=MADE)


def pair(a, b, *, a_us=None, b_us=None, cluster=0):
    start_a, end_a = a_us or (None, None)
    start_b, end_b = b_us or (None, None)
    return Duplicate(
        clip_id_a=a, clip_id_b=b, cosine=0.98, num_inliers=0, cluster=cluster, kept_clip_id=a, start_us_a=start_a,
        end_us_a=end_a, start_us_b=start_b, end_us_b=end_b,
    )  # fmt: skip


def pictures(path):
    with Image.open(path) as image:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 300))
def test_clips_of_the_same_footage_run_along_one_clock(shift_b, shift_c, lead):
    """a and b share footage, b and c too: at every instant all three show the same moment of it."""
    spans = {"a": (0, 1000), "b": (shift_b, shift_b + 1000), "c": (shift_c, shift_c + 1000)}
    pairs = [
        pair("a", "b", a_us=(lead, 700), b_us=(lead + shift_b, 700 + shift_b)),
        pair("b", "c", a_us=(lead + shift_b, 600 + shift_b), b_us=(lead + shift_c, 600 + shift_c)),
    ]
    times = times_in_step(spans, pairs)
    assert (times["b"] - times["a"] == shift_b).all()
    assert (times["c"] - times["a"] == shift_c).all()
    assert lead <= times["a"].min() <= times["a"].max() < 700


def test_a_clip_stands_still_where_it_has_not_begun_or_has_ended():
    times = times_in_step({"a": (0, 100), "b": (40, 60)}, [pair("a", "b", a_us=(0, 100), b_us=(0, 100))])
    assert times["b"].min() == 40
    assert times["b"].max() == 59
    assert times["a"].max() > 95


def test_clips_without_a_known_stretch_are_in_step_by_share():
    times = times_in_step({"a": (0, 1000), "b": (0, 2000)}, [pair("a", "b")])
    assert (times["b"] - 2 * times["a"] <= 1).all()
    assert len(times["a"]) == NUM_INSTANTS


@pytest.mark.parametrize(("num_clips", "columns", "rows"), [(1, 1, 1), (2, 2, 1), (5, 3, 2), (48, 7, 7)])
def test_clips_stand_in_rows_with_their_numbers(num_clips, columns, rows):
    tiles = [[np.full((30, 40, 3), 60 + 3 * n, np.uint8)] * 2 for n in range(num_clips)]
    (picture, _) = side_by_side(tiles)
    width, height = TILE_PX
    assert picture.shape[0] // (height + GAP_PX) == rows
    assert picture.shape[1] // (width + GAP_PX) == columns
    assert not any(side % 2 for side in picture.shape[:2])
    for n in range(num_clips):
        y = GAP_PX + (n // columns) * (height + GAP_PX)
        x = GAP_PX + (n % columns) * (width + GAP_PX)
        assert (picture[y + height // 2, x + width // 2] == 60 + 3 * n).all()
        assert picture[y : y + 20, x : x + 24].max() > 220, "the number"


@pytest.mark.parametrize("kind", FORMATS)
def test_an_animation_shows_its_frames_for_ever(tmp_path, kind):
    shades = [40, 120, 220]
    frames = [np.full((60, 80, 3), (shade, 255 - shade, 100), np.uint8) for shade in shades]
    path = write_animation(tmp_path / f"a.{kind}", frames)
    shown = pictures(path)
    assert [frame.shape for frame in shown] == [(60, 80, 3)] * 3
    for shade, frame in zip(shades, shown, strict=True):
        assert np.abs(frame.reshape(-1, 3).mean(0) - (shade, 255 - shade, 100)).max() < 8
    raw = path.read_bytes()
    if kind == "webp":
        at = raw.index(b"ANIM") + 12
        assert raw[at : at + 2] == b"\0\0", "for ever"
    else:
        at = raw.index(b"NETSCAPE2.0") + 13
        assert raw[at : at + 2] == b"\0\0", "for ever"


def test_another_ending_or_no_frame_is_refused(tmp_path):
    with pytest.raises(BadInput, match=r"0 frames for a\.gif\. Want one or more, and \.gif or \.webp"):
        write_animation(tmp_path / "a.gif", [])
    with pytest.raises(BadInput, match=r"1 frames for a\.png"):
        write_animation(tmp_path / "a.png", [np.zeros((4, 4, 3), np.uint8)])


@pytest.fixture
def work(tmp_path):
    by_hand.write(tmp_path / "one.mp4", by_hand.film(1, 1))
    by_hand.write(tmp_path / "two.mp4", by_hand.film(1, 1))
    (tmp_path / "broken.mp4").write_text("not a video")
    names = ["one", "two", "broken"]
    put(
        tmp_path,
        "videos",
        [
            Video(
                video_id=name, path=f"{name}.mp4", sha256="0" * 64, size_bytes=1, container="mp4", codec="h264",
                width_px=192, height_px=144, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=50,
                start_us=0, duration_us=2_000_000, has_audio=False,
            )
            for name in names
        ],
    )  # fmt: skip
    put(tmp_path, "clips", [Clip(clip_id=name, video_id=name, start_us=0, end_us=2_000_000) for name in names])
    put(tmp_path, "clip_labels", [])
    put(
        tmp_path, "duplicates", [pair("one", "two"), pair("broken", "one", cluster=1), pair("broken", "two", cluster=1)]
    )
    components = [
        Component(
            component=place, cluster=1 - place, num_clips=2, num_videos=2, num_classes=0, num_pairs=1, min_cosine=0.97,
            least_cosine=least, kept_clip_id="one",
        )
        for place, least in enumerate((0.91, 0.98))
    ]  # fmt: skip
    put(tmp_path, "components", components)
    return tmp_path


def test_every_page_of_copies_is_drawn_once(work):
    counted = []
    summary = run_animations(work, formats=("webp", "gif"), workers=1, on_rows=counted.append)
    assert summary.numbers == {"num_animations": 4}
    assert summary.rejected == {"not-video": 1}
    first = cluster_item_id_of(clip_ids=["one", "two"])
    frames = pictures(animation_path(work, first, "gif"))
    assert len(frames) == NUM_INSTANTS
    width = TILE_PX[0] + GAP_PX
    left, right = frames[7][30:140, 40:190].astype(int), frames[7][30:140, width + 40 : width + 190].astype(int)
    assert np.abs(left - right).mean() < 6, "copies in step look the same"
    assert np.abs(frames[7].astype(int) - frames[20]).mean() > 1, "something moves"
    again = run_animations(work, formats=("webp", "gif"), workers=1, on_rows=counted.append)
    assert again.was_current
    assert counted == [2]


def test_the_page_shows_the_loosest_first_and_says_what_is_a_chain(work):
    run_animations(work, workers=1)
    text = (work / "animations" / "index.html").read_text()
    assert text.index("Cluster 1:") < text.index("Cluster 0:")
    assert text.count("a chain: below 0.97") == 1
    assert "least cosine 0.910" in text
    for source in text.split('src="')[1:]:
        assert (work / "animations" / source.split('"')[0]).is_file()


def test_what_people_settled_is_not_drawn(work):
    facts = {"num_workers": 1, "num_keep": 1, "kind": "cluster", "is_kept": True}
    put(work, "reviews", [ClipReview(item_id="i", clip_id=name, **facts) for name in ("one", "two")])
    assert run_animations(work, workers=1).kept == 1
    put(work, "reviews", [ClipReview(item_id="i", clip_id=name, **facts) for name in ("one", "two", "broken")])
    assert run_animations(work, workers=1).kept == 0


def test_what_is_missing_or_wrong_is_said(work, tmp_path_factory):
    with pytest.raises(UnknownName, match="no format of animations 'png'"):
        run_animations(work, formats=("png",))
    with pytest.raises(MissingTable, match="Run `gesta curate` first"):
        run_animations(tmp_path_factory.mktemp("empty"))


def test_the_verb_draws_what_it_found(work):
    options = ["--workers", "1", "--animations", "both", "--json"]
    result = CliRunner().invoke(main, ["curate", str(work), *options])
    assert result.exit_code == 0, result.output
    assert '"num_animations": 2' in result.output
    assert len(list((work / "animations").glob("cluster-*"))) == 2
    assert (work / "animations" / "index.html").read_text().count("<figure>") == 1
