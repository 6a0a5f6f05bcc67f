"""Which classes of a source are related to weak classes: by the words of their names, in three strengths.

A person goes over the proposals: they are written as a csv whose rows may be deleted or added, and read again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gesta.mine.actions.csv_rows import read_csv_rows
from gesta.mine.actions.gerunds import is_light_verb, to_infinitive, to_ing
from gesta.mine.queries.table import spaced
from gesta.mine.titles import STOP_WORDS, forms_of, phrases_of, words_of
from gesta.schema import BadInput, BadRow, ClassScore, UnknownName
from gesta.tables import write_text

MATCHES = ("name", "verb", "object")
"""How a source class may be related: it holds the weak class's name; its verb, and particle; another of its words."""

BY_HAND = "hand"
"""`Related.how` of a pair that a person added."""

_PARTICLES = frozenset(("up", "down", "on", "off", "out", "in", "into", "over", "away", "together", "around"))
"""Words after a verb that make another verb of it ("put on"). Source: ours."""

_LINKS = frozenset(("at", "to", "with", "from", "of", "for", "in", "on", "or", "not", "and", "other"))
"""Words that relate nothing by themselves. Source: ours."""

_HEADER = ("target", "source", "how", "words")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Related:
    """A source class that may show a weak class: names of both, how they were matched, the words that matched."""

    target: str
    source: str
    how: str
    words: str


def weak_classes(scores: Sequence[ClassScore], *, worst: int | None = None, below: float | None = None) -> list[str]:
    """Names of the classes of poor average precision, the poorest first; classes without ground truth are left out.

    Args:
        worst: how many at most; None = all that `below` leaves.
        below: only those with less than this average precision; None = no bound.
    Raises:
        BadInput: neither is given, `worst` is below 1, or no class is left.
    Source: AVA-Kinetics paper, section 1.2: 27 of the 80 AVA classes "which have shown weak performance".

    >>> rows = [
    ...     ClassScore(class_id=1, name="walk", average_precision=0.7, num_groundtruth=9),
    ...     ClassScore(class_id=2, name="swim", average_precision=0.1, num_groundtruth=9),
    ... ]
    >>> weak_classes(rows, worst=1)
    ['swim']
    """
    if worst is None and below is None:
        raise BadInput("no bound on what is weak", mend="Say how many of the worst, or below which average precision")
    if worst is not None and worst < 1:
        raise BadInput(f"the {worst} worst classes", mend="Want at least 1")
    judged = [(row.average_precision, row.name) for row in scores if row.average_precision is not None]
    weak = [name for score, name in sorted(judged) if below is None or score < below]
    if not weak:
        raise BadInput(f"none of {len(judged)} judged classes is weak", mend="Raise the bound")
    return weak[:worst]


def related_classes(
    targets: Sequence[str], sources: Sequence[str], *, matches: Sequence[str] = ("name", "verb")
) -> list[Related]:
    """The pairs of target and source that are matched, in the targets' order, the stronger matches of each first.

    Inflections of a word are one word. "name": a phrase of the target stands in the source, words in a row. "verb":
    the target's verb does; one that says little alone ("put", "take") counts only with its particle ("put on"), or
    not at all. "object": another word of the target does.

    Args:
        matches: which of `MATCHES` count.
    Raises:
        UnknownName: a match is none of the three.
    Source: AVA-Kinetics paper, section 1.2: classes were "hand-selected by text matching to this shortlist"; how words
        are matched is ours.

    >>> [(pair.source, pair.how) for pair in related_classes(["throw"], ["hammer throw", "throwing axe", "yoga"])]
    [('hammer throw', 'name'), ('throwing axe', 'name')]
    >>> related_classes(["dress/put on clothing"], ["putting on sari"])[0].words
    'putting on'
    """
    for match in matches:
        if match not in MATCHES:
            raise UnknownName(what="match of classes", name=match, choices=MATCHES)
    texts = [(source, _words(spaced(source))) for source in sources]
    found = []
    for target in targets:
        pairs = [
            Related(target=target, source=source, how=how, words=found_words)
            for source, words in texts
            for how, found_words in [_match(target, words, matches=matches)]
            if how
        ]
        found += sorted(pairs, key=lambda pair: MATCHES.index(pair.how))
    return found


