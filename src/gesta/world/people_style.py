"""The two styles of the world of several people: few long films, and many short clips, unlike in look and in content.

Frequencies are weights; sizes are fractions of the frame's height; rates frames a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How the videos of one part are made: how long, who does what how often, and how it looks."""

    part: str
    duration_s: tuple[float, float]
    beat_s: tuple[float, float]
    num_people: tuple[int, ...]
    scenelets: Mapping[str, float]
    movements: Mapping[str, float]
    deeds: Mapping[str | None, float]
    size_frac: tuple[float, float]
    scenes: tuple[str, ...]
    light: tuple[float, float]
    warmth: tuple[float, float]
    gamma: tuple[float, float]
    saturation: float
    contrast: float
    blur: float
    shake_px: tuple[float, float]
    grain: tuple[float, float]
    rates: tuple[Fraction, ...]
    crf: int


LONG = Style(
    part="ava", duration_s=(30.0, 60.0), beat_s=(3.5, 8.0), num_people=(2, 3, 3, 4),
    scenelets={"shake": 3.2, "reach": 3.0, "give": 1.0, "hold": 3.0, "plain": 4.2, "nobody": 0.25},
    movements={"stand": 8, "walk": 3.0, "sit": 5.0, "bend": 1.2, "crouch": 0.5, "jump": 0.2},
    deeds={None: 7, "wave": 2.0, "point": 1.0, "clap": 0.35},
    size_frac=(0.66, 0.76), scenes=("room", "hall", "street"), light=(0.62, 0.85), warmth=(1.04, 1.2),
    gamma=(1.05, 1.3), saturation=0.25, contrast=0.3, blur=0.02, shake_px=(0.0, 0.5), grain=(1.5, 4.0),
    rates=(Fraction(25, 2), Fraction(12), Fraction(24000, 2002)), crf=23,
)  # fmt: skip
"""Like AVA's films: indoors, dim and warm, a still camera, the same people again and again.
Source: ours; few long videos with a key-frame a second as in Gu et al. (2018), AVA, section 3."""

SHORT = Style(
    part="kinetics", duration_s=(4.0, 5.0), beat_s=(5.0, 5.0), num_people=(1, 2, 2, 3),
    scenelets={"shake": 1.6, "reach": 2.6, "give": 3.0, "hold": 2.6, "plain": 4.0, "nobody": 0.5},
    movements={"stand": 6, "walk": 2.2, "sit": 1.2, "bend": 0.9, "crouch": 2.4, "jump": 2.0},
    deeds={None: 4.5, "wave": 1.0, "point": 1.4, "clap": 2.2},
    size_frac=(0.6, 0.74), scenes=("park", "street", "beach", "wall", "hall"), light=(0.85, 1.2),
    warmth=(0.86, 1.06), gamma=(0.8, 1.05), saturation=0.5, contrast=0.4, blur=0.014, shake_px=(0.4, 2.0),
    grain=(0.0, 2.0), rates=(Fraction(25, 2), Fraction(15), Fraction(30000, 2002)), crf=27,
)  # fmt: skip
"""Like Kinetics' clips: outdoors, bright and shaken, other people in each, one key-frame.
Source: ours; a key-frame a clip, at least 1 s from its ends, as in Li et al. (2020), AVA-Kinetics, section 1.2."""

STYLES: Mapping[str, Style] = {style.part: style for style in (LONG, SHORT)}
