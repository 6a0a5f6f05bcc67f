"""Titles, windows and responses of frames made candidates: clips that may show an action, to be put to workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.formats import merge_label_maps
from gesta.mine.actions import label_map_of
from gesta.mine.candidates import (
    STAGE,
    UNMATCHED,
    Namings,
    Unmatched,
    is_too_short,
    mine_videos,
    name_videos,
    responses_of,
)
from gesta.mine.frame_classifiers import ClassifierSource
from gesta.mine.frame_scores import RATE, Scored, num_frames_at, score_frames
from gesta.mine.positions import TOP_K
from gesta.mine.windows import MIN_CLIP_US
from gesta.schema import US_PER_S, BadInput, LabelClass, Query, Reject, UnknownName, Video
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

IMPORTED = "import"
"""`Candidate.source` of what annotation files said."""
IMPORTED_FOLDER = "imported"
"""Where `import` leaves what annotation files brought, apart from what is mined, so that both can be done again."""

_OUTPUTS = ("label_map", "clips", "candidates")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameSearch:
    """How positions are searched for with a classifier of frames.

    Args:
        classifier: what scores the frames.
        k: clips a video and action at most, around the strongest responses.
        rate: frames a second that are looked at; 0 = every frame.
        workers: processes; None = as many as there are cores.
        cluster: address of a Ray cluster whose machines share the work folder and the videos.
    """

    classifier: ClassifierSource
    k: int = TOP_K
    rate: float = RATE
    workers: int | None = None
    cluster: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is to be mined from what: the arguments, checked, with what they name read."""

    work: Path
    videos: Sequence[Video]
    classes: Sequence[LabelClass]
    queries: Sequence[Query]
    label_map: pl.DataFrame
    clip_us: int
    windows_per_video: int
    unmatched: Unmatched
    search: FrameSearch | None
    arguments: dict[str, Json]
    inputs: dict[str, str]

    @property
    def outputs(self) -> list[Path]:
        return [*(table_path(self.work, table) for table in _OUTPUTS), rejects_path(self.work, STAGE)]

    def made_by(self) -> Provenance:
        """What decides the tables; frame scores are among it once they are written."""
        scores = {} if self.search is None else hashes_of(self.work, ["frame_scores"])
        return made_by(STAGE, arguments=self.arguments, inputs={**self.inputs, **scores})

    def namings(self) -> Namings:
        return name_videos(self.videos, classes=self.classes, unmatched=self.unmatched, queries=self.queries)


def _planned(
    work: Path,
    *,
    actions: Path,
    clip_s: float,
    windows_per_video: int,
    unmatched: Unmatched,
    queries: Path | None,
    search: FrameSearch | None,
) -> _Plan:
    if unmatched not in UNMATCHED:
        raise UnknownName(what="way with unmatched videos", name=unmatched, choices=UNMATCHED)
    clip_us = round(clip_s * US_PER_S)
    if clip_us < MIN_CLIP_US:
        raise BadInput(f"clips of {clip_s:g} s", mend=f"Want at least {MIN_CLIP_US / US_PER_S:g} s")
    if windows_per_video < 1:
        raise BadInput(f"{windows_per_video} windows a video", mend="Want at least 1")
    if search is not None and search.k < 1:
        raise BadInput(f"{search.k} clips a video and action", mend="Want at least 1")
    own = label_map_of(actions)
    arguments: dict[str, Json] = {
        "clip_us": clip_us, "windows_per_video": windows_per_video, "unmatched": unmatched,
    }  # fmt: skip
    inputs = {**hashes_of(work, ["videos"]), "actions": sha256_of_file(actions)}
    folder = work / IMPORTED_FOLDER
    present = [table for table in _OUTPUTS if table_path(folder, table).is_file()]
    inputs |= {f"{IMPORTED_FOLDER}/{table}": sha256 for table, sha256 in hashes_of(folder, present).items()}
    asked: Sequence[Query] = ()
    if queries is not None:
        asked = _queries_of(queries, known=set(own["class_id"]), where=actions)
        inputs["queries"] = sha256_of_file(queries)
    if search is not None:
        arguments["k"] = search.k
    return _Plan(
        work=work,
        videos=rows_of("videos", read_table(work, "videos")),
        classes=rows_of("label_map", own),
        queries=asked,
        label_map=merge_label_maps(own, _imported(work, "label_map"), where=actions),
        clip_us=clip_us,
        windows_per_video=windows_per_video,
        unmatched=unmatched,
        search=search,
        arguments=arguments,
        inputs=inputs,
    )