def _words(text: str) -> list[str]:
    return [word for word in words_of(text) if word not in STOP_WORDS]


def _match(target: str, words: Sequence[str], *, matches: Sequence[str]) -> tuple[str, str]:
    patterns = {match: list(_patterns(target, match)) for match in MATCHES if match in matches}
    for match, listed in patterns.items():
        for pattern in listed:
            at = _place_of(pattern, words)
            if at is not None:
                return match, " ".join(words[at : at + len(pattern)])
    return "", ""


def _patterns(target: str, match: str) -> Iterator[tuple[str, ...]]:
    for words in phrases_of(spaced(target)):
        phrase = words[:-1] if len(words) > 1 and words[-1] in _LINKS else words
        place = _place_of_verb(phrase)
        if match == "name":
            # What is left of "take from" says too little; a class that is called just "cut" says what it means.
            if len(phrase) > 1 or not is_light_verb(phrase[0]) or len(words) == 1:
                yield phrase
        elif match == "verb" and place is not None:
            rest = phrase[place + 1 : place + 2]
            if rest and rest[0] in _PARTICLES and is_light_verb(phrase[place]):
                yield (phrase[place], rest[0])
            elif not is_light_verb(phrase[place]):
                yield (phrase[place],)
        elif match == "object":
            yield from (
                (word,) for i, word in enumerate(phrase) if i != place and word not in _LINKS | _PARTICLES | STOP_WORDS
            )


def _place_of_verb(phrase: Sequence[str]) -> int | None:
    """Where the phrase's verb stands: the first word that becomes another when the phrase is put in another form."""
    text = " ".join(phrase)
    for changed in (to_ing(text), to_infinitive(text)):
        other = changed.split(" ")
        places = [i for i, word in enumerate(phrase) if i < len(other) and other[i] != word]
        if places:
            return places[0]
    return None


def _place_of(pattern: Sequence[str], words: Sequence[str]) -> int | None:
    for at in range(len(words) - len(pattern) + 1):
        here = words[at : at + len(pattern)]
        if all(forms_of(one) & forms_of(other) for one, other in zip(pattern, here, strict=True)):
            return at
    return None


def write_related(path: Path, related: Iterable[Related]) -> None:
    """The pairs as a csv of target, source, how, words: to be gone over by hand. Whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows((pair.target, pair.source, pair.how, pair.words) for pair in related)
    write_text(path, text.getvalue())


def read_related(path: Path, *, sources: Sequence[str]) -> list[Related]:
    """The pairs of a csv with columns target and source; `how` and `words` may be missing (a pair added by hand).

    Raises:
        BadInput: there is no such file, or it cannot be read.
        BadRow: a column is missing, a row has another number of cells, or a target is empty.
        UnknownName: a source is no class of the sources.
    """
    lines = read_csv_rows(path)
    header = [cell.strip() for cell in lines[0][1]] if lines else []
    if not {"target", "source"} <= set(header):
        raise BadRow(
            f"columns {', '.join(header) or 'none'}", path=path, line=1, mend="Want target, source, how, words"
        )
    known = set(sources)
    found = []
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise BadRow(
                f"{len(cells)} cells, want {len(header)}", path=path, line=line, mend="Quote a comma inside a cell"
            )
        row = {column: cell.strip() for column, cell in zip(header, cells, strict=True)}
        if not row["target"]:
            raise BadRow("no target", path=path, line=line, mend="Name the weak class, or drop the line")
        if row["source"] not in known:
            raise UnknownName(what="source class", name=row["source"], choices=known, where=f"{path}:{line}")
        found.append(
            Related(
                target=row["target"], source=row["source"], how=row.get("how") or BY_HAND, words=row.get("words", "")
            )
        )
    return found
