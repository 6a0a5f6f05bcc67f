"""Write a rendered world: its videos, the titles beside them, the list of actions, and the truth in tables."""

from __future__ import annotations

import functools
import random
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import polars as pl

from gesta.schema import US_PER_S, Refused, TruthAction, TruthBox, TruthVideo
from gesta.shards import map_shards
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    empty_frame,
    frame_of,
    is_current,
    made_by,
    table_path,
    write_json,
    write_table,
    write_text,
)
from gesta.video.encode import write_video
from gesta.world.copies import copied, crf_of_copy
from gesta.world.damage import write_corrupt
from gesta.world.plan import ACTIONS, COMPILED, LINE_COPIES, Copies, VideoPlan, plan_take, plan_world
from gesta.world.render import Footage, film

TRUTH = ("truth_videos", "truth_actions", "truth_boxes")
_ROWS_PER_SHARD = 4


def render_world(
    folder: Path,
    *,
    seed: int,
    num_videos: int,
    copies: Copies = LINE_COPIES,
    workers: int | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> StageSummary:
    """The counts of a world of `num_videos` files written to `folder`, with exact truth.

    Writes `videos/<id>.mp4` and `videos/<id>.info.json`, `actions.txt` (class id = line number), and the tables
    truth_videos, truth_actions, truth_boxes. The same seed and number give the same bytes, whatever the workers.

    Args:
        copies: which copies are planted.
        on_rows: called with the number of videos of each shard that is done.
    Raises:
        BadInput: fewer than 8 videos, or so many copies that there is no original.
        Refused: the folder holds videos of another world.
    """
    plans = plan_world(seed=seed, num_videos=num_videos, copies=copies)
    arguments: dict[str, Json] = {"seed": seed, "num_videos": num_videos}
    if copies != LINE_COPIES:
        arguments |= {"copies": list(copies.kinds), "copy_share": copies.share}
    provenance = made_by("world", arguments=arguments, inputs={}, tools=["av", "numpy", "opencv-python-headless"])
    was_current = _is_done(folder, plans, provenance)
    if not was_current:
        _refuse_strangers(folder, plans)
        _delete_half_written(folder / "videos")
        write_text(folder / "actions.txt", "".join(f"{name}\n" for name in ACTIONS))
        numbers = _videos_frame(plans)
        tables = map_shards(
            functools.partial(_render_shard, folder=folder, seed=seed, num_videos=num_videos, copies=copies),
            numbers,
            outputs=["truth_actions", "truth_boxes"],
            folder=folder / "shards" / "world",
            made_by=provenance,
            rows_per_shard=_ROWS_PER_SHARD,
            workers=workers,
            on_rows=on_rows,
        )
        for name, frame in {**tables, "truth_videos": numbers}.items():
            write_table(table_path(folder, name), name, frame, made_by=provenance)
        shutil.rmtree(folder / "shards")
    return _summary(plans, was_current=was_current)


def plan_summary(*, seed: int, num_videos: int, copies: Copies = LINE_COPIES) -> StageSummary:
    """The counts that `render_world` would end with; writes nothing."""
    return _summary(plan_world(seed=seed, num_videos=num_videos, copies=copies), was_current=False)


def _summary(plans: Sequence[VideoPlan], *, was_current: bool) -> StageSummary:
    kinds = Counter(plan.kind for plan in plans)
    numbers: dict[str, int] = {f"num_{kind}": count for kind, count in sorted(kinds.items())}
    return StageSummary(
        stage="world", kept=len(plans), outputs=TRUTH, was_current=was_current,
        numbers={"num_videos": len(plans), "num_actions": len(ACTIONS), **numbers},
    )  # fmt: skip


def _is_done(folder: Path, plans: Sequence[VideoPlan], provenance: Provenance) -> bool:
    tables = all(is_current(table_path(folder, name), provenance) for name in TRUTH)
    files = [name for plan in plans for name in (plan.file_name, f"{plan.video_id}.info.json")]
    return tables and all((folder / "videos" / name).is_file() for name in files)


def _refuse_strangers(folder: Path, plans: Sequence[VideoPlan]) -> None:
    known = {plan.video_id for plan in plans}
    videos = folder / "videos"
    for path in sorted(videos.iterdir()) if videos.is_dir() else ():
        if not path.name.startswith(".") and path.name.split(".")[0] not in known:
            raise Refused(
                "the folder holds videos of another world", where=path, mend="Delete the folder or name another one"
            )


def _delete_half_written(videos: Path) -> None:
    """What a killed run left under temporary names: later stages would take it for videos."""
    for path in videos.glob(".*.tmp.*"):
        path.unlink()


def _videos_frame(plans: Sequence[VideoPlan]) -> pl.DataFrame:
    rows = []
    for plan in plans:
        names = [plans[number].video_id for number in plan.parts]
        is_copy = plan.kind == "duplicate"
        damage = f"{plan.damage} of {' '.join(names)}" if plan.damage in COMPILED else plan.damage
        rows.append(
            TruthVideo(
                video_id=plan.video_id, path=f"videos/{plan.file_name}", kind=plan.kind, title=plan.title,
                source_video_id=names[0] if is_copy else None, damage=damage, is_readable=plan.is_readable,
            )
        )  # fmt: skip
    return frame_of("truth_videos", rows)


def _render_shard(
    rows: pl.DataFrame, *, folder: Path, seed: int, num_videos: int, copies: Copies
) -> dict[str, pl.DataFrame]:
    threads = cv2.getNumThreads()
    # The pool is parallel already; OpenCV's own threads would only contend.
    cv2.setNumThreads(1)
    try:
        plans = plan_world(seed=seed, num_videos=num_videos, copies=copies)
        by_id = {plan.video_id: plan for plan in plans}
        tables = [_render_video(by_id[name], plans, folder=folder, seed=seed) for name in rows["video_id"]]
    finally:
        cv2.setNumThreads(threads)
    return {
        name: pl.concat([empty_frame(name), *(table[name] for table in tables)])
        for name in ("truth_actions", "truth_boxes")
    }


def _render_video(plan: VideoPlan, plans: Sequence[VideoPlan], *, folder: Path, seed: int) -> dict[str, pl.DataFrame]:
    path = folder / "videos" / plan.file_name
    write_json(path.with_suffix(".info.json"), {"id": plan.video_id, "title": plan.title})
    rng = random.Random(f"file:{seed}:{plan.number}")
    if plan.kind == "corrupt":
        write_corrupt(path, damage=str(plan.damage), seed=rng.getrandbits(32))
        return {"truth_actions": empty_frame("truth_actions"), "truth_boxes": empty_frame("truth_boxes")}
    if plan.kind == "duplicate":
        footage = copied(
            [film(plan_take(seed=seed, plan=plans[number])) for number in plan.parts], str(plan.damage), rng
        )
    else:
        take = plan_take(seed=seed, plan=plan)
        uneven = plan.damage == "variable frame rate"
        footage = film(take, times_us=_uneven_times(take.duration_s, rng) if uneven else None)
    crf = crf_of_copy(plan.damage, rng)
    is_turned = plan.damage == "rotated"
    frames = (np.rot90(frame, 1) for frame in footage.frames) if is_turned else footage.frames
    write_video(path, frames, fps=footage.fps, crf=crf, times_us=footage.times_us, rotation_deg=90 if is_turned else 0)
    return _truth(plan.video_id, footage)


def _uneven_times(duration_s: float, rng: random.Random) -> list[int]:
    """Times of frames that come 20 to 110 ms apart, whole milliseconds."""
    times_us = [0]
    while times_us[-1] < (duration_s - 0.11) * US_PER_S:
        times_us.append(times_us[-1] + 1000 * rng.choice((20, 33, 40, 40, 67, 110)))
    return times_us


def _truth(video_id: str, footage: Footage) -> dict[str, pl.DataFrame]:
    if footage.times_us is None:
        times_us = [round(Fraction(k * US_PER_S) / footage.fps) for k in range(len(footage.frames))]
    else:
        times_us = footage.times_us
    end_us = round(footage.duration_s * US_PER_S)
    boxes = [
        TruthBox(
            video_id=video_id, person_id=one.person_id, timestamp_us=times_us[one.frame], x1=one.box[0], y1=one.box[1],
            x2=one.box[2], y2=one.box[3],
        )
        for one in footage.seen
    ]  # fmt: skip
    actions = [
        TruthAction(
            video_id=video_id, person_id=one.person_id, action=one.action, start_us=round(one.start_s * US_PER_S),
            end_us=min(end_us, round(one.end_s * US_PER_S)),
        )
        for one in footage.done
    ]  # fmt: skip
    return {"truth_actions": frame_of("truth_actions", actions), "truth_boxes": frame_of("truth_boxes", boxes)}
