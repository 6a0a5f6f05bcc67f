"""What a release will hold: the kept rows of the work folder, cut down to one another, with their splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from gesta.release.carry import carried_over, footage_of_work
from gesta.release.diff import Diff, diff_of, version_of_tables
from gesta.release.growth import Earlier, past_splits, read_earlier, split_of_groups, without_joined
from gesta.release.per_class import Member, PerClass, assign_per_class
from gesta.release.short_classes import SHORT_CLASS, Short, ShortClass, short_classes
from gesta.release.splits import NO_PINS, SPLITS, assign_splits, classes_without, groups_of_videos
from gesta.schema import BadInput, Refused, Reject
from gesta.tables import empty_frame, read_table, table_kind, table_path

NEEDED = ("videos", "clips", "kept", "label_map")
"""Tables without which there is no release."""

OPTIONAL = ("key_frames", "tracks", "box_labels", "duplicates", "workers")
"""Tables that are read where they are: a dataset of clip labels has no boxes, one without curation no duplicates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a release will hold, by table, and what was left out of it.

    `short_classes` do not meet the rule of clips per class (none without such a rule); `diff` says what changed since
    the earlier version, where there is one.
    """

    tables: Mapping[str, pl.DataFrame]
    rejects: tuple[Reject, ...]
    counts: pl.DataFrame
    missing_in_train: tuple[str, ...]
    missing_in_test: tuple[str, ...]
    short_classes: tuple[ShortClass, ...] = ()
    diff: Diff | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Splitting:
    """How a release is split.

    Args:
        fractions: shares of train, val and test among videos, used where there is no `per_class`.
        seed: of the order among equals.
        per_class: how many clips of each class go where; None = by fractions.
        short: what becomes of classes that do not meet `per_class`: they stay with what there is (keep), their labels
            are left out (leave-out), or there is no release (refuse).
        after: the release whose next version this is; its clips keep their splits.
        carry: whether clips of `after` that the work folder lacks stay in.
        gone: videos that are not carried over.
    """

    fractions: Sequence[float] = (0.7, 0.1, 0.2)
    seed: int = 0
    per_class: PerClass | None = None
    short: Short = "keep"
    after: Path | None = None
    carry: bool = False
    gone: frozenset[str] = frozenset()


def tables_at_hand(work: Path) -> list[str]:
    """Names of the tables of a work folder that its release reads, in a fixed order."""
    return [*NEEDED, *(table for table in OPTIONAL if table_path(work, table).is_file())]


def plan_release(
    work: Path, *, fractions: Sequence[float] = (0.7, 0.1, 0.2), seed: int = 0, splitting: Splitting | None = None
) -> Plan:
    """The release's tables, splits and counts; nothing is written.

    Args:
        work: the work folder.
        fractions: shares of train, val and test.
        seed: of the splits.
        splitting: how to split, in place of the two above.
    Raises:
        MissingTable: `videos`, `clips`, `kept` or `label_map` is not there.
        BadInput: a kept class is not in the label map, the fractions are not such (see `check_fractions`), or the
            earlier version is no release.
        Refused: no kept clip has a video, or classes are short and that was to be refused.
    """
    how = splitting if splitting is not None else Splitting(fractions=fractions, seed=seed)
    there = {table: read_table(work, table) for table in tables_at_hand(work)}
    tables = {table: there.get(table, empty_frame(table)) for table in (*NEEDED, *OPTIONAL)}
    earlier = None
    same: Sequence[tuple[str, str]] = ()
    if how.after is not None:
        earlier = read_earlier(how.after)
        if how.carry:
            tables = carried_over(tables, how.after, work=work, gone=how.gone)
            same, files = footage_of_work(how.after)
            # Also what was dropped there as a copy is known by its bytes.
            earlier = replace(earlier, sha256_of={**files, **earlier.sha256_of})
    return plan_of_tables(tables, how, earlier=earlier, same=same, where=work)


def plan_of_tables(
    tables: Mapping[str, pl.DataFrame],
    how: Splitting,
    *,
    earlier: Earlier | None = None,
    same: Sequence[tuple[str, str]] = (),
    where: Path,
) -> Plan:
    """The plan of a release from the tables of a work folder, all those of `NEEDED` and `OPTIONAL`.

    Args:
        tables: by name.
        how: how to split; `after`, `carry` and `gone` are not looked at.
        earlier: the version before, which splits follow.
        same: pairs of videos that show the same footage, beside those of the tables.
        where: the work folder, for messages.
    Raises:
        BadInput: a kept class is not in the label map, or the fractions are none.
        Refused: no kept clip has a video, or classes are short and that was to be refused.
    """
    kept, rejects = _with_video(tables)
    if not len(kept):
        raise Refused(
            "no kept clip has a video: a release would be empty", where=where, mend="Run `gesta curate` first"
        )
    _check_classes(kept, tables["label_map"], where=where)
    pairs = [*same, *_pairs_of_videos(tables, earlier)]
    known = [*kept["video_id"].unique().sort(), *(earlier.split_of if earlier is not None else ())]
    group_of = groups_of_videos(known, pairs)
    pinned: Mapping[str, str] = NO_PINS
    old_clips = frozenset[str]()
    if earlier is not None:
        pinned, out = split_of_groups(group_of, earlier)
        kept, joined = without_joined(kept, out, earlier)
        rejects += joined
        if not len(kept):
            problem = "all kept clips show footage that an earlier version had in other splits"
            raise Refused(problem, where=where, mend="Add other videos, or name another release in --after")
        old_clips = frozenset(earlier.rows.clips["clip_id"])
    names = dict(tables["label_map"].select("class_id", "name").iter_rows())
    kept, split_of_clip, more, short = _split(
        kept, group_of, how, pinned=pinned, old_clips=old_clips, names=names, where=where
    )
    ours = _cut_down(tables, kept, split_of_clip)
    diff = None
    if earlier is not None:
        ours["past_splits"] = past_splits(earlier, ours["videos"]["video_id"])
        past = dict(ours["past_splits"].select("video_id", "split").iter_rows())
        diff = diff_of(earlier.rows, version_of_tables(ours, what="the next version", past=past), same=pairs)
    missing = [_classes_missing(kept, group_of, split_of_clip, split=split) for split in ("train", "test")]
    wants_test = how.per_class.test > 0 if how.per_class is not None else how.fractions[2] > 0
    return Plan(
        tables={table: frame.sort(_key(table)) for table, frame in ours.items()},
        rejects=rejects + more,
        counts=counts_of(ours),
        missing_in_train=tuple(names[class_id] for class_id in missing[0]),
        missing_in_test=tuple(names[class_id] for class_id in missing[1]) if wants_test else (),
        short_classes=short,
        diff=diff,
    )


def _split(
    kept: pl.DataFrame, group_of: Mapping[str, str], how: Splitting, *, pinned: Mapping[str, str],
    old_clips: frozenset[str], names: Mapping[int, str], where: Path,
) -> tuple[pl.DataFrame, dict[str, str], tuple[Reject, ...], tuple[ShortClass, ...]]:  # fmt: skip
    """The rows that stay, the split of each of their clips, why the others are out, and the classes that are short."""
    if how.per_class is None:
        classes_of = _classes_of_groups(kept, group_of)
        split_of = assign_splits(classes_of, fractions=how.fractions, seed=how.seed, pinned=pinned)
        clips = kept.select("clip_id", "video_id").unique().iter_rows()
        return kept, {clip_id: split_of[group_of[video_id]] for clip_id, video_id in clips}, (), ()
    rows, dropped, short = kept, set[int](), tuple[ShortClass, ...]()
    while True:
        members = _members_of_groups(rows, group_of, old_clips=old_clips)
        assigned = assign_per_class(members, rule=how.per_class, seed=how.seed, pinned=pinned)
        stays = rows.filter(pl.col("clip_id").is_in(list(assigned.split_of)))
        found = short_classes(stays, assigned.split_of, rule=how.per_class, names=names, all_rows=kept)
        short = tuple(sorted((*short, *found), key=lambda row: row.class_id)) if how.short == "leave-out" else found
        if found and how.short == "refuse":
            raise Refused(
                f"{len(found)} classes cannot have {how.per_class.text}: {', '.join(row.text for row in found[:5])}",
                where=where,
                mend="Collect more of them (`gesta replenish`), lower the numbers, or take --short keep or leave-out",
            )
        if not found or how.short == "keep":
            break
        # Each round takes out at least one class, so this ends.
        dropped |= {row.class_id for row in found}
        rows = kept.filter(~pl.col("class_id").is_in(list(dropped)))
        if not len(rows):
            problem = f"no class has {how.per_class.text}: a release would be empty"
            raise Refused(problem, where=where, mend="Lower the numbers, or take --short keep")
    rejects = _rejects_of(kept, assigned.split_of, assigned.left_out)
    return stays, dict(assigned.split_of), rejects, short


def _members_of_groups(
    kept: pl.DataFrame, group_of: Mapping[str, str], *, old_clips: frozenset[str]
) -> dict[str, list[Member]]:
    """The clips of each group, in order of id."""
    members: dict[str, list[Member]] = defaultdict(list)
    by_clip = kept.group_by("clip_id").agg(pl.col("video_id").first(), pl.col("class_id").unique()).sort("clip_id")
    for clip_id, video_id, classes in by_clip.iter_rows():
        member = Member(clip_id=clip_id, classes=frozenset(classes), was_in=clip_id in old_clips)
        members[group_of[video_id]].append(member)
    return members


_WHY_OUT = {
    "over-count": "its footage is in val or test, where its classes have their number",
    "over-maximum": "its classes have the most that train may hold",
    SHORT_CLASS: "its classes do not meet the rule of clips per class",
}


def _rejects_of(
    kept: pl.DataFrame, split_of_clip: Mapping[str, str], left_out: Mapping[str, str]
) -> tuple[Reject, ...]:
    clips = kept.select("clip_id", "video_id").unique().sort("clip_id").iter_rows()
    out = [(clip, video, left_out.get(clip, SHORT_CLASS)) for clip, video in clips if clip not in split_of_clip]
    return tuple(
        Reject(stage="release", reason=why, video_id=video, clip_id=clip, detail=_WHY_OUT[why])
        for clip, video, why in out
    )


def _cut_down(
    tables: Mapping[str, pl.DataFrame], kept: pl.DataFrame, split_of_clip: Mapping[str, str]
) -> dict[str, pl.DataFrame]:
    """The tables that every release holds, cut down to the kept rows; without rows where the work folder has none."""
    clips = tables["clips"].join(kept.select("clip_id").unique(), on="clip_id", how="semi")
    split = pl.col("clip_id").replace_strict(dict(split_of_clip), return_dtype=pl.String).alias("split")
    return {
        "videos": tables["videos"].join(clips, on="video_id", how="semi"),
        "clips": clips,
        "kept": kept,
        "key_frames": tables["key_frames"].join(clips, on="clip_id", how="semi"),
        "tracks": tables["tracks"].join(clips, on="clip_id", how="semi"),
        "box_labels": tables["box_labels"].filter(verdict="accepted").join(clips, on="clip_id", how="semi"),
        "label_map": tables["label_map"],
        "splits": clips.select("clip_id", "video_id", split),
    }


def _classes_of_groups(kept: pl.DataFrame, group_of: Mapping[str, str]) -> dict[str, frozenset[int]]:
    classes_of: dict[str, set[int]] = defaultdict(set)
    for video_id, class_id in kept.select("video_id", "class_id").iter_rows():
        classes_of[group_of[video_id]].add(class_id)
    return {group: frozenset(classes) for group, classes in classes_of.items()}


def _classes_missing(
    kept: pl.DataFrame, group_of: Mapping[str, str], split_of_clip: Mapping[str, str], *, split: str
) -> list[int]:
    clips = kept.select("clip_id", "video_id").iter_rows()
    split_of = {group_of[video_id]: split_of_clip[clip_id] for clip_id, video_id in clips}
    return classes_without(_classes_of_groups(kept, group_of), split_of, split=split)


def _key(table: str) -> list[str]:
    return list(table_kind(table).key)


def _with_video(tables: Mapping[str, pl.DataFrame]) -> tuple[pl.DataFrame, tuple[Reject, ...]]:
    """The kept rows whose clip and video are known, and rejects for the others."""
    kept = tables["kept"]
    clips = set(tables["clips"]["clip_id"])
    videos = set(tables["videos"]["video_id"])
    rejects = []
    for clip_id, video_id in kept.select("clip_id", "video_id").unique().sort("clip_id").iter_rows():
        if video_id not in videos:
            detail = "the clip was kept, but the table of videos does not hold its video"
            rejects.append(
                Reject(stage="release", reason="no-video", video_id=video_id, clip_id=clip_id, detail=detail)
            )
        elif clip_id not in clips:
            detail = "the clip was kept, but the table of clips does not hold it"
            rejects.append(Reject(stage="release", reason="no-clip", video_id=video_id, clip_id=clip_id, detail=detail))
    dropped = [reject.clip_id for reject in rejects]
    return kept.filter(~pl.col("clip_id").is_in(dropped)), tuple(rejects)


def _check_classes(kept: pl.DataFrame, label_map: pl.DataFrame, *, where: Path) -> None:
    unknown = sorted(set(kept["class_id"]) - set(label_map["class_id"]))
    if unknown:
        raise BadInput(
            f"class {unknown[0]} of table 'kept' is not in table 'label_map'",
            where=where,
            mend="Run `gesta mine` and the stages after it again, so that both come from one label map",
        )


def _pairs_of_videos(tables: Mapping[str, pl.DataFrame], earlier: Earlier | None) -> list[tuple[str, str]]:
    """Pairs of videos that show the same footage: clips found alike, and files of equal bytes."""
    video_of = dict(tables["clips"].select("clip_id", "video_id").iter_rows())
    pairs = [
        (video_of[one], video_of[other])
        for one, other in tables["duplicates"].select("clip_id_a", "clip_id_b").iter_rows()
        if one in video_of and other in video_of
    ]
    first_with: dict[str, str] = {}
    files = [*tables["videos"].select("video_id", "sha256").iter_rows()]
    files += [(video_id, sha256) for video_id, sha256 in (earlier.sha256_of if earlier else {}).items() if sha256]
    for video_id, sha256 in files:
        pairs.append((first_with.setdefault(sha256, video_id), video_id))
    return pairs


def counts_of(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Videos, clips and labelled boxes per class and split: one row a pair, zeros where a split lacks a class.

    Columns: class_id, name, split, num_videos, num_clips, num_boxes; classes in order of id, splits train, val, test.
    """
    pairs = tables["label_map"].select("class_id", "name").join(pl.DataFrame({"split": list(SPLITS)}), how="cross")
    split_of_clip = tables["splits"].select("clip_id", "split")
    clips = (
        tables["kept"]
        .join(split_of_clip, on="clip_id")
        .group_by("class_id", "split")
        .agg(pl.col("video_id").n_unique().alias("num_videos"), pl.len().alias("num_clips"))
    )
    boxes = (
        tables["box_labels"]
        .join(split_of_clip, on="clip_id")
        .group_by("class_id", "split")
        .agg(pl.len().alias("num_boxes"))
    )
    joined = pairs.join(clips, on=["class_id", "split"], how="left").join(boxes, on=["class_id", "split"], how="left")
    order = pl.col("split").replace_strict({split: number for number, split in enumerate(SPLITS)})
    whole = [pl.col(name).fill_null(0).cast(pl.Int64) for name in ("num_videos", "num_clips", "num_boxes")]
    return joined.select("class_id", "name", "split", *whole).sort("class_id", order)
