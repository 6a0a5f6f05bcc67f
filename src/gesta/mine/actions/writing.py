"""An action list as what other verbs and programs read: a label map, a plain list of names, or its groups."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from gesta.formats import write_label_map
from gesta.mine.actions.gerunds import Form, named_in_form
from gesta.mine.actions.lists import ActionList, write_actions
from gesta.schema import BadInput
from gesta.tables import frame_of, write_json

Dialect = Literal["label", "item"]


def write_list(path: Path, actions: ActionList, *, dialect: Dialect = "label") -> None:
    """The list in the layout of the file's ending, whole or not at all.

    `.pbtxt`: a label map; a category that is no single word goes into it with underscores. `.txt`: a name a line.
    `.csv`: an action list. `.json`: the classes of each group, as Kinetics-400's parents are published.

    Raises:
        BadInput: the ending is another, a name cannot be written so, `.txt` is asked for and the ids are not 1, 2, 3
            ..., or `.json` and no class is in a group.
    """
    if path.suffix == ".csv":
        write_actions(path, actions)
    elif path.suffix in (".pbtxt", ".txt"):
        rows = [
            replace(row, category=None if row.category is None else _single_word(row.category))
            for row in actions.classes
        ]
        if path.suffix == ".txt" and [row.class_id for row in rows] != list(range(1, len(rows) + 1)):
            raise BadInput(
                "the class ids are not 1, 2, 3 ..., so a plain list cannot say them", where=path,
                mend="Write a .pbtxt, or give new ids with --renumber",
            )  # fmt: skip
        write_label_map(path, frame_of("label_map", rows), dialect="txt" if path.suffix == ".txt" else dialect)
    elif path.suffix == ".json":
        groups: dict[str, list[str]] = {}
        for row in actions.actions:
            for parent in row.parents:
                groups.setdefault(parent, []).append(row.name)
        if not groups:
            raise BadInput("no class is in a group", where=path, mend="Put them into groups: gesta actions parents")
        write_json(path, {group: list(names) for group, names in groups.items()})
    else:
        raise BadInput(f"no layout has the ending {path.suffix!r}", where=path, mend="Want .pbtxt, .txt, .csv or .json")


def _single_word(category: str) -> str:
    """The category as a word of a label map: letters, digits and underscores.

    >>> _single_word("PERSON_MOVEMENT"), _single_word("water activities")
    ('PERSON_MOVEMENT', 'water_activities')
    """
    word = "".join(sign if sign.isascii() and (sign.isalnum() or sign == "_") else "_" for sign in category)
    return word if word[:1].isalpha() or word[:1] == "_" else f"_{word}"


def renumbered(actions: ActionList) -> ActionList:
    """The list with the ids 1, 2, 3 ... in its order; ids of origins stay as published.

    >>> from gesta.mine.actions.lists import action_list
    >>> [row.class_id for row in renumbered(action_list("a", [(7, "yoga"), (3, "zumba")]))]
    [1, 2]
    """
    return ActionList(tuple(replace(row, class_id=number) for number, row in enumerate(actions.actions, start=1)))


def in_form(actions: ActionList, *, form: Form) -> ActionList:
    """The list with the verbs of its names in that form.

    Raises:
        UnknownName: there is no such form.
        BadInput: two names become one.
    """
    return ActionList(tuple(replace(row, name=named_in_form(row.name, form=form)) for row in actions.actions))
