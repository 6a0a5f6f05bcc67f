"""How near the line came to the world's truth: clip labels and duplicates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import polars as pl

from gesta.tables import Json, read_table
from gesta.world.truth import answers_of_items

NO_COPY = "none"
"""What stands for the kind of a pair of videos neither of which is a copy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScore:
    """Accepted clip labels against truth; gold items are left out, since their answers were known beforehand."""

    num_asked: int
    num_true: int
    num_accepted: int
    num_right: int

    @property
    def precision(self) -> float | None:
        """Accepted labels that are true, as a share; None where none was accepted."""
        return self.num_right / self.num_accepted if self.num_accepted else None

    @property
    def recall(self) -> float | None:
        """True labels among those asked for that were accepted, as a share; None where none is true."""
        return self.num_right / self.num_true if self.num_true else None

    def as_json(self) -> dict[str, Json]:
        """The counts and both shares as plain JSON values."""
        return {
            "num_asked": self.num_asked, "num_true": self.num_true, "num_accepted": self.num_accepted,
            "num_right": self.num_right, "precision": self.precision, "recall": self.recall,
        }  # fmt: skip


def score_clip_labels(
    truth: Path,
    *,
    clip_labels: pl.DataFrame,
    items: pl.DataFrame,
    clips: pl.DataFrame,
    label_map: pl.DataFrame,
    gold: pl.DataFrame,
) -> LabelScore:
    """How right the accepted clip labels are, and how many of the true ones they are.

    Args:
        truth: folder of the rendered world.
        items: what was asked; only clip items count, and none whose item_id is in `gold`.
    Raises:
        MissingTable: `truth` holds no rendered world.
    """
    asked = items.filter(pl.col("kind") == "clip").join(gold, on="item_id", how="anti")
    answers = answers_of_items(truth, items=asked, clips=clips, label_map=label_map)
    accepted = clip_labels.filter(pl.col("verdict") == "accepted").select("clip_id", "class_id", is_accepted=True)
    rows = asked.join(answers, on="item_id").join(accepted, on=["clip_id", "class_id"], how="left")
    is_true, is_accepted = rows["answer"] == "yes", rows["is_accepted"].fill_null(value=False)
    return LabelScore(
        num_asked=len(rows), num_true=int(is_true.sum()), num_accepted=int(is_accepted.sum()),
        num_right=int((is_true & is_accepted).sum()),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateScore:
    """Planted duplicates found, and pairs merged that share no footage."""

    num_found: int
    num_planted: int
    num_false_merges: int
    missed: tuple[str, ...]
    false_merges: tuple[tuple[str, str], ...]

    def as_json(self) -> dict[str, Json]:
        """The counts and the ids behind them as plain JSON values."""
        return {
            "duplicates_found": self.num_found, "duplicates_planted": self.num_planted,
            "false_merges": self.num_false_merges, "missed": list(self.missed),
            "falsely_merged": [list(pair) for pair in self.false_merges],
        }  # fmt: skip


def footage_of(truth_videos: pl.DataFrame) -> dict[str, frozenset[str]]:
    """The original videos whose footage each video shows: itself, its source, or all parts of a compilation."""
    shows = {}
    for row in truth_videos.iter_rows(named=True):
        _, is_of, names = (row["damage"] or "").partition(" of ")
        parts = names.split(" ") if is_of else []
        shows[row["video_id"]] = frozenset(parts or [row["source_video_id"] or row["video_id"]])
    return shows


def score_duplicates(truth: Path, *, duplicates: pl.DataFrame, clips: pl.DataFrame) -> DuplicateScore:
    """How many planted duplicates the table links, and how many pairs in one cluster share no footage.

    A duplicate is found when its cluster holds a clip of its source, or of another duplicate of that source. A false
    merge is a pair of videos with clips in one cluster that have no original in common.

    Args:
        truth: folder of the rendered world.
        duplicates: of kind `duplicates`; its clusters are read.
        clips: what the table compares; a duplicate without a clip there still counts as planted.
    Raises:
        MissingTable: `truth` holds no rendered world.
    """
    videos = read_table(truth, "truth_videos")
    shows, sources = footage_of(videos), _sources(videos)
    found, wrong = set(), set()
    for one, other in _mates(duplicates, clips):
        if not shows.get(one, {one}) & shows.get(other, {other}):
            wrong.add((one, other))
        found |= _copies_met(one, other, sources)
    return DuplicateScore(
        num_found=len(found), num_planted=len(sources), num_false_merges=len(wrong),
        missed=tuple(sorted(set(sources) - found)), false_merges=tuple(sorted(wrong)),
    )  # fmt: skip


def _sources(truth_videos: pl.DataFrame) -> dict[str, str]:
    """The source of each copy."""
    copies = truth_videos.filter(pl.col("source_video_id").is_not_null())
    return dict(copies.select("video_id", "source_video_id").iter_rows())


def _mates(duplicates: pl.DataFrame, clips: pl.DataFrame) -> set[tuple[str, str]]:
    """Pairs of videos with clips in one cluster, each sorted."""
    video_of = dict(clips.select("clip_id", "video_id").iter_rows())
    clusters: dict[int, set[str]] = {}
    for clip_a, clip_b, cluster in duplicates.select("clip_id_a", "clip_id_b", "cluster").iter_rows():
        clusters.setdefault(cluster, set()).update(video_of[clip] for clip in (clip_a, clip_b))
    return {pair for members in clusters.values() for pair in combinations(sorted(members), 2)}


def _copies_met(one: str, other: str, sources: Mapping[str, str]) -> set[str]:
    """Those of the two that are found when both stand in one cluster."""
    return {
        copy
        for copy, mate in ((one, other), (other, one))
        if copy in sources and (mate == sources[copy] or sources.get(mate) == sources[copy])
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyKindScore:
    """How well one kind of copy was found; kind `none`: pairs of videos neither of which is a copy."""

    kind: str
    num_planted: int
    num_found: int
    num_right_pairs: int
    num_wrong_pairs: int

    @property
    def recall(self) -> float | None:
        """Copies of the kind that were found, as a share; None where none was planted."""
        return self.num_found / self.num_planted if self.num_planted else None

    @property
    def precision(self) -> float | None:
        """Pairs in one cluster with a copy of the kind that share footage, as a share; None where there is no pair."""
        num_pairs = self.num_right_pairs + self.num_wrong_pairs
        return self.num_right_pairs / num_pairs if num_pairs else None

    def as_json(self) -> dict[str, Json]:
        """The counts and both shares as plain JSON values."""
        return {
            "kind": self.kind, "num_planted": self.num_planted, "num_found": self.num_found,
            "num_right_pairs": self.num_right_pairs, "num_wrong_pairs": self.num_wrong_pairs,
            "precision": self.precision, "recall": self.recall,
        }  # fmt: skip


def score_copies(truth: Path, *, duplicates: pl.DataFrame, clips: pl.DataFrame) -> list[CopyKindScore]:
    """How well each kind of planted copy was found, kinds in order of name, `none` last.

    A copy is found as in `score_duplicates`. A pair of videos with clips in one cluster counts for the kind of each
    of the two that is a copy; a pair of two kinds for both.

    Args:
        truth: folder of the rendered world.
        duplicates: of kind `duplicates`; its clusters are read.
        clips: what was compared; a copy without a clip there still counts as planted.
    Raises:
        MissingTable: `truth` holds no rendered world.
    """
    videos = read_table(truth, "truth_videos")
    shows, sources = footage_of(videos), _sources(videos)
    damages = videos.filter(pl.col("source_video_id").is_not_null()).select("video_id", "damage").iter_rows()
    kind_of = {video_id: damage.partition(" of ")[0] for video_id, damage in damages}
    planted, found = Counter(kind_of.values()), set[str]()
    right, wrong = Counter[str](), Counter[str]()
    for one, other in _mates(duplicates, clips):
        found |= _copies_met(one, other, sources)
        counted = right if shows.get(one, {one}) & shows.get(other, {other}) else wrong
        counted.update({kind_of[video] for video in (one, other) if video in kind_of} or {NO_COPY})
    met = Counter(kind_of[video_id] for video_id in found)
    return [
        CopyKindScore(
            kind=kind, num_planted=planted[kind], num_found=met[kind], num_right_pairs=right[kind],
            num_wrong_pairs=wrong[kind],
        )
        for kind in (*sorted(planted), NO_COPY)
    ]  # fmt: skip