def _queries_of(path: Path, *, known: set[int], where: Path) -> list[Query]:
    """The queries of the classes that are mined.

    Raises:
        BadInput: there is none of them.
    """
    queries: list[Query] = [row for row in rows_of("queries", read_table(path, "queries")) if row.class_id in known]
    if not queries:
        raise BadInput(
            f"there is no query of a class of {where.name}", where=path, mend="Write them with `gesta queries`"
        )
    return queries


def _imported(work: Path, table: str) -> pl.DataFrame:
    """What annotation files brought of that table; empty where none were imported."""
    folder = work / IMPORTED_FOLDER
    return read_table(folder, table) if table_path(folder, table).is_file() else empty_frame(table)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tables:
    clips: pl.DataFrame
    candidates: pl.DataFrame
    rejects: Sequence[Reject]


def _searched(plan: _Plan, search: FrameSearch, *, on_rows: Callable[[int], None] | None) -> tuple[Namings, Scored]:
    """The actions of the videos, and their frames' scores for these."""
    namings = plan.namings()
    scored = score_frames(
        plan.work,
        videos=[video for video in plan.videos if not is_too_short(video)],
        classes_of={video_id: list(named) for video_id, named in namings.items()},
        classes=plan.classes,
        classifier=search.classifier,
        rate=search.rate,
        workers=search.workers,
        cluster=search.cluster,
        on_rows=on_rows,
    )
    return namings, scored


