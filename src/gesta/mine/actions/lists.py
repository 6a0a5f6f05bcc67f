"""An action list: the classes that a dataset will have, each with every list that its name came from.

On disk it is a csv with one row a name of a class (`COLUMNS`), so that a person can read, sort and mend it, and the
lists that were joined into it can be told apart again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from gesta.formats.delimited import read_text
from gesta.mine.actions.csv_rows import read_csv_rows
from gesta.schema import BadInput, BadRow, LabelClass, UnknownName
from gesta.tables import write_text

COLUMNS = ("class_id", "name", "category", "parents", "source", "source_id", "source_name", "num_clips")
"""Of the csv. The first four say the class and are the same in all rows of it, the others one of its origins."""

BETWEEN_PARENTS = "|"

_FRAME_COLUMNS = {
    "class_id": pl.Int64(), "name": pl.String(), "category": pl.String(), "parents": pl.String(),
    "num_clips": pl.Int64(), "sources": pl.String(),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One name that a class has in one list, as that list writes it, with its id and its clips there."""

    source: str
    name: str
    class_id: int | None = None
    num_clips: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One class of an action list: its name, the groups that it belongs to, and where its names came from."""

    class_id: int
    name: str
    category: str | None = None
    parents: tuple[str, ...] = ()
    origins: tuple[Origin, ...]

    @property
    def num_clips(self) -> int | None:
        """Clips of all its origins; None where none of them says any."""
        counts = [origin.num_clips for origin in self.origins if origin.num_clips is not None]
        return sum(counts) if counts else None

    @property
    def names(self) -> tuple[str, ...]:
        """Its name and those of its origins, each once."""
        return tuple(dict.fromkeys((self.name, *(origin.name for origin in self.origins))))


@dataclass(frozen=True, slots=True)
class ActionList:
    """Classes in their order; ids and names are unique.

    Raises:
        BadInput: an id or a name comes twice, or a class has no name or no origin.
    """

    actions: tuple[Action, ...] = field(default=())

    def __post_init__(self) -> None:
        seen: dict[object, str] = {}
        for action in self.actions:
            if not action.name.strip() or not action.origins:
                raise BadInput(f"{action} has no name or no origin", mend="Each class needs both")
            for key in (action.class_id, action.name.casefold()):
                if key in seen:
                    raise BadInput(
                        f"{action.name!r} ({action.class_id}) and {seen[key]!r} share an id or a name",
                        mend="Give each class its own",
                    )
                seen[key] = action.name

    def __len__(self) -> int:
        return len(self.actions)

    def __iter__(self) -> Iterator[Action]:
        return iter(self.actions)

    @property
    def classes(self) -> list[LabelClass]:
        """The rows of a label map, in the list's order."""
        return [LabelClass(class_id=row.class_id, name=row.name, category=row.category) for row in self.actions]

    @property
    def sources(self) -> tuple[str, ...]:
        """The lists that the classes came from, in the order of their first name."""
        return tuple(dict.fromkeys(origin.source for row in self.actions for origin in row.origins))

    @property
    def frame(self) -> pl.DataFrame:
        """One row a class: its id, name, category, groups, clips and sources."""
        rows = [
            (
                row.class_id, row.name, row.category, BETWEEN_PARENTS.join(row.parents) or None, row.num_clips,
                BETWEEN_PARENTS.join(dict.fromkeys(origin.source for origin in row.origins)),
            )
            for row in self.actions
        ]  # fmt: skip
        return pl.DataFrame(rows, schema=_FRAME_COLUMNS, orient="row")

    def named(self, text: str, *, where: str | Path = "") -> Action:
        """The class of that name (any of its names, whatever the case) or id; its own name comes before others'.

        Raises:
            UnknownName: there is no such class.
        """
        folded = text.casefold()
        for row in self.actions:
            if row.name.casefold() == folded:
                return row
        for row in self.actions:
            if folded in (name.casefold() for name in row.names) or text == str(row.class_id):
                return row
        raise UnknownName(what="class", name=text, choices=_near(text, [row.name for row in self.actions]), where=where)


def _near(text: str, names: Sequence[str]) -> list[str]:
    """At most twenty names, those that share a word with the text first: a list of 700 helps nobody."""
    words = set(text.casefold().split())
    return sorted(names, key=lambda name: -len(words & set(name.casefold().split())))[:20]


def joined(lists: Iterable[ActionList]) -> ActionList:
    """All classes of several lists: those of the first, then what each later one adds; equal names become one class.

    The ids of the first list stay as published; a class that a later list adds gets the id after the highest. Names
    are compared without regard to case. Groups and clips are those of all lists.

    >>> first = action_list("a", [(1, "archery"), (5, "abseiling")])
    >>> both = joined([first, action_list("b", [(1, "Archery"), (2, "yoga"), (5, "zumba")])])
    >>> [(row.class_id, row.name, len(row.origins)) for row in both]
    [(1, 'archery', 2), (5, 'abseiling', 1), (6, 'yoga', 1), (7, 'zumba', 1)]
    """
    rows: dict[str, Action] = {}
    highest = 0
    for number, one in enumerate(lists):
        for action in one.actions:
            key = action.name.casefold()
            if key in rows:
                rows[key] = with_action(rows[key], action)
            else:
                class_id = action.class_id if number == 0 else highest + 1
                highest = max(highest, class_id)
                rows[key] = replace(action, class_id=class_id)
    return ActionList(tuple(rows.values()))


