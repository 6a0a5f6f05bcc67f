"""What a question plays: stretches, frames at exact times, no way out of the folders, cuts made once and bounded."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gesta.label import media as m
from gesta.label.book import Question
from gesta.label.media_cuts import Cuts, MediaBusy
from gesta.label.media_links import PERIOD_S, expiry_s, is_good_link, link_query, signature
from gesta.schema import BadInput, BadVideo, Clip, cluster_item_id_of
from gesta.tables import frame_of, made_by, table_path, write_table
from gesta.video import cut_clip, probe, write_video

from .conftest import WorkFolder, video, write

TIMEOUT_S = 30


def asked(kind: str = "clip", clip_id: str = "c00", **more: Any) -> Question:
    """A question as the book has it."""
    told: dict[str, Any] = {
        "seq": 1, "class_id": 1, "action": "wave", "timestamp_us": None, "person_id": None, "box": None, "detail": {},
    }  # fmt: skip
    return Question(kind=kind, clip_id=clip_id, **{**told, **more})


def fake_cut(source: Path, target: Path, **_: Any) -> Path:
    """Writes the source's name."""
    target.write_bytes(source.name.encode())
    return target


def level(k: int) -> int:
    """Brightness of frame k, far from that of its neighbours."""
    return 20 + 37 * k % 200


def rendered(path: Path, *, num_frames: int = 100, fps: int = 25, side_px: int = 48) -> None:
    """A video whose frame k is as bright as `level` says."""
    frames = [np.full((side_px, side_px + 16, 3), level(k), np.uint8) for k in range(num_frames)]
    write_video(path, frames, fps=Fraction(fps), crf=8)


def opened(work: Path, **more: Any) -> m.Media:
    """The folder's media with a cut that only writes a name."""
    for k in range(6):
        (work / f"vc{k:02d}.mp4").touch()
    return m.open_media(work, cut=more.pop("cut", fake_cut), **more)


# ---- stretches -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timestamp_us", "expected", "key_time_s"),
    [
        (1_500_000, (500_000, 2_500_000), 1.0),
        (100_000, (0, 2_000_000), 0.1),
        (3_900_000, (2_000_000, 4_000_000), 1.9),
    ],
)
@pytest.mark.parametrize("kind", ["frame", "person", "box"])
def test_two_seconds_around_a_key_frame_stay_inside_the_video(
    work_folder: WorkFolder, kind: str, timestamp_us: int, expected: tuple[int, int], key_time_s: float
) -> None:
    media = opened(work_folder())
    question = asked(kind, timestamp_us=timestamp_us)
    stretch = media.stretch_of(question)
    assert (stretch.start_us, stretch.end_us) == expected
    timing = media.timing_of(question)
    assert (timing.fps, timing.duration_s, timing.key_time_s) == (25.0, 2.0, key_time_s)


@pytest.mark.parametrize("kind", ["clip", "suggestion", "class", "cluster"])
def test_other_kinds_play_the_whole_clip(work_folder: WorkFolder, kind: str) -> None:
    work = work_folder()
    write(work, "clips", [Clip(clip_id="c00", video_id="vc00", start_us=1_000_000, end_us=3_500_000)])
    media = opened(work)
    question = asked(kind, timestamp_us=None)
    stretch = media.stretch_of(question)
    assert (stretch.start_us, stretch.end_us) == (1_000_000, 3_500_000)
    assert media.timing_of(question) == m.Timing(fps=25.0, duration_s=2.5, key_time_s=None)


def test_a_video_shorter_than_two_seconds_is_played_whole(work_folder: WorkFolder) -> None:
    work = work_folder()
    write(work, "videos", [dataclasses.replace(video("vc00", path="vc00.mp4"), duration_us=1_200_000)])
    stretch = opened(work).stretch_of(asked("box", timestamp_us=600_000))
    assert (stretch.start_us, stretch.end_us) == (0, 1_200_000)


def test_large_and_fast_videos_are_served_smaller_and_slower(work_folder: WorkFolder) -> None:
    work = work_folder()
    large = dataclasses.replace(video("vc00", path="vc00.mp4"), width_px=1920, height_px=1080, fps_num=60)
    write(work, "videos", [large])
    media = opened(work)
    stretch = media.stretch_of(asked())
    assert (stretch.fps, stretch.short_side_px) == (30, 480)
    assert media.timing_of(asked()).fps == 30.0
    assert media.offsets_of(asked("frame", timestamp_us=100_000)) == range(-6, 26), "frames are the source's own"


