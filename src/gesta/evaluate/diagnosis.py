"""Why a frame mAP is nothing, or less than it should be: what does not fit together, and what mending it would give.

Every suspicion is tried: the detections are changed as if it were true and scored again. What is said to be wrong is
therefore known to be, and by how much: "with times + 900 s the mAP would be 0.31". Keys come first, since nothing can
be right on a key-frame that is not met; then boxes, told by how well they cover labelled persons whatever the class;
then classes and scores, told by the mAP itself. Faults may come together: each is valued by what the mAP loses when
everything but this one is mended.

On large ground truth the trials are made on a sample of its key-frames, drawn with a seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from gesta.evaluate.frame_map import CORNERS, KEY, OFFICIAL_CAP, frame_map
from gesta.evaluate.ranked import Floats, Ints, mean_of
from gesta.evaluate.repair_boxes import BoxChange, box_changes, persons_met, video_sizes
from gesta.evaluate.repair_classes import AS_THEY_ARE, ClassChange, class_changes, learnt_change
from gesta.evaluate.repair_keys import (
    CLIP_START,
    Repair,
    TimeChange,
    id_repair,
    met_key_frames,
    time_changes,
    time_repair,
)
from gesta.schema import BadInput, format_seconds

MAX_KEY_FRAMES = 2000
"""Key-frames that trials are made on. Source: ours; a trial takes some tens of milliseconds."""
MAX_TIME_TRIALS = 12
LEAST_GAIN = 0.002
"""mAP below which a repair is no finding. Source: ours."""
CLEARLY = 1.05
"""How many times better a change must fit than none. Source: ours; a film's persons shifted by a second lose 20 %."""
LEARNT_FACTOR, LEARNT_MARGIN = 1.2, 0.02
"""By how much a learnt renumbering must beat the plain ids on key-frames that it was not learnt from. Source: ours."""
NEARLY = 0.99
"""Of changes that fit this nearly as well as the best, the simplest is taken. Source: ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, with what was seen, how to mend it and what that gives."""

    kind: str
    problem: str
    evidence: tuple[str, ...]
    mend: str
    trial: str
    """What was changed to find out, as in "with {trial} the mAP would be"; empty where nothing could be tried."""
    mean_ap_alone: float | None
    """With this mended and nothing else."""
    mean_ap_with_rest: float | None
    """With this and every other repairable finding mended."""
    gain: float | None
    """What the mAP loses when everything but this is mended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is wrong, and what the mAP is with everything mended that can be by changing the detections.

    Findings: first those that a change mends, the largest gain first; then what could not be tried; then what the
    detections leave out.
    """

    mean_ap: float
    mean_ap_mended: float
    num_key_frames: int
    is_sample: bool
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Case:
    """What is scored against what, in trials."""

    groundtruth: pl.DataFrame
    """Of the sampled key-frames, without inverted boxes."""
    all_keys: pl.DataFrame
    detections: pl.DataFrame
    class_ids: Sequence[int]
    label_map: pl.DataFrame | None
    videos: pl.DataFrame | None
    iou: float
    cap: int
    known: dict[tuple[int, ...], float] = field(default_factory=dict)

    def on_sample(self, detections: pl.DataFrame) -> pl.DataFrame:
        return detections.join(self.groundtruth.select(KEY).unique(), on=KEY, how="semi", maintain_order="left")

    def mean_ap(self, detections: pl.DataFrame, *, groundtruth: pl.DataFrame | None = None, cap: int = -1) -> float:
        truth = self.groundtruth if groundtruth is None else groundtruth
        found = self.on_sample(detections)
        cap = self.cap if cap < 0 else cap
        return frame_map(truth, found, class_ids=self.class_ids, iou=self.iou, cap=cap).mean_ap

    def mended(self, repairs: Sequence[Repair]) -> pl.DataFrame:
        """The detections of the sampled key-frames after the repairs, in their order."""
        rows = self.detections
        is_keyed = True
        for repair in repairs:
            if is_keyed and repair.kind not in ("video ids", "times"):
                rows, is_keyed = self.on_sample(rows), False
            rows = repair.apply(rows)
        return self.on_sample(rows) if is_keyed else rows


