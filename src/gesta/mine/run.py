"""Titles and uniform windows made candidates: clips that may show an action, to be put to workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from gesta.formats import merge_label_maps, read_label_map
from gesta.mine.titles import PhraseIndex, classes_in, index_of_classes
from gesta.mine.windows import MIN_CLIP_US, even_windows
from gesta.schema import US_PER_S, BadInput, Candidate, Clip, LabelClass, Reject, UnknownName, Video, clip_id_of
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    count_reasons,
    empty_frame,
    frame_of,
    hashes_of,
    is_current,
    made_by,
    read_table,
    rejects_path,
    rows_of,
    sha256_of_file,
    table_path,
    write_rejects,
    write_table,
)

STAGE = "mine"
IMPORTED = "import"
"""`Candidate.source` of what annotation files said."""
IMPORTED_FOLDER = "imported"
"""Where `import` leaves what annotation files brought, apart from what is mined, so that both can be done again."""

_OUTPUTS = ("label_map", "clips", "candidates")
_REPORT_EVERY = 100

Unmatched = Literal["reject", "all"]
UNMATCHED: tuple[Unmatched, ...] = ("reject", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mined:
    """What mining some videos gives: rows of `clips` and `candidates`, and the videos that gave none."""

    clips: Sequence[Clip]
    candidates: Sequence[Candidate]
    rejects: Sequence[Reject]


def mine_videos(
    videos: Sequence[Video],
    *,
    classes: Sequence[LabelClass],
    clip_us: int,
    windows_per_video: int,
    unmatched: Unmatched,
    on_rows: Callable[[int], None] | None = None,
) -> Mined:
    """Candidates of each video: every window of it for every class that its title names.

    A video whose title names no class is rejected as `title`, or with `unmatched="all"` gives its windows for every
    class (source `window`). One shorter than a second is rejected as `short`.
    """
    index = index_of_classes(classes)
    every = {row.class_id: "" for row in classes} if unmatched == "all" else {}
    clips: list[Clip] = []
    candidates: list[Candidate] = []
    rejects: list[Reject] = []
    for number, video in enumerate(videos, start=1):
        named = _classes_of(video, index=index)
        wanted = named or every
        end_us = video.start_us + video.duration_us
        windows = even_windows(video.start_us, end_us, clip_us=clip_us, max_windows=windows_per_video)
        if not wanted or not windows:
            rejects.append(_reject(video, is_short=bool(wanted)))
        else:
            found = [_clip(video, start_us, end_us) for start_us, end_us in windows]
            clips += found
            candidates += [
                Candidate(
                    clip_id=clip.clip_id,
                    class_id=class_id,
                    source="title" if named else "window",
                    query=query,
                    score=1.0,
                )
                for clip in found
                for class_id, query in wanted.items()
            ]
        if on_rows is not None and (number % _REPORT_EVERY == 0 or number == len(videos)):
            on_rows((number - 1) % _REPORT_EVERY + 1)
    return Mined(clips=clips, candidates=candidates, rejects=rejects)


def _classes_of(video: Video, *, index: PhraseIndex) -> dict[int, str]:
    return {} if video.title is None else classes_in(video.title, index=index)


def _clip(video: Video, start_us: int, end_us: int) -> Clip:
    clip_id = clip_id_of(video_id=video.video_id, start_us=start_us, end_us=end_us)
    return Clip(clip_id=clip_id, video_id=video.video_id, start_us=start_us, end_us=end_us)


def _reject(video: Video, *, is_short: bool) -> Reject:
    title = "there is no title" if video.title is None else f"the title {video.title!r} names no action"
    short = f"{video.duration_us / US_PER_S:.3f} s, want at least {MIN_CLIP_US / US_PER_S:g} s"
    return Reject(
        stage=STAGE,
        reason="short" if is_short else "title",
        video_id=video.video_id,
        path=video.path,
        detail=short if is_short else title,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is to be mined from what: the arguments, checked, with what they name read."""

    work: Path
    classes: Sequence[LabelClass]
    label_map: pl.DataFrame
    clip_us: int
    windows_per_video: int
    unmatched: Unmatched
    made_by: Provenance

    @property
    def outputs(self) -> list[Path]:
        return [*(table_path(self.work, table) for table in _OUTPUTS), rejects_path(self.work, STAGE)]


def _planned(work: Path, *, actions: Path, clip_s: float, windows_per_video: int, unmatched: Unmatched) -> _Plan:
    if unmatched not in UNMATCHED:
        raise UnknownName(what="way with unmatched videos", name=unmatched, choices=UNMATCHED)
    clip_us = round(clip_s * US_PER_S)
    if clip_us < MIN_CLIP_US:
        raise BadInput(f"clips of {clip_s:g} s", mend=f"Want at least {MIN_CLIP_US / US_PER_S:g} s")
    if windows_per_video < 1:
        raise BadInput(f"{windows_per_video} windows a video", mend="Want at least 1")
    own = read_label_map(actions)
    arguments: dict[str, Json] = {
        "clip_us": clip_us, "windows_per_video": windows_per_video, "unmatched": unmatched,
    }  # fmt: skip
    inputs = {**hashes_of(work, ["videos"]), "actions": sha256_of_file(actions)}
    folder = work / IMPORTED_FOLDER
    present = [table for table in _OUTPUTS if table_path(folder, table).is_file()]
    inputs |= {f"{IMPORTED_FOLDER}/{table}": sha256 for table, sha256 in hashes_of(folder, present).items()}
    return _Plan(
        work=work,
        classes=rows_of("label_map", own),
        label_map=merge_label_maps(own, _imported(work, "label_map"), where=actions),
        clip_us=clip_us,
        windows_per_video=windows_per_video,
        unmatched=unmatched,
        made_by=made_by(STAGE, arguments=arguments, inputs=inputs),
    )


