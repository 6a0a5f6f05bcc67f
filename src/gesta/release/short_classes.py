"""Classes that do not meet a rule of clips per class: which, by how much, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import polars as pl

from gesta.release.per_class import PerClass

Short = Literal["keep", "leave-out", "refuse"]
"""What becomes of such classes: they stay with what there is, their labels are left out, or there is no release."""

SHORT_CLASS = "short-class"
"""Why a clip is left out: none of its classes meets the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortClass:
    """A class, how many clips there are of it, and how many each split has."""

    class_id: int
    name: str
    num_clips: int
    num_train: int
    num_val: int
    num_test: int

    @property
    def text(self) -> str:
        """Such as `juggling (train 120, val 24, test 48)`."""
        return f"{self.name} (train {self.num_train:,}, val {self.num_val:,}, test {self.num_test:,})"


def short_classes(
    kept: pl.DataFrame, split_of_clip: Mapping[str, str], *, rule: PerClass, names: Mapping[int, str],
    all_rows: pl.DataFrame,
) -> tuple[ShortClass, ...]:  # fmt: skip
    """The classes of `kept` with fewer clips in a split than the rule wants, in order of id.

    Args:
        kept: `clip_id`, `class_id` of what a release would hold.
        split_of_clip: the split of each of these clips.
        rule: how many clips of each class go where.
        names: of the classes.
        all_rows: `clip_id`, `class_id` of all there are to choose from.
    """
    splits = kept["clip_id"].replace_strict(dict(split_of_clip), return_dtype=pl.String).alias("split")
    counts = kept.with_columns(splits).group_by("class_id", "split").len()
    number = {(class_id, split): count for class_id, split, count in counts.iter_rows()}
    total = dict(all_rows.group_by("class_id").len().iter_rows())
    wanted = {"train": rule.min_train, "val": rule.val, "test": rule.test}
    return tuple(
        ShortClass(
            class_id=class_id,
            name=names[class_id],
            num_clips=total[class_id],
            num_train=number.get((class_id, "train"), 0),
            num_val=number.get((class_id, "val"), 0),
            num_test=number.get((class_id, "test"), 0),
        )
        for class_id in kept["class_id"].unique().sort()
        if any(number.get((class_id, split), 0) < least for split, least in wanted.items())
    )
