"""What changed between two versions of a dataset: clips that came and went, splits, classes, and leakage.

A version is a release, or annotation lists such as those of Kinetics.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from gesta.formats import read_annotations
from gesta.release.splits import groups_of_videos
from gesta.schema import BadInput, Refused
from gesta.tables import read_table, table_path

CLIP_COLUMNS = {"clip_id": pl.String(), "video_id": pl.String(), "label": pl.String(), "split": pl.String()}
"""One row a clip and class; `label` is null in lists without classes, `split` in those without splits."""

SPLIT_NAMES = {"validate": "val", "validation": "val", "training": "train", "testing": "test"}
"""Other words for the three splits. Source: Kinetics-700 (`validate`), ActivityNet (`training`, `validation` ...)."""

EVALUATED = ("val", "test")
"""Splits that nothing of may be trained on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A version of a dataset: what it is called, its clips (columns of `CLIP_COLUMNS`), and what is known of its files.

    `names` are classes by id, and empty where ids mean nothing; `sha256_of` are the files of videos; `past` are splits
    of videos that were in versions before it.
    """

    what: str
    clips: pl.DataFrame
    names: Mapping[int, str]
    sha256_of: Mapping[str, str]
    past: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """What changed from one version to the next.

    All counts are of clips but where videos are named. `splits` has a row a split and one for `all`: split, num_before,
    num_added, num_removed, num_moved_in, num_moved_out, num_after. `classes` has a row a class, by name: name,
    num_before, num_added, num_removed, num_after. `leaks` has a row a video of the new version's train that is, or
    shows the footage of, a video of val or test of either version: video_id, other_video_id, split (of the other),
    where (`after` or `before`). `retained` has the shape of Kinetics-700-2020's table 2: split, num_clips,
    num_available (their video is in the later version), share. `num_seen` are videos of val or test that, or whose
    footage, an earlier version had in train.
    """

    before: str
    after: str
    num_added: int
    num_removed: int
    num_moved: int
    num_relabelled: int
    num_seen: int
    renamed: tuple[tuple[str, str], ...]
    splits: pl.DataFrame
    classes: pl.DataFrame
    retained: pl.DataFrame
    leaks: pl.DataFrame

    @property
    def num_leaked(self) -> int:
        """Videos of the new version's train that are, or show the footage of, some that a version evaluates on."""
        return self.leaks["video_id"].n_unique()

    @property
    def line(self) -> str:
        """The diff in one line, such as `+3,120 -411, leakage 0`."""
        more = [f"{self.num_moved:,} in another split"] if self.num_moved else []
        more += [f"{self.num_relabelled:,} with other classes"] if self.num_relabelled else []
        return ", ".join([f"+{self.num_added:,} -{self.num_removed:,}", *more, f"leakage {self.num_leaked:,}"])

    def as_json(self) -> dict[str, Any]:
        """The parts as plain JSON values."""
        numbers = ("num_added", "num_removed", "num_moved", "num_relabelled", "num_leaked", "num_seen")
        return {
            "before": self.before,
            "after": self.after,
            "line": self.line,
            **{name: getattr(self, name) for name in numbers},
            "renamed": [list(pair) for pair in self.renamed],
            **{name: getattr(self, name).to_dicts() for name in ("splits", "classes", "retained", "leaks")},
        }


def read_version(paths: Sequence[Path], *, what: str | None = None) -> Version:
    """The version that a release, or one or several annotation files together, hold.

    Args:
        paths: the folder of a release, or files of any format in `gesta.formats.FORMATS`.
        what: its name; None = the names of the files.
    Raises:
        BadInput: nothing was named, or a file cannot be read.
        BadRow: a row of a file is wrong.
        MissingTable: a folder has no table `splits`, `kept` or `label_map`.
    """
    if not paths:
        raise BadInput("no version was named", mend="Name a release, or annotation files")
    name = what if what is not None else ", ".join(path.resolve().name for path in paths)
    if len(paths) == 1 and table_path(paths[0], "splits").is_file():
        return _version_of_release(paths[0], what=name)
    parts = [_clips_of_list(path) for path in paths]
    return Version(what=name, clips=pl.concat(parts).unique(maintain_order=True), names={}, sha256_of={}, past={})


def _version_of_release(release: Path, *, what: str) -> Version:
    tables = {table: read_table(release, table) for table in ("videos", "kept", "label_map", "splits")}
    past: dict[str, str] = {}
    if table_path(release, "past_splits").is_file():
        past = dict(read_table(release, "past_splits").select("video_id", "split").iter_rows())
    return version_of_tables(tables, what=what, past=past)


