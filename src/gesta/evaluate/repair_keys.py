"""Repairs of keys: video ids that are written otherwise, and times on another clock, in another unit or off by one.

A repair is tried on the sets of ids and of key-frames alone; whether it makes detections right is for
`gesta.evaluate.diagnosis` to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations

import numpy as np
import polars as pl

from gesta.evaluate.frame_map import KEY
from gesta.schema import US_PER_S

MAX_STEPS = 3
"""Ways of writing an id that are undone together at most. Source: ours; folder, clip range and extension are three."""

ID_STEPS: dict[str, tuple[str, Callable[[pl.Expr], pl.Expr]]] = {
    "spaces": ("without spaces and quotes around it", lambda e: e.str.strip_chars(" \t'\"")),
    "folder": ("without its folder", lambda e: e.str.replace(r"^.*[/\\]", "")),
    "extension": (
        "without its file extension",
        lambda e: e.str.replace(r"(?i)\.(mp4|mkv|webm|avi|mov|m4v|flv|mpe?g|wmv|3gp|jpe?g|png|npy|pkl|csv)$", ""),
    ),
    "link": ("taken out of its link", lambda e: e.str.replace(r"^.*(?:v=|youtu\.be/)([\w-]{11}).*$", "$1")),
    "clip": ("without start and end of the clip", lambda e: e.str.replace(r"^(.+?)[_-]\d{1,7}[_-]\d{1,7}$", "$1")),
    "v_": ("without 'v_' in front", lambda e: e.str.replace(r"^v_", "")),
    "marks": ("without - and _ in front", lambda e: e.str.replace(r"^[-_]+", "")),
    "case": ("in small letters", lambda e: e.str.to_lowercase()),
}
"""How ids get written otherwise, each with what undoes it; both sides are undone and compared.

Source: ours, from user reports (ids of YouTube that begin with - or _ lost in spreadsheets, paths in place of ids) and
from names of files: ActivityNet `v_ID.mp4`, Kinetics `ID_000012_000022.mp4`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """One change to detections that might be what is wrong with them."""

    kind: str
    name: str
    """What is changed, as in "with {name} the mAP would be"."""
    problem: str
    mend: str
    apply: Callable[[pl.DataFrame], pl.DataFrame]
    evidence: tuple[str, ...] = ()


def id_repair(groundtruth_ids: pl.Series, detection_ids: pl.Series) -> Repair | None:
    """The fewest changes of writing by which most videos of the ground truth meet detections; None: nothing helps.

    Args:
        groundtruth_ids: distinct.
        detection_ids: distinct.
    """
    wanted, found = groundtruth_ids.rename("id"), detection_ids.rename("id")
    num_met = int(wanted.is_in(found.implode()).sum())
    best: pl.DataFrame | None = None
    best_met, best_steps = num_met, tuple[str, ...]()
    for size in range(1, MAX_STEPS + 1):
        for steps in combinations(ID_STEPS, size):
            table = _same_when_undone(wanted, found, steps)
            met = table["id"].n_unique()
            if met > best_met:
                best, best_met, best_steps = table, met, steps
        if best_met == len(wanted):
            break
    if best is None:
        best, best_steps = _contained(wanted, found), ()
        if best is None:
            return None
        best_met = num_met + best["id"].n_unique()
    changed = best.filter(pl.col("id") != pl.col("written"))
    written, own = changed.sort("id").select("written", "id").row(0)
    how = " and ".join(ID_STEPS[step][0] for step in best_steps) or "found inside a longer name"
    return Repair(
        kind="video ids",
        name=f"each video id {how}",
        problem="detections and ground truth write video ids differently",
        mend=f"Write {own!r} for {written!r} in the detections",
        evidence=(
            f"{num_met} of {len(wanted)} ground-truth videos are among the {len(found)} of the detections as written, "
            f"{best_met} with each id {how}",
            f"{written!r} in the detections is {own!r} in the ground truth",
        ),
        apply=_Renamed(table=best.select("written", "id"), with_start="clip" in best_steps),
    )


