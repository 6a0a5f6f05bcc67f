"""Scores of clips by classifiers that never saw them: cross-validation with folds by video and by copies.

Legend: N = labels, M = clips held out in a fold, K = classes, F = folds.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.curate.noise.labels import labels_from, read_labels
from gesta.schema import BadInput, Reject
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    count_reasons,
    hashes_of,
    is_current,
    made_by,
    read_table,
    rejects_path,
    rows_of,
    table_path,
    write_rejects,
    write_table,
)

STAGE = "noise-folds"
NUM_FOLDS = 5
"""Source: ours; each clip is judged by a model that saw four fifths of the others."""

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fold:
    """What one classifier learns from, and what it is to score.

    Attributes:
        number: from 0.
        train: clip_id, class_id of the labels to learn from.
        held: the M clips to score.
        class_ids: the K classes, in the order of the scores.
        folder: where the classifier may keep what it needs to go on after a cut.
    """

    number: int
    train: pl.DataFrame
    held: tuple[str, ...]
    class_ids: tuple[int, ...]
    folder: Path


FoldScorer = Callable[[Fold], tuple[Floats, Sequence[Reject]]]
"""Probabilities float [M, K] of the held clips, a row of NaN for one that cannot be scored, and why of these."""


def assign_folds(labels: pl.DataFrame, *, num_folds: int, seed: int) -> Ints:
    """The fold of each label, int64 [N]: a group is never parted, and each class is spread as evenly as groups let it.

    The largest groups come first; each goes to the fold that has the smallest share of its classes so far, then to the
    fold with the fewest labels. Groups of one size come in an order that is chance.

    Args:
        labels: columns class_id and group.
        num_folds: F, at least 2.
        seed: of that order.
    Raises:
        BadInput: fewer than 2 folds.
    """
    if num_folds < 2:
        raise BadInput(f"{num_folds} folds", mend="Want at least 2: one is held out, the others teach")
    classes_of: dict[int, Counter[int]] = {}
    for class_id, group in labels.select("class_id", "group").iter_rows():
        classes_of.setdefault(group, Counter())[class_id] += 1
    total = Counter(labels["class_id"].to_list())
    held: list[Counter[int]] = [Counter() for _ in range(num_folds)]
    sizes = [0] * num_folds
    fold_of: dict[int, int] = {}
    order = sorted(classes_of)
    random.Random(f"folds:{seed}").shuffle(order)
    for group in sorted(order, key=lambda each: -classes_of[each].total()):
        counts = classes_of[group]
        shares = [
            sum(number * there[class_id] / total[class_id] for class_id, number in counts.items()) for there in held
        ]
        best = min(range(num_folds), key=lambda fold: (shares[fold], sizes[fold], fold))
        fold_of[group] = best
        held[best].update(counts)
        sizes[best] += counts.total()
    return np.array([fold_of[group] for group in labels["group"]], dtype=np.int64)


def run_folds(
    work: Path,
    *,
    scorer: FoldScorer,
    classifier: Mapping[str, Json],
    inputs: Mapping[str, str] | None = None,
    num_folds: int = NUM_FOLDS,
    seed: int = 0,
    min_score: float = 0.0,
    on_fold: Callable[[int], None] | None = None,
) -> StageSummary:
    """What cross-validation did: table `fold_scores` from labels, a classifier that never saw a clip scoring it.

    Kept are the scored clips. Rejected are labels of classes whose clips are all of one group, so that nobody could
    learn them (one-group), and what the scorer rejects. A run that was cut goes on at the fold where it was.

    Args:
        work: the work folder, with `kept` or accepted `clip_labels`.
        scorer: trains on a fold's labels and scores what is held out.
        classifier: what the scorer is, for the table's provenance.
        inputs: hashes of the files that the scorer reads.
        num_folds: F, at least 2.
        seed: of the folds.
        min_score: scores below it are left out, but for those of the clip's own classes; with hundreds of classes
            1e-4 leaves few. Left out means 0.
        on_fold: called with 1 after each fold.
    Raises:
        MissingTable: there are no labels yet.
        BadInput: fewer than 2 folds, fewer than 2 classes, or `min_score` is outside 0 to 1; or the scorer's numbers
            are no probabilities.
    """
    if not 0 <= min_score < 1:
        raise BadInput(f"min_score={min_score}", mend="Want 0 or more, and less than 1")
    provenance = made_by(
        STAGE,
        arguments={"num_folds": num_folds, "seed": seed, "min_score": min_score, "classifier": dict(classifier)},
        inputs={**hashes_of(work, labels_from(work)), **(inputs or {})},
    )
    path = table_path(work, "fold_scores")
    if is_current(path, provenance) and is_current(rejects_path(work, STAGE), provenance):
        return _summary(work, was_current=True)
    labels = read_labels(work)
    folds_N = assign_folds(labels.rows, num_folds=num_folds, seed=seed)
    rows, rejects = _learnable(labels.rows.with_columns(pl.Series("fold", folds_N)))
    class_ids = tuple(sorted(rows["class_id"].unique()))
    if len(class_ids) < 2:
        raise BadInput(
            f"{len(class_ids)} classes have clips of two groups", where=work, mend="Want two classes to tell apart"
        )
    home = work / "noise" / "folds" / provenance.fingerprint[:16]
    _delete_others(home)
    parts = []
    for number in sorted(rows["fold"].unique()):
        held_by = rows.filter(fold=number)
        fold = Fold(
            number=number,
            train=rows.filter(pl.col("fold") != number).select("clip_id", "class_id"),
            held=tuple(held_by["clip_id"].unique(maintain_order=True)),
            class_ids=class_ids,
            folder=home / f"{number:02d}",
        )
        scores, dropped = _fold_scores(fold, held_by, scorer=scorer, min_score=min_score, made=provenance)
        parts.append(scores)
        rejects += dropped
        if on_fold is not None:
            on_fold(1)
    write_table(path, "fold_scores", pl.concat(parts), made_by=provenance)
    write_rejects(work, STAGE, rejects, made_by=provenance)
    shutil.rmtree(home)
    return _summary(work, was_current=False)


def _learnable(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Reject]]:
    """The labels of classes that stand in several folds, and rejects for the others."""
    num_folds = pl.col("fold").n_unique().over("class_id")
    lonely = rows.filter(num_folds < 2)
    rejects = [
        Reject(
            stage=STAGE, reason="one-group", video_id=row["video_id"], clip_id=row["clip_id"],
            detail=f"class {row['class_id']}: all its clips are of one video or its copies, so nobody else shows it",
        )
        for row in lonely.iter_rows(named=True)
    ]  # fmt: skip
    return rows.filter(num_folds >= 2), rejects


def _delete_others(home: Path) -> None:
    for other in home.parent.glob("*") if home.parent.is_dir() else ():
        if other != home:
            shutil.rmtree(other)


def _fold_scores(
    fold: Fold, held: pl.DataFrame, *, scorer: FoldScorer, min_score: float, made: Provenance
) -> tuple[pl.DataFrame, list[Reject]]:
    """Rows of `fold_scores` of one fold, and its rejects; read where an earlier run wrote them."""
    path = table_path(fold.folder, "fold_scores")
    if not (is_current(path, made) and is_current(rejects_path(fold.folder, STAGE), made)):
        scores_MK, dropped = scorer(fold)
        frame = _rows_of_scores(fold, scores_MK, own=held.select("clip_id", "class_id"), min_score=min_score)
        write_rejects(fold.folder, STAGE, dropped, made_by=made)
        write_table(path, "fold_scores", frame, made_by=made)
    rejects: list[Reject] = rows_of("rejects", read_table(rejects_path(fold.folder, STAGE), "rejects"))
    return read_table(path, "fold_scores"), rejects


def _rows_of_scores(fold: Fold, scores_MK: Floats, *, own: pl.DataFrame, min_score: float) -> pl.DataFrame:
    if scores_MK.shape != (len(fold.held), len(fold.class_ids)):
        raise BadInput(
            f"the classifier gave scores {list(scores_MK.shape)} for {len(fold.held)} clips and "
            f"{len(fold.class_ids)} classes",
            mend="Want [clips, classes]",
        )
    is_scored_M = ~np.isnan(scores_MK).any(axis=1)
    found_MK = scores_MK[is_scored_M].astype(np.float64)
    if len(found_MK) and not (found_MK.min() >= 0 and found_MK.max() <= 1 + 1e-6):
        raise BadInput(
            f"the classifier's scores go from {found_MK.min()} to {found_MK.max()}", mend="Want probabilities, 0 to 1"
        )
    clip_ids = pl.Series("clip_id", fold.held, dtype=pl.String).filter(pl.Series(is_scored_M))
    places = np.arange(len(found_MK))
    frame = pl.DataFrame(
        {
            "clip_id": clip_ids.gather(np.repeat(places, len(fold.class_ids))),
            "class_id": np.tile(np.array(fold.class_ids, dtype=np.int64), len(found_MK)),
            "score": found_MK.reshape(-1).clip(max=1.0),
        }
    ).with_columns(fold=pl.lit(fold.number, dtype=pl.Int64))
    if min_score > 0:
        own_rows = frame.join(own, on=["clip_id", "class_id"], how="semi")
        frame = pl.concat([frame.filter(pl.col("score") >= min_score), own_rows]).unique(["clip_id", "class_id"])
    return frame


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredLabels:
    """Labels with the scores of their clips.

    Attributes:
        rows: frame of N rows: clip_id, video_id, class_id, group, fold.
        class_ids: the K classes, rising.
        names: of all classes of the label map, by id.
        places_N: int64 [N], the place of each label's class in `class_ids`.
        scores_NK: float64 [N, K]; a clip of two classes has two equal rows.
        is_own_NK: bool [N, K], whether the clip is labelled with the class, by this label or another.
    """

    rows: pl.DataFrame
    class_ids: tuple[int, ...]
    names: dict[int, str]
    places_N: Ints
    scores_NK: Floats
    is_own_NK: npt.NDArray[np.bool_]


def read_scored_labels(work: Path) -> ScoredLabels:
    """The labels whose clips have scores, with these.

    Labels that were taken away or added since are as they stand now; a class that the classifiers did not know has no
    scored label.

    Raises:
        MissingTable: there are no labels or no scores yet.
        BadInput: no label has a score.
    """
    labels = read_labels(work)
    scores = read_table(work, "fold_scores")
    class_ids = tuple(sorted(scores["class_id"].unique()))
    folds = scores.select("clip_id", "fold").unique()
    rows = (
        labels.rows.filter(pl.col("class_id").is_in(class_ids))
        .join(folds, on="clip_id", how="inner")
        .sort("clip_id", "class_id")
    )
    if not len(rows):
        raise BadInput("no label has a score", where=work, mend="Score the labels there are: gesta noise folds")
    clip_ids = rows["clip_id"].unique(maintain_order=True)
    place_of = dict(zip(clip_ids, range(len(clip_ids)), strict=True))
    known = scores.filter(pl.col("clip_id").is_in(clip_ids.implode()))
    scores_MK = np.zeros((len(clip_ids), len(class_ids)))
    columns = np.searchsorted(np.array(class_ids), known["class_id"].to_numpy())
    at = known["clip_id"].replace_strict(place_of, return_dtype=pl.Int64).to_numpy()
    scores_MK[at, columns] = known["score"].to_numpy()
    at_N = rows["clip_id"].replace_strict(place_of, return_dtype=pl.Int64).to_numpy()
    places_N = np.searchsorted(np.array(class_ids), rows["class_id"].to_numpy()).astype(np.int64)
    is_own_MK = np.zeros(scores_MK.shape, dtype=bool)
    is_own_MK[at_N, places_N] = True
    return ScoredLabels(
        rows=rows, class_ids=class_ids, names=labels.names, places_N=places_N, scores_NK=scores_MK[at_N],
        is_own_NK=is_own_MK[at_N],
    )  # fmt: skip


def _summary(work: Path, *, was_current: bool) -> StageSummary:
    found = read_scored_labels(work)
    is_right_N = found.scores_NK.argmax(axis=1) == found.places_N
    rejects = read_table(rejects_path(work, STAGE), "rejects")
    return StageSummary(
        stage="noise folds",
        kept=int(found.rows["clip_id"].n_unique()),
        rejected=count_reasons(rows_of("rejects", rejects)),
        outputs=("fold_scores.parquet", f"rejects/{STAGE}.parquet"),
        was_current=was_current,
        numbers={
            "num_labels": len(found.rows),
            "num_classes": len(found.class_ids),
            "num_folds": int(found.rows["fold"].n_unique()),
            "top1_frac": round(float(is_right_N.mean()), 6),
        },
    )