@np.errstate(over="ignore", invalid="ignore")  # of trials on numbers that no box has
def diagnose(
    groundtruth: pl.DataFrame,
    detections: pl.DataFrame,
    *,
    class_ids: Sequence[int],
    label_map: pl.DataFrame | None = None,
    videos: pl.DataFrame | None = None,
    iou: float = 0.5,
    cap: int = OFFICIAL_CAP,
    max_key_frames: int = MAX_KEY_FRAMES,
    seed: int = 0,
) -> Diagnosis:
    """What is wrong with detections, or with what they are scored against, the costliest first.

    Args:
        groundtruth: rows as `frame_map` takes them.
        detections: likewise, in any condition; a missing score counts as 1.
        class_ids: classes that count.
        label_map: names of classes; with it, ids in alphabetical order of names are tried.
        videos: video_id, width_px and height_px, which pixels are divided by; without it, the farthest corners are.
        iou: overlap of a right detection.
        cap: detections of a key-frame that count.
        max_key_frames: key-frames of the ground truth that trials are made on; 0 = all.
        seed: which ones.
    Raises:
        BadInput: a column is missing, `class_ids` is empty or repeats one, or a score or corner is not finite.
    """
    if "score" not in detections.columns or "class_id" not in detections.columns:
        raise BadInput("detections: no column score or class_id", mend=f"Found: {', '.join(detections.columns)}")
    truth, findings = _sound_labels(groundtruth, class_ids)
    keys = truth.select(KEY).unique(maintain_order=True)
    is_sample = 0 < max_key_frames < len(keys)
    if is_sample:
        rows = np.sort(np.random.default_rng(seed).choice(len(keys), max_key_frames, replace=False))
        truth = truth.join(keys[rows], on=KEY, how="semi", maintain_order="left")
    plain = detections.select(*KEY, pl.col(CORNERS).cast(pl.Float64), "class_id", "score")
    boxes = plain.filter(pl.col("class_id").is_not_null()).with_columns(
        pl.col("score").cast(pl.Float64).fill_null(1.0), pl.col("class_id").cast(pl.Int64)
    )
    case = _Case(groundtruth=truth, all_keys=keys, detections=boxes, class_ids=class_ids, label_map=label_map,
                 videos=videos, iou=iou, cap=cap)  # fmt: skip
    now = case.mean_ap(boxes)
    if math.isnan(now) or not len(boxes):
        if not len(boxes):
            findings.append(_said("detections", "there are no detections", (), "Give detections with boxes"))
        return Diagnosis(mean_ap=now, mean_ap_mended=now, num_key_frames=case.groundtruth.select(KEY).n_unique(),
                         is_sample=is_sample, findings=tuple(findings))  # fmt: skip
    repairs = _repairs(case)
    mended_rows = case.mended(repairs)
    mended = case.mean_ap(mended_rows)
    for place, repair in enumerate(repairs):
        others = [*repairs[:place], *repairs[place + 1 :]]
        alone = mended if not others else case.mean_ap(case.mended([repair]))
        without = now if not others else case.mean_ap(case.mended(others))
        if mended - without >= LEAST_GAIN:
            findings.append(
                Finding(
                    kind=repair.kind, problem=repair.problem, evidence=repair.evidence, mend=repair.mend,
                    trial=repair.name, mean_ap_alone=alone, mean_ap_with_rest=mended, gain=mended - without,
                )
            )  # fmt: skip
    # What is mended by a change, by its gain; then what can only be said; then what the detections leave out.
    findings.sort(key=lambda finding: -(finding.gain or 0.0))
    findings += [*_unmet(case, mended_rows), *_of_scores(detections), *_what_if(case, mended_rows, mended)]
    return Diagnosis(mean_ap=now, mean_ap_mended=mended, num_key_frames=truth.select(KEY).n_unique(),
                     is_sample=is_sample, findings=tuple(findings))  # fmt: skip


def _said(kind: str, problem: str, evidence: tuple[str, ...], mend: str) -> Finding:
    return Finding(kind=kind, problem=problem, evidence=evidence, mend=mend, trial="", mean_ap_alone=None,
                   mean_ap_with_rest=None, gain=None)  # fmt: skip


