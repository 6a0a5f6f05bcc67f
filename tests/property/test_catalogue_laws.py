"""Laws of a catalogue's search: the engine gives what a plain scan gives, whatever the words, languages and cuts."""

from __future__ import annotations

import csv
import json
import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.mine import classes_in, index_of_classes, words_of
from gesta.mine.catalogue import (
    build_index,
    find_matches,
    found_in,
    match_score,
    matches_frame,
    phrases_of_queries,
    running_words,
    search,
    word_forms,
)
from gesta.mine.catalogue.tantivy_index import stream_of
from gesta.mine.catalogue.words import could_have_form
from gesta.mine.queries.words import query_words
from gesta.schema import MATCH_FIELDS, LabelClass, Query

LANGUAGES = ("en", "fr", "es", "pt", "de", "ja")
WORDS = (
    "wave", "waving", "hand", "hands", "the", "a", "my", "de", "la", "le", "o", "as", "os", "l'eau", "d'eau", "qu'eau",
    "eau", "água", "d'água", "trenzar", "trenzando", "pelo", "el", "tu", "lavar", "lavando", "se", "crêpe", "crepes",
    "natação", "natacao", "nataçoes", "niño", "nino", "don't", "bob's", "手を振る", "/", "en/wave", "Ｈａｎｄ", "HAND",
    "straße", "fr/eau", "-", "2",
)  # fmt: skip
words = st.sampled_from(WORDS)
texts = st.lists(words, max_size=7).map(" ".join)
rows = st.fixed_dictionaries(
    {"title": texts, "description": st.lists(words, max_size=12).map(" ".join), "tags": st.lists(texts, max_size=3)}
)
queries = st.builds(
    lambda class_id, language, text: Query(
        class_id=class_id, language=language, query=text, form="synonym", source="user"
    ),
    st.integers(1, 4),
    st.sampled_from(LANGUAGES),
    st.lists(words, min_size=1, max_size=3).map(" ".join).filter(str.strip),
)


def scanned(row: dict[str, str | list[str]], asked: list[Query]) -> dict[int, tuple[str, str, str, float]]:
    """By class: query, language, field and score of the best match in one row, by reading its texts."""
    phrases = phrases_of_queries(asked)
    best: dict[int, tuple[tuple[int, float, int], tuple[str, str, str, float]]] = {}
    for place, field in enumerate(MATCH_FIELDS):
        value = row[field]
        several = [words_of(text) for text in (value if isinstance(value, list) else [value])]
        num_words = sum(map(len, several))
        longest: dict[int, int] = {}
        for text in several:
            for number, length in found_in(text, phrases=phrases).items():
                longest[number] = max(length, longest.get(number, 0))
        for number, length in longest.items():
            query, score = asked[number], match_score(length, num_words)
            entry = (place, -score, number), (query.query, query.language, field, score)
            best[query.class_id] = min(entry, best.get(query.class_id, entry))
    return {class_id: entry[1] for class_id, entry in best.items()}


@pytest.mark.parametrize("max_phrases", [0, 1_000])
@settings(max_examples=20, deadline=None)
@given(catalogue=st.lists(rows, min_size=1, max_size=20), asked=st.lists(queries, min_size=1, max_size=8))
def test_the_engine_gives_what_a_plain_scan_gives(
    catalogue: list[dict[str, str | list[str]]], asked: list[Query], max_phrases: int
) -> None:
    real = search.rows_with_phrase
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "videos.jsonl"
        path.write_text("".join(json.dumps({"id": f"v{i}", **row}) + "\n" for i, row in enumerate(catalogue)))
        build_index(path, out=Path(folder) / "index", rows_per_part=7)
        with patch.object(search, "rows_with_phrase", lambda *a, **k: real(*a, **k, max_phrases=max_phrases)):
            found = find_matches(Path(folder) / "index", asked)
        frame = matches_frame(Path(folder) / "index", asked, found)
    ours = {(row["video_id"], row["class_id"]): row for row in frame.to_dicts()}
    wanted = {
        (f"v{i}", class_id): match for i, row in enumerate(catalogue) for class_id, match in scanned(row, asked).items()
    }
    assert {key: (row["query"], row["language"], row["field"], row["score"]) for key, row in ours.items()} == wanted


@given(text=texts, names=st.lists(texts.filter(str.strip), min_size=1, max_size=4))
def test_english_queries_are_matched_as_titles_are(text: str, names: list[str]) -> None:
    classes = [LabelClass(class_id=i, name=name) for i, name in enumerate(names)]
    asked = [Query(class_id=i, language="en", query=name, form="name", source="user") for i, name in enumerate(names)]
    found = found_in(words_of(text), phrases=phrases_of_queries(asked))
    assert list(found) == list(classes_in(text, index=index_of_classes(classes)))


ENDINGS = (
    "", "issement", "ements", "ité", "ivité", "logie", "usion", "ence", "euses", "ication", "atrice", "èrent", "yer",
    "ç", "ée", "ïe", "logía", "ución", "encia", "amente", "idades", "ciones", "iéndome", "arselos", "guen", "yendo",
    "logia", "ução", "ência", "ções", "êçam", "guei", "ões", "ãs", "y", "que", "gué", "s",
)  # fmt: skip


@given(
    start=st.text("abcdeéghiïlmnñopqrstuüyzçã'", max_size=6),
    ending=st.sampled_from(ENDINGS),
    language=st.sampled_from(("fr", "es", "pt", "en", "de")),
)
@settings(max_examples=600)
def test_a_words_beginning_tells_what_its_stem_cannot_be(start: str, ending: str, language: str) -> None:
    word = start + ending or "a"
    could = could_have_form(word_forms(word, language=language), language=language)
    assert could(word)


@given(text=texts, language=st.sampled_from(LANGUAGES))
def test_words_of_texts_and_of_queries_are_taken_alike(text: str, language: str) -> None:
    running = running_words(words_of(text), language=language)
    assert running == (query_words(text, language=language) if running else [])


@given(text=st.lists(words, max_size=9).map(" ".join))
def test_a_stream_holds_each_languages_words_in_a_row(text: str) -> None:
    plain, *marked = stream_of(words_of(text)).split(" / ")
    assert plain.split() == words_of(text)
    own = {part.split("/")[0]: [word.split("/")[1] for word in part.split()] for part in marked}
    for language in LANGUAGES:
        running = running_words(words_of(text), language=language)
        assert own.get(language) == running or f" {' '.join(running)} " in f" {plain} " or not running


@given(
    titles=st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=12), rows_per_part=st.integers(1, 5)
)
@settings(max_examples=8, deadline=None)
def test_a_catalogue_is_the_same_in_every_file_and_at_every_cut(titles: list[str], rows_per_part: int) -> None:
    wave = [Query(class_id=1, language="en", query="0", form="name", source="user")]
    kept = set()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        rows = [(f"v{i}", title) for i, title in enumerate(titles)]
        with (home / "a.csv").open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows([("video_id", "title"), *rows])
        (home / "a.jsonl").write_text("".join(json.dumps({"id": i, "title": title}) + "\n" for i, title in rows))
        for number, (name, size) in enumerate([("a.csv", 100), ("a.csv", rows_per_part), ("a.jsonl", rows_per_part)]):
            done = build_index(home / name, out=home / str(number), rows_per_part=size)
            found = matches_frame(home / str(number), wave, find_matches(home / str(number), wave))
            kept.add((done.kept, done.rejected.get("text", 0), tuple(found["video_id"])))
    assert len(kept) == 1
