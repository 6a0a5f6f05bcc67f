"""Bias of a dataset and of a classifier: who is shown in each class, and whether some are recognised worse.

Kinetics-400 asks two questions (section 3.5): is the data of each class balanced, or dominated by one gender (age,
region), or can it mostly not be told? And where it is not balanced, are the clips of the others classified worse? Here
the answers carry their doubt. A share stands with its interval. Every comparison of a subgroup with the rest of its
class has an exact test, and since there are hundreds of them, the p-values are corrected: by Holm (no false alarm at
all, with the stated confidence) and by Benjamini and Hochberg (few of the alarms false).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gesta.schema import BadInput
from gesta.stats.attributes import Attributes, with_attributes
from gesta.stats.proportions import benjamini_hochberg, fisher, holm, mantel_haenszel, newcombe, wilson
from gesta.tables import whole_file, write_json

DOMINATED = 0.8
"""A class of which surely at least this share is of one value is dominated by it. Source: ours; the paper gives no
number."""

MIN_KNOWN = 0.5
"""Where fewer of a class's clips are known, it mostly cannot be told. Source: ours, for the paper's "mostly"."""

MIN_CLIPS = 5
"""A subgroup and its rest are compared where both have at least as many clips. Source: ours; with fewer nothing can be
told from chance, and every test more makes the others weaker."""

DOMINANT, BALANCED, UNSURE, UNTOLD = "dominated", "balanced", "unsure", "untold"
"""What can be said of a class: surely dominated by one value, surely not, neither, or too little known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """What was found; see `balance_of` and `accuracy_of` for the columns."""

    what: str
    columns: tuple[str, ...]
    balance: pl.DataFrame
    values: pl.DataFrame
    accuracy: pl.DataFrame
    overall: pl.DataFrame
    level: float

    @property
    def tables(self) -> Mapping[str, pl.DataFrame]:
        """The tables by name, those of accuracy only where there are scores."""
        found = {"balance": self.balance, "values": self.values}
        return found | ({"accuracy": self.accuracy, "overall": self.overall} if len(self.accuracy) else {})

    def as_json(self) -> dict[str, Any]:
        """The parts as plain JSON values."""
        return {
            "what": self.what,
            "level": self.level,
            "verdicts": verdicts_of(self.balance).to_dicts(),
            **{name: frame.to_dicts() for name, frame in self.tables.items()},
        }


def bias_of(
    clips: pl.DataFrame, attributes: Attributes, *, names: Mapping[int, str], scored: pl.DataFrame | None = None,
    what: str = "", level: float = 0.95, dominated: float = DOMINATED, min_clips: int = MIN_CLIPS,
) -> Bias:  # fmt: skip
    """Balance of every attribute in every class, and, where there are scored clips, accuracy of every subgroup.

    Args:
        clips: `clip_id`, `video_id`, `class_id` of the dataset.
        attributes: of clips or videos.
        names: of the classes.
        scored: `clip_id`, `video_id`, `class_id`, `is_right` of clips that a classifier was tried on.
        what: to call it.
        level: confidence of the intervals, and of the tests 1 less it.
        dominated: the share from which a class is dominated by a value.
        min_clips: the fewest clips of a subgroup, and of its rest, that are compared.
    Raises:
        BadInput: a number is out of its range, or no attribute is of one of the clips.
    """
    if not 0 < level < 1 or not 0.5 <= dominated < 1 or min_clips < 1:
        raise BadInput(
            f"level {level}, dominated {dominated}, at least {min_clips} clips",
            mend="Want a level between 0 and 1, dominated from 0.5 to below 1, and at least 1 clip",
        )
    known = with_attributes(clips.select("clip_id", "video_id", "class_id").drop_nulls("class_id"), attributes)
    parts = [
        balance_of(known, column, names=names, level=level, dominated=dominated) for column in attributes.columns
    ]  # fmt: skip
    accuracy, overall = _no_accuracy(), _no_overall()
    if scored is not None:
        shown = with_attributes(scored, attributes)
        each = [
            accuracy_of(shown, column, names=names, level=level, min_clips=min_clips) for column in attributes.columns
        ]
        accuracy = corrected(pl.concat([accuracy, *(part[0] for part in each)]))
        overall = corrected(pl.concat([overall, *(part[1] for part in each)]))
    return Bias(
        what=what, columns=attributes.columns, balance=pl.concat([part[0] for part in parts]),
        values=pl.concat([part[1] for part in parts]), accuracy=accuracy, overall=overall, level=level,
    )  # fmt: skip


