"""Proposals of persons against the labels that they are to cover: keys, recall, scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.lint.boxes import CORNERS, KEY, box_findings
from gesta.lint.findings import Finding, shown, shown_time
from gesta.lint.person_codes import STOPPING_SHARE, milder, set_finding

LOW_RECALL = 0.5
"""Share of labelled persons below which proposals are thought to be broken. Source: ours; detectors trained on COCO
cover about 0.9 of AVA's persons at an overlap of 0.5."""

LEAST_COVERAGE = 0.9
"""Share of labelled key-frames with proposals below which it is said. Source: ours."""

LEAST_ABOVE = 0.05
"""Share of proposals at or above the used score below which it is said. Source: ours; of MMAction2's proposals of AVA
about a third have 0.9."""

Floats = npt.NDArray[np.float64]


def proposal_findings(
    rows: pl.DataFrame, proposals: pl.DataFrame, *, where: str | Path, least_score: float
) -> list[Finding]:
    """What is wrong with proposals, and their recall as a note.

    Args:
        rows: labels, as `gesta.lint.boxes` says.
        proposals: video_id, timestamp_us, x1 y1 x2 y2 and score; a row with null corners is an empty key-frame.
        where: file of the proposals.
        least_score: from which a proposal is used.
    """
    persons = rows.drop_nulls(CORNERS).select(*KEY, *CORNERS).unique(maintain_order=True)
    boxes = proposals.drop_nulls(CORNERS)
    keys, found_keys = persons.select(KEY).unique(maintain_order=True), proposals.select(KEY).unique()
    met = keys.join(found_keys, on=KEY, how="semi", maintain_order="left")
    if not met.height:
        return [_unmet(keys, found_keys, where=where)]
    found: list[Finding] = []
    if met.height < LEAST_COVERAGE * keys.height:
        bare = keys.join(found_keys, on=KEY, how="anti", maintain_order="left")
        places = bare.select(pl.format("{} at {}", shown("video_id"), shown_time())).to_series().to_list()
        text = f"{bare.height:,} of {keys.height:,} labelled key-frames have no proposals; first: {places[0]}"
        found.append(set_finding("proposals-sparse", text, where=where, count=bare.height, more=places[1:]))
    found += _corner_findings(boxes, where=where)
    met_persons = persons.join(met, on=KEY, how="semi", maintain_order="left")
    best = best_overlaps(met_persons, boxes)
    at_half, at_nine = (float((best >= iou).mean()) if len(best) else 0.0 for iou in (0.5, 0.9))
    scores_N = boxes["score"].fill_null(1.0).to_numpy()
    share_above = float((scores_N >= least_score).mean()) if len(scores_N) else 0.0
    text = (
        f"{boxes.height:,} proposals on {met.height:,} of {keys.height:,} labelled key-frames cover {at_half:.1%} of "
        f"{met_persons.height:,} persons at an overlap of 0.5 and {at_nine:.1%} at 0.9; {share_above:.1%} of the "
        f"proposals have a score of {least_score:g} or more"
    )
    if at_half < LOW_RECALL:
        mend = _layout_mend(met_persons, boxes, at_half)
        found.append(set_finding("proposals-low-recall", text, where=where, mend=mend))
    else:
        found.append(set_finding("proposals-recall", text, where=where))
    if boxes.height and share_above < LEAST_ABOVE:
        low, high = boxes.select(pl.col("score").min(), pl.col("score").max().alias("high")).row(0)
        said = (
            f"{share_above:.1%} of {boxes.height:,} proposals have a score of {least_score:g} or more; scores run from "
            f"{low:g} to {high:g}"
        )
        found.append(set_finding("proposals-below-score", said, where=where))
    return found


def _corner_findings(boxes: pl.DataFrame, *, where: str | Path) -> list[Finding]:
    lines = boxes.with_columns(pl.lit(None, dtype=pl.Int64).alias("line"))
    found = box_findings(lines, where=where)
    wrong = [one for one in found if one.code in ("box-pixels", "box-inverted")]
    num_wrong = sum(one.count for one in wrong)
    if num_wrong >= STOPPING_SHARE * boxes.height and wrong:
        text = f"{num_wrong:,} of {boxes.height:,} proposals are no boxes; first: {wrong[0].message}"
        return [set_finding("boxes-wrong", text, where=where, count=num_wrong, mend=wrong[0].mend)]
    return [milder(one) for one in found if one.code != "box-axes"]