def _imported(work: Path, table: str) -> pl.DataFrame:
    """What annotation files brought of that table; empty where none were imported."""
    folder = work / IMPORTED_FOLDER
    return read_table(folder, table) if table_path(folder, table).is_file() else empty_frame(table)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    clips: pl.DataFrame
    candidates: pl.DataFrame
    rejects: Sequence[Reject]


def _made_tables(plan: _Plan, *, on_rows: Callable[[int], None] | None = None) -> _Tables:
    mined = mine_videos(
        rows_of("videos", read_table(plan.work, "videos")),
        classes=plan.classes,
        clip_us=plan.clip_us,
        windows_per_video=plan.windows_per_video,
        unmatched=plan.unmatched,
        on_rows=on_rows,
    )
    clips, candidates = _imported(plan.work, "clips"), _imported(plan.work, "candidates")
    has_old = set(clips["video_id"])
    new_clips = frame_of("clips", mined.clips).join(clips, on="clip_id", how="anti")
    new_candidates = frame_of("candidates", mined.candidates).join(candidates, on=["clip_id", "class_id"], how="anti")
    return _Tables(
        clips=pl.concat([clips, new_clips]),
        candidates=pl.concat([candidates, new_candidates]),
        rejects=[reject for reject in mined.rejects if reject.video_id not in has_old],
    )


def _summary(plan: _Plan, tables: _Tables, *, outputs: Sequence[Path], was_current: bool) -> StageSummary:
    mined = tables.candidates.filter(pl.col("source") != IMPORTED).join(tables.clips, on="clip_id")
    per_class = mined.group_by("class_id").agg(
        pl.col("video_id").n_unique().alias("num_videos"), pl.len().alias("num_candidates")
    )
    counts = {class_id: (num_videos, num) for class_id, num_videos, num in per_class.iter_rows()}
    gained = {row.name: counts.get(row.class_id, (0, 0)) for row in plan.classes}
    return StageSummary(
        stage=STAGE,
        kept=mined["video_id"].n_unique(),
        rejected=count_reasons(tables.rejects),
        outputs=tuple(str(path) for path in outputs),
        was_current=was_current,
        numbers={
            "num_clips": tables.clips.height,
            "num_candidates": tables.candidates.height,
            "num_imported_candidates": tables.candidates.filter(pl.col("source") == IMPORTED).height,
            "yield_per_class": {
                name: {"num_videos": num_videos, "num_candidates": num} for name, (num_videos, num) in gained.items()
            },
        },
    )


def run_mine(
    work: Path,
    *,
    actions: Path,
    clip_s: float = 10.0,
    windows_per_video: int = 2,
    unmatched: Unmatched = "reject",
    on_rows: Callable[[int], None] | None = None,
) -> StageSummary:
    """What was mined: `label_map` holds the actions, `clips` and `candidates` what may show them.

    Reads `videos`. Candidates and clips that annotation files brought (source `import`) stay, and their videos are
    not rejected; everything mined earlier is replaced. The summary keeps and rejects videos, and says for each class
    how many it gained.

    Args:
        actions: a label map, or a list of names, a name a line, whose ids are the lines' numbers.
        clip_s: length of a window, seconds; a shorter video is one window.
        windows_per_video: windows at most, evenly spread, without overlap.
        unmatched: what becomes of a video whose title names no action: `reject` it, or ask for `all` actions.
        on_rows: called with the number of videos that are done.
    Raises:
        MissingTable: there are no `videos`.
        BadInput: `actions` cannot be read, `clip_s` is below a second, `windows_per_video` is below 1, or an imported
            class has another name there.
        UnknownName: `unmatched` is neither of the two.
    Source: Kinetics-400 paper, section 3.2 (text of the titles; 10 s around a position); the classifiers that rank
        positions there are an even spread here.
    """
    plan = _planned(work, actions=actions, clip_s=clip_s, windows_per_video=windows_per_video, unmatched=unmatched)
    if all(is_current(path, plan.made_by) for path in plan.outputs):
        tables = _Tables(
            clips=read_table(work, "clips"),
            candidates=read_table(work, "candidates"),
            rejects=rows_of("rejects", read_table(rejects_path(work, STAGE), "rejects")),
        )
        return _summary(plan, tables, outputs=plan.outputs, was_current=True)
    tables = _made_tables(plan, on_rows=on_rows)
    frames = {"label_map": plan.label_map, "clips": tables.clips, "candidates": tables.candidates}
    for table in _OUTPUTS:
        write_table(table_path(work, table), table, frames[table], made_by=plan.made_by)
    write_rejects(work, STAGE, tables.rejects, made_by=plan.made_by)
    return _summary(plan, tables, outputs=plan.outputs, was_current=False)


def plan_mine(
    work: Path, *, actions: Path, clip_s: float = 10.0, windows_per_video: int = 2, unmatched: Unmatched = "reject"
) -> StageSummary:
    """What `run_mine` would say with the same arguments; nothing is written.

    Raises:
        GestaError: as `run_mine`.
    """
    plan = _planned(work, actions=actions, clip_s=clip_s, windows_per_video=windows_per_video, unmatched=unmatched)
    return _summary(plan, _made_tables(plan), outputs=(), was_current=False)