def balance_of(
    known: pl.DataFrame, column: str, *, names: Mapping[int, str], level: float = 0.95, dominated: float = DOMINATED
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """How balanced an attribute is in each class, and how often each value is there.

    The first has a row a class: column, class_id, name, num_clips, num_known, known_share, value (the most frequent, of
    equal ones the first by name), num_value, share (of the known), low, high, verdict. The second a row a class and
    value: column, class_id, name, value, num_clips, share (of the known).

    A class is dominated by a value where the interval of its share lies above `dominated`, balanced where it lies
    below, and unsure where it holds it; with less than `MIN_KNOWN` known it is untold.

    Args:
        known: `class_id` and the attribute's column, a row a clip and class.
        column: the attribute.
        names: of the classes.
        level: confidence of the intervals.
        dominated: the share.
    Source: Kinetics-400, section 3.5 (i): "either not dominated by a single gender, or it is mostly not possible to
        determine the gender"; the interval is Wilson's.
    """
    counts = known.group_by("class_id", column).len().sort("class_id", column, nulls_last=True)
    rows: list[tuple[Any, ...]] = []
    values: list[tuple[Any, ...]] = []
    for class_id in known["class_id"].unique().sort():
        of_class = [(value, num) for _, value, num in counts.filter(class_id=class_id).iter_rows()]
        told = [(value, num) for value, num in of_class if value is not None]
        num_clips, num_known = sum(num for _, num in of_class), sum(num for _, num in told)
        value, most = max(told, key=lambda pair: pair[1], default=(None, 0))
        low, high = wilson(most, num_known, level=level)
        verdict = DOMINANT if low >= dominated else BALANCED if high < dominated else UNSURE
        if num_known < MIN_KNOWN * num_clips or not num_known:
            verdict = UNTOLD
        share = most / num_known if num_known else None
        head = (column, class_id, names.get(class_id, f"class {class_id}"))
        rows.append((*head, num_clips, num_known, num_known / num_clips, value, most, share, low, high, verdict))
        values += [(*head, value, num, num / num_known) for value, num in told]
    return (
        pl.DataFrame(rows, schema=_BALANCE, orient="row"),
        pl.DataFrame(values, schema=_VALUES, orient="row"),
    )


_HEAD = {"column": pl.String, "class_id": pl.Int64, "name": pl.String}
_BALANCE = {
    **_HEAD, "num_clips": pl.Int64, "num_known": pl.Int64, "known_share": pl.Float64, "value": pl.String,
    "num_value": pl.Int64, "share": pl.Float64, "low": pl.Float64, "high": pl.Float64, "verdict": pl.String,
}  # fmt: skip
_VALUES = {**_HEAD, "value": pl.String, "num_clips": pl.Int64, "share": pl.Float64}


def verdicts_of(balance: pl.DataFrame) -> pl.DataFrame:
    """How many classes have which verdict, by attribute: column, verdict, num_classes, with zeros."""
    each = pl.DataFrame({"verdict": [DOMINANT, UNSURE, BALANCED, UNTOLD]})
    listed = balance.select(pl.col("column").unique(maintain_order=True)).join(each, how="cross", maintain_order="left")
    counts = balance.group_by("column", "verdict").agg(pl.len().cast(pl.Int64).alias("num_classes"))
    return listed.join(counts, on=["column", "verdict"], how="left", maintain_order="left").with_columns(
        pl.col("num_classes").fill_null(0)
    )


_ACCURACY = {
    **_HEAD, "value": pl.String, "num_clips": pl.Int64, "num_right": pl.Int64, "accuracy": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "num_rest": pl.Int64, "rest_accuracy": pl.Float64,
    "difference": pl.Float64, "difference_low": pl.Float64, "difference_high": pl.Float64, "test": pl.String,
    "p": pl.Float64,
}  # fmt: skip
_OVERALL = {
    "column": pl.String, "value": pl.String, "num_clips": pl.Int64, "num_right": pl.Int64, "accuracy": pl.Float64,
    "low": pl.Float64, "high": pl.Float64, "odds_ratio": pl.Float64, "test": pl.String, "p": pl.Float64,
}  # fmt: skip


def _no_accuracy() -> pl.DataFrame:
    return pl.DataFrame(schema=_ACCURACY)


def _no_overall() -> pl.DataFrame:
    return pl.DataFrame(schema=_OVERALL)


def accuracy_of(
    shown: pl.DataFrame, column: str, *, names: Mapping[int, str], level: float = 0.95, min_clips: int = MIN_CLIPS
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """How often each subgroup of each class is classified right, and each subgroup over all classes.

    The first has a row a class and value: column, class_id, name, value, num_clips, num_right, accuracy, low, high
    (Wilson), the number and accuracy of the rest of the class whose value is known, the difference with its interval
    (Newcombe), test (rows of one name are one test: with two values, one against the other) and p (Fisher's exact
    test); null where the subgroup or its rest is smaller than `min_clips`.

    The second has a row a value over all classes: column, value, num_clips, num_right, accuracy, low, high, odds_ratio,
    test, p. Accuracy there is what it is, also because a subgroup is in easier classes; odds_ratio and p are those of
    Mantel and Haenszel, which compare within classes only: an odds ratio below 1 means recognised worse in the same
    classes.

    Args:
        shown: `class_id`, `is_right` and the attribute's column, a row a clip and class.
        column: the attribute.
        names: of the classes.
        level: confidence of the intervals.
        min_clips: the fewest clips of a subgroup, and of its rest, that are compared.
    Source: Kinetics-400, section 3.5 (ii).
    """
    told = shown.drop_nulls(column)
    cells = {
        (class_id, value): (int(num), int(right))
        for class_id, value, num, right in told.group_by("class_id", column)
        .agg(pl.len().alias("num"), pl.col("is_right").sum())
        .sort("class_id", column)
        .iter_rows()
    }
    by_class: dict[int, dict[str, tuple[int, int]]] = {}
    for (class_id, value), counts in cells.items():
        by_class.setdefault(class_id, {})[value] = counts
    rows = [
        (column, class_id, names.get(class_id, f"class {class_id}"), *row)
        for class_id, of_class in by_class.items()
        for row in _rows_of_class(of_class, test=str(class_id), level=level, min_clips=min_clips)
    ]
    values = sorted({value for _, value in cells})
    totals = [(column, value, *_row_of_all(by_class, value, values=values, level=level)) for value in values]
    return pl.DataFrame(rows, schema=_ACCURACY, orient="row"), pl.DataFrame(totals, schema=_OVERALL, orient="row")


def _rows_of_class(
    of_class: Mapping[str, tuple[int, int]], *, test: str, level: float, min_clips: int
) -> Iterator[tuple[Any, ...]]:
    all_num, all_right = (sum(counts[i] for counts in of_class.values()) for i in range(2))
    for value, (num, right) in of_class.items():
        rest, rest_right = all_num - num, all_right - right
        low, high = wilson(right, num, level=level)
        head = (value, num, right, right / num, low, high, rest, rest_right / rest if rest else None)
        if min(num, rest) < min_clips:
            yield (*head, None, None, None, None, None)
            continue
        bounds = newcombe(right, num, rest_right, rest, level=level)
        # With two values both rows ask the same question.
        own = test if len(of_class) == 2 else f"{test}: {value}"
        yield (*head, right / num - rest_right / rest, *bounds, own, fisher(right, num, rest_right, rest))


def _row_of_all(
    by_class: Mapping[int, Mapping[str, tuple[int, int]]], value: str, *, values: Sequence[str], level: float
) -> tuple[Any, ...]:
    tables = []
    num = right = 0
    for of_class in by_class.values():
        ours, ours_right = of_class.get(value, (0, 0))
        theirs, theirs_right = (sum(counts[i] for counts in of_class.values()) for i in range(2))
        theirs, theirs_right = theirs - ours, theirs_right - ours_right
        num, right = num + ours, right + ours_right
        tables.append((ours_right, ours - ours_right, theirs_right, theirs - theirs_right))
    found = mantel_haenszel(np.array(tables, dtype=np.int64).reshape(-1, 4))
    low, high = wilson(right, num, level=level)
    odds_ratio, p = (None if math.isnan(number) else number for number in (found.odds_ratio, found.p))
    test = None if p is None else "all" if len(values) == 2 else f"all: {value}"
    return (num, right, right / num, low, high, odds_ratio, test, p)


def corrected(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows with p_holm and p_bh, each test counted once over all attributes.

    Args:
        frame: with `column`, `test` and `p`; null where nothing was tested.
    """
    key = ["column", "test"]
    tests = frame.select(*key, "p").drop_nulls("p").unique(key, maintain_order=True)
    p_T = tests["p"].to_list()
    numbers = tests.with_columns(pl.Series("p_holm", holm(p_T)), pl.Series("p_bh", benjamini_hochberg(p_T)))
    return frame.join(numbers.drop("p"), on=key, how="left", maintain_order="left")


def write_bias(found: Bias, folder: Path) -> tuple[Path, ...]:
    """The files `bias.json` and a csv a table, in a folder that is made.

    Raises:
        BadInput: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in found.tables.items():
            with whole_file(folder / f"{name}.csv") as temporary:
                frame.write_csv(temporary)
        write_json(folder / "bias.json", found.as_json())
    except OSError as error:
        mend = "Name another folder: --out"
        raise BadInput(f"cannot be written ({error.strerror})", where=folder, mend=mend) from error
    return (folder / "bias.json", *(folder / f"{name}.csv" for name in found.tables))
