"""Results of evaluation as JSON values at full precision; null where a number does not exist."""

from __future__ import annotations

import dataclasses
import math

import polars as pl

from gesta.evaluate.breakdown import Breakdown
from gesta.evaluate.classification import ClipScores
from gesta.evaluate.diagnosis import Diagnosis
from gesta.evaluate.intervals import MapDifference, MapIntervals
from gesta.tables import Json


def plain_json(value: object) -> Json:
    """A dataclass, table, tuple, mapping or number as JSON; NaN and infinities are null.

    Raises:
        TypeError: a value is none of these.

    >>> plain_json({"mAP": float("nan"), "ious": (0.5, 0.75)})
    {'mAP': None, 'ious': [0.5, 0.75]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, pl.DataFrame):
        return [plain_json(row) for row in value.to_dicts()]
    if isinstance(value, dict):
        return {str(key): plain_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"{type(value).__name__} has no JSON")


def _by_name(class_ids: tuple[int, ...], values: tuple[object, ...], label_map: pl.DataFrame) -> dict[str, Json]:
    names = dict(label_map.select("class_id", "name").iter_rows())
    return {
        names.get(class_id, str(class_id)): plain_json(value) for class_id, value in zip(class_ids, values, strict=True)
    }


def intervals_json(result: MapIntervals, label_map: pl.DataFrame) -> dict[str, Json]:
    """The mAP and AP (class name to interval), with how they were drawn."""
    how = ("level", "method", "num_videos", "num_resamples", "seed")
    return {
        "mAP": plain_json(result.mean_ap),
        "AP": _by_name(result.class_ids, result.average_precision, label_map),
        **{name: getattr(result, name) for name in how},
    }


def difference_json(result: MapDifference, label_map: pl.DataFrame) -> dict[str, Json]:
    """The mAP of both models, their difference, and class by class (class name to interval and share)."""
    how = ("share_a_above", "share_equal", "level", "method", "num_videos", "num_resamples", "seed")
    return {
        "a": plain_json(result.a),
        "b": plain_json(result.b),
        "difference": plain_json(result.difference),
        "class_difference": _by_name(result.class_ids, result.class_difference, label_map),
        "class_share_a_above": _by_name(result.class_ids, result.class_share_a_above, label_map),
        **{name: plain_json(getattr(result, name)) for name in how},
    }


def breakdown_json(result: Breakdown, label_map: pl.DataFrame) -> Json:
    """The costs of each kind of error, and the same class by class, with names."""
    names = label_map.select("class_id", "name")
    named = result.by_class.join(names, on="class_id", how="left", maintain_order="left")
    return plain_json(dataclasses.replace(result, by_class=named))


def groups_json(groups: pl.DataFrame) -> Json:
    """One object a group."""
    return plain_json(groups)


def diagnosis_json(result: Diagnosis) -> Json:
    """The findings in their order."""
    return plain_json(result)


def clips_json(result: ClipScores, label_map: pl.DataFrame | None = None) -> dict[str, Json]:
    """Every number; the confusion matrix as rows in the order of `class_ids`."""
    by_class = result.by_class
    if label_map is not None:
        names = label_map.select("class_id", "name")
        by_class = by_class.join(names, on="class_id", how="left", maintain_order="left")
    whole = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    whole |= {"by_class": by_class, "confusion": result.confusion_CC.tolist()}
    del whole["confusion_CC"]
    return {name: plain_json(value) for name, value in whole.items()}