def _same_when_undone(wanted: pl.Series, found: pl.Series, steps: tuple[str, ...]) -> pl.DataFrame:
    """`written` (of the detections) and `id` (of the ground truth) that are one when written without `steps`."""
    undone = pl.col("id")
    for step in steps:
        undone = ID_STEPS[step][1](undone)
    ours = wanted.to_frame().with_columns(undone=undone).filter(pl.len().over("undone") == 1)
    theirs = found.to_frame().with_columns(undone=undone).rename({"id": "written"})
    # An id that meets as it is needs no change, and no other may take its place.
    theirs = theirs.with_columns(
        undone=pl.when(pl.col("written").is_in(wanted.implode())).then(None).otherwise("undone")
    )
    as_is = wanted.filter(wanted.is_in(found.implode()))
    ours = ours.filter(~pl.col("id").is_in(as_is.implode()))
    exact = pl.DataFrame({"written": as_is, "id": as_is}, schema={"written": pl.String, "id": pl.String})
    return pl.concat([exact, theirs.join(ours, on="undone").select("written", "id")])


_MIN_INSIDE = 6
_MAX_PAIRS = 2_000_000


def _contained(wanted: pl.Series, found: pl.Series) -> pl.DataFrame | None:
    """Ids of the ground truth that stand inside exactly one longer name, or hold exactly one shorter; None: none do."""
    ours = wanted.filter(~wanted.is_in(found.implode())).to_list()
    theirs = found.filter(~found.is_in(wanted.implode())).to_list()
    if len(ours) * len(theirs) > _MAX_PAIRS:
        return None
    pairs = []
    for own in ours:
        holders = [name for name in theirs if own in name or name in own]
        if len(holders) == 1 and min(len(own), len(holders[0])) >= _MIN_INSIDE:
            pairs.append((holders[0], own))
    rows = pl.DataFrame(pairs, schema={"written": pl.String, "id": pl.String}, orient="row")
    rows = rows.unique("written", keep="none", maintain_order=True)
    return rows if len(rows) else None


CLIP_START = "clip_start_us"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Renamed:
    table: pl.DataFrame
    with_start: bool

    def __call__(self, detections: pl.DataFrame) -> pl.DataFrame:
        renamed = detections.join(self.table, left_on="video_id", right_on="written", how="left", maintain_order="left")
        if self.with_start:
            start_s = renamed["video_id"].str.extract(r"[_-](\d{1,7})[_-]\d{1,7}(?:\.\w+)?$").cast(pl.Int64)
            renamed = renamed.with_columns((start_s.fill_null(0) * US_PER_S).alias(CLIP_START))
        return renamed.with_columns(video_id=pl.coalesce("id", "video_id")).drop("id")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeChange:
    """`scale` times the time, plus `offset_us`, then to a key-frame that is nearer than `snap_us` (0: equal)."""

    name: str
    mend: str
    scale: Fraction = Fraction(1)
    offset_us: int = 0
    snap_us: int = 0
    from_clip: bool = False

    @property
    def is_nothing(self) -> bool:
        """Whether it changes no time."""
        return self.scale == 1 and not self.offset_us and not self.snap_us and not self.from_clip

    def moved(self, rows: pl.DataFrame) -> pl.Series:
        """New time of each row, before snapping."""
        exact = pl.col("timestamp_us") * self.scale.numerator
        half = self.scale.denominator // 2
        scaled = (exact + half) // self.scale.denominator if self.scale != 1 else pl.col("timestamp_us")
        start = pl.col(CLIP_START) if self.from_clip else pl.lit(0)
        return rows.select((scaled + start + self.offset_us).cast(pl.Int64).alias("moved_us")).to_series()


NO_CHANGE = TimeChange(name="the times as they are", mend="")
RATES = (Fraction(30), Fraction(25), Fraction(24), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(60),
         Fraction(50), Fraction(15))  # fmt: skip
