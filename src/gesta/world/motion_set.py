"""Write a world of motions: clips in folders of their classes, a Kinetics csv for each split, the truth in tables."""

from __future__ import annotations

import functools
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import polars as pl

from gesta.schema import US_PER_S, BadInput, Refused, TruthAction, TruthBox, TruthVideo, UnknownName
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
    write_text,
)
from gesta.video.encode import write_video
from gesta.world.motion_film import Pixels, film_motion
from gesta.world.motions import (
    CLASSES,
    SPLITS,
    Group,
    MotionClip,
    MotionTake,
    clips_of,
    partner_of,
    plan_groups,
    plan_motion,
)

TRUTH = ("truth_videos", "truth_actions", "truth_boxes")
_GROUPS_PER_SHARD = 2
_QP = 28
"""Quantiser of the clips, each frame coded alone. Source: ours; about 1.5 kB a frame of 96x72 px."""


def render_motions(
    folder: Path,
    *,
    seed: int,
    num_videos: int,
    width_px: int = 96,
    height_px: int = 72,
    classes: Sequence[str] = CLASSES,
    workers: int | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> StageSummary:
    """The counts of a world of motions written to `folder`: short clips of paired classes, with exact truth.

    Writes `videos/<split>/<class>/<id>.mp4`, a Kinetics csv for each split (`train.csv`, `val.csv`, `test.csv`), and
    the tables truth_videos, truth_actions and truth_boxes; in truth_videos `source_video_id` of a clip of the second
    class of a pair is the clip whose frames it shows in reverse order. The frames are coded each alone with a constant
    quantiser, so the two clips of a pair decode to exactly the same pictures. The same arguments give the same bytes,
    whatever the workers.

    Args:
        num_videos: as many whole groups (a clip of each class) are made as this has room for.
        width_px, height_px: of the frames; even, at least 48.
        classes: some of `CLASSES`; of a pair both or none.
        on_rows: called with the number of videos of each shard that is done.
    Raises:
        BadInput: there is no group for each of the three splits, a size is odd or too small, or half a pair is asked.
        UnknownName: a class is not one of `CLASSES`.
        Refused: the folder holds videos of another world.
    """
    groups, clips = _plan(seed=seed, num_videos=num_videos, classes=classes)
    if min(width_px, height_px) < 48 or width_px % 2 or height_px % 2:
        raise BadInput(f"frames of {width_px}x{height_px} pixels", mend="Want even sizes of at least 48")
    arguments: dict[str, Json] = {
        "kind": "motions", "seed": seed, "num_videos": len(clips), "width_px": width_px, "height_px": height_px,
        "classes": list[Json](sorted(classes)),
    }  # fmt: skip
    provenance = made_by("world", arguments=arguments, inputs={}, tools=["av", "numpy", "opencv-python-headless"])
    was_current = _is_done(folder, clips, provenance)
    if not was_current:
        _make_room(folder, clips)
        videos = _videos_frame(clips)
        render = functools.partial(_render_shard, folder=folder, seed=seed, groups=groups, size=(width_px, height_px))
        tables = map_shards(
            render, videos, outputs=["truth_actions", "truth_boxes"], folder=folder / "shards" / "world",
            made_by=provenance, rows_per_shard=_GROUPS_PER_SHARD * len(classes), workers=workers, on_rows=on_rows,
        )  # fmt: skip
        _write_lists(folder, clips, seed=seed, groups=groups)
        for name, frame in {**tables, "truth_videos": videos}.items():
            write_table(table_path(folder, name), name, frame, made_by=provenance)
        shutil.rmtree(folder / "shards")
    return _summary(groups, clips, was_current=was_current)


def plan_motions_summary(*, seed: int, num_videos: int) -> StageSummary:
    """The counts that `render_motions` would end with; writes nothing.

    Raises:
        BadInput: there is no group for each of the three splits.
    """
    groups, clips = _plan(seed=seed, num_videos=num_videos, classes=CLASSES)
    return _summary(groups, clips, was_current=False)


def _plan(*, seed: int, num_videos: int, classes: Sequence[str]) -> tuple[list[Group], list[MotionClip]]:
    for name in classes:
        if name not in CLASSES:
            raise UnknownName(what="class of motion", name=name, choices=CLASSES)
        other = partner_of(name)
        if other is not None and other not in classes:
            raise BadInput(f"the class {name!r} without {other!r}", mend="Ask for both classes of a pair, or for none")
    groups = plan_groups(seed=seed, num_groups=num_videos // max(1, len(classes)), num_classes=len(classes))
    return groups, [clip for group in groups for clip in clips_of(group) if clip.label in classes]


def _summary(groups: Sequence[Group], clips: Sequence[MotionClip], *, was_current: bool) -> StageSummary:
    splits = Counter(clip.split for clip in clips)
    return StageSummary(
        stage="world", kept=len(clips), outputs=TRUTH, was_current=was_current,
        numbers={
            "num_videos": len(clips), "num_classes": len({clip.label for clip in clips}), "num_groups": len(groups),
            **{f"num_{split}": splits[split] for split in SPLITS},
        },
    )  # fmt: skip


def _is_done(folder: Path, clips: Sequence[MotionClip], provenance: Provenance) -> bool:
    lists = [folder / f"{split}.csv" for split in SPLITS]
    files = [*lists, *(folder / "videos" / clip.file_name for clip in clips)]
    return all(is_current(table_path(folder, name), provenance) for name in TRUTH) and all(
        file.is_file() for file in files
    )


def _make_room(folder: Path, clips: Sequence[MotionClip]) -> None:
    """Refuse a folder with other videos; delete what a killed run left under temporary names."""
    known = {clip.file_name for clip in clips}
    videos = folder / "videos"
    for path in sorted(videos.rglob("*")):
        if path.is_dir():
            continue
        if path.name.startswith("."):
            path.unlink()
        elif path.relative_to(videos).as_posix() not in known:
            raise Refused(
                "the folder holds videos of another world", where=path, mend="Delete the folder or name another one"
            )


def _videos_frame(clips: Sequence[MotionClip]) -> pl.DataFrame:
    return frame_of(
        "truth_videos",
        [
            TruthVideo(
                video_id=clip.video_id, path=f"videos/{clip.file_name}", kind="original", title=clip.label,
                source_video_id=clip.reverse_of, damage="reversed" if clip.reverse_of else None, is_readable=True,
            )
            for clip in clips
        ],
    )  # fmt: skip


def _write_lists(folder: Path, clips: Sequence[MotionClip], *, seed: int, groups: Sequence[Group]) -> None:
    by_number = {group.number: group for group in groups}
    lines: dict[str, list[str]] = {split: ["label,youtube_id,time_start,time_end,split"] for split in SPLITS}
    for clip in clips:
        take = plan_motion(by_number[clip.group], clip.what, seed=seed)
        end = f"{_end_us(take) / US_PER_S:.6f}".rstrip("0").rstrip(".")
        lines[clip.split].append(f'"{clip.label}",{clip.video_id},0,{end},{clip.split}')
    for split, rows in lines.items():
        write_text(folder / f"{split}.csv", "\n".join(rows) + "\n")


def _end_us(take: MotionTake) -> int:
    return round(take.num_frames * US_PER_S / take.fps)


def _render_shard(
    rows: pl.DataFrame, *, folder: Path, seed: int, groups: Sequence[Group], size: tuple[int, int]
) -> dict[str, pl.DataFrame]:
    threads = cv2.getNumThreads()
    # The pool is parallel already; OpenCV's own threads would only contend.
    cv2.setNumThreads(1)
    wanted = set(rows["video_id"])
    actions: list[TruthAction] = []
    boxes: list[TruthBox] = []
    try:
        for group in groups:
            shown: dict[str, list[MotionClip]] = {}
            for clip in clips_of(group):
                if clip.video_id in wanted:
                    shown.setdefault(clip.what, []).append(clip)
            for what, clips in shown.items():
                take = plan_motion(group, what, seed=seed)
                frames, seen = film_motion(take, width_px=size[0], height_px=size[1])
                for clip in clips:
                    step = -1 if clip.reverse_of else 1
                    path = folder / "videos" / clip.file_name
                    write_video(path, frames[::step], fps=take.fps, gop=1, qp=_QP)
                    actions.append(_action(clip, take))
                    boxes += _boxes(clip, take, seen[::step])
    finally:
        cv2.setNumThreads(threads)
    return {"truth_actions": frame_of("truth_actions", actions), "truth_boxes": frame_of("truth_boxes", boxes)}


def _action(clip: MotionClip, take: MotionTake) -> TruthAction:
    """What the clip shows; a movement backwards begins where the other ends."""
    span = (take.start_s, min(take.end_s, take.duration_s))
    if clip.reverse_of:
        span = (take.duration_s - span[1], take.duration_s - span[0])
    start_us, end_us = (round(max(0.0, time_s) * US_PER_S) for time_s in span)
    return TruthAction(
        video_id=clip.video_id, person_id=0, action=clip.label, start_us=start_us, end_us=min(end_us, _end_us(take))
    )


def _boxes(clip: MotionClip, take: MotionTake, seen: Sequence[Pixels]) -> list[TruthBox]:
    return [
        TruthBox(
            video_id=clip.video_id, person_id=0, timestamp_us=round(number * US_PER_S / take.fps), x1=box[0],
            y1=box[1], x2=box[2], y2=box[3],
        )
        for number, box in enumerate(seen)
    ]  # fmt: skip
