"""Everything that is to be looked at in an action list, as rows that a person goes through."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gesta.mine.actions.gerunds import Form, has_known_form, named_in_form
from gesta.mine.actions.lists import ActionList
from gesta.mine.actions.overlaps import Family, General, Overlap, families_in, general_names, overlaps_in
from gesta.mine.actions.synonyms import SynonymTable
from gesta.mine.actions.together import Company, company_of
from gesta.mine.actions.twins import Twin, twins_in
from gesta.tables import Json, write_text

COLUMNS = ("kind", "name", "other", "detail")
MIN_FRAC_OF_CLASSES = 0.25
"""A class that goes with this share of the others is told as too general. Source: ours; on AVA it parts standing,
sitting, talking, listening, watching and holding from the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to look at: `same`, an overlap's kind, `general`, `company`, `form` or `verb`."""

    kind: str
    name: str
    other: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What `check_actions` saw in a list."""

    num_classes: int
    twins: tuple[Twin, ...]
    overlaps: tuple[Overlap, ...]
    general: tuple[General, ...]
    company: tuple[Company, ...]
    families: tuple[Family, ...]
    forms: tuple[tuple[str, str], ...]
    without_verb: tuple[str, ...]

    @property
    def findings(self) -> list[Finding]:
        """All that a person should look at, by kind; families and names without a verb are no faults and not in it."""
        return list(_findings(self))

    def as_json(self) -> dict[str, Json]:
        """Counts by kind, the findings, and the families."""
        counts: dict[str, int] = {}
        for row in self.findings:
            counts[row.kind] = counts.get(row.kind, 0) + 1
        return {
            "num_classes": self.num_classes,
            "num_findings": dict(counts),
            "findings": [
                {"kind": row.kind, "name": row.name, "other": row.other, "detail": row.detail} for row in self.findings
            ],
            "families": [
                {"shared_by": row.shared_by, "word": row.word, "names": list(row.names)} for row in self.families
            ],
            "company": [
                {
                    "name": row.name, "num_units": row.num_units, "frac_with_others": round(row.frac_with_others, 4),
                    "num_classes": row.num_classes, "frac_of_classes": round(row.frac_of_classes, 4),
                }
                for row in self.company
            ],
            "without_verb": list(self.without_verb),
        }  # fmt: skip


def check_actions(
    actions: ActionList,
    *,
    synonyms: SynonymTable | None = None,
    form: Form = "ing",
    units: pl.DataFrame | None = None,
) -> Checked:
    """What is to be looked at in the list: see `twins_in`, `overlaps_in`, `general_names`, `company_of`, `to_ing`.

    Args:
        synonyms: None = those shipped.
        form: the form that names should have.
        units: labels at hand, columns `unit` and `class_id` as `units_of` gives them; None = no look at company.
    Raises:
        UnknownName: there is no such form.
        MissingExtra: snowballstemmer is not installed.
    """
    twins = twins_in(actions, synonyms=synonyms)
    same = {frozenset((twin.kept, twin.other)) for twin in twins}
    formed = [(row.name, named_in_form(row.name, form=form)) for row in actions.actions]
    return Checked(
        num_classes=len(actions),
        twins=tuple(twins),
        overlaps=tuple(row for row in overlaps_in(actions) if frozenset((row.wide, row.narrow)) not in same),
        general=tuple(general_names(actions)),
        company=() if units is None else tuple(company_of(units, actions=actions)),
        families=tuple(families_in(actions)),
        forms=tuple((name, other) for name, other in formed if name != other),
        without_verb=tuple(
            name for name, other in formed if name == other and not has_known_form(name) and form == "ing"
        ),
    )


def _findings(checked: Checked) -> Iterator[Finding]:
    for twin in checked.twins:
        yield Finding(kind="same", name=twin.kept, other=twin.other, detail=twin.why)
    words = {
        "alternative": "{wide!r} is a choice, and {narrow!r} one branch of it",
        "aside": "equal but for what stands in brackets",
        "inside": "{narrow!r} has all words of {wide!r} and more",
    }
    for overlap in checked.overlaps:
        detail = words[overlap.kind].format(wide=overlap.wide, narrow=overlap.narrow)
        yield Finding(kind=overlap.kind, name=overlap.wide, other=overlap.narrow, detail=detail)
    for row in checked.general:
        what = ["a bare verb that says little"] * row.is_bare_verb
        what += [f"its words are in {len(row.held_by)} other names"] * bool(row.held_by)
        yield Finding(kind="general", name=row.name, other="", detail="; ".join(what))
    for company in checked.company:
        if company.frac_of_classes >= MIN_FRAC_OF_CLASSES:
            detail = f"stands beside {company.num_classes} other classes ({company.frac_of_classes:.0%})"
            yield Finding(kind="company", name=company.name, other="", detail=detail)
    for name, other in checked.forms:
        yield Finding(kind="form", name=name, other=other, detail="its verb has another form")


def write_findings(path: Path, checked: Checked) -> None:
    """The findings as a csv, whole or not at all."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((row.kind, row.name, row.other, row.detail) for row in checked.findings)
    write_text(path, stream.getvalue())