"""Frames a second that frame numbers are tried with, the commonest first."""
FILM_START_S = 900
"""Source: AVA's films are annotated from minute 15 to minute 30, and are often cut there (`ffmpeg -ss 900 -t 901`)."""


def time_changes(groundtruth_keys: pl.DataFrame, detection_keys: pl.DataFrame) -> Iterator[TimeChange]:
    """What might have happened to the times of detections, the simplest first, `NO_CHANGE` before all.

    Args:
        groundtruth_keys: distinct video_id and timestamp_us.
        detection_keys: the same, ids repaired; with `CLIP_START` where ids named clips.
    """
    yield NO_CHANGE
    if CLIP_START in detection_keys.columns:
        yield TimeChange(name="the clip's start added to each time", from_clip=True, mend=
                         "Count times from the start of the original video, not of the clip")  # fmt: skip
    offsets = [FILM_START_S, -FILM_START_S, 902, -902, 901, -901, 1, -1]
    seen = {0}
    for offset_us in [*_common_offsets(groundtruth_keys, detection_keys), *(US_PER_S * o for o in offsets)]:
        if offset_us not in seen:
            seen.add(offset_us)
            sign, size = "+-"[offset_us < 0], Fraction(abs(offset_us), US_PER_S)
            yield TimeChange(name=f"times {sign} {float(size):g} s", offset_us=offset_us, mend=
                             f"{'Add' if offset_us > 0 else 'Subtract'} {float(size):g} s "
                             f"{'to' if offset_us > 0 else 'from'} each time of the detections")  # fmt: skip
    for what, scale in (("milliseconds", Fraction(1, 1000)), ("microseconds", Fraction(1, US_PER_S))):
        for offset_s in (0, FILM_START_S):
            more = f" and + {offset_s} s" if offset_s else ""
            yield TimeChange(name=f"times read as {what}{more}", scale=scale, offset_us=offset_s * US_PER_S,
                             mend=f"Write seconds, not {what}{more}")  # fmt: skip
    for rate in RATES:
        frame_us = round(US_PER_S / rate)
        for offset_s in (0, FILM_START_S):
            for first in (0, 1):
                more = (f" and + {offset_s} s" if offset_s else "") + (", counted from 1" if first else "")
                yield TimeChange(
                    name=f"times read as frame numbers at {float(rate):.6g} frames a second{more}", scale=1 / rate,
                    offset_us=offset_s * US_PER_S - first * frame_us, snap_us=frame_us // 2 + 1,
                    mend=f"Write seconds: frame number / {float(rate):.6g}{more}",
                )  # fmt: skip
    for snap_us, how in ((1_000, "a millisecond"), (50_000, "0.05 s"), (500_000, "half a second"), (US_PER_S, "1 s")):
        yield TimeChange(name=f"each time moved to the key-frame nearer than {how}", snap_us=snap_us,
                         mend="Copy the times of the ground truth with all their decimals")  # fmt: skip


def _common_offsets(groundtruth_keys: pl.DataFrame, detection_keys: pl.DataFrame) -> list[int]:
    """Offsets that most videos agree on, from their first and last key-frames."""
    ends = [
        keys.group_by("video_id").agg(
            pl.col("timestamp_us").min().alias("first"), pl.col("timestamp_us").max().alias("last")
        )
        for keys in (groundtruth_keys, detection_keys)
    ]
    both = ends[0].join(ends[1], on="video_id", suffix="_found")
    found = []
    for end in ("first", "last"):
        counts = both.select((pl.col(end) - pl.col(f"{end}_found")).alias("us")).to_series().value_counts()
        found += counts.sort(["count", "us"], descending=[True, False]).head(2)["us"].to_list()
    return found