def with_action(kept: Action, other: Action) -> Action:
    """The first class with the origins and groups of the second behind its own."""
    return replace(
        kept,
        category=kept.category if kept.category is not None else other.category,
        parents=tuple(dict.fromkeys((*kept.parents, *other.parents))),
        origins=tuple(dict.fromkeys((*kept.origins, *other.origins))),
    )


def action_list(source: str, rows: Iterable[tuple[int, str]]) -> ActionList:
    """The list of those ids and names, all from one source.

    >>> action_list("mine", [(3, "yoga")]).actions[0].origins[0].source
    'mine'
    """
    return ActionList(
        tuple(
            Action(class_id=class_id, name=name, origins=(Origin(source=source, name=name, class_id=class_id),))
            for class_id, name in rows
        )
    )


def write_actions(path: Path, actions: ActionList) -> None:
    """The list as a csv, whole or not at all.

    Raises:
        BadInput: a name or group breaks a line, or a group holds the mark that stands between groups.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in actions.actions:
        for text in (row.name, row.category or "", *row.parents, *(name for name in row.names)):
            if "\n" in text or "\r" in text:
                raise BadInput(f"{text!r} breaks a line", where=path, mend="Want one line of text")
        for parent in row.parents:
            if BETWEEN_PARENTS in parent or parent != parent.strip() or not parent:
                raise BadInput(
                    f"the group {parent!r} cannot be written", where=path,
                    mend=f"Want some text without {BETWEEN_PARENTS!r} and without blanks at its ends",
                )  # fmt: skip
        head = (row.class_id, row.name, row.category, BETWEEN_PARENTS.join(row.parents))
        for origin in row.origins:
            writer.writerow((*head, origin.source, origin.class_id, origin.name, origin.num_clips))
    write_text(path, stream.getvalue())


def is_action_list(path: Path) -> bool:
    """Whether the file begins as the csv of an action list does.

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: a line is not UTF-8.
    """
    first = read_text(path).split("\n", 1)[0].rstrip("\r")
    return first == ",".join(COLUMNS)


def read_action_list(path: Path) -> ActionList:
    """The list that `write_actions` wrote, or that a person mended.

    Rows with one `class_id` are one class, wherever they stand.

    Raises:
        BadInput: there is no such file, it cannot be read, or holds no class; or two classes share a name.
        BadRow: a line is not of `COLUMNS`, a number is none, or two rows of one class say it differently.
    """
    rows: dict[int, tuple[int, Action]] = {}
    listed = read_csv_rows(path)
    if listed:
        _refuse_other_header(listed[0][1], path=path)
    for line, cells in listed[1:]:
        action = _action_of(cells, path=path, line=line)
        first, known = rows.get(action.class_id, (line, action))
        if (known.name, known.category, known.parents) != (action.name, action.category, action.parents):
            raise BadRow(
                f"class {action.class_id} is written differently in line {first}", path=path, line=line,
                mend="Write name, category and parents alike in all rows of a class",
            )  # fmt: skip
        rows[action.class_id] = (first, with_action(known, action))
    if not rows:
        raise BadInput("the action list holds no class", where=path, mend="Make one: gesta actions import")
    try:
        return ActionList(tuple(action for _, action in rows.values()))
    except BadInput as error:
        raise BadInput(error.problem, where=path, mend=error.mend) from error


def _refuse_other_header(cells: Sequence[str], *, path: Path) -> None:
    if tuple(cells) != COLUMNS:
        raise BadRow(
            f"the columns are {','.join(cells)}", path=path, line=1, mend=f"Want {','.join(COLUMNS)}"
        )  # fmt: skip


def _action_of(cells: Sequence[str], *, path: Path, line: int) -> Action:
    if len(cells) != len(COLUMNS):
        raise BadRow(f"{len(cells)} cells", path=path, line=line, mend=f"Want {len(COLUMNS)}: {','.join(COLUMNS)}")
    row = dict(zip(COLUMNS, cells, strict=True))
    numbers: dict[str, int | None] = {}
    for column in ("class_id", "source_id", "num_clips"):
        text = row[column].strip()
        if text and not (text.isascii() and text.lstrip("-").isdigit()):
            raise BadRow(f"{column} is {text!r}", path=path, line=line, mend="Want a whole number")
        numbers[column] = int(text) if text else None
    class_id = numbers["class_id"]
    for column in ("name", "source", "source_name"):
        if not row[column].strip():
            raise BadRow(f"there is no {column}", path=path, line=line, mend="Every row needs one")
    if class_id is None:
        raise BadRow("there is no class_id", path=path, line=line, mend="Every row needs one")
    parents = tuple(part.strip() for part in row["parents"].split(BETWEEN_PARENTS) if part.strip())
    return Action(
        class_id=class_id,
        name=row["name"].strip(),
        category=row["category"].strip() or None,
        parents=tuple(dict.fromkeys(parents)),
        origins=(
            Origin(
                source=row["source"], name=row["source_name"], class_id=numbers["source_id"],
                num_clips=numbers["num_clips"],
            ),
        ),
    )  # fmt: skip