def _made_tables(
    plan: _Plan, *, searched: tuple[Namings, Scored] | None = None, on_rows: Callable[[int], None] | None = None
) -> _Tables:
    namings = plan.namings() if searched is None else searched[0]
    unread = set() if searched is None else {reject.video_id for reject in searched[1].rejects}
    mined = mine_videos(
        [video for video in plan.videos if video.video_id not in unread],
        namings=namings,
        clip_us=plan.clip_us,
        windows_per_video=plan.windows_per_video,
        responses=None if searched is None else responses_of(searched[1].scores),
        k=TOP_K if plan.search is None else plan.search.k,
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


def _summary(
    plan: _Plan,
    tables: _Tables,
    *,
    outputs: Sequence[Path],
    was_current: bool,
    scored: Scored | None = None,
) -> StageSummary:
    mined = tables.candidates.filter(pl.col("source") != IMPORTED).join(tables.clips, on="clip_id")
    per_class = mined.group_by("class_id").agg(
        pl.col("video_id").n_unique().alias("num_videos"), pl.len().alias("num_candidates")
    )
    counts = {class_id: (num_videos, num) for class_id, num_videos, num in per_class.iter_rows()}
    gained = {row.name: counts.get(row.class_id, (0, 0)) for row in plan.classes}
    numbers: dict[str, Json] = {
        "num_clips": tables.clips.height,
        "num_candidates": tables.candidates.height,
        "num_imported_candidates": tables.candidates.filter(pl.col("source") == IMPORTED).height,
        "yield_per_class": {
            name: {"num_videos": num_videos, "num_candidates": num} for name, (num_videos, num) in gained.items()
        },
    }
    if plan.queries:
        by_language = mined.group_by("language").len("num").drop_nulls().sort("language")
        numbers["num_candidates_of_language"] = dict(by_language.iter_rows())
    if scored is not None:
        without = set(mined.filter(pl.col("position_us").is_null())["class_id"])
        numbers |= {
            "num_frame_scores": scored.scores.height,
            "num_positions": mined["position_us"].count(),
            "classes_without_positions": [row.name for row in plan.classes if row.class_id in without],
        }
    return StageSummary(
        stage=STAGE,
        kept=mined["video_id"].n_unique(),
        rejected=count_reasons([*tables.rejects, *(() if scored is None else scored.rejects)]),
        outputs=tuple(str(path) for path in outputs),
        was_current=was_current,
        numbers=numbers,
    )


def run_mine(
    work: Path,
    *,
    actions: Path,
    clip_s: float = 10.0,
    windows_per_video: int = 2,
    unmatched: Unmatched = "reject",
    queries: Path | None = None,
    search: FrameSearch | None = None,
    on_rows: Callable[[int], None] | None = None,
    on_scored: Callable[[int], None] | None = None,
) -> StageSummary:
    """What was mined: `label_map` holds the actions, `clips` and `candidates` what may show them.

    Reads `videos`. Candidates and clips that annotation files brought (source `import`) stay, and their videos are
    not rejected; everything mined earlier is replaced. The summary keeps and rejects videos, and says for each class
    how many it gained.

    Args:
        actions: a label map, an action list, or a list of names, a name a line, whose ids are the lines' numbers.
        clip_s: length of a clip, seconds; a shorter video is one window.
        windows_per_video: windows at most, evenly spread, without overlap.
        unmatched: what becomes of a video whose title names no action: `reject` it, or ask for `all` actions.
        queries: a table of queries that titles are searched for; None = the names of the actions.
        search: how positions are searched for; None = windows evenly spread. The scores are kept as `frame_scores`,
            and videos that cannot be decoded are rejects of the stage `frame-scores`.
        on_rows: called with the number of videos that are done.
        on_scored: called with the number of videos whose frames are scored.
    Raises:
        MissingTable: there are no `videos`.
        BadInput: `actions` or `queries` cannot be read, `clip_s` is below a second, `windows_per_video` or the
            search's k is below 1, its rate is none, the classifier knows none of the actions, or an imported class
            has another name there.
        UnknownName: `unmatched` is neither of the two.
        GestaError: the classifier cannot be opened, or gives what are no scores.
        MissingExtra: what the classifier or a query's language needs is not installed.
    Source: Kinetics-400 paper, section 3.2 (text of the titles; clips of 10 s around the top k = 2 responses of
        classifiers of frames); Kinetics-700-2020 paper, section 2 (queries in four languages). Windows are ours.
    """
    plan = _planned(
        work, actions=actions, clip_s=clip_s, windows_per_video=windows_per_video, unmatched=unmatched,
        queries=queries, search=search,
    )  # fmt: skip
    searched = None if search is None else _searched(plan, search, on_rows=on_scored)
    scored = None if searched is None else searched[1]
    provenance = plan.made_by()
    if all(is_current(path, provenance) for path in plan.outputs):
        tables = _Tables(
            clips=read_table(work, "clips"),
            candidates=read_table(work, "candidates"),
            rejects=rows_of("rejects", read_table(rejects_path(work, STAGE), "rejects")),
        )
        return _summary(plan, tables, outputs=plan.outputs, was_current=True, scored=scored)
    tables = _made_tables(plan, searched=searched, on_rows=on_rows)
    frames = {"label_map": plan.label_map, "clips": tables.clips, "candidates": tables.candidates}
    for table in _OUTPUTS:
        write_table(table_path(work, table), table, frames[table], made_by=provenance)
    write_rejects(work, STAGE, tables.rejects, made_by=provenance)
    return _summary(plan, tables, outputs=plan.outputs, was_current=False, scored=scored)


def plan_mine(
    work: Path,
    *,
    actions: Path,
    clip_s: float = 10.0,
    windows_per_video: int = 2,
    unmatched: Unmatched = "reject",
    queries: Path | None = None,
    search: FrameSearch | None = None,
) -> StageSummary:
    """What `run_mine` would say with the same arguments; nothing is written.

    With a search, whose frames are not looked at here, it counts the candidates of evenly spread windows, and says
    about how many frames would be scored.

    Raises:
        GestaError: as `run_mine`.
    """
    plan = _planned(
        work, actions=actions, clip_s=clip_s, windows_per_video=windows_per_video, unmatched=unmatched,
        queries=queries, search=search,
    )  # fmt: skip
    summary = _summary(plan, _made_tables(plan), outputs=(), was_current=False)
    if search is None:
        return summary
    namings = plan.namings()
    looked_at = [video for video in plan.videos if video.video_id in namings and not is_too_short(video)]
    scoring: dict[str, Json] = {
        "num_videos_to_score": len(looked_at), "num_frames_to_score": num_frames_at(looked_at, rate=search.rate),
    }  # fmt: skip
    return StageSummary(
        stage=STAGE, kept=summary.kept, rejected=summary.rejected, numbers={**summary.numbers, **scoring}
    )