def test_what_is_not_known_has_no_media_and_breaks_nothing(work_folder: WorkFolder) -> None:
    work = work_folder()
    write(work, "videos", [video("vc01", path="vc01.mp4")])
    media = opened(work)
    for clip_id in ("c00", "nothing", ""):
        question = asked("frame", clip_id, timestamp_us=1)
        assert media.timing_of(question).duration_s == 0.0
        assert media.offsets_of(question) == range(0)
        for fails in (media.stretch_of, media.file_of, lambda q: media.frames_file(q, has_neighbours=False)):
            with pytest.raises(BadVideo):
                fails(question)
    with pytest.raises(BadVideo, match="there is no such frame"):
        media.frames_file(asked("frame", "c01"), has_neighbours=True)


def test_clips_side_by_side_are_told_by_number(work_folder: WorkFolder) -> None:
    media = opened(work_folder())
    cluster = asked("cluster", detail={"clips": ["c02", "c03"]})
    ranked = asked("class", detail={"clips": [{"clip_id": "c04", "score": 1.0, "near": None}]})
    assert media.stretch_of(cluster, 1) == media.stretch_of(asked(clip_id="c03"))
    assert media.stretch_of(ranked, 0) == media.stretch_of(asked(clip_id="c04"))
    with pytest.raises(BadVideo):
        media.stretch_of(cluster, 2)


def test_a_cluster_s_animation_is_found_by_its_clips(work_folder: WorkFolder) -> None:
    work = work_folder()
    (work / "animations").mkdir()
    drawn = cluster_item_id_of(clip_ids=["c02", "c03"]).replace(":", "-")
    (work / "animations" / f"{drawn}.gif").touch()
    media = opened(work)
    cluster = asked("cluster", detail={"clips": ["c02", "c03"]})
    found = media.animation_of(cluster)
    assert found is not None
    assert found.name == f"{drawn}.gif"
    (work / "animations" / f"{drawn}.webp").touch()
    found = opened(work).animation_of(cluster)
    assert found is not None
    assert found.suffix == ".webp", "the smaller one first"
    assert media.animation_of(asked("cluster", detail={"clips": ["c03", "c02"]})) is None, "numbers would be wrong"
    assert media.animation_of(asked("class", detail={"clips": [{"clip_id": "c02"}, {"clip_id": "c03"}]})) is None


def test_a_path_is_in_seconds_of_the_clip(work_folder: WorkFolder) -> None:
    media = opened(work_folder(num_persons=1))
    assert media.path_of(asked("box", timestamp_us=1_500_000, person_id=0)) == [(1.0, 0.2, 0.1, 0.5, 0.9)]
    assert media.path_of(asked("box", timestamp_us=3_900_000, person_id=0)) == []
    assert media.path_of(asked("clip")) == []


# ---- no way out ------------------------------------------------------------------------------------------------------

ESCAPES: Mapping[str, Callable[[Path], str]] = {
    "up": lambda outside: f"../{outside.name}/secret.mp4",
    "deep": lambda outside: f"cuts/../../{outside.name}/secret.mp4",
    "absolute": lambda outside: str(outside / "secret.mp4"),
    "link": lambda outside: "link.mp4",
    "linked folder": lambda outside: "folder/secret.mp4",
    "nul": lambda outside: "vc00.mp4\0",
    "encoded": lambda outside: f"..%2f{outside.name}%2fsecret.mp4",
    "folder": lambda outside: ".",
    "nothing": lambda outside: "",
    "device": lambda outside: "/dev/zero",
    "missing": lambda outside: "missing.mp4",
    "loop": lambda outside: "loop.mp4",
    "long": lambda outside: "x" * 5000,
}


@pytest.mark.parametrize("name", ESCAPES)
def test_no_path_leads_out_of_the_media_folders(work_folder: WorkFolder, tmp_path: Path, name: str) -> None:
    work, outside = work_folder(), tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.mp4").write_bytes(b"secret")
    (work / "link.mp4").symlink_to(outside / "secret.mp4")
    (work / "folder").symlink_to(outside)
    (work / "loop.mp4").symlink_to(work / "loop.mp4")
    write(work, "videos", [video("vc00", path=ESCAPES[name](outside))])
    made: list[Path] = []
    media = opened(work, cut=lambda source, target, **_: made.append(source))
    for waiting in (media.clip_file(asked()), media.frames_file(asked("frame", timestamp_us=1), has_neighbours=False)):
        with pytest.raises(BadVideo, match=r"the file is not there|lies outside the media folders"):
            waiting.result(TIMEOUT_S)
    assert made == []


