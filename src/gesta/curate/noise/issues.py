"""Which labels are held to be wrong, and what the clips show instead.

Legend: N = labels, K = classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from gesta.curate.noise.confident import Rule, label_likeliness, wrong_labels, wrong_labels_by_cleanlab
from gesta.curate.noise.folds import ScoredLabels, read_scored_labels
from gesta.curate.noise.labels import labels_from
from gesta.schema import LabelIssue, UnknownName
from gesta.tables import StageSummary, frame_of, hashes_of, is_current, made_by, read_table, table_path, write_table

STAGE = "noise-labels"
PROGRAMS = {"gesta": wrong_labels, "cleanlab": wrong_labels_by_cleanlab}
"""Who counts."""


def run_issues(work: Path, *, rule: Rule = "by-noise-rate", by: str = "gesta") -> StageSummary:
    """What was found: table `label_issues` from `fold_scores`, by Confident Learning.

    Kept are the issues.

    Args:
        work: the work folder.
        rule: one of `gesta.curate.noise.confident.RULES`.
        by: whose program counts, one of `PROGRAMS`: gesta, or cleanlab. Both say the same.
    Raises:
        MissingTable: there are no labels or no scores yet.
        BadInput: no label has a score.
        UnknownName: there is no such rule or program.
        MissingExtra: `by` is cleanlab, which is not installed.
    """
    if by not in PROGRAMS:
        raise UnknownName(what="program", name=by, choices=PROGRAMS)
    made = made_by(
        STAGE, arguments={"rule": rule, "by": by}, inputs=hashes_of(work, [*labels_from(work), "fold_scores"])
    )
    path = table_path(work, "label_issues")
    was_current = is_current(path, made)
    if not was_current:
        write_table(path, "label_issues", issue_rows(read_scored_labels(work), rule=rule, by=by), made_by=made)
    frame = read_table(path, "label_issues")
    return StageSummary(
        stage="noise labels",
        kept=len(frame),
        outputs=("label_issues.parquet",),
        was_current=was_current,
        numbers={"rule": rule, "num_classes_with_issues": int(frame["class_id"].n_unique())},
    )


def issue_rows(scored: ScoredLabels, *, rule: Rule = "by-noise-rate", by: str = "gesta") -> pl.DataFrame:
    """Rows of table `label_issues`, the least likely label first in rank.

    A clip of two classes is no issue where the likeliest class is its other one.

    Raises:
        UnknownName: there is no such rule.
    """
    is_wrong_N = PROGRAMS[by](scored.places_N, scored.scores_NK, rule=rule)
    others_NK = np.where(scored.is_own_NK, -np.inf, scored.scores_NK)
    suggested_N = others_NK.argmax(axis=1)
    likeliest_N = scored.scores_NK.argmax(axis=1)
    places = np.arange(len(likeliest_N))
    is_wrong_N &= ~scored.is_own_NK[places, likeliest_N]
    own_N = label_likeliness(scored.places_N, scored.scores_NK)
    found = np.flatnonzero(is_wrong_N)
    ordered = found[np.argsort(own_N[found], kind="stable")]
    rows = [
        LabelIssue(
            clip_id=scored.rows["clip_id"][int(n)],
            class_id=scored.class_ids[scored.places_N[n]],
            rank=rank,
            score=float(own_N[n]),
            suggested_class_id=scored.class_ids[suggested_N[n]],
            suggested_score=float(scored.scores_NK[n, suggested_N[n]]),
            rule=rule,
        )
        for rank, n in enumerate(ordered, start=1)
    ]
    return frame_of("label_issues", rows)