def version_of_tables(tables: Mapping[str, pl.DataFrame], *, what: str, past: Mapping[str, str]) -> Version:
    """The version that the tables `videos`, `kept`, `label_map` and `splits` of a release are."""
    names = dict(tables["label_map"].select("class_id", "name").iter_rows())
    clips = (
        tables["kept"]
        .select("clip_id", "video_id", pl.col("class_id").replace_strict(names, return_dtype=pl.String).alias("label"))
        .join(tables["splits"].select("clip_id", "split"), on="clip_id", how="left")
    )
    sha256_of = dict(tables["videos"].select("video_id", "sha256").iter_rows())
    return Version(what=what, clips=clips.select(list(CLIP_COLUMNS)), names=names, sha256_of=sha256_of, past=past)


def _clips_of_list(path: Path) -> pl.DataFrame:
    found = read_annotations(path)
    if not len(found.clips):
        raise BadInput("this list holds no clips", where=path, mend="Name a list of clips, such as a csv of Kinetics")
    names = dict(found.label_map.select("class_id", "name").iter_rows())
    ends = [pl.col(name).cast(pl.String) for name in ("start_us", "end_us")]
    split = pl.col("split").replace(SPLIT_NAMES)
    return found.clips.select(
        pl.concat_str("video_id", *ends, separator=" ").fill_null(pl.col("video_id")).alias("clip_id"),
        "video_id",
        pl.col("class_id").replace_strict(names, return_dtype=pl.String, default=None).alias("label"),
        split,
    )


def diff_of(before: Version, after: Version, *, same: Iterable[tuple[str, str]] = ()) -> Diff:
    """What changed from `before` to `after`.

    A clip is one clip id, whatever its classes; it is relabelled when the names of its classes differ, where neither
    list lacks them. A class that has another name under the same id is renamed, and its clips are not relabelled.

    Args:
        before: the earlier version.
        after: the later one.
        same: pairs of videos that show the same footage; equal ids and equal files are known besides.
    """
    renamed = _renamed(before, after)
    old = before.clips.with_columns(pl.col("label").replace(dict(renamed)))
    then, now = _clip_rows(old), _clip_rows(after.clips)
    both = then.join(now, on="clip_id", suffix="_after")
    num_moved = both.filter(pl.col("split") != pl.col("split_after")).height
    is_other = pl.col("labels").list.set_symmetric_difference("labels_after").list.len() > 0
    has_labels = (pl.col("labels").list.len() > 0) & (pl.col("labels_after").list.len() > 0)
    num_relabelled = both.filter(has_labels & is_other).height
    splits = _by_split(then, now)
    leaks, num_seen = _leaks(before, after, same=same)
    return Diff(
        before=before.what,
        after=after.what,
        num_added=now.height - both.height,
        num_removed=then.height - both.height,
        num_moved=num_moved,
        num_relabelled=num_relabelled,
        num_seen=num_seen,
        renamed=renamed,
        splits=splits,
        classes=_by_class(old, after.clips),
        retained=_retained(then, now),
        leaks=leaks,
    )


def diff_versions(before: Path, after: Path) -> Diff:
    """What changed from one release to another.

    Raises:
        MissingTable: a folder has no table `videos`, `splits`, `kept` or `label_map`.
        Refused: both are the same folder.
    """
    if before.resolve() == after.resolve():
        raise Refused("both versions are one folder", where=before, mend="Name two releases")
    return diff_of(read_version([before]), read_version([after]))


def _renamed(before: Version, after: Version) -> tuple[tuple[str, str], ...]:
    pairs = ((name, after.names.get(class_id, name)) for class_id, name in sorted(before.names.items()))
    still = set(after.names.values())
    # A name that is still in use was given to another class: then its clips did change.
    return tuple((old, new) for old, new in pairs if old != new and old not in still)


def _clip_rows(clips: pl.DataFrame) -> pl.DataFrame:
    """One row a clip: clip_id, video_id, split (of several the first by name), labels (list)."""
    return clips.group_by("clip_id", maintain_order=True).agg(
        pl.col("video_id").first(),
        pl.col("split").drop_nulls().sort().first(),
        pl.col("label").drop_nulls().unique().sort().alias("labels"),
    )