def _sound_labels(groundtruth: pl.DataFrame, class_ids: Sequence[int]) -> tuple[pl.DataFrame, list[Finding]]:
    """The ground truth without inverted boxes, and what is wrong with it by itself."""
    findings = []
    is_box = pl.col("class_id").is_not_null()
    is_inverted = is_box & ((pl.col("x1") > pl.col("x2")) | (pl.col("y1") > pl.col("y2")))
    num_inverted = int(groundtruth.select(is_inverted.sum()).item() or 0)
    if num_inverted:
        row = groundtruth.filter(is_inverted).row(0, named=True)
        corners = ", ".join(f"{row[corner]:g}" for corner in CORNERS)
        findings.append(
            _said(
                "ground truth", f"{num_inverted:,} labelled boxes end before they start",
                (f"{row['video_id']} at {format_seconds(row['timestamp_us'])} s: {corners}",),
                "Write the ground truth as x1, y1, x2, y2 with x1 <= x2 and y1 <= y2",
            )
        )  # fmt: skip
    labels = groundtruth.filter(is_box)
    is_counted = labels["class_id"].is_in(list(class_ids))
    if len(labels) and not is_counted.any():
        found = sorted(labels["class_id"].unique().to_list())
        findings.append(
            _said(
                "ground truth", "no label of the ground truth is of a class that counts",
                (f"its class ids are {_listed(found)}, those that count are {_listed(sorted(class_ids))}",),
                "Give the label map that the ground truth was written with",
            )
        )  # fmt: skip
    return groundtruth.filter(~is_inverted.fill_null(value=False)), findings


def _listed(values: Sequence[object], *, most: int = 6) -> str:
    shown = ", ".join(str(value) for value in values[:most])
    return shown if len(values) <= most else f"{shown} ... {values[-1]} ({len(values)})"


def _repairs(case: _Case) -> list[Repair]:
    """What fits better than the detections as they are, in the order in which it is to be done."""
    repairs: list[Repair] = []
    rows = case.detections
    ids = id_repair(case.all_keys["video_id"].unique().sort(), rows["video_id"].unique().sort())
    if ids is not None:
        repairs.append(ids)
        rows = ids.apply(rows)
    for repair in _key_and_box_repairs(case, rows):
        repairs.append(repair)
        rows = repair.apply(rows)
    rows = case.on_sample(rows)
    for repair in [*_class_and_score_repairs(case, rows), *_row_repairs(rows)]:
        repairs.append(repair)
        rows = repair.apply(rows)
    return repairs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Fit:
    time: TimeChange
    box: BoxChange
    cover: float
    order: tuple[int, int]


def _key_and_box_repairs(case: _Case, rows: pl.DataFrame) -> list[Repair]:
    """Repairs of times and of boxes, found together: each can only be told when the other fits."""
    persons = case.groundtruth.filter(pl.col("class_id").is_not_null()).select(*KEY, *CORNERS).unique()
    wanted_keys, persons = _with_starts(persons)
    columns = [*KEY, *(name for name in (CLIP_START,) if name in rows.columns)]
    found_keys = rows.select(columns).unique(maintain_order=True)
    trials = []
    for change in time_changes(case.all_keys, found_keys):
        pairs = met_key_frames(wanted_keys, found_keys, change)
        if len(pairs) or change.is_nothing:
            trials.append((change, pairs))
    trials.sort(key=lambda trial: (not trial[0].is_nothing, -len(trial[1])))
    most = max(len(pairs) for _, pairs in trials)
    trials = [trial for trial in trials[:MAX_TIME_TRIALS] if trial[0].is_nothing or len(trial[1]) >= most / 2]
    if not most:
        return []
    met = found_keys[pl.concat([pairs["found"] for _, pairs in trials]).unique().sort()]
    near = rows.join(met, on=columns, how="semi").select(*columns, *CORNERS).unique(maintain_order=True)
    fits = _fits(case, trials, persons, wanted_keys["start"].to_numpy(), near, found_keys)
    none = next(fit for fit in fits if fit.time.is_nothing and not fit.box.num_changes)
    best = max(fit.cover for fit in fits)
    if best < none.cover * CLEARLY or best <= 0.02 * len(persons):
        return []
    fit = min((fit for fit in fits if fit.cover >= best * NEARLY), key=lambda fit: fit.order)
    num_persons = len(persons)
    seen = f"the boxes cover labelled persons by {fit.cover / num_persons:.2f} on average instead of " \
           f"{none.cover / num_persons:.2f}"  # fmt: skip
    repairs = []
    if not fit.time.is_nothing:
        repairs.append(
            Repair(
                kind="times", name=fit.time.name, mend=fit.time.mend,
                problem="detections and ground truth count time differently",
                evidence=(_spans(case.all_keys, found_keys), seen),
                apply=time_repair(case.all_keys, fit.time),
            )
        )  # fmt: skip
    if fit.box.num_changes:
        repairs.append(_box_repair(case, rows, fit.box, seen))
    return repairs


