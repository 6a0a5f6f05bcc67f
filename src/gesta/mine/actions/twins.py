"""Classes that are one action under two names, each pair with the rule that says so."""

from __future__ import annotations

from dataclasses import dataclass

from gesta.mine.actions.keys import RULES, Rule, SynonymKeys, key_of, synonym_keys
from gesta.mine.actions.lists import ActionList
from gesta.mine.actions.synonyms import SynonymTable, shipped_synonyms


@dataclass(frozen=True, slots=True, kw_only=True)
class Twin:
    """Two classes of a list that mean one action; `kept` stands before the other."""

    kept: str
    other: str
    rule: Rule
    why: str


def twins_in(actions: ActionList, *, synonyms: SynonymTable | None = None) -> list[Twin]:
    """Pairs of classes that mean one action, enough of them to make one class of all that do, in the list's order.

    A class is compared with those before it, by all its names, so one that was merged already brings its other names
    along. Where several rules hold the strictest is named. A class that brings two classes before it together, which
    no rule holds for, is there with each of them.

    Args:
        synonyms: None = those shipped.
    Raises:
        MissingExtra: snowballstemmer is not installed.
    Source: Kinetics-400 paper, section 3.4: repeated classes due to synonymy or different word order.

    >>> from gesta.mine.actions.lists import action_list
    >>> found = twins_in(action_list("a", enumerate(["riding motorbike", "guitar playing", "riding motorcycle"])))
    >>> [(twin.kept, twin.other, twin.rule) for twin in found]
    [('riding motorbike', 'riding motorcycle', 'synonym')]
    """
    keys = synonym_keys(shipped_synonyms() if synonyms is None else synonyms)
    first_of: dict[tuple[Rule, tuple[str, ...]], int] = {}
    first_in_class = list(range(len(actions)))
    found: list[Twin] = []
    for place, action in enumerate(actions.actions):
        mine = [(rule, key_of(name, rule=rule, synonyms=keys), name) for rule in RULES for name in action.names]
        for rule, key, name in mine:
            at = first_of.setdefault((rule, key), place)
            here, there = _root(place, first_in_class), _root(at, first_in_class)
            if here != there:
                first_in_class[max(here, there)] = min(here, there)
                kept = actions.actions[at]
                why = _why(rule, key, kept.names, name, keys)
                found.append(Twin(kept=kept.name, other=action.name, rule=rule, why=why))
    return found


def _root(place: int, first_in_class: list[int]) -> int:
    while first_in_class[place] != place:
        place = first_in_class[place]
    return place


def _why(rule: Rule, key: tuple[str, ...], names: tuple[str, ...], other: str, keys: SynonymKeys) -> str:
    name = next(name for name in names if key_of(name, rule=rule, synonyms=keys) == key)
    what = {
        "spelling": "the same letters", "inflection": "the same words but for their endings",
        "order": "the same words in another order", "synonym": "the same by the table of synonyms",
    }  # fmt: skip
    return f"{name!r} and {other!r}: {what[rule]}"
