"""Classes that are one action made one class, and names changed: by decisions that are written down and replayed.

A decision is a row of a csv (`COLUMNS`) that a person can read, turn round or strike out: `merge` makes the class
`other` part of the class `name`, `apart` keeps two that a rule would merge, `rename` gives the class `name` the name
`other`. Nothing is lost: a class keeps the origins of all that went into it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gesta.mine.actions.csv_rows import read_csv_rows
from gesta.mine.actions.gerunds import Form, named_in_form
from gesta.mine.actions.lists import Action, ActionList, Origin, with_action
from gesta.mine.actions.synonyms import SynonymTable
from gesta.mine.actions.twins import twins_in
from gesta.schema import BadInput, BadRow
from gesta.tables import write_text

What = Literal["merge", "apart", "rename"]
WHATS: tuple[What, ...] = ("merge", "apart", "rename")
COLUMNS = ("what", "name", "other", "rule", "why")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is done with one or two names; `rule` says who decided: a rule's name, `form`, or `user`."""

    what: What
    name: str
    other: str
    rule: str = "user"
    why: str = ""


def proposed_decisions(
    actions: ActionList,
    *,
    earlier: Sequence[Decision] = (),
    synonyms: SynonymTable | None = None,
    form: Form | None = None,
    where: str | Path = "",
) -> list[Decision]:
    """What the rules would do beyond what is decided: merges of classes that are one action, then names in one form.

    Args:
        earlier: decisions that hold already; what they keep apart is not proposed again.
        synonyms: None = those shipped.
        form: the form that all names shall have; None leaves names as they are.
        where: what to name in an error: the file of the earlier decisions.
    Raises:
        BadInput: an earlier decision does not fit the list.
        UnknownName: an earlier decision names no class of the list.
        MissingExtra: snowballstemmer is not installed.

    >>> from gesta.mine.actions.lists import action_list
    >>> both = action_list("a", enumerate(["riding motorcycle", "ride motorbike"]))
    >>> [(row.what, row.name, row.other, row.rule) for row in proposed_decisions(both)]
    [('merge', 'riding motorcycle', 'ride motorbike', 'synonym')]
    """
    book = _Book(actions, where=where)
    book.take(earlier)
    found: list[Decision] = []
    for twin in twins_in(book.actions(), synonyms=synonyms):
        if not book.are_apart(twin.kept, twin.other):
            book.merge(twin.kept, twin.other)
            found.append(Decision(what="merge", name=twin.kept, other=twin.other, rule=twin.rule, why=twin.why))
    return [*found, *_renamings(actions, decisions=[*earlier, *found], form=form)]


def _renamings(actions: ActionList, *, decisions: Sequence[Decision], form: Form | None) -> list[Decision]:
    """Names brought to one form, where no other class has that name and nobody has named the class by hand."""
    if form is None:
        return []
    now = merged_actions(actions, decisions=decisions)
    taken = {action.name.casefold() for action in now.actions}
    by_hand = {row.other.casefold() for row in decisions if row.what == "rename"}
    found: list[Decision] = []
    for action in now.actions:
        name = named_in_form(action.name, form=form)
        if name != action.name and name.casefold() not in taken and action.name.casefold() not in by_hand:
            taken.add(name.casefold())
            why = f"{action.name!r} in the form {form!r}"
            found.append(Decision(what="rename", name=action.name, other=name, rule="form", why=why))
    return found


def merged_actions(actions: ActionList, *, decisions: Iterable[Decision], where: str | Path = "") -> ActionList:
    """The list after the decisions, taken in their order; classes keep their ids and their places.

    Names are those of the list, or those that a rename before gave; a name that went into another class stands for
    that class. A merge of what is one class already changes nothing, so decisions may be taken twice.

    Args:
        where: what to name in an error: the file of the decisions.
    Raises:
        UnknownName: a decision names no class.
        BadInput: a new name is another class's, or two classes that were to stay apart became one.

    >>> from gesta.mine.actions.lists import action_list
    >>> both = action_list("a", enumerate(["riding motorcycle", "riding motorbike"]))
    >>> one = merged_actions(
    ...     both, decisions=[Decision(what="merge", name="riding motorcycle", other="riding motorbike")]
    ... )
    >>> [(row.class_id, row.name, len(row.origins)) for row in one]
    [(0, 'riding motorcycle', 2)]
    """
    book = _Book(actions, where=where)
    book.take(decisions)
    return book.actions()


