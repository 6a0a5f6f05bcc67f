"""What uploaders call their videos: names of actions as people inflect them; and ids as video sites give them."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping, Sequence

INFLECTIONS: Mapping[str, tuple[str, str, str]] = {
    "waving hand": ("waving hand", "wave hand", "waving hands"),
    "clapping": ("clapping", "clap", "claps"),
    "raising arms": ("raising arms", "raise arms", "raises arms"),
    "jumping": ("jumping", "jump", "jumps"),
    "walking": ("walking", "walk", "walks"),
    "running": ("running", "run", "runs"),
    "sitting down": ("sitting down", "sit down", "sits down"),
    "kicking": ("kicking", "kick", "kicks"),
    "bowing": ("bowing", "bow", "bows"),
    "shaking hands": ("shaking hands", "shake hands", "shakes hands"),
}
"""Of each action: gerund, infinitive, and another form."""

_GERUND = (
    "Me {v} at the {p}", "{v} with {n}", "{n} {v} in the {p}", "{V} compilation {y}", "{U} FAIL!!!", "{v}",
    "My first {v} video", "{n} {v} (slow camera)", "Best of {v} - {y}", "{v} tutorial part {k}", "{V} - {p}, {y}",
    "crazy {v} at the {p} :)", "{n}'s {v} practice", "just some {v}...", "{U}", "{v} challenge w/ {n}",
)  # fmt: skip
_INFINITIVE = (
    "how to {v}", "How To {V} like {n}", "watch us {v} at the {p}", "learn to {v} in {k} minutes", "{n} and I {v}",
    "we {v} in the {p} ({y})", "HOW TO {U} | lesson {k}",
)  # fmt: skip
_OTHER = ("{n} {v} at the {p}", "{n} {v}!", "look who {v} - {y}")
_NAMELESS = (
    "IMG_{y}{k}", "MVI {y}{k}", "{n} at the {p}", "holiday {y}", "untitled {k}", "the {p} in {y}", "GOPR{y}{k}.MP4",
    "test upload please ignore", "{n} birthday {y}", "vlog #{k}",
)  # fmt: skip
_BOTH = ("{v} and {w} at the {p}", "{n} {v}, me {w}", "{V} & {w} {y}", "{v} vs {w}")
NAMES = (
    "Anna",
    "Ben",
    "Chidi",
    "Dana",
    "Emre",
    "Fatima",
    "Goran",
    "Hana",
    "Ines",
    "Jiro",
    "Kofi",
    "Lena",
    "Mei",
    "Nils",
)
PLACES: Mapping[str, Sequence[str]] = {
    "room": ("living room", "kitchen", "office"), "park": ("park", "garden", "countryside"),
    "street": ("city", "old town", "bus stop"), "beach": ("beach", "seaside"), "hall": ("gym", "sports hall", "arena"),
    "wall": ("studio", "skate park"),
}  # fmt: skip


def _filled(pattern: str, rng: random.Random, *, place: str, first: str = "", second: str = "") -> str:
    return pattern.format(
        v=first, V=first.title(), U=first.upper(), w=second, n=rng.choice(NAMES), p=rng.choice(PLACES[place]),
        y=rng.randint(2007, 2024), k=rng.randint(2, 40),
    )  # fmt: skip


def title_of(actions: Sequence[str], *, place: str, rng: random.Random) -> str:
    """A title that names the actions (one or two), or none where `actions` is empty."""
    if not actions:
        return _filled(rng.choice(_NAMELESS), rng, place=place)
    if len(actions) > 1:
        return _filled(rng.choice(_BOTH), rng, place=place, first=actions[0], second=actions[1])
    gerund, infinitive, other = INFLECTIONS[actions[0]]
    draw = rng.random()
    if draw < 0.68:
        return _filled(rng.choice(_GERUND), rng, place=place, first=gerund)
    if draw < 0.92:
        return _filled(rng.choice(_INFINITIVE), rng, place=place, first=infinitive)
    return _filled(rng.choice(_OTHER), rng, place=place, first=other)


def compilation_title(action: str, *, rng: random.Random) -> str:
    """What the compiler of other people's videos calls the result."""
    verb = INFLECTIONS[action][0]
    pattern = rng.choice(("{U} compilation {y}", "TOP {k} {V} moments", "{v} compilation #{k}", "Best {v} of {y}"))
    return _filled(pattern, rng, place="park", first=verb)


_ALPHABET = string.ascii_letters + string.digits + "-_"


def video_id_of(rng: random.Random, *, number: int) -> str:
    """An id of 11 characters as video sites give them; every ninth begins with - and every eleventh with _."""
    head = "-" if number % 9 == 3 else "_" if number % 11 == 5 else rng.choice(string.ascii_letters + string.digits)
    return head + "".join(rng.choice(_ALPHABET) for _ in range(10))
