"""Groups of classes, not exclusive, as the 38 parents of Kinetics-400: read, checked against a list, put into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gesta.formats import format_of
from gesta.formats.json_values import read_json
from gesta.formats.label_map import read_label_map
from gesta.formats.papers import paper_table
from gesta.mine.actions.csv_rows import headed_rows
from gesta.mine.actions.keys import without_asides
from gesta.mine.actions.lists import Action, ActionList, is_action_list, read_action_list
from gesta.mine.actions.shipped import PRINTED_FOR
from gesta.schema import BadInput, BadRow

KINETICS_400 = "kinetics-400"
"""Name of the groups that the package holds."""

_GROUP_COLUMNS = ("group", "parent", "category")
_NAME_COLUMNS = ("name", "label", "class", "action")

Groups = Mapping[str, Sequence[str]]
"""Names of classes by group, both in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """A list with its groups, and what was seen: children that no class is, and classes in no group."""

    actions: ActionList
    missing: tuple[tuple[str, str], ...]
    loosely: tuple[tuple[str, str, str], ...]
    ungrouped: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """Classes of each group, in the order of the groups."""
        found: dict[str, int] = {}
        for row in self.actions.actions:
            for parent in row.parents:
                found[parent] = found.get(parent, 0) + 1
        return found


def read_groups(where: Path | str) -> dict[str, tuple[str, ...]]:
    """The groups of a shipped name or a file.

    A file is JSON (`{"group": ["name", ...]}`), a csv with a header (`group` or `parent`, and `name` or `label`), an
    action list, or a label map with categories.

    Raises:
        BadInput: there is neither such a file nor such a name, it cannot be read, or holds no group.
        BadRow: a line is not what it must be.
    """
    path = Path(where)
    if not path.exists():
        if str(where) == KINETICS_400:
            return printed_groups()
        raise BadInput(
            "there is no such file, nor such shipped groups", where=where, mend=f"Shipped are: {KINETICS_400}"
        )  # fmt: skip
    pairs = _pairs_in(path)
    if not pairs:
        raise BadInput("it holds no group", where=path, mend='Write as: {"hair": ["braiding hair", "washing hair"]}')
    found: dict[str, dict[str, None]] = {}
    for group, name in pairs:
        found.setdefault(group, {})[name] = None
    return {group: tuple(names) for group, names in found.items()}


def printed_groups() -> dict[str, tuple[str, ...]]:
    """The 38 groups of Kinetics-400 as printed.

    >>> len(printed_groups()), printed_groups()["hair"][:2]
    (38, ('braiding hair', 'brushing hair'))
    """
    found: dict[str, list[str]] = {}
    for group, _, name in paper_table("kinetics_400_parents").frame.iter_rows():
        found.setdefault(group, []).append(name)
    return {group: tuple(names) for group, names in found.items()}


def _pairs_in(path: Path) -> list[tuple[str, str]]:
    if path.suffix == ".json":
        value = read_json(path)
        if not isinstance(value, dict) or not all(
            isinstance(names, list) and all(isinstance(name, str) for name in names) for names in value.values()
        ):
            raise BadInput("these are no groups of names", where=path, mend='Write as: {"hair": ["braiding hair"]}')
        return [(group, name) for group, names in value.items() for name in names]
    if path.suffix == ".csv":
        if is_action_list(path):
            return [(parent, row.name) for row in read_action_list(path).actions for parent in row.parents]
        return _pairs_in_csv(path)
    if format_of(path) == "label-map":
        return [(group, name) for _, name, group in read_label_map(path).iter_rows() if group]
    raise BadInput("these are no groups of names", where=path, mend="Give JSON, a csv, or a label map with categories")


def _pairs_in_csv(path: Path) -> list[tuple[str, str]]:
    header, rows = headed_rows(path)
    group_at = next((column for column in _GROUP_COLUMNS if column in header), None)
    name_at = next((column for column in _NAME_COLUMNS if column in header), None)
    if group_at is None or name_at is None:
        raise BadRow(f"the columns are {','.join(header)}", path=path, line=1, mend="Want group,name")
    found = []
    for line, row in rows:
        if not row[group_at] or not row[name_at]:
            raise BadRow("a cell is empty", path=path, line=line, mend="Want a group and a name")
        found.append((row[group_at], row[name_at]))
    return found


def with_parents(actions: ActionList, groups: Groups, *, keep: bool = False) -> Grouped:
    """The list with the groups of each class, in the groups' order, and what did not fit.

    A child is a class by any of its names; else by the printed shorthand of the Kinetics-400 paper, or where it is the
    name of a single class without what stands in brackets (`loosely` tells these).

    Args:
        keep: whether groups that classes have already stay, before these.

    >>> from gesta.mine.actions.lists import action_list
    >>> both = action_list("a", enumerate(["punching person (boxing)", "yoga"]))
    >>> done = with_parents(both, {"combat": ["punching person", "fencing"]})
    >>> [row.parents for row in done.actions], done.missing, done.ungrouped
    ([('combat',), ()], (('combat', 'fencing'),), ('yoga',))
    """
    exactly: dict[str, Action] = {}
    for names in (lambda row: (row.name,), lambda row: row.names):
        for row in actions.actions:
            for name in names(row):
                exactly.setdefault(name.casefold(), row)
    bare: dict[str, list[Action]] = {}
    for row in actions.actions:
        bare.setdefault(without_asides(row.name).casefold(), []).append(row)
    parents: dict[int, list[str]] = {row.class_id: list(row.parents) if keep else [] for row in actions.actions}
    missing: list[tuple[str, str]] = []
    loosely: list[tuple[str, str, str]] = []
    for group, children in groups.items():
        for child in children:
            found = exactly.get(child.casefold())
            if found is None:
                likely = bare.get(child.casefold(), [])
                found = exactly.get(PRINTED_FOR.get(child, "").casefold()) or (likely[0] if len(likely) == 1 else None)
                if found is None:
                    missing.append((group, child))
                    continue
                loosely.append((group, child, found.name))
            parents[found.class_id].append(group)
    rows = tuple(replace(row, parents=tuple(dict.fromkeys(parents[row.class_id]))) for row in actions.actions)
    return Grouped(
        actions=ActionList(rows),
        missing=tuple(missing),
        loosely=tuple(loosely),
        ungrouped=tuple(row.name for row in rows if not row.parents),
    )