def test_the_folder_that_import_was_told_to_read_is_a_media_folder(work_folder: WorkFolder, tmp_path: Path) -> None:
    work, films, other = work_folder(), tmp_path / "films", tmp_path / "other"
    for folder in (films, other):
        folder.mkdir()
        (folder / "a.mp4").write_bytes(b"")
    other_video = dataclasses.replace(video("vc01", path="../other/a.mp4"), sha256="1" * 64)
    rows = [video("vc00", path="../films/a.mp4"), other_video]
    provenance = made_by("import", arguments={"folder": "../films"}, inputs={})
    write_table(table_path(work, "videos"), "videos", frame_of("videos", rows), made_by=provenance)
    media = opened(work)
    assert media.file_of(asked()).read_bytes() == b"a.mp4"
    with pytest.raises(BadVideo, match="outside"):
        media.file_of(asked(clip_id="c01"))
    told = opened(work, roots=[other])
    assert told.source_file("../other/a.mp4") == (other / "a.mp4").resolve()
    with pytest.raises(BadVideo, match="outside"):
        told.source_file("../films/a.mp4")


# ---- frames ----------------------------------------------------------------------------------------------------------


def brightness(jpeg: bytes) -> float:
    """Mean of a picture."""
    return float(np.mean(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)))


def test_frames_are_the_ones_at_their_offsets(work_folder: WorkFolder) -> None:
    work = work_folder()
    rendered(work / "vc00.mp4")
    media = m.open_media(work, cut=fake_cut)
    question = asked("frame", timestamp_us=1_600_000)
    assert media.offsets_of(question) == range(-25, 26)
    alone = media.frames_file(question, has_neighbours=False).result(TIMEOUT_S)
    assert brightness(m.read_frame(alone, 0)) == pytest.approx(level(40), abs=5)
    with pytest.raises(BadVideo, match="there is no such frame"):
        m.read_frame(alone, 1)
    beside = media.frames_file(question, has_neighbours=True).result(TIMEOUT_S)
    for offset in (-25, -1, 0, 1, 25):
        assert brightness(m.read_frame(beside, offset)) == pytest.approx(level(40 + offset), abs=5)
    assert m.read_frame(alone, 0) == m.read_frame(beside, 0)


def test_frames_beyond_the_ends_are_not_offered(work_folder: WorkFolder) -> None:
    work = work_folder()
    rendered(work / "vc00.mp4")
    media = m.open_media(work, cut=fake_cut)
    assert media.offsets_of(asked("frame", timestamp_us=80_000)) == range(-2, 26)
    assert media.offsets_of(asked("frame", timestamp_us=3_960_000)) == range(-25, 1)
    last = media.frames_file(asked("frame", timestamp_us=3_960_000), has_neighbours=True).result(TIMEOUT_S)
    assert brightness(m.read_frame(last, 0)) == pytest.approx(level(99), abs=5)


def test_a_cut_is_muted_h264_of_the_right_length(work_folder: WorkFolder) -> None:
    work = work_folder()
    rendered(work / "vc00.mp4")
    media = m.open_media(work, cut=cut_clip)
    for question, duration_us in ((asked(), 4_000_000), (asked("box", timestamp_us=1_500_000), 2_000_000)):
        facts = probe(media.file_of(question))
        assert (facts.codec, facts.has_audio, facts.fps, facts.duration_us) == ("h264", False, 25, duration_us)


def test_a_source_that_cannot_be_decoded_is_told_once_and_breaks_nothing(work_folder: WorkFolder) -> None:
    work = work_folder()
    (work / "vc00.mp4").write_bytes(os.urandom(5000))
    tries: list[Path] = []

    def cut(source: Path, target: Path, **more: Any) -> Path:
        tries.append(source)
        return cut_clip(source, target, **more)

    media = m.open_media(work, cut=cut)
    for _ in range(3):
        with pytest.raises(BadVideo):
            media.file_of(asked())
    assert len(tries) == 1
    (work / "vc01.mp4").touch()
    assert list((work / "cuts").iterdir()) == []


