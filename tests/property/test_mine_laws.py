"""Laws of mining: inflections of one verb meet, those of its look-alikes do not; windows are even and inside."""

from __future__ import annotations

import itertools

from hypothesis import assume, given
from hypothesis import strategies as st

from gesta.mine import MIN_CLIP_US, classes_in, even_windows, forms_of, index_of_classes, words_of
from gesta.schema import LabelClass

ONSETS = (
    "b", "br", "ch", "cl", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "pl", "r", "s", "sh",
    "sk", "st", "str", "t", "tr", "w", "wr",
)  # fmt: skip
CODAS = ("b", "d", "g", "k", "l", "m", "n", "p", "r", "t", "v")
onset, vowel, coda = st.sampled_from(ONSETS), st.sampled_from("aeiou"), st.sampled_from(CODAS)

# Each strategy gives (infinitive, third person, gerund) as English spells them.
DOUBLING = st.builds(lambda o, v, c: (o + v + c, o + v + c + "s", o + v + c + c + "ing"), onset, vowel, coda)
SILENT_E = st.builds(lambda o, v, c: (o + v + c + "e", o + v + c + "es", o + v + c + "ing"), onset, vowel, coda)
TWO_VOWELS = st.builds(
    lambda o, v, c: (o + v + c, o + v + c + "s", o + v + c + "ing"),
    onset,
    st.sampled_from(["ea", "ee", "oo", "ai"]),
    coda,
)
TWO_CONSONANTS = st.builds(
    lambda o, v, c: (o + v + c, o + v + c + "s", o + v + c + "ing"),
    onset, vowel, st.sampled_from(["lk", "mp", "nd", "ck", "rn", "ll", "lt", "rk"]),
)  # fmt: skip
HISSING = st.builds(
    lambda o, v, c: (o + v + c, o + v + c + "es", o + v + c + "ing"),
    onset, vowel, st.sampled_from(["ss", "sh", "tch", "nch", "zz"]),
)  # fmt: skip
IN_W_OR_X = st.builds(
    lambda o, v, e: (o + v + e[0], o + v + e[0] + e[1], o + v + e[0] + "ing"),
    onset, vowel, st.sampled_from([("w", "s"), ("x", "es")]),
)  # fmt: skip
IN_Y = st.builds(
    lambda o, v, c: (o + v + c + c + "y", o + v + c + c + "ies", o + v + c + c + "ying"), onset, vowel, coda
)
IN_IE = st.sampled_from([("tie", "ties", "tying"), ("lie", "lies", "lying"), ("die", "dies", "dying")])
VERBS = DOUBLING | SILENT_E | TWO_VOWELS | TWO_CONSONANTS | HISSING | IN_W_OR_X | IN_Y | IN_IE


def meet(one: str, other: str) -> bool:
    return not forms_of(one).isdisjoint(forms_of(other))


@given(verb=VERBS)
def test_all_inflections_of_a_verb_meet(verb: tuple[str, str, str]) -> None:
    assert all(meet(one, other) for one in verb for other in verb)


@given(onset=onset, vowel=vowel, coda=coda)
def test_hopping_does_not_meet_hoping(onset: str, vowel: str, coda: str) -> None:
    hop = onset + vowel + coda
    hop_forms, hope_forms = (hop, hop + "s", hop + coda + "ing"), (hop + "e", hop + "es", hop + "ing")
    assert not any(meet(one, other) for one in hop_forms for other in hope_forms)


@given(word=st.text(min_size=1, max_size=12), other=st.text(min_size=1, max_size=12))
def test_a_word_is_one_of_its_forms_and_meeting_is_mutual(word: str, other: str) -> None:
    assert word in forms_of(word)
    assert meet(word, other) == meet(other, word)


@given(verb=VERBS, noun=st.sampled_from(["hand", "box", "lady"]), data=st.data())
def test_a_title_names_a_class_in_any_inflection(verb: tuple[str, str, str], noun: str, data: st.DataObject) -> None:
    nouns = {"hand": ("hand", "hands"), "box": ("box", "boxes"), "lady": ("lady", "ladies")}[noun]
    small = st.sampled_from(["", "the ", "my ", "his "])
    name = f"{data.draw(st.sampled_from(verb))} {data.draw(st.sampled_from(nouns))}"
    said = f"{data.draw(st.sampled_from(verb))} {data.draw(small)}{data.draw(st.sampled_from(nouns))}"
    around = data.draw(st.sampled_from(["{}", "Me {}!", "how to {} (part 2)", "#{}", "WATCH US_{}_today"]))
    index = index_of_classes([LabelClass(class_id=5, name=name)])
    title = around.format(data.draw(st.sampled_from([said, said.upper(), said.title()])))
    assert classes_in(title, index=index) == {5: said}


@given(verb=VERBS, between=st.sampled_from(["big", "with", "no"]))
def test_other_words_between_part_a_phrase(verb: tuple[str, str, str], between: str) -> None:
    assume(verb[0] != between)
    index = index_of_classes([LabelClass(class_id=5, name=f"{verb[2]} hand")])
    assert classes_in(f"{verb[0]} {between} hand", index=index) == {}


@given(text=st.text(st.characters(max_codepoint=0x24F), max_size=30))
def test_words_do_not_depend_on_case_or_form_of_letters(text: str) -> None:
    assert words_of(" ".join(words_of(text))) == words_of(text)
    assert words_of("ＷＡＶＥ  ﬁrst") == words_of("wave, FIRST")


US = st.integers(-(10**7), 10**9)


@given(start_us=US, span_us=st.integers(1, 10**9), clip_us=st.integers(MIN_CLIP_US, 10**8), most=st.integers(1, 9))
def test_windows_are_even_inside_and_apart(start_us: int, span_us: int, clip_us: int, most: int) -> None:
    end_us = start_us + span_us
    windows = even_windows(start_us, end_us, clip_us=clip_us, max_windows=most)
    if span_us < clip_us:
        assert windows == ([(start_us, end_us)] if span_us >= MIN_CLIP_US else [])
        return
    assert len(windows) == min(most, span_us // clip_us)
    assert all(last_us - first_us == clip_us for first_us, last_us in windows)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(windows))
    assert start_us <= windows[0][0]
    assert windows[-1][1] <= end_us
    # Even: the distances between windows differ by rounding only, and what is left at the ends is equal.
    steps_us = {other[0] - one[0] for one, other in itertools.pairwise(windows)}
    assert not steps_us or max(steps_us) - min(steps_us) <= 1
    assert abs((windows[0][0] - start_us) - (end_us - windows[-1][1])) <= 2
