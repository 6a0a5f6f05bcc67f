"""Why a model of persons would learn nothing, told before it is trained: labels, videos, proposals held together.

A set's rows are of the shape that `gesta.lint.boxes` says. A severe finding (an error) makes training pointless; what
is wrong with a few rows of many is a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from gesta.lint.against import Against
from gesta.lint.boxes import CORNERS, KEY, box_findings, repeated_findings
from gesta.lint.clips import class_id_findings
from gesta.lint.findings import MAX_EXAMPLES, Finding, shown, shown_time
from gesta.lint.instants import key_frame_findings
from gesta.lint.person_codes import STOPPING_SHARE, milder, set_finding
from gesta.lint.person_proposals import proposal_findings

TIME_SHIFTS_US = (-900_000_000, 900_000_000, -902_000_000, 902_000_000)
"""What AVA's times are off by where films were cut. Source: the official `ava_included_timestamps_v2.2.txt` begins at
902 s; common preparations cut films to minutes 15 to 30 (900 s on), so that their files begin at 0."""

FRAME_RATES = (30.0, 25.0, 24.0, 30000 / 1001, 24000 / 1001)
"""Tried where times look like numbers of frames. Source: ours; the usual rates, AVA's preparations' 30 first."""

_MANY_BOX_CODES = ("box-inverted", "box-pixels", "box-empty", "box-outside")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledPersons:
    """One part of a set, such as AVA's training videos, and what its labels are held against.

    `rows` are of the shape that `gesta.lint.boxes` says. `label_map` has `class_id` and `name`; `videos` has `video_id`
    of the videos at hand, `start_us` and `end_us` on the clock of the labels (null where not known); `proposals` has
    video_id, timestamp_us, x1 y1 x2 y2 and score, its times in whole seconds, rounded down, where `has_whole_seconds`;
    `excluded` and `included_us` as `gesta.lint.Against` has them. None =
    not given.
    """

    name: str
    where: str
    rows: pl.DataFrame
    label_map: pl.DataFrame | None = None
    videos: pl.DataFrame | None = None
    proposals: pl.DataFrame | None = None
    proposals_where: str = ""
    has_whole_seconds: bool = False
    excluded: pl.DataFrame | None = None
    included_us: pl.Series | None = None


def check_persons(
    train: Sequence[LabelledPersons],
    *,
    val: Sequence[LabelledPersons] = (),
    class_ids: Sequence[int] | None = None,
    least_score: float = 0.9,
) -> list[Finding]:
    """What is wrong with the set, the worst first; an error means that training, or its measurement, is pointless.

    Args:
        train: parts to learn from.
        val: parts to measure on.
        class_ids: classes that are to be learnt; None = those of the label maps.
        least_score: of proposals that are used.
    """
    found: list[Finding] = []
    for part in (*train, *val):
        found += _part_findings(part, least_score=least_score)
    if train:
        found += class_findings(train, class_ids=class_ids)
    found += _leaks(train, val)
    order = {"error": 0, "warning": 1, "note": 2}
    return sorted(found, key=lambda one: order[one.severity])


def is_severe(findings: Sequence[Finding]) -> bool:
    """Whether training is pointless before something is mended."""
    return any(finding.severity == "error" for finding in findings)


def findings_text(findings: Sequence[Finding], *, max_places: int = 3) -> str:
    """A paragraph a finding: where, how bad, what, and how to mend it; an empty text without findings.

    Args:
        findings: as `check_persons` gives them.
        max_places: places of one finding that are shown.
    """
    lines = []
    for finding in findings:
        at = finding.where if finding.line is None else f"{finding.where}:{finding.line}"
        mend = f". {finding.mend}" if finding.mend else ""
        lines.append(f"{at}: {finding.severity} {finding.code}: {finding.message}{mend}")
        lines += [f"    {place.message}" for place in finding.more[: max_places - 1]]
        if finding.count > max(max_places, 1 + len(finding.more[: max_places - 1])):
            lines.append(f"    {finding.count:,} in all")
    return "\n".join(lines)


def _part_findings(part: LabelledPersons, *, least_score: float) -> list[Finding]:
    boxes = part.rows.drop_nulls(CORNERS)
    if not boxes.height:
        return [set_finding("set-empty", f"{part.name} has no labelled box", where=part.where)]
    found = _box_findings(part, boxes)
    found += _repeated(part)
    found += _video_findings(part)
    found += _time_findings(part)
    if part.proposals is not None:
        time_us = pl.col("timestamp_us")
        rows = part.rows.with_columns(time_us // 1_000_000 * 1_000_000) if part.has_whole_seconds else part.rows
        found += proposal_findings(
            rows, part.proposals, where=part.proposals_where or part.where, least_score=least_score
        )
    return found


def _box_findings(part: LabelledPersons, boxes: pl.DataFrame) -> list[Finding]:
    """The checks of boxes; together they are one severe finding where they are many, else warnings."""
    found = box_findings(part.rows, where=part.where)
    num_wrong = sum(one.count for one in found if one.code in _MANY_BOX_CODES)
    is_layout = any(one.code == "box-width-height" for one in found)
    if num_wrong < STOPPING_SHARE * boxes.height and not is_layout:
        return [milder(one) for one in found]
    kinds = ", ".join(f"{one.count:,} {one.code}" for one in found if one.code in _MANY_BOX_CODES)
    text = f"{num_wrong:,} of {boxes.height:,} boxes are wrong ({kinds}); first: {found[0].message}"
    mend = next((one.mend for one in found if one.code == "box-width-height"), found[0].mend)
    wrong = set_finding("boxes-wrong", text, where=part.where, count=num_wrong, mend=mend)
    return [wrong, *(milder(one) for one in found if one.code not in _MANY_BOX_CODES)]


def _repeated(part: LabelledPersons) -> list[Finding]:
    found = repeated_findings(part.rows, where=part.where)
    kept = [milder(one) for one in found if one.code != "box-action-twice"]
    for one in found:
        if one.code == "box-action-twice":
            text = f"{one.count:,} rows repeat another; first: {one.message}"
            kept.append(set_finding("rows-repeated", text, where=part.where, count=one.count))
    return kept


def _video_findings(part: LabelledPersons) -> list[Finding]:
    if part.videos is None:
        return []
    wanted = part.rows.select("video_id").unique(maintain_order=True)
    absent = wanted.join(part.videos.select("video_id").unique(), on="video_id", how="anti", maintain_order="left")
    if not absent.height:
        return []
    names = absent["video_id"].to_list()
    if absent.height == wanted.height:
        at_hand = ", ".join(repr(name) for name in part.videos["video_id"].head(3))
        text = f"none of {wanted.height:,} videos is at hand; labels name {names[0]!r}, at hand are {at_hand or 'none'}"
        return [set_finding("videos-none", text, where=part.where, count=wanted.height)]
    num_rows = part.rows.join(absent, on="video_id", how="semi").select(KEY).n_unique()
    text = (
        f"{absent.height:,} of {wanted.height:,} videos are not at hand, with {num_rows:,} key-frames; "
        f"first: {names[0]!r}"
    )
    more = [repr(name) for name in names[1:]]
    return [set_finding("videos-missing", text, where=part.where, count=absent.height, more=more)]


def _time_findings(part: LabelledPersons) -> list[Finding]:
    """Key-frames against lists, and against the videos' ends: what change of times would put them inside."""
    against = Against(excluded=part.excluded, included_us=part.included_us)
    found = [milder(one) for one in key_frame_findings(part.rows, against, where=part.where)]
    if part.videos is None:
        return found
    known = part.videos.drop_nulls(["start_us", "end_us"]).select("video_id", "start_us", "end_us")
    # A video that was cut into clips is there several times; a key-frame is inside where one of them has it.
    keys = part.rows.select("line", *KEY).unique(KEY, keep="first", maintain_order=True).with_row_index("row")
    timed = keys.join(known, on="video_id", how="inner", maintain_order="left")
    num_keys = timed["row"].n_unique()
    if not num_keys:
        return found
    num_inside = _num_inside(timed, pl.col("timestamp_us"))
    num_outside = num_keys - num_inside
    if not num_outside:
        return found
    inside = timed.filter(_is_inside(pl.col("timestamp_us")))["row"].unique()
    out = timed.filter(~pl.col("row").is_in(inside.implode())).unique("row", keep="first", maintain_order=True)
    span = (shown_time("start_us"), shown_time("end_us"))
    said = pl.format("{} at {}, the video from {} to {}", shown("video_id"), shown_time(), *span)
    places = out.head(MAX_EXAMPLES).select(said).to_series().to_list()
    text = f"{num_outside:,} of {num_keys:,} key-frames lie outside their videos; first: {places[0]}"
    if num_outside < STOPPING_SHARE * num_keys:
        return [*found, set_finding("times-few-outside", text, where=part.where, count=num_outside, more=places[1:])]
    mend = _best_change(timed, num_inside=num_inside)
    return [*found, set_finding("times-outside", text, where=part.where, count=num_outside, more=places[1:], mend=mend)]


