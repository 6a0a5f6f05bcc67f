"""Laws of queries and of the selection of clips."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gesta.mine import classes_in, index_of_classes
from gesta.mine.queries import LANGUAGES, STOP_WORDS_OF, queries_of, query_words, read_query_table, shipped_table
from gesta.mine.relate import Related, read_related
from gesta.mine.selection import select_clips
from gesta.schema import GestaError, LabelClass

TEXTS = st.text(alphabet="abcdeilmnoqrstu áçéñõ'’-_LDA", max_size=40)
NAMES = st.sampled_from(sorted(shipped_table().phrases))
CLASSES = [LabelClass(class_id=i, name=f"class {i}") for i in range(5)]
CLIPS = st.lists(st.tuples(st.integers(0, 40).map(str), st.integers(0, 4)), max_size=60)
PAIRS = st.sets(st.integers(0, 4), max_size=3).map(
    lambda ids: [Related(target="weak", source=f"class {i}", how="hand", words="") for i in sorted(ids)]
)


@given(TEXTS, st.sampled_from(LANGUAGES))
def test_words_taken_again_are_the_same(text: str, language: str) -> None:
    words = query_words(text, language=language)
    assert query_words(" ".join(words), language=language) == words


@given(TEXTS, st.sampled_from(LANGUAGES), st.data())
def test_articles_anywhere_change_nothing(text: str, language: str, data: st.DataObject) -> None:
    words = query_words(text, language=language)
    if not words or set(words) & STOP_WORDS_OF[language]:
        return
    at = data.draw(st.integers(0, len(words)))
    article = data.draw(st.sampled_from(sorted(word for word in STOP_WORDS_OF[language] if len(word) > 1)))
    assert query_words(" ".join((*words[:at], article.upper(), *words[at:])), language=language) == words


@given(NAMES)
def test_a_class_has_no_query_twice_and_english_ones_name_it_in_titles(name: str) -> None:
    rows = queries_of([LabelClass(class_id=3, name=name)])
    keys = [(row.language, row.query) for row in rows]
    assert len(keys) == len(set(keys))
    assert {row.language for row in rows} == set(LANGUAGES)
    for row in rows:
        if row.language == "en":
            index = index_of_classes([LabelClass(class_id=3, name=row.query)])
            assert list(classes_in(f"my {row.query}!", index=index)) == [3], row


@given(NAMES, st.permutations(LANGUAGES), st.integers(1, 4))
def test_languages_are_independent(name: str, languages: list[str], num: int) -> None:
    rows = queries_of([LabelClass(class_id=0, name=name)], languages=languages[:num])
    alone = [
        row for code in languages[:num] for row in queries_of([LabelClass(class_id=0, name=name)], languages=[code])
    ]
    assert rows == alone


@given(CLIPS, PAIRS, st.integers(0, 30), st.integers(0, 30), st.integers(0, 3))
def test_a_larger_draw_holds_the_smaller(
    clips: list[tuple[str, int]], pairs: list[Related], one: int, other: int, seed: int
) -> None:
    def drawn(num: int) -> set[str]:
        rows = select_clips(clips, classes=CLASSES, related=pairs, num_uniform=num, seed=seed)
        assert len({row.clip_id for row in rows}) == len(rows)
        return {row.clip_id for row in rows}

    assert drawn(min(one, other)) <= drawn(max(one, other))


@given(CLIPS, PAIRS, st.integers(0, 30))
def test_every_related_clip_is_chosen_and_the_rest_is_as_large_as_asked(
    clips: list[tuple[str, int]], pairs: list[Related], num: int
) -> None:
    rows = select_clips(clips, classes=CLASSES, related=pairs, num_uniform=num)
    ids = {int(pair.source.split()[1]) for pair in pairs}
    related = {clip_id for clip_id, class_id in clips if class_id in ids}
    assert {row.clip_id for row in rows if row.reason == "related"} == related
    rest = {clip_id for clip_id, _ in clips} - related
    assert sum(row.reason == "uniform" for row in rows) == min(num, len(rest))


@given(CLIPS, PAIRS, st.integers(0, 30), st.randoms(use_true_random=False))
def test_the_order_of_clips_changes_nothing(clips: list[tuple[str, int]], pairs: list[Related], num: int, rng) -> None:
    mixed = list(clips)
    rng.shuffle(mixed)
    assert select_clips(mixed, classes=CLASSES, related=pairs, num_uniform=num) == select_clips(
        clips, classes=CLASSES, related=pairs, num_uniform=num
    )


CSV = st.text(alphabet='name,frquey"\n\r;- \0éABCtagsor', max_size=120)


@given(st.sampled_from(("", "name,fr\n", "name,language,query\n", "target,source\n")), CSV)
def test_a_user_s_table_is_read_or_refused_by_its_line(tmp_path_factory, header: str, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    file.write_bytes((header + text).encode())
    for read in (read_query_table, lambda path: read_related(path, sources=["name"])):
        refusal = None
        try:
            read(file)
        except GestaError as error:
            refusal = str(error)
        assert refusal is None or "fuzzed.csv" in refusal