def test_a_stretch_outside_its_file_is_no_media(work_folder: WorkFolder) -> None:
    work = work_folder()
    rendered(work / "vc00.mp4", num_frames=10)
    write(work, "clips", [Clip(clip_id="c00", video_id="vc00", start_us=2_000_000, end_us=4_000_000)])
    with pytest.raises(BadVideo, match="nothing of"):
        m.open_media(work, cut=cut_clip).file_of(asked())


# ---- the folder of cuts ----------------------------------------------------------------------------------------------


def test_a_clip_that_many_want_is_cut_once(work_folder: WorkFolder) -> None:
    started, go_on = threading.Event(), threading.Event()
    num_cuts: list[int] = []

    def slow(source: Path, target: Path, **_: Any) -> Path:
        num_cuts.append(1)
        started.set()
        assert go_on.wait(TIMEOUT_S)
        return fake_cut(source, target)

    media = opened(work_folder(), cut=slow)
    first = media.clip_file(asked())
    assert started.wait(TIMEOUT_S)
    others = [media.clip_file(asked()) for _ in range(20)]
    go_on.set()
    assert {waiting.result(TIMEOUT_S) for waiting in (first, *others)} == {media.file_of(asked())}
    assert len(num_cuts) == 1


def test_a_busy_disk_or_a_long_queue_says_so(tmp_path: Path) -> None:
    cuts = Cuts(folder=tmp_path / "cuts")

    def full(_target: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(MediaBusy, match=r"cannot be kept .No space left on device."):
        cuts.get("a.mp4", full).result(TIMEOUT_S)
    assert cuts.get("a.mp4", lambda target: target.write_bytes(b"x")).result(TIMEOUT_S).read_bytes() == b"x"
    go_on = threading.Event()
    waiting = [cuts.get(f"{k}.mp4", lambda target: go_on.wait(TIMEOUT_S)) for k in range(256)]
    with pytest.raises(MediaBusy, match="too many clips are being cut"):
        cuts.get("z.mp4", lambda target: None)
    go_on.set()
    for one in waiting:
        assert isinstance(one.exception(TIMEOUT_S), MediaBusy), "nothing was written"


def _write(num_bytes: int) -> Callable[[Path], object]:
    return lambda target: target.write_bytes(bytes(num_bytes))


def test_the_folder_keeps_to_its_limit_and_drops_the_least_used(tmp_path: Path) -> None:
    cuts = Cuts(folder=tmp_path / "cuts", limit_bytes=1000)
    for name in ("a.mp4", "b.mp4"):
        cuts.get(name, _write(400)).result(TIMEOUT_S)
    with (tmp_path / "cuts" / "b.mp4").open("rb") as being_served:
        cuts.get("a.mp4", _write(400)).result(TIMEOUT_S)
        cuts.get("c.mp4", _write(400)).result(TIMEOUT_S)
        assert sorted(path.name for path in cuts.folder.iterdir()) == ["a.mp4", "c.mp4"]
        assert len(being_served.read()) == 400, "whoever has it open reads on"
    assert cuts.num_bytes == 800
    assert cuts.get("b.mp4", _write(300)).result(TIMEOUT_S).stat().st_size == 300, "made again"
    cuts.get("huge.mp4", _write(5000)).result(TIMEOUT_S)
    assert [path.name for path in cuts.folder.iterdir()] == ["huge.mp4"], "one is kept, whatever its size"


def test_a_folder_found_at_the_start_is_counted_and_kept_to_the_limit(tmp_path: Path) -> None:
    folder = tmp_path / "cuts"
    folder.mkdir()
    for k, name in enumerate((".left-over.tmp.mp4", "old.mp4", "new.jpgs")):
        (folder / name).write_bytes(bytes(400))
        os.utime(folder / name, (k, k))
    (folder / "notes.txt").write_bytes(bytes(5000))
    (folder / "link.mp4").symlink_to(folder / "notes.txt")
    cuts = Cuts(folder=folder, limit_bytes=1000)
    assert cuts.num_bytes == 800
    assert sorted(path.name for path in folder.iterdir()) == ["link.mp4", "new.jpgs", "notes.txt", "old.mp4"]
    with pytest.raises(BadInput, match="0 bytes for cuts"):
        Cuts(folder=folder, limit_bytes=0)


def test_failures_are_tried_again_after_a_minute(tmp_path: Path) -> None:
    now = [0.0]
    cuts = Cuts(folder=tmp_path, clock=lambda: now[0])

    def bad(_target: Path) -> None:
        raise BadVideo("cannot be decoded", where="v")

    with pytest.raises(BadVideo):
        cuts.get("a.mp4", bad).result(TIMEOUT_S)
    now[0] = 59.0
    with pytest.raises(BadVideo):
        cuts.get("a.mp4", _write(1)).result(TIMEOUT_S)
    now[0] = 61.0
    assert cuts.get("a.mp4", _write(1)).result(TIMEOUT_S).exists()


def test_the_next_task_is_cut_ahead_and_a_bad_clip_does_not_stop_it(work_folder: WorkFolder) -> None:
    work = work_folder()
    rows = [dataclasses.replace(video(f"vc{k:02d}", path=f"vc{k:02d}.mp4"), sha256=str(k) * 64) for k in range(6)]
    write(work, "videos", rows)
    media = opened(work)
    cluster = asked("cluster", "c02", detail={"clips": ["c02", "c03", "nothing"]})
    questions = [asked(clip_id="nothing"), asked("frame", "c01", timestamp_us=1_000_000), asked(clip_id="c00"), cluster]
    assert media.prefetch(questions)
    media._ahead.shutdown(wait=True)
    names = [media.stretch_of(asked(clip_id=clip_id)).file_name for clip_id in ("c00", "c02", "c03")]
    assert all(media.cuts.has(name) for name in names)
    media.close()


def test_no_more_is_prepared_than_there_is_room_for(work_folder: WorkFolder) -> None:
    go_on = threading.Event()
    media = opened(work_folder(), cut=lambda source, target, **_: (go_on.wait(TIMEOUT_S), fake_cut(source, target)))
    taken = [media.prefetch([asked()]) for _ in range(m.MAX_PREPARED + 5)]
    assert taken == [True] * m.MAX_PREPARED + [False] * 5
    go_on.set()
    media.close()


def test_closing_gives_up_what_waits(work_folder: WorkFolder) -> None:
    go_on = threading.Event()
    media = opened(work_folder(), cut=lambda source, target, **_: (go_on.wait(TIMEOUT_S), fake_cut(source, target)))
    waiting = [media.clip_file(asked(clip_id=f"c{k:02d}")) for k in range(4)]
    go_on.set()
    media.close()
    assert all(one.done() for one in waiting)


# ---- links -----------------------------------------------------------------------------------------------------------

SECRET = b"s" * 32
NOW_US = 1_700_000_000_000_000


def parts(query: str) -> tuple[int, str]:
    """Expiry and signature."""
    ends, signed = query.removeprefix("?e=").split("&s=")
    return int(ends), signed


def test_a_link_is_good_for_hours_and_then_no_more() -> None:
    ends, signed = parts(link_query(SECRET, "t/0", now_us=NOW_US))
    assert PERIOD_S < ends - NOW_US / 1e6 <= 2 * PERIOD_S
    for now_us, is_good in ((NOW_US, True), (ends * 1_000_000 - 1, True), (ends * 1_000_000, False)):
        assert is_good_link(SECRET, "t/0", expires_s=ends, signed=signed, now_us=now_us) is is_good


def test_links_stay_the_same_for_hours() -> None:
    begin_us = NOW_US // (PERIOD_S * 1_000_000) * PERIOD_S * 1_000_000
    links = {link_query(SECRET, "t/0", now_us=begin_us + k * 1_000_000) for k in (0, 60, PERIOD_S - 1)}
    assert len(links) == 1
    assert expiry_s(begin_us + PERIOD_S * 1_000_000) > expiry_s(begin_us)


def test_no_other_link_is_good() -> None:
    ends, signed = parts(link_query(SECRET, "t/1", now_us=NOW_US))
    forged = hashlib.sha256(f"t/1|{ends}".encode()).hexdigest()[:22]
    for stem, expires_s, given, secret in (
        ("t/2", ends, signed, SECRET),
        ("u/1", ends, signed, SECRET),
        ("t/11", ends, signed, SECRET),
        ("t/1", ends + PERIOD_S, signed, SECRET),
        ("t/1", ends, signed[:-1], SECRET),
        ("t/1", ends, signed + "A", SECRET),
        ("t/1", ends, signed.swapcase(), SECRET),
        ("t/1", ends, "", SECRET),
        ("t/1", ends, "ü\ud800", SECRET),
        ("t/1", ends, forged, SECRET),
        ("t/1", ends, signed, b"another secret"),
    ):
        assert not is_good_link(secret, stem, expires_s=expires_s, signed=given, now_us=NOW_US)
    assert len(signature(SECRET, "t/1", ends)) == 32, "128 bits"
