"""Classes too general by the company that they keep: those that stand beside many others where labels are at hand.

"Talking" goes with nearly everything, so a clip of it says little and one label a clip is not enough. What is counted
is how often a class stands on the same clip, or on the same person of the same key-frame, as another.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.formats import Annotations
from gesta.mine.actions.lists import ActionList
from gesta.tables import read_table, table_path

UNIT_OF_BOXES = ("video_id", "timestamp_us", "person_id", "x1", "y1", "x2", "y2")
UNIT_OF_CLIPS = ("video_id", "start_us", "end_us")


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """How much a class stands beside others; see `company_of`."""

    class_id: int
    name: str
    num_units: int
    frac_with_others: float
    num_classes: int
    frac_of_classes: float


def units_of(annotations: Annotations) -> pl.DataFrame:
    """Columns `unit` and `class_id`, each pair once: the labels of each clip, or of each person where there are boxes.

    >>> clips = pl.DataFrame({"video_id": ["v", "v"], "start_us": [0, 0], "end_us": [9, 9], "class_id": [4, 7]})
    >>> from gesta.formats.annotations import CLIP_COLUMNS, shaped
    >>> units_of(Annotations(clips=shaped(clips, CLIP_COLUMNS))).rows()
    [(0, 4), (0, 7)]
    """
    rows, unit = (annotations.boxes, UNIT_OF_BOXES) if annotations.boxes.height else (annotations.clips, UNIT_OF_CLIPS)
    labelled = rows.drop_nulls("class_id")
    numbered = labelled.with_columns((pl.struct(unit).rank("dense").cast(pl.Int64) - 1).alias("unit"))
    return numbered.select("unit", "class_id").unique(maintain_order=True)


def units_of_work(work: Path) -> pl.DataFrame | None:
    """Columns `unit` and `class_id` of what was accepted in a work folder: of clips, or of boxed persons.

    None where the folder has no labels yet.
    """
    for table, unit in (("box_labels", ("clip_id", "timestamp_us", "person_id")), ("clip_labels", ("clip_id",))):
        if table_path(work, table).is_file():
            accepted = read_table(work, table).filter(pl.col("verdict") == "accepted")
            numbered = accepted.with_columns((pl.struct(unit).rank("dense").cast(pl.Int64) - 1).alias("unit"))
            return numbered.select("unit", "class_id").unique(maintain_order=True)
    return None


def with_ids_of(units: pl.DataFrame, *, label_map: pl.DataFrame, actions: ActionList) -> pl.DataFrame:
    """The units with the ids that the list gives to the label map's names; as they are where it names nothing.

    >>> from gesta.mine.actions.lists import action_list
    >>> units = pl.DataFrame({"unit": [0, 1], "class_id": [4, 7]})
    >>> names = pl.DataFrame({"class_id": [4, 7], "name": ["yoga", "zumba"]})
    >>> with_ids_of(units, label_map=names, actions=action_list("a", [(1, "yoga")])).rows()
    [(0, 1)]
    """
    if not label_map.height:
        return units
    id_of = {name.casefold(): row.class_id for row in reversed(actions.actions) for name in row.names}
    pairs = [
        (class_id, id_of.get(name.casefold())) for class_id, name in label_map.select("class_id", "name").iter_rows()
    ]
    known = pl.DataFrame(pairs, schema={"class_id": pl.Int64, "own_id": pl.Int64}, orient="row").drop_nulls()
    found = units.join(known, on="class_id", how="inner", maintain_order="left")
    return found.select("unit", pl.col("own_id").alias("class_id")).unique(maintain_order=True)


def company_of(
    units: pl.DataFrame, *, actions: ActionList, min_units: int = 20, min_frac: float = 0.1
) -> list[Company]:
    """How many other classes each class goes with, those that go with the most first.

    A class goes with another where it stands on at least `min_frac` of the other's units. `frac_of_classes` is over the
    classes with at least `min_units` units, without itself; `frac_with_others` is of its own units. Classes with fewer
    units are left out.

    Args:
        units: columns `unit` and `class_id`, each pair once.
        actions: names of the classes; others are left out.
        min_units: units that a class needs to be counted, on either side.
        min_frac: share of the other class's units.
    Source: Kinetics-400 paper, section 3.4: classes that are too general and co-occur with many others. The measure and
        both bounds are ours.

    >>> rows = (
    ...     [(unit, 1) for unit in range(40)]
    ...     + [(unit, 2) for unit in range(20)]
    ...     + [(unit, 3) for unit in range(20, 40)]
    ... )
    >>> from gesta.mine.actions.lists import action_list
    >>> names = action_list("a", [(1, "talking"), (2, "knitting"), (3, "ironing")])
    >>> found = company_of(pl.DataFrame(rows, schema=["unit", "class_id"], orient="row"), actions=names)
    >>> [(row.name, row.num_classes, row.frac_of_classes) for row in found]
    [('talking', 2, 1.0), ('knitting', 1, 0.5), ('ironing', 1, 0.5)]
    """
    name_of = {row.class_id: row.name for row in actions.actions}
    known = units.filter(pl.col("class_id").is_in(list(name_of)))
    counts = dict(known.group_by("class_id").agg(pl.len()).filter(pl.col("len") >= min_units).iter_rows())
    known = known.filter(pl.col("class_id").is_in(list(counts)))
    pairs = known.join(known, on="unit", suffix="_other").filter(pl.col("class_id") != pl.col("class_id_other"))
    together = pairs.group_by("class_id", "class_id_other").agg(pl.len().alias("num"))
    goes_with: dict[int, int] = {}
    for class_id, other, num in together.iter_rows():
        goes_with[class_id] = goes_with.get(class_id, 0) + (num >= min_frac * counts[other])
    accompanied = dict(pairs.group_by("class_id").agg(pl.col("unit").n_unique()).iter_rows())
    found = [
        Company(
            class_id=class_id,
            name=name_of[class_id],
            num_units=num_units,
            frac_with_others=accompanied.get(class_id, 0) / num_units,
            num_classes=goes_with.get(class_id, 0),
            frac_of_classes=goes_with.get(class_id, 0) / max(1, len(counts) - 1),
        )
        for class_id, num_units in counts.items()
    ]
    return sorted(found, key=lambda row: (-row.num_classes, -row.frac_with_others, row.class_id))