class _Book:
    """The classes while decisions are taken: by name, and which class each name stands for."""

    def __init__(self, actions: ActionList, *, where: str | Path) -> None:
        self._where = where
        self._list = actions
        self._rows: dict[int, Action] = {row.class_id: row for row in actions.actions}
        self._into: dict[int, int] = {}
        self._apart: list[tuple[int, int, str, str]] = []
        self._renamed: dict[str, int] = {}

    def _id_of(self, name: str) -> int:
        class_id = self._renamed.get(name.casefold())
        if class_id is None:
            class_id = self._list.named(name, where=self._where).class_id
        return self._root(class_id)

    def take(self, decisions: Iterable[Decision]) -> None:
        for row in decisions:
            if row.what == "merge":
                self.merge(row.name, row.other)
            elif row.what == "rename":
                self.rename(row.name, row.other)
            else:
                self._apart.append((self._id_of(row.name), self._id_of(row.other), row.name, row.other))

    def are_apart(self, name: str, other: str) -> bool:
        """Whether to merge the two would bring together what is to stay apart."""
        both = {self._id_of(name), self._id_of(other)}
        return any({self._root(one), self._root(two)} == both for one, two, _, _ in self._apart)

    def merge(self, name: str, other: str) -> None:
        kept, gone = self._id_of(name), self._id_of(other)
        if kept != gone:
            self._rows[kept] = with_action(self._rows[kept], self._rows.pop(gone))
            self._into[gone] = kept

    def rename(self, name: str, new: str) -> None:
        class_id = self._id_of(name)
        if not new.strip():
            raise BadInput(f"the new name of {name!r} is empty", where=self._where, mend="Write one")
        holder = next((i for i, row in self._rows.items() if row.name.casefold() == new.casefold()), class_id)
        if holder != class_id:
            raise BadInput(
                f"{name!r} cannot be called {new!r}, which another class is", where=self._where,
                mend="Merge the two, or choose another name",
            )  # fmt: skip
        self._renamed.setdefault(self._rows[class_id].name.casefold(), class_id)
        self._rows[class_id] = replace(self._rows[class_id], name=new)
        self._renamed[new.casefold()] = class_id

    def actions(self) -> ActionList:
        for one, two, name, other in self._apart:
            if self._root(one) == self._root(two):
                raise BadInput(
                    f"{name!r} and {other!r} were to stay apart and became one class", where=self._where,
                    mend="Take out that line, or one of the merges between them",
                )  # fmt: skip
        return ActionList(tuple(self._rows[row.class_id] for row in self._list.actions if row.class_id in self._rows))

    def _root(self, class_id: int) -> int:
        while class_id in self._into:
            class_id = self._into[class_id]
        return class_id


def origins_of(actions: ActionList) -> list[Origin]:
    """Every origin of the list, in its order; merging changes their order at most."""
    return [origin for row in actions.actions for origin in row.origins]


def write_decisions(path: Path, decisions: Iterable[Decision]) -> None:
    """The decisions as a csv, whole or not at all."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((row.what, row.name, row.other, row.rule, row.why) for row in decisions)
    write_text(path, stream.getvalue())


def read_decisions(path: Path) -> list[Decision]:
    """The decisions of a csv, in its order; `rule` and `why` may be left out and are then `user` and nothing.

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: the columns are others, a name is empty, or what is decided is none of the three.
    """
    rows = read_csv_rows(path)
    if rows and tuple(rows[0][1]) not in (COLUMNS, COLUMNS[:4], COLUMNS[:3]):
        problem = f"the columns are {','.join(rows[0][1])}"
        raise BadRow(problem, path=path, line=rows[0][0], mend=f"Want {','.join(COLUMNS)}")
    return [_decision(cells, path=path, line=line) for line, cells in rows[1:]]


def _decision(cells: list[str], *, path: Path, line: int) -> Decision:
    what, name, other, rule, why = (*(cell.strip() for cell in cells), "", "", "", "", "")[:5]
    if len(cells) > len(COLUMNS) or not name or not other:
        raise BadRow(
            "this is no decision", path=path, line=line, mend="Write as: merge,riding motorcycle,riding motorbike"
        )
    known = next((one for one in WHATS if one == what), None)
    if known is None:
        raise BadRow(f"what is decided is {what!r}", path=path, line=line, mend=f"Want {', '.join(WHATS)}")
    return Decision(what=known, name=name, other=other, rule=rule or "user", why=why)