def _is_inside(time_us: pl.Expr) -> pl.Expr:
    return (time_us >= pl.col("start_us")) & (time_us < pl.col("end_us"))


def _num_inside(timed: pl.DataFrame, time_us: pl.Expr) -> int:
    return timed.filter(_is_inside(time_us))["row"].n_unique()


def _best_change(timed: pl.DataFrame, *, num_inside: int) -> str | None:
    """The change of times that puts far more key-frames inside their videos, as a mend; None = there is none."""
    time_us = pl.col("timestamp_us")
    changes: list[tuple[str, pl.Expr]] = []
    for shift_us in TIME_SHIFTS_US:
        late, verb = ("late", "subtract") if shift_us < 0 else ("early", "add")
        seconds = abs(shift_us) // 1_000_000
        changes.append((f"Times are {seconds} s too {late} for these files: {verb} {seconds} s", time_us + shift_us))
    changes += [
        (f"Times look like numbers of frames: divide by the frame rate ({rate:.6g})", (time_us / rate).cast(pl.Int64))
        for rate in FRAME_RATES
    ]
    changes.append(("Times look like milliseconds: divide by 1000", time_us // 1000))
    said = "Times count from the start of the clip, not from that of the video: add the clip's start"
    changes.append((said, time_us + pl.col("start_us")))
    best, mend = num_inside, None
    for text, changed in changes:
        num = _num_inside(timed, changed)
        if num > max(2 * best, best + 1) or (mend is None and num > 1.5 * max(best, 1)):
            best, mend = num, f"{text}; then {num:,} lie inside"
    return mend


def class_findings(train: Sequence[LabelledPersons], *, class_ids: Sequence[int] | None) -> list[Finding]:
    """What is wrong with the classes of the training parts together.

    Args:
        train: parts to learn from.
        class_ids: classes that are to be learnt; None = those of the label maps.
    """
    maps = [part.label_map for part in train if part.label_map is not None]
    names = {class_id: name for one in maps for class_id, name in one.select("class_id", "name").iter_rows()}
    wanted = sorted(set(class_ids) if class_ids is not None else set(names))
    labels = pl.concat([part.rows.select("class_id") for part in train]).drop_nulls()
    if not wanted or not labels.height:
        return []
    where = ", ".join(part.where for part in train)
    counts = dict(labels.group_by("class_id").len().iter_rows())
    known = set(names) or set(wanted)
    shift = _shift(counts, known)
    if shift:
        text = (
            f"class ids run from {min(counts)} to {max(counts)}, those of the label map from {min(known)} to "
            f"{max(known)}; {'one more' if shift > 0 else 'one less'} fits every row"
        )
        return [set_finding("classes-off-by-one", text, where=where)]
    if not any(class_id in counts for class_id in wanted):
        text = f"labels are of classes {_listed(sorted(counts))}, to be learnt are {_listed(wanted)}"
        return [set_finding("classes-foreign", text, where=where)]
    found = _unknown_ids(train)
    bare = [class_id for class_id in wanted if not counts.get(class_id)]
    if bare:
        said = [f"class {class_id} {names.get(class_id, '')!r}" for class_id in bare]
        text = f"{len(bare)} of {len(wanted)} classes have no positive example; first: {said[0]}"
        found.append(set_finding("class-without-positive", text, where=where, count=len(bare), more=said[1:]))
    return found


def _unknown_ids(train: Sequence[LabelledPersons]) -> list[Finding]:
    found: list[Finding] = []
    for part in train:
        num_rows = part.rows["class_id"].drop_nulls().len()
        for one in class_id_findings(part.rows, part.label_map, where=part.where):
            if one.code == "class-unknown" and one.count >= STOPPING_SHARE * num_rows:
                text = f"{one.count:,} of {num_rows:,} labels have an unknown class; first: {one.message}"
                found.append(set_finding("classes-unknown", text, where=part.where, count=one.count))
            elif one.code != "class-unused":
                found.append(milder(one))
    return found


def _shift(counts: dict[int, int], known: set[int]) -> int:
    """1 or -1 where so changed all ids are known and now some are not (AVA's 20 unscored ones aside), else 0."""
    ids = set(counts)
    # AVA's labels have 80 classes and the challenge's map 60 of them, ids 1 to 80.
    is_ava = min(known) >= 1 and max(known) == 80 and min(ids) >= 1 and max(ids) <= 80
    if ids <= known or is_ava:
        return 0
    span = set(range(1, 81)) if max(known) == 80 and len(known) == 60 else known
    for shift in (1, -1):
        if {class_id + shift for class_id in ids} <= span:
            return shift
    return 0


def _listed(values: Sequence[int], *, most: int = 6) -> str:
    shown_values = ", ".join(str(value) for value in values[:most])
    return shown_values if len(values) <= most else f"{shown_values} ... {values[-1]} ({len(values)})"


def _leaks(train: Sequence[LabelledPersons], val: Sequence[LabelledPersons]) -> list[Finding]:
    found = []
    for one in train:
        for other in val:
            both = one.rows.select("video_id").unique(maintain_order=True).join(
                other.rows.select("video_id").unique(), on="video_id", how="semi", maintain_order="left"
            )  # fmt: skip
            if both.height:
                names = [repr(name) for name in both["video_id"]]
                text = f"{both.height:,} videos are in {one.name} and in {other.name}, such as {names[0]}"
                found.append(
                    set_finding("leak-train-val", text, where=one.where, count=both.height, more=names[1:])
                )  # fmt: skip
    return found