def _by_split(then: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    joined = then.select("clip_id", pl.col("split").alias("before"), pl.lit(value=True).alias("was")).join(
        now.select("clip_id", pl.col("split").alias("after"), pl.lit(value=True).alias("is")),
        on="clip_id", how="full", coalesce=True,
    )  # fmt: skip
    was, there = pl.col("was").is_not_null(), pl.col("is").is_not_null()
    moved = was & there & (pl.col("before") != pl.col("after"))

    def row(split: str | None) -> dict[str, Any]:
        old = was if split is None else was & (pl.col("before") == split)
        new = there if split is None else there & (pl.col("after") == split)
        counts = joined.select(
            old.sum().alias("num_before"), (new & ~was).sum().alias("num_added"),
            (old & ~there).sum().alias("num_removed"), (new & moved).sum().alias("num_moved_in"),
            (old & moved).sum().alias("num_moved_out"), new.sum().alias("num_after"),
        ).row(0, named=True)  # fmt: skip
        if split is None:
            counts |= {"num_moved_in": 0, "num_moved_out": 0}
        return {"split": "all" if split is None else split, **counts}

    seen = set(pl.concat([joined["before"], joined["after"]]).drop_nulls())
    names = sorted(seen, key=lambda name: (("train", "val", "test").index(name) if name in PARTS else 3, name))
    schema = {"split": pl.String, **dict.fromkeys(_SPLIT_NUMBERS, pl.Int64)}
    return pl.DataFrame([row(name) for name in [*names, None]], schema=schema)


PARTS = ("train", "val", "test")
_SPLIT_NUMBERS = ("num_before", "num_added", "num_removed", "num_moved_in", "num_moved_out", "num_after")


def _by_class(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    rows = [frame.select("clip_id", "label").drop_nulls().unique() for frame in (old, new)]
    both = rows[0].join(rows[1], on=["clip_id", "label"])
    counts = [frame.group_by("label").len(name) for frame, name in ((rows[0], "before"), (rows[1], "after"))]
    joined = counts[0].join(counts[1], on="label", how="full", coalesce=True)
    joined = joined.join(both.group_by("label").len("both"), on="label", how="left").fill_null(0)
    whole = [pl.col(name).cast(pl.Int64) for name in ("before", "after", "both")]
    joined = joined.with_columns(whole)
    return joined.select(
        pl.col("label").alias("name"), pl.col("before").alias("num_before"),
        (pl.col("after") - pl.col("both")).alias("num_added"), (pl.col("before") - pl.col("both")).alias("num_removed"),
        pl.col("after").alias("num_after"),
    ).sort("name")  # fmt: skip


def _retained(then: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """Of the earlier clips, how many have their video in the later version, by the earlier split.

    Source: Kinetics-700-2020, table 2.
    """
    is_there = pl.col("video_id").is_in(now["video_id"].unique().implode())
    counts = (pl.len().cast(pl.Int64).alias("num_clips"), is_there.sum().cast(pl.Int64).alias("num_available"))
    each = then.drop_nulls("split").group_by("split").agg(*counts)
    order = pl.col("split").replace_strict(dict(zip(PARTS, range(3), strict=True)), default=3, return_dtype=pl.Int64)
    whole = then.select(pl.lit("all").alias("split"), *counts)
    share = pl.when(pl.col("num_clips") > 0).then((pl.col("num_available") / pl.col("num_clips")).round(6))
    return pl.concat([each.sort(order, "split"), whole]).with_columns(share.alias("share"))


_LEAKS = {"video_id": pl.String, "other_video_id": pl.String, "split": pl.String, "where": pl.String}


def _leaks(before: Version, after: Version, *, same: Iterable[tuple[str, str]]) -> tuple[pl.DataFrame, int]:
    """The leaks, and how many videos that are evaluated now an earlier version trained on."""
    now = _videos(after.clips)
    past = [(video, split) for video, split in after.past.items()]
    then = [*_videos(before.clips), *((v, s) for v, s in before.past.items()), *past]
    pairs = [*same, *_pairs_of_files({**before.sha256_of}, after.sha256_of)]
    group_of = groups_of_videos([video for video, _ in [*now, *then]], pairs)
    evaluated: dict[str, tuple[str, str, str]] = {}
    for where, rows in (("before", then), ("after", now)):
        for video, split in sorted(rows, reverse=True):
            if split in EVALUATED:
                evaluated[group_of[video]] = (video, split, where)
    trains = [video for video, split in now if split == "train"]
    leaks = [(video, *evaluated[group_of[video]]) for video in trains if group_of[video] in evaluated]
    trained = {group_of[video] for video, split in then if split == "train"}
    seen = {video for video, split in now if split in EVALUATED and group_of[video] in trained}
    return pl.DataFrame(leaks, schema=_LEAKS, orient="row").sort("video_id"), len(seen)


def _videos(clips: pl.DataFrame) -> list[tuple[str, str]]:
    return [(v, s) for v, s in clips.select("video_id", "split").drop_nulls().unique().iter_rows()]


def _pairs_of_files(*files: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of videos whose files have equal bytes."""
    first_with: dict[str, str] = {}
    return [
        (first_with.setdefault(sha256, video), video) for of in files for video, sha256 in of.items() if sha256
    ]  # fmt: skip
