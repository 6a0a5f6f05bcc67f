"""The noun of mining by words: what is looked for in titles, in which language, for which action."""

from __future__ import annotations

from dataclasses import dataclass

from gesta.schema.errors import BadInput
from gesta.schema.nouns import column

QUERY_FORMS = ("name", "gerund", "infinitive", "synonym")
"""What a query is to its class. Source: Kinetics-700-2020 paper, section 2 (infinitive, gerund, synonyms)."""

QUERY_SOURCES = ("table", "rules", "user")
"""Where a query comes from: the shipped table, rules of grammar, or the user's own file or translator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One phrase that titles are searched for, in the hope that their videos show the action."""

    class_id: int = column("the action, as in `label_map`")
    language: str = column("of the phrase: en, fr, es, pt, or another code of ISO 639-1")
    query: str = column("lower-case words, a space between, without articles and other stop words, accents kept")
    form: str = column(
        "name (the class's own), infinitive, gerund (French, whose titles have none: the noun of the action), synonym"
    )
    source: str = column("table (shipped), rules (of grammar), user (own file or translator)")

    def __post_init__(self) -> None:
        """Refuse a query without words, and a form or source that is not one of the known.

        Raises:
            BadInput: the query is blank or the form or source is unknown.
        """
        if not self.query.strip():
            raise BadInput(f"a query of class {self.class_id} in {self.language!r} has no words")
        if self.form not in QUERY_FORMS:
            raise BadInput(f"{self.form!r} is no form of a query", mend=f"Want one of {', '.join(QUERY_FORMS)}")
        if self.source not in QUERY_SOURCES:
            raise BadInput(f"{self.source!r} is no source of a query", mend=f"Want one of {', '.join(QUERY_SOURCES)}")