def _with_starts(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Key-frames with the row where each one's boxes start (one more row than key-frames is the end), and the rows."""
    rows = rows.sort(*KEY, *CORNERS)
    keys = rows.group_by(KEY, maintain_order=True).len("num")
    return keys.with_columns(start=pl.col("num").cum_sum().cast(pl.Int64) - pl.col("num").cast(pl.Int64)), rows


def _fits(
    case: _Case, trials: list[tuple[TimeChange, pl.DataFrame]], persons: pl.DataFrame, person_starts: Ints,
    near: pl.DataFrame, found_keys: pl.DataFrame,
) -> list[_Fit]:  # fmt: skip
    """How well every change of boxes fits under every change of times."""
    place = near.join(found_keys.with_row_index("found"), on=found_keys.columns, maintain_order="left")["found"]
    order = np.argsort(place.to_numpy(), kind="stable")
    near = near[order]
    counts = np.bincount(place.to_numpy(), minlength=len(found_keys))
    box_starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    person_starts = np.append(person_starts, len(persons)).astype(np.int64)
    persons_P4, boxes_N4 = persons.select(CORNERS).to_numpy(), near.select(CORNERS).to_numpy()
    pairs = [
        (change, met["wanted"].cast(pl.Int64).to_numpy(), met["found"].cast(pl.Int64).to_numpy())
        for change, met in trials
    ]
    fits = []
    for box_order, box in enumerate(box_changes(boxes_N4, persons_P4)):
        changed_N4 = np.ascontiguousarray(box.apply(boxes_N4, _sizes_of(case, near, near, box)))
        for change, wanted, found in pairs:
            cover = persons_met(
                np.ascontiguousarray(persons_P4), person_starts, changed_N4, box_starts, wanted, found, case.iou
            )[1]
            num_changes = box.num_changes + (not change.is_nothing)
            fits.append(_Fit(time=change, box=box, cover=cover, order=(num_changes, box_order)))
    return fits


def _sizes_of(case: _Case, rows: pl.DataFrame, of: pl.DataFrame, box: BoxChange) -> Floats | None:
    """Width and height for each of `rows`, from the farthest corners of `of`; None where the change needs none."""
    if box.unit == "of labels":
        labels = case.groundtruth.filter(pl.col("class_id").is_not_null())
        sizes_M2 = video_sizes(labels, layout="x1 y1 x2 y2", videos=case.videos)
        return _looked_up(rows, labels["video_id"], sizes_M2)
    if box.unit == "pixels" and box.size is None:
        return _looked_up(rows, of["video_id"], video_sizes(of, layout=box.layout, videos=case.videos))
    return None


def _looked_up(rows: pl.DataFrame, video_ids: pl.Series, sizes_M2: Floats) -> Floats:
    table = pl.DataFrame({"video_id": video_ids, "w": sizes_M2[:, 0], "h": sizes_M2[:, 1]}).unique("video_id")
    found = rows.select("video_id").join(table, on="video_id", how="left", maintain_order="left")
    return found.select(pl.col("w", "h").fill_null(1.0)).to_numpy()


def _box_repair(case: _Case, rows: pl.DataFrame, box: BoxChange, seen: str) -> Repair:
    def apply(detections: pl.DataFrame) -> pl.DataFrame:
        boxes_N4 = detections.select(CORNERS).to_numpy()
        changed_N4 = box.apply(boxes_N4, _sizes_of(case, detections, rows, box))
        return detections.with_columns(
            pl.Series(corner, changed_N4[:, i], dtype=pl.Float64) for i, corner in enumerate(CORNERS)
        )

    corners, labels = (
        frame.select(pl.max_horizontal(pl.col(CORNERS).max())).item()
        for frame in (rows, case.groundtruth.drop_nulls("class_id"))
    )
    return Repair(
        kind="boxes", name=box.name, mend=box.mend, problem="detections and ground truth write boxes differently",
        evidence=(f"the largest number in a detection's box is {corners:g}, in a labelled one {labels:g}", seen),
        apply=apply,
    )  # fmt: skip


def _short(time_us: int) -> str:
    return format_seconds(time_us).rstrip("0").rstrip(".")


def _spans(wanted: pl.DataFrame, found: pl.DataFrame) -> str:
    spans = []
    for keys in (wanted, found):
        low, high = keys["timestamp_us"].min(), keys["timestamp_us"].max()
        spans.append(f"{_short(low)} to {_short(high)} s")  # type: ignore[arg-type]
    return f"times of the ground truth run from {spans[0]}, those of the detections from {spans[1]}"


def _class_and_score_repairs(case: _Case, rows: pl.DataFrame) -> list[Repair]:
    if not len(rows):
        return []
    if rows["score"].n_unique() == 1:
        # Equal scores leave the order to the rule for ties, and that to the ids: nothing can be told from it.
        return []
    found_ids = sorted(rows["class_id"].unique().to_list())
    changes = list(class_changes(case.class_ids, found_ids, case.label_map))
    values = {
        (place, is_turned): case.mean_ap(_turned(change.apply(rows), is_turned=is_turned))
        for place, change in enumerate(changes) for is_turned in (False, True)
    }  # fmt: skip
    none, best = values[0, False], max(values.values())
    place, is_turned = 0, False
    if best >= none * CLEARLY + LEAST_GAIN:
        good = [key for key, value in values.items() if value >= best * NEARLY]
        place, is_turned = min(good, key=lambda key: ((key[0] > 0) + key[1], key))
    change = changes[place]
    learnt = _learnt_if_better(case, rows, change, is_turned=is_turned)
    if learnt is not None:
        change, is_turned = learnt
    repairs = []
    if change is not AS_THEY_ARE:
        num_known = sum(class_id in set(case.class_ids) for class_id in found_ids)
        evidence = (
            f"class ids of the detections are {_listed(found_ids)}, those that count {_listed(sorted(case.class_ids))}",
            f"{num_known} of the {len(found_ids)} are ids that count",
            *change.evidence,
        )
        repairs.append(
            Repair(
                kind="classes", name=change.name, mend=change.mend, evidence=evidence, apply=change.apply,
                problem="detections and ground truth number classes differently",
            )
        )  # fmt: skip
    if is_turned:
        repairs.append(
            Repair(
                kind="scores", name="scores turned round", mend="Write 1 - score, or whatever is high where it is sure",
                problem="scores are low where the detections are right", evidence=(_span(rows["score"]),),
                apply=lambda found: _turned(found, is_turned=True),
            )
        )  # fmt: skip
    return repairs


def _turned(rows: pl.DataFrame, *, is_turned: bool) -> pl.DataFrame:
    return rows.with_columns(score=-pl.col("score")) if is_turned else rows


def _learnt_if_better(
    case: _Case, rows: pl.DataFrame, plain: ClassChange, *, is_turned: bool
) -> tuple[ClassChange, bool] | None:
    """A renumbering learnt on every other key-frame, and whether scores are turned, if far better on the rest."""
    keys = case.groundtruth.select(KEY).unique().sort(KEY)
    halves = [
        [frame.join(part, on=KEY, how="semi", maintain_order="left") for frame in (case.groundtruth, rows)]
        for part in (keys[::2], keys[1::2])
    ]
    if not all(len(frame) for half in halves for frame in half):
        return None
    (truth, found), (other_truth, other_found) = halves

    def tried(change: ClassChange, *, is_turned: bool) -> float:
        return case.mean_ap(_turned(change.apply(other_found), is_turned=is_turned), groundtruth=other_truth)

    least = tried(plain, is_turned=is_turned) * LEARNT_FACTOR + LEARNT_MARGIN
    best = None
    for turn in (False, True):
        learnt = learnt_change(truth, _turned(found, is_turned=turn), class_ids=case.class_ids, iou=case.iou)
        value = tried(learnt, is_turned=turn)
        if learnt is not AS_THEY_ARE and value >= least:
            best, least = turn, value * LEARNT_FACTOR + LEARNT_MARGIN
    if best is None:
        return None
    # That it is so is now known from key-frames it was not learnt from; what it is, all of them tell best.
    return learnt_change(case.groundtruth, _turned(rows, is_turned=best), class_ids=case.class_ids, iou=case.iou), best


def _span(scores: pl.Series) -> str:
    low, high = np.min(scores.to_numpy()), np.max(scores.to_numpy())
    return f"scores run from {low:g} to {high:g}"


def _row_repairs(rows: pl.DataFrame) -> list[Repair]:
    columns = [*KEY, *CORNERS, "class_id", "score"]
    num_twice = len(rows) - rows.select(columns).n_unique()
    if num_twice < 0.01 * len(rows) or not num_twice:
        return []
    return [
        Repair(
            kind="rows", name="each row once", problem="rows of the detections are there more than once",
            evidence=(f"{num_twice:,} of {len(rows):,} rows repeat another",),
            mend="Drop repeated rows; a file may have been written or joined twice",
            apply=lambda found: found.unique(columns, keep="first", maintain_order=True),
        )
    ]  # fmt: skip


def _unmet(case: _Case, rows: pl.DataFrame) -> list[Finding]:
    """Keys that do not meet and that nothing tried makes meet."""
    if len(rows):
        return []
    wanted, found = (frame["video_id"].unique().sort() for frame in (case.all_keys, case.detections))
    examples = (f"ground truth: {_listed(wanted.to_list(), most=3)}", f"detections: {_listed(found.to_list(), most=3)}")
    if not wanted.is_in(found.implode()).any():
        return [_said("video ids", "no video of the ground truth has detections", examples,
                      "Write the ground truth's video ids, or give the ground truth of these videos")]  # fmt: skip
    return [_said("times", "no key-frame of the ground truth has detections",
                  (_spans(case.all_keys, case.detections),), "Write the ground truth's times, in seconds")]  # fmt: skip


def _what_if(case: _Case, rows: pl.DataFrame, mended: float) -> list[Finding]:
    """What the mended detections still leave out, with the mAP over what they do not."""
    findings: list[Finding] = []

    def add(kind: str, problem: str, evidence: str, mend: str, trial: str, value: float) -> None:
        if not math.isnan(value) and value - mended >= LEAST_GAIN:
            findings.append(
                Finding(kind=kind, problem=problem, evidence=(evidence,), mend=mend, trial=trial, mean_ap_alone=None,
                        mean_ap_with_rest=value, gain=value - mended)
            )  # fmt: skip

    labels = case.groundtruth.filter(pl.col("class_id").is_in(list(case.class_ids)))
    keys = labels.select(KEY).unique()
    bare = keys.join(rows.select(KEY).unique(), on=KEY, how="anti")
    if len(bare) and len(bare) < len(keys):
        met = case.groundtruth.join(bare, on=KEY, how="anti", maintain_order="left")
        add("coverage", "labelled key-frames have no detections",
            f"{len(bare):,} of {len(keys):,} labelled key-frames, videos: {bare['video_id'].n_unique():,}",
            "Run the model on every key-frame of the ground truth", "those key-frames left out",
            case.mean_ap(rows, groundtruth=met))  # fmt: skip
    found_ids = set(rows["class_id"].unique().to_list())
    scores = frame_map(case.groundtruth, rows, class_ids=case.class_ids, iou=case.iou, cap=case.cap)
    lost = [
        class_id
        for class_id, count in zip(scores.class_ids, scores.num_groundtruth, strict=True)
        if count and class_id not in found_ids
    ]  # fmt: skip
    if lost:
        others = [scores.of_class(class_id) for class_id in scores.class_ids if class_id not in lost]
        add("classes", "labelled classes are never detected and count as 0",
            f"{len(lost)} classes: {_listed(lost)}",
            "Let the model score every class, or count only those it knows (--label-map)",
            "those classes left out", mean_of(np.array(others)))  # fmt: skip
    if case.cap and len(rows):
        num_past = int((rows.group_by(KEY).len()["len"].cast(pl.Int64) - case.cap).clip(0).sum())
        if num_past:
            add("cap", f"key-frames have more than {case.cap} detections, of which the highest {case.cap} count",
                f"{num_past:,} of {len(rows):,} rows are past the cap", "Write fewer boxes or classes a key-frame",
                "no cap", case.mean_ap(rows, cap=0))  # fmt: skip
    return sorted(findings, key=lambda finding: -(finding.gain or 0.0))


def _of_scores(detections: pl.DataFrame) -> list[Finding]:
    """What the scores look like by themselves."""
    boxes = detections.filter(pl.col("class_id").is_not_null())
    score = boxes["score"].cast(pl.Float64)
    if not len(boxes):
        return []
    mend = "Write the model's confidence of the class in column 8"
    if score.null_count() == len(score):
        return [_said("scores", "the detections have no scores", ("column 8 is missing; every row counts as 1",), mend)]
    if score.n_unique() == 1 and len(score) > 1:
        return [_said("scores", "all scores are equal", (f"every score is {score[0]:g}",), mend)]
    known = score.drop_nulls()
    if bool((known == known.round()).all()) and float(known.max() or 0) > 1:  # type: ignore[arg-type]
        return [_said("scores", "the scores are whole numbers, as person ids are", (
            _span(known),), mend)]  # fmt: skip
    return []
