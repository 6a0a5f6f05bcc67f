"""The lists of the seeds' papers as action lists: what is printed, joined with what the same paper prints beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from gesta.formats import ava_label_map
from gesta.formats.papers import paper_table
from gesta.mine.actions.lists import Action, ActionList, Origin
from gesta.schema import UnknownName

AVA_CATEGORIES: Mapping[str, str] = {
    "PERSON_MOVEMENT": "person-pose",
    "OBJECT_MANIPULATION": "person-object interaction",
    "PERSON_INTERACTION": "person-person interaction",
}
"""What the paper calls the three label types. Source: AVA-Kinetics paper, section 3.4."""

PRINTED_FOR: Mapping[str, str] = {
    "punching person": "punching person (boxing)",
    "massaging person's head": "massaging person",
}
"""Names in the groups of the Kinetics-400 paper (appendix B) that stand for another name in its list (appendix A)."""

HAND_PICKED_TOTAL = 115
"""Kinetics classes that were picked by hand. Source: AVA-Kinetics paper, section 1.2 and appendix A, whose text at hand
ends after 23 of them."""


def _kinetics_400() -> pl.DataFrame:
    classes = paper_table("kinetics_400_classes").frame
    groups = paper_table("kinetics_400_parents").frame.with_columns(pl.col("name").replace(dict(PRINTED_FOR)))
    parents = groups.group_by("name", maintain_order=True).agg(pl.col("group").str.join("|").alias("parents"))
    table = classes.join(parents, on="name", how="left", maintain_order="left")
    return table.select(class_id="rank", name="name", num_clips="num_clips", parents="parents")


def _kinetics_400_parents() -> pl.DataFrame:
    frame = paper_table("kinetics_400_parents").frame
    grouped = frame.group_by("group", "num_printed", maintain_order=True)
    return grouped.agg(pl.len().cast(pl.Int64).alias("num_classes"), pl.col("name").str.join("|").alias("classes"))


def _ava(num_classes: int) -> pl.DataFrame:
    frame = ava_label_map(60 if num_classes == 60 else 80)
    return frame.with_columns(parents=pl.col("category").replace_strict(dict(AVA_CATEGORIES)))


def _with_ids(frame: pl.DataFrame, ids: pl.DataFrame) -> pl.DataFrame:
    found = frame.join(ids, on="name", how="left", maintain_order="left")
    return found.select("class_id", pl.exclude("class_id"))


def _shortlist() -> pl.DataFrame:
    return _with_ids(paper_table("ava_kinetics_shortlist").frame, _ava(80))


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_row_index("class_id", offset=1).with_columns(pl.col("class_id").cast(pl.Int64))


_TABLES: Mapping[str, tuple[str, Callable[[], pl.DataFrame]]] = {
    "kinetics-400": ("the 400 classes with their clips and the groups they are in", _kinetics_400),
    "kinetics-400-parents": ("the 38 groups, each with the size printed and the classes listed", _kinetics_400_parents),
    "kinetics-700-2020-rarest": (
        "the 123 rarest classes with the shares accepted and published",
        lambda: paper_table("kinetics_700_2020_yields").frame.rename({"rank": "class_id"}),
    ),
    "ava-80": ("all 80 classes, with the label map's ids and categories", lambda: _ava(80)),
    "ava-60": ("the 60 classes that are scored", lambda: _ava(60)),
    "ava-kinetics-shortlist": ("the 27 AVA classes of weak recognition", _shortlist),
    "ava-kinetics-hand-picked": (
        "the Kinetics classes picked for them by hand: the first 23 of 115, where the text at hand ends",
        lambda: _numbered(paper_table("ava_kinetics_hand_picked").frame),
    ),
}

SHIPPED = tuple(_TABLES)
"""Names of the lists, for `gesta actions list` and wherever a file of actions is asked for."""

ACTION_LISTS = tuple(name for name in SHIPPED if name != "kinetics-400-parents")
"""Those of them whose rows are classes."""


def shipped_table(name: str) -> pl.DataFrame:
    """The list of that name as a table, with all that is printed of it.

    Raises:
        UnknownName: there is no such list.

    >>> shipped_table("kinetics-700-2020-rarest").row(0)
    (1, 'stacking dice', 38.68, 37.93)
    """
    if name not in _TABLES:
        raise UnknownName(what="list of actions", name=name, choices=SHIPPED)
    return _TABLES[name][1]()


def what_is_shipped() -> dict[str, str]:
    """What each list holds, by its name."""
    return {name: what for name, (what, _) in _TABLES.items()}


def shipped_actions(name: str) -> ActionList:
    """The list of that name as an action list; groups and categories are filled where the paper gives them.

    Ids are those of the released label maps for AVA and Kinetics-400, and the printed rank elsewhere.

    Raises:
        UnknownName: there is no such list of classes.

    >>> shipped_actions("ava-60").named("swim").parents
    ('person-pose',)
    """
    if name not in ACTION_LISTS:
        raise UnknownName(what="list of actions", name=name, choices=ACTION_LISTS)
    return ActionList(
        tuple(
            Action(
                class_id=row["class_id"],
                name=row["name"],
                category=row.get("category"),
                parents=tuple(part for part in (row.get("parents") or "").split("|") if part),
                origins=(
                    Origin(source=name, name=row["name"], class_id=row["class_id"], num_clips=row.get("num_clips")),
                ),
            )
            for row in shipped_table(name).iter_rows(named=True)
        )
    )
