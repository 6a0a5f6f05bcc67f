"""The step `gesta noise groups`: which classes of a work folder fall into several groups.

Legend: N = clips of a class, D = length of a vector.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.curate.clip_features import ClipVectors
from gesta.curate.noise.groups import ALPHA, MAX_GROUPS, MIN_CLIPS, Split, group_clips, holm, split_in_two
from gesta.curate.noise.labels import labels_from, read_labels
from gesta.schema import BadInput, ClassGroup, GroupTest, Reject
from gesta.tables import (
    StageSummary,
    count_reasons,
    frame_of,
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

STAGE = "noise-groups"

Floats = npt.NDArray[np.floating]


def run_groups(
    work: Path,
    *,
    vectors: ClipVectors,
    inputs: dict[str, str] | None = None,
    alpha: float = ALPHA,
    max_groups: int = MAX_GROUPS,
    seed: int = 0,
    on_classes: Callable[[int], None] | None = None,
) -> StageSummary:
    """What was found: which classes fall into groups (`group_tests`), and which clips into which (`class_groups`).

    Kept are the classes of several groups. Rejected are clips without a vector (no-vector). Of clips of one video, or
    of copies, one takes part in the test: many of them are no group of an action.

    Args:
        work: the work folder, with `kept` or accepted `clip_labels`.
        vectors: of the clips.
        inputs: hashes of the files that the vectors are from.
        alpha: the chance that a class of one group is split, for all classes together (Holm).
        max_groups: of a class at most.
        seed: of the halves of the test.
        on_classes: called with 1 after each class.
    Raises:
        MissingTable: there are no labels yet.
        BadInput: `alpha` is outside 0 to 1, or `max_groups` is below 2.
    Source: Kinetics-400 paper, section 3.4 (classes of "several quite distinct groupings").
    """
    if not 0 < alpha < 1 or max_groups < 2:
        raise BadInput(f"alpha={alpha}, max_groups={max_groups}", mend="Want 0 < alpha < 1 and at least 2 groups")
    arguments = {"alpha": alpha, "max_groups": max_groups, "seed": seed}
    made = made_by(STAGE, arguments=arguments, inputs={**hashes_of(work, labels_from(work)), **(inputs or {})})
    tests_path, groups_path = table_path(work, "group_tests"), table_path(work, "class_groups")
    if all(is_current(path, made) for path in (tests_path, groups_path, rejects_path(work, STAGE))):
        return _summary(work, was_current=True)
    labels = read_labels(work)
    row_of = {clip_id: row for row, clip_id in enumerate(vectors.clip_ids)}
    has_vector = pl.col("clip_id").is_in(list(row_of))
    rejects = [
        Reject(stage=STAGE, reason="no-vector", clip_id=clip_id, detail="the features lack the clip")
        for clip_id in labels.rows.filter(~has_vector)["clip_id"].unique(maintain_order=True)
    ]
    members = {
        int(str(class_id)): part
        for (class_id,), part in labels.rows.filter(has_vector).group_by("class_id", maintain_order=True)
    }
    splits = {}
    for class_id in sorted(members):
        splits[class_id] = _first_split(members[class_id], vectors, row_of, seed=seed)
        if on_classes is not None:
            on_classes(1)
    adjusted = dict(zip(splits, holm([split.p_value if split else 1.0 for split in splits.values()]), strict=True))
    tests, groups = [], []
    for class_id, split in splits.items():
        found = _groups_of(
            members[class_id], vectors, row_of, class_id=class_id, split=split if adjusted[class_id] <= alpha else None,
            alpha=alpha, max_groups=max_groups, seed=seed,
        )  # fmt: skip
        groups += found
        tests.append(
            GroupTest(
                class_id=class_id, num_clips=len(found), num_groups=1 + max(row.group for row in found),
                p_value=split.p_value if split else 1.0, adjusted_p=adjusted[class_id],
                separation=split.separation if split else 0.0, smaller_frac=split.smaller_frac if split else 0.0,
            )
        )  # fmt: skip
    write_table(groups_path, "class_groups", frame_of("class_groups", groups), made_by=made)
    write_table(tests_path, "group_tests", frame_of("group_tests", tests), made_by=made)
    write_rejects(work, STAGE, rejects, made_by=made)
    return _summary(work, was_current=False)


def _representatives(clips: pl.DataFrame) -> pl.DataFrame:
    return clips.sort("clip_id").unique("group", keep="first", maintain_order=True)


def _unit_rows(clips: pl.DataFrame, vectors: ClipVectors, row_of: dict[str, int]) -> Floats:
    rows_ND = np.asarray(vectors.vectors_ND[[row_of[clip_id] for clip_id in clips["clip_id"]]], dtype=np.float64)
    return np.asarray(rows_ND / np.maximum(np.linalg.norm(rows_ND, axis=1, keepdims=True), 1e-9))


def _first_split(clips: pl.DataFrame, vectors: ClipVectors, row_of: dict[str, int], *, seed: int) -> Split | None:
    tested = _representatives(clips)
    if len(tested) < MIN_CLIPS:
        return None
    return split_in_two(_unit_rows(tested, vectors, row_of), seed=seed)


def _groups_of(
    clips: pl.DataFrame, vectors: ClipVectors, row_of: dict[str, int], *, class_id: int, split: Split | None,
    alpha: float, max_groups: int, seed: int,
) -> list[ClassGroup]:  # fmt: skip
    """The group of every clip of the class; one that took no part in the test goes to the group it is likest to."""
    every_ND = _unit_rows(clips, vectors, row_of)
    tested = _representatives(clips)
    groups_T = np.zeros(len(tested), dtype=np.int64)
    if split is not None:
        tested_TD = _unit_rows(tested, vectors, row_of)
        # The first split was found good among all classes; below it the class's own share of chances counts.
        groups_T = group_clips(
            tested_TD, seed=seed, alpha=max(alpha, split.p_value), first=split, max_groups=max_groups
        )
    group_of = dict(zip(tested["clip_id"], groups_T.tolist(), strict=True))
    known_N = np.array([group_of.get(clip_id, -1) for clip_id in clips["clip_id"]])
    means_GD = np.stack([every_ND[known_N == group].mean(axis=0) for group in range(int(groups_T.max()) + 1)])
    means_GD /= np.maximum(np.linalg.norm(means_GD, axis=1, keepdims=True), 1e-9)
    cosines_NG = every_ND @ means_GD.T
    chosen_N = np.where(known_N >= 0, known_N, cosines_NG.argmax(axis=1))
    return [
        ClassGroup(clip_id=clip_id, class_id=class_id, group=int(group), cosine=float(cosines_NG[n, group]))
        for n, (clip_id, group) in enumerate(zip(clips["clip_id"], chosen_N, strict=True))
    ]


def _summary(work: Path, *, was_current: bool) -> StageSummary:
    tests = read_table(work, "group_tests")
    rejects = read_table(rejects_path(work, STAGE), "rejects")
    return StageSummary(
        stage="noise groups",
        kept=int((tests["num_groups"] > 1).sum()),
        rejected=count_reasons(rows_of("rejects", rejects)),
        outputs=("group_tests.parquet", "class_groups.parquet", f"rejects/{STAGE}.parquet"),
        was_current=was_current,
        numbers={"num_classes": len(tests), "num_classes_tested": int((tests["num_clips"] >= MIN_CLIPS).sum())},
    )
