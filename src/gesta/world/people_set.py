"""Write a world of several people: videos in two styles, and labels, lists and proposals in the public layouts."""

from __future__ import annotations

import functools
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import polars as pl

from gesta.schema import US_PER_S, BadInput, Refused, TruthAction, TruthBox, TruthVideo
from gesta.shards import map_shards
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    frame_of,
    is_current,
    made_by,
    table_path,
    write_table,
)
from gesta.video.encode import write_video
from gesta.world.people import SPLITS, PeopleTake, PeopleVideo, check_words, plan_people, plan_people_take
from gesta.world.people_acts import ACT_CLASSES
from gesta.world.people_detector import detect_people
from gesta.world.people_files import WORLD_FILE, KeyFrameTruth, LabelledPerson, write_people_files
from gesta.world.people_film import Image, SeenPerson, film_people
from gesta.world.people_style import LONG, SHORT

TRUTH = ("truth_videos", "truth_actions", "truth_boxes")
_VIDEOS_PER_SHARD = 8
_GOP = 12

LONG_SHARE = 0.05
"""Share of the long videos in a world of so many videos. Source: ours; both parts then hold alike many key-frames."""


def render_people(
    folder: Path,
    *,
    seed: int,
    num_long: int,
    num_short: int,
    width_px: int = 96,
    height_px: int = 96,
    words: Sequence[str] = tuple(ACT_CLASSES),
    long_s: tuple[float, float] = LONG.duration_s,
    short_s: tuple[float, float] = SHORT.duration_s,
    workers: int | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> StageSummary:
    """The counts of a world of several people written to `folder`: two parts, three splits, with exact truth.

    Writes `ava/videos` (long films, a key-frame a second) and `kinetics/videos` (short clips, one fractional key-frame
    each), for each part and split the labels and the proposals of a simulated detector, AVA's excluded timestamps,
    Kinetics' classes of whole clips, `label_map.pbtxt`, `world.json`, which names them, and the tables truth_videos,
    truth_actions and truth_boxes. The same arguments give the same bytes, whatever the workers.

    Args:
        num_long, num_short: videos of each part; 0 leaves the part out.
        width_px, height_px: of the frames; even, at least 48, no wider than three times the height.
        words: what people do, some of `ACT_CLASSES`.
        long_s: least and greatest length of a long film, in seconds; at least 4.
        short_s: the same of a short clip; at least 2.2.
        on_rows: called with the number of videos of each shard that is done.
    Raises:
        BadInput: there are no videos, a part has too few for three splits, a size is odd or too small, films are too
            short, or a deed of two lacks the other one's.
        UnknownName: a word is not one of `ACT_CLASSES`.
        Refused: the folder holds videos of another world.
    """
    check_words(words)
    if min(width_px, height_px) < 48 or width_px % 2 or height_px % 2 or not height_px <= width_px <= 3 * height_px:
        mend = "Want even sizes of at least 48, the width one to three times the height"
        raise BadInput(f"frames of {width_px}x{height_px} pixels", mend=mend)
    for what, lengths_s, least_s in (("films", long_s, 4), ("clips", short_s, 2.2)):
        if not least_s <= lengths_s[0] <= lengths_s[1]:
            problem = f"{what} of {lengths_s[0]} to {lengths_s[1]} s"
            raise BadInput(problem, mend=f"Want at least {least_s}, the smaller number first")
    videos = _videos(seed=seed, num_long=num_long, num_short=num_short)
    arguments: dict[str, Json] = {
        "kind": "people", "seed": seed, "num_long": num_long, "num_short": num_short, "width_px": width_px,
        "height_px": height_px, "words": list[Json](sorted(words)), "long_s": list[Json](long_s),
        "short_s": list[Json](short_s),
    }  # fmt: skip
    provenance = made_by("world", arguments=arguments, inputs={}, tools=["av", "numpy", "opencv-python-headless"])
    was_current = _is_done(folder, videos, provenance)
    if not was_current:
        _make_room(folder, videos)
        take_of = functools.partial(
            plan_people_take, seed=seed, aspect=width_px / height_px, words=tuple(words), long_s=long_s
        )
        table = _videos_frame(videos)
        render = functools.partial(
            _render_shard, folder=folder, videos={video.video_id: video for video in videos}, take_of=take_of,
            size=(width_px, height_px),
        )  # fmt: skip
        tables = map_shards(
            render, table, outputs=["truth_actions", "truth_boxes"], folder=folder / "shards" / "world",
            made_by=provenance, rows_per_shard=_VIDEOS_PER_SHARD, workers=workers, on_rows=on_rows,
        )  # fmt: skip
        takes = [take_of(video) for video in videos]
        write_people_files(folder, takes, _truths(takes, tables["truth_boxes"]), words=sorted(words), seed=seed)
        for name, frame in {**tables, "truth_videos": table}.items():
            write_table(table_path(folder, name), name, frame, made_by=provenance)
        shutil.rmtree(folder / "shards")
    return _summary(videos, was_current=was_current)


def plan_people_summary(*, seed: int, num_long: int, num_short: int) -> StageSummary:
    """The counts that `render_people` would end with; writes nothing.

    Raises:
        BadInput: there are no videos, or a part has too few for three splits.
    """
    return _summary(_videos(seed=seed, num_long=num_long, num_short=num_short), was_current=False)


def long_and_short(num_videos: int) -> tuple[int, int]:
    """How many of so many videos are long and how many short: one in twenty, at least 3, is long.

    >>> long_and_short(400), long_and_short(20)
    ((20, 380), (3, 17))
    """
    num_long = min(num_videos, max(3, round(num_videos * LONG_SHARE)))
    return num_long, num_videos - num_long


def _videos(*, seed: int, num_long: int, num_short: int) -> list[PeopleVideo]:
    videos = plan_people(seed=seed, num_long=num_long, num_short=num_short)
    if not videos:
        raise BadInput("a world of no videos", mend="Ask for at least 3 long or 3 short ones")
    return videos


def _summary(videos: Sequence[PeopleVideo], *, was_current: bool) -> StageSummary:
    splits = Counter(video.split for video in videos)
    parts = Counter(video.part for video in videos)
    return StageSummary(
        stage="world", kept=len(videos), outputs=TRUTH, was_current=was_current,
        numbers={
            "num_videos": len(videos), "num_long": parts["ava"], "num_short": parts["kinetics"],
            **{f"num_{split}": splits[split] for split in SPLITS},
        },
    )  # fmt: skip


def _path_of(video: PeopleVideo) -> str:
    return f"{video.part}/videos/{video.file_name}"


def _is_done(folder: Path, videos: Sequence[PeopleVideo], provenance: Provenance) -> bool:
    files = [folder / WORLD_FILE, *(folder / _path_of(video) for video in videos)]
    return all(is_current(table_path(folder, name), provenance) for name in TRUTH) and all(
        file.is_file() for file in files
    )


def _make_room(folder: Path, videos: Sequence[PeopleVideo]) -> None:
    """Refuse a folder with other videos; delete what a killed run left under temporary names."""
    known = {_path_of(video) for video in videos}
    for part in ("ava", "kinetics"):
        for path in sorted((folder / part / "videos").glob("*")):
            if path.name.startswith("."):
                path.unlink()
            elif path.relative_to(folder).as_posix() not in known:
                raise Refused(
                    "the folder holds videos of another world", where=path, mend="Delete the folder or name another one"
                )


def _videos_frame(videos: Sequence[PeopleVideo]) -> pl.DataFrame:
    return frame_of(
        "truth_videos",
        [
            TruthVideo(
                video_id=video.video_id, path=_path_of(video), kind="original", title=f"people, {video.part}",
                is_readable=True,
            )
            for video in videos
        ],
    )  # fmt: skip


def frame_shown(time_us: int, take: PeopleTake) -> int:
    """The number of the frame that a player shows at an instant, from 0."""
    return min(take.num_frames - 1, int(time_us * take.fps / US_PER_S))


def _frame_us(number: int, take: PeopleTake) -> int:
    return round(number * US_PER_S / take.fps)


def _truths(takes: Sequence[PeopleTake], boxes: pl.DataFrame) -> dict[str, list[KeyFrameTruth]]:
    """Of each video, what is true at its key-frames, and what the detector finds there."""
    shown: dict[tuple[str, int], list[SeenPerson]] = {}
    for video_id, person, time_us, *corners in boxes.select(
        "video_id", "person_id", "timestamp_us", "x1", "y1", "x2", "y2"
    ).iter_rows():
        x1, y1, x2, y2 = corners
        shown.setdefault((video_id, time_us), []).append(SeenPerson(person=person, box=(x1, y1, x2, y2)))
    return {take.video.video_id: [_truth(take, key, shown) for key in take.key_frames_us] for take in takes}


def _truth(take: PeopleTake, key_us: int, shown: dict[tuple[str, int], list[SeenPerson]]) -> KeyFrameTruth:
    video_id = take.video.video_id
    frame_us = _frame_us(frame_shown(key_us, take), take)
    seen = shown.get((video_id, frame_us), [])
    words = {act.person: act.words for act in take.beat_at(frame_us).acts}
    return KeyFrameTruth(
        timestamp_us=key_us, is_excluded=key_us in take.excluded_us,
        persons=tuple(LabelledPerson(person=one.person, box=one.box, words=words[one.person]) for one in seen),
        proposals=tuple(detect_people([one.box for one in seen], seed=f"{video_id}:{key_us}")),
    )  # fmt: skip


def _render_shard(
    rows: pl.DataFrame,
    *,
    folder: Path,
    videos: dict[str, PeopleVideo],
    take_of: Callable[[PeopleVideo], PeopleTake],
    size: tuple[int, int],
) -> dict[str, pl.DataFrame]:
    threads = cv2.getNumThreads()
    # The pool is parallel already; OpenCV's own threads would only contend.
    cv2.setNumThreads(1)
    actions: list[TruthAction] = []
    boxes: list[TruthBox] = []
    try:
        for video_id in rows["video_id"]:
            take = take_of(videos[video_id])
            frames: list[Image] = []
            for number, (frame, seen) in enumerate(film_people(take, width_px=size[0], height_px=size[1])):
                frames.append(frame)
                boxes += [_box(take, number, one) for one in seen]
            path = folder / _path_of(take.video)
            write_video(path, frames, fps=take.fps, gop=_GOP, crf=take.style.crf)
            actions += _actions(take)
    finally:
        cv2.setNumThreads(threads)
    return {"truth_actions": frame_of("truth_actions", actions), "truth_boxes": frame_of("truth_boxes", boxes)}


def _box(take: PeopleTake, number: int, one: SeenPerson) -> TruthBox:
    x1, y1, x2, y2 = one.box
    return TruthBox(
        video_id=take.video.video_id, person_id=one.person, timestamp_us=_frame_us(number, take), x1=x1, y1=y1, x2=x2,
        y2=y2,
    )  # fmt: skip


def _actions(take: PeopleTake) -> list[TruthAction]:
    """What everybody does, each stretch without a break once."""
    spans: dict[tuple[int, str], list[list[int]]] = {}
    for beat in take.beats:
        for act in beat.acts:
            for word in act.words:
                mine = spans.setdefault((act.person, ACT_CLASSES[word].name), [])
                if mine and mine[-1][1] == beat.start_us:
                    mine[-1][1] = beat.end_us
                else:
                    mine.append([beat.start_us, beat.end_us])
    return [
        TruthAction(video_id=take.video.video_id, person_id=person, action=name, start_us=start, end_us=end)
        for (person, name), mine in sorted(spans.items())
        for start, end in mine
    ]