def met_key_frames(groundtruth_keys: pl.DataFrame, detection_keys: pl.DataFrame, change: TimeChange) -> pl.DataFrame:
    """Pairs `wanted` and `found` (rows of the two arguments) that are one key-frame after the change, one to one.

    Args:
        groundtruth_keys: distinct video_id and timestamp_us.
        detection_keys: the same, with `CLIP_START` where `change.from_clip`.
        change: what to do to the times of the latter.
    """
    wanted = groundtruth_keys.select(KEY).with_row_index("wanted")
    found = detection_keys.select("video_id", change.moved(detection_keys)).with_row_index("found")
    if change.snap_us:
        pairs = _nearest(wanted, found, within_us=change.snap_us)
    else:
        pairs = wanted.join(found, left_on=KEY, right_on=["video_id", "moved_us"])
    pairs = pairs.select("wanted", "found").unique("found", keep="first", maintain_order=True)
    return pairs.unique("wanted", keep="first", maintain_order=True)


def _nearest(wanted: pl.DataFrame, found: pl.DataFrame, *, within_us: int) -> pl.DataFrame:
    """Each wanted key-frame with the found one of its video that is nearest in time, where one is near enough."""
    spans = pl.concat([wanted.select(KEY), found.select("video_id", pl.col("moved_us").alias("timestamp_us"))])
    spans = spans.group_by("video_id", maintain_order=True).agg(
        pl.col("timestamp_us").min().alias("low"),
        (pl.col("timestamp_us").max() - pl.col("timestamp_us").min()).alias("us"),
    )  # fmt: skip
    # One time line on which the videos lie one after the other, too far apart to be confused.
    spans = spans.with_columns(shift=(pl.col("us") + 2 * within_us + 1).cum_sum() - pl.col("us") - pl.col("low"))
    ours = wanted.join(spans, on="video_id", maintain_order="left")
    theirs = found.join(spans, on="video_id", maintain_order="left")
    line_G = (ours["timestamp_us"] + ours["shift"]).to_numpy()
    line_K = (theirs["moved_us"] + theirs["shift"]).to_numpy()
    if not len(line_K):
        return pl.DataFrame(schema={"wanted": pl.UInt32, "found": pl.UInt32})
    order = np.argsort(line_K, kind="stable")
    after = np.searchsorted(line_K[order], line_G)
    around_2G = np.stack([np.maximum(after - 1, 0), np.minimum(after, len(order) - 1)])
    nearest_G = around_2G[np.abs(line_K[order][around_2G] - line_G).argmin(axis=0), np.arange(len(line_G))]
    is_near_G = np.abs(line_K[order][nearest_G] - line_G) <= within_us
    rows = theirs["found"].to_numpy()[order[nearest_G]]
    return pl.DataFrame({"wanted": ours["wanted"].to_numpy()[is_near_G], "found": rows[is_near_G]})


def time_repair(groundtruth_keys: pl.DataFrame, change: TimeChange) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """What applies `change` to the rows of detections."""

    def apply(detections: pl.DataFrame) -> pl.DataFrame:
        columns = [*KEY, *(name for name in (CLIP_START,) if name in detections.columns)]
        if change.from_clip and CLIP_START not in detections.columns:
            return detections
        keys = detections.select(columns).unique(maintain_order=True)
        moved = keys.with_columns(change.moved(keys))
        if change.snap_us:
            pairs = met_key_frames(groundtruth_keys, keys, change)
            exact = pl.DataFrame({
                "row": pairs["found"], "exact_us": groundtruth_keys["timestamp_us"].gather(pairs["wanted"]),
            })  # fmt: skip
            moved = moved.with_row_index("row").join(exact, on="row", how="left", maintain_order="left").with_columns(
                moved_us=pl.coalesce("exact_us", -1 - pl.col("row").cast(pl.Int64))
            ).drop("row", "exact_us")  # fmt: skip
        both = detections.join(moved, on=columns, how="left", maintain_order="left")
        return both.with_columns(timestamp_us="moved_us").drop("moved_us")

    return apply
