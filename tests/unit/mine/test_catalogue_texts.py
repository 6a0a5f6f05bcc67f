"""Which queries a text holds."""

from __future__ import annotations

import pytest

from gesta.mine.catalogue import found_in, match_score, matches_in_texts, phrases_of_queries, query_phrases
from gesta.mine.titles import words_of
from gesta.schema import Query, Video


def query(text: str, language: str = "en", class_id: int = 1) -> Query:
    return Query(class_id=class_id, language=language, query=text, form="name", source="user")


def video(video_id: str, title: str | None) -> Video:
    return Video(
        video_id=video_id, path=f"v/{video_id}.mp4", sha256="0" * 64, size_bytes=1, container="mp4", codec="h264",
        width_px=4, height_px=4, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=9, start_us=0,
        duration_us=9_000_000, has_audio=False, title=title,
    )  # fmt: skip


def holds(text: str, wanted: str, language: str) -> bool:
    return bool(found_in(words_of(text), phrases=phrases_of_queries([query(wanted, language)])))


@pytest.mark.parametrize(
    ("text", "wanted", "language"),
    [
        ("How to wave your hands", "waving hand", "en"),
        ("Cómo trenzar el pelo en casa", "trenzando pelo", "es"),
        ("como trenzar tu pelo", "trenzar pelo", "es"),
        ("Faire du vélo à Paris", "faire vélo", "fr"),
        ("faire DU VELO", "faire vélo", "fr"),
        ("boire de l’eau", "boire eau", "fr"),
        ("On va s'entraîner aujourd'hui", "entraîner aujourd'hui", "fr"),
        ("natação para crianças", "natacao", "pt"),
        ("escovando os dentes", "escovar dentes", "pt"),
        ("copo d'água", "copo água", "pt"),
        ("Haare flechten lernen", "haar flechten", "de"),
        ("手を振る", "手を振る", "ja"),
    ],
)
def test_a_text_holds_a_query(text: str, wanted: str, language: str) -> None:
    assert holds(text, wanted, language)


@pytest.mark.parametrize(
    ("text", "wanted", "language"),
    [
        ("trenzar el pelo", "trenzar pelo", "en"),
        ("pelo trenzar", "trenzar pelo", "es"),
        ("trenzar con pelo", "trenzar pelo", "es"),
        ("trenzar", "trenzar pelo", "es"),
        ("año nuevo", "ano nuevo", "es"),
        ("waving the hand", "waving hand", "fr"),
        ("", "waving hand", "en"),
        ("de la", "de la", "fr"),
    ],
)
def test_a_text_does_not_hold_a_query(text: str, wanted: str, language: str) -> None:
    assert not holds(text, wanted, language)


def test_the_best_query_of_each_class_is_said_of_a_title() -> None:
    queries = [
        query("wave", class_id=2), query("waving hand", class_id=2), query("saluer main", "fr", class_id=2),
        query("hand", class_id=1), query("main", "fr", class_id=1),
    ]  # fmt: skip
    videos = [video("a", "Wave your hand"), video("b", "Saluer de la main"), video("c", None), video("d", "holiday")]
    assert matches_in_texts(videos, queries) == {
        "a": [(1, "hand", "en", 1 / 3), (2, "waving hand", "en", 2 / 3)],
        "b": [(1, "main", "fr", 0.25), (2, "saluer main", "fr", 0.5)],
    }


def test_a_score_is_a_share() -> None:
    assert match_score(3, 2) == 1.0
    assert match_score(1, 4) == 0.25


def test_a_query_may_leave_a_choice() -> None:
    assert query_phrases("canoeing or kayaking", language="en") == [("canoeing",), ("kayaking",)]
    assert query_phrases("Tresser les cheveux !", language="fr") == [("tresser", "cheveux")]