def _unmet(keys: pl.DataFrame, found_keys: pl.DataFrame, *, where: str | Path) -> Finding:
    """Why no key-frame has proposals: other ids, times cut to whole seconds, numbers of frames."""
    first, other = (
        frame.head(1).select(pl.format("{} at {}", shown("video_id"), shown_time())).item() if frame.height else "none"
        for frame in (keys, found_keys.sort(KEY))
    )
    text = f"no key-frame is in both: {first} in the labels, {other} in the proposals"
    videos, found_videos = set(keys["video_id"]), set(found_keys["video_id"])
    mend = None
    if not videos & found_videos:
        mend = _id_mend(videos, found_videos)
    else:
        shared = keys.join(found_keys.select("video_id").unique(), on="video_id", how="semi")
        time = pl.col("timestamp_us")
        whole = time // 1_000_000 * 1_000_000
        changes = (
            ("Proposals have whole seconds: write the exact times, or say that they are truncated", whole),
            ("Proposals are keyed by numbers of frames at 30 a second: write seconds", time * 30),
            ("Proposals are keyed by numbers of frames at 25 a second: write seconds", time * 25),
            ("Proposals are keyed by milliseconds: write seconds", time * 1000),
            ("Proposals count from a cut at 900 s: add 900 s", time - 900_000_000),
            ("Labels count from a cut at 900 s, proposals do not: subtract 900 s", time + 900_000_000),
        )
        for said, time_us in changes:
            if shared.with_columns(timestamp_us=time_us).join(found_keys, on=KEY, how="semi").height:
                mend = said
                break
    return set_finding("proposals-unmet", text, where=where, mend=mend)


def _id_mend(videos: set[str], found: set[str]) -> str | None:
    changes = (
        ("Proposals name files with their endings: write the ids alone", {one.rsplit(".", 1)[0] for one in found}),
        ("Proposals name paths: write the ids alone", {one.rsplit("/", 1)[-1].rsplit(".", 1)[0] for one in found}),
        ("Proposals name clips with their times: write the ids alone", {one.rsplit("_", 2)[0] for one in found}),
    )
    for said, ids in changes:
        if ids & videos:
            return said
    if {one.lower() for one in found} & {one.lower() for one in videos}:
        return "Ids differ in case: write them as the labels do"
    return None


def best_overlaps(persons: pl.DataFrame, boxes: pl.DataFrame) -> Floats:
    """The overlap of each labelled person with the proposal of its key-frame that covers it best, float64 [P].

    Args:
        persons: P rows of video_id, timestamp_us, x1 y1 x2 y2.
        boxes: proposals with the same columns.
    """
    if not persons.height:
        return np.zeros(0)
    pairs = persons.with_row_index("person").join(
        boxes.select(*KEY, *CORNERS), on=KEY, how="inner", suffix="_b", maintain_order="left"
    )
    a_N4, b_N4 = pairs.select(CORNERS).to_numpy(), pairs.select([f"{name}_b" for name in CORNERS]).to_numpy()
    best_P = np.zeros(persons.height)
    np.maximum.at(best_P, pairs["person"].to_numpy(), overlaps(a_N4, b_N4))
    return best_P


def overlaps(a_N4: Floats, b_N4: Floats) -> Floats:
    """Intersection over union of each pair, float64 [N]; 0 where the pair has no area.

    >>> overlaps(np.array([[0, 0, 2, 1.0]]), np.array([[1, 0, 3, 1.0]])).round(3)
    array([0.333])
    """
    sides_N2 = np.minimum(a_N4[:, 2:], b_N4[:, 2:]) - np.maximum(a_N4[:, :2], b_N4[:, :2])
    shared_N = np.prod(np.clip(sides_N2, 0, None), axis=1)
    areas = [np.prod(np.clip(one[:, 2:] - one[:, :2], 0, None), axis=1) for one in (a_N4, b_N4)]
    union_N = areas[0] + areas[1] - shared_N
    return np.divide(shared_N, union_N, out=np.zeros_like(shared_N), where=union_N > 0)


def _layout_mend(persons: pl.DataFrame, boxes: pl.DataFrame, recall: float) -> str | None:
    """The layout of corners under which the proposals cover far more, as a mend."""
    x1, y1, x2, y2 = (pl.col(name) for name in CORNERS)
    layouts = (
        ("Proposals are x, y, width, height: write x1, y1, x2, y2", (x1, y1, x1 + x2, y1 + y2)),
        ("Proposals are centre and size: write x1, y1, x2, y2", (x1 - x2 / 2, y1 - y2 / 2, x1 + x2 / 2, y1 + y2 / 2)),
        ("Proposals have x and y exchanged: write x1, y1, x2, y2", (y1, x1, y2, x2)),
    )
    for said, corners in layouts:
        changed = boxes.with_columns(value.alias(name) for name, value in zip(CORNERS, corners, strict=True))
        best = best_overlaps(persons, changed)
        if len(best) and float((best >= 0.5).mean()) > max(2 * recall, LOW_RECALL):
            return said
    return None
