"""Plan a world of several people: who stands where and does what when, in few long films and in many short clips.

A video is a row of beats with cuts between them. In each beat some of the video's people act: two shake hands or give
and take a thing, one reaches or holds a thing out to nobody (with or without a bystander who takes no notice), or each
minds their own business. Long films keep their people and their place; a short clip is one beat of people and a place
of its own, sometimes with a look away from everybody in the middle. No two videos share a person or a place, so neither
do the splits.

Lengths: frame heights unless said otherwise; x right from the left edge. Times: microseconds in names with `_us`.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from gesta.schema import US_PER_S, BadInput, UnknownName
from gesta.world.figures import Body, Color, random_body
from gesta.world.people_acts import ACT_CLASSES, ARM_REACH, LOOK_ALIKES, PAIRED, view_of
from gesta.world.people_style import LONG, SHORT, STYLES, Style
from gesta.world.poses import Manner

SPLITS = ("train", "val", "test")
VAL_SHARE, TEST_SHARE = 0.12, 0.28

_CUT_US = 250_000
"""A key-frame nearer to a cut than this does not count. Source: ours; a rater would see two shots."""
_AWAY_US = 800_000
"""How long before and after the key-frame a clip looks away from everybody. Source: ours."""
_EDGE_US = 1_000_000
"""Least distance of a clip's key-frame from its ends. Source: Li et al. (2020), AVA-Kinetics, section 1.2, step 2."""
_HALF_WIDTH, _APART = 0.13, 0.3
"""Room beside a person and least distance of two who do nothing together, in body heights. Source: ours."""
_BYSTANDER = 0.35
"""Share of those reaching out to nobody before whom somebody stands who takes no notice. Source: ours."""
_BACK_SIZE, _BACK_RISE = 0.8, 0.1
"""Size of those in the second row against the first, and how much higher they stand. Source: ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleVideo:
    """One file of a world of several people."""

    video_id: str
    part: str
    number: int
    split: str

    @property
    def file_name(self) -> str:
        """The file, in the folder of its part's videos."""
        return f"{self.video_id}.mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What one person does in a beat, where; `partner` is the person with whom, `person` counts from 0 in the video."""

    person: int
    movement: str
    deed: str | None = None
    partner: int | None = None
    x: float
    foot: float
    size: float
    facing: int
    view: str
    manner: Manner
    color: Color

    @property
    def words(self) -> tuple[str, ...]:
        """The words in `ACT_CLASSES` that are true of the person."""
        return (self.movement,) if self.deed is None else (self.movement, self.deed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """Acts from one cut to the next, back row first; `pan` moves the camera, in frame heights."""

    start_us: int
    end_us: int
    acts: tuple[Act, ...]
    pan: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleTake:
    """All that is to be known of a video before it is drawn."""

    video: PeopleVideo
    style: Style
    cast: tuple[Body, ...]
    beats: tuple[Beat, ...]
    label: str
    fps: Fraction
    num_frames: int
    key_frames_us: tuple[int, ...]
    excluded_us: tuple[int, ...]
    scene: str
    scene_seed: int
    horizon_frac: float
    gain: tuple[float, float, float]
    gamma: float
    shake_px: float
    grain: float
    pixel_seed: int

    def beat_at(self, time_us: int) -> Beat:
        """The beat that holds an instant; the last one after the end."""
        return next((beat for beat in self.beats if time_us < beat.end_us), self.beats[-1])


def plan_people(*, seed: int, num_long: int, num_short: int) -> list[PeopleVideo]:
    """The videos of a world, long ones first; each part has all three splits.

    Raises:
        BadInput: a part has 1 or 2 videos.
    """
    videos = []
    for part, name, num in (("ava", "film", num_long), ("kinetics", "clip", num_short)):
        if num in (1, 2):
            raise BadInput(
                f"{num} videos of the part {part!r}", mend="Want 0 or at least 3, so that each split has one"
            )
        num_val, num_test = (max(1, round(num * share)) if num else 0 for share in (VAL_SHARE, TEST_SHARE))
        splits = ["val"] * num_val + ["test"] * num_test + ["train"] * (num - num_val - num_test)
        random.Random(f"people-splits:{seed}:{part}:{num}").shuffle(splits)
        videos += [
            PeopleVideo(video_id=f"{name}{seed % 1000:03d}{number:04d}", part=part, number=number, split=split)
            for number, split in enumerate(splits)
        ]
    return videos


def check_words(words: Collection[str]) -> None:
    """Refuse what cannot be acted.

    Raises:
        UnknownName: a word is not in `ACT_CLASSES`.
        BadInput: nobody may stand, or a deed of two lacks the other one's.
    """
    for word in words:
        if word not in ACT_CLASSES:
            raise UnknownName(what="act", name=word, choices=ACT_CLASSES)
        if PAIRED.get(word, word) not in words:
            raise BadInput(f"the act {word!r} without {PAIRED[word]!r}", mend="Ask for both, or for none")
    if "stand" not in words:
        raise BadInput("acts without 'stand'", mend="Add it: who shakes hands stands")


def plan_people_take(
    video: PeopleVideo,
    *,
    seed: int,
    aspect: float = 1.0,
    words: Collection[str] = tuple(ACT_CLASSES),
    long_s: tuple[float, float] = LONG.duration_s,
    short_s: tuple[float, float] = SHORT.duration_s,
) -> PeopleTake:
    """What a video shows; hangs on the seed, the part and the number alone, besides what is asked for.

    Args:
        aspect: width of the frame over its height.
        words: the acts that may be seen, some of `ACT_CLASSES`.
        long_s: least and greatest length of a long film, in seconds.
        short_s: the same of a short clip; above 2.
    Raises:
        UnknownName, BadInput: as `check_words`.
    """
    check_words(words)
    style = STYLES[video.part]
    rng = random.Random(f"people-take:{seed}:{video.part}:{video.number}")
    cast = tuple(_dressed(random_body(rng), style) for _ in range(rng.choice(style.num_people)))
    stage = _Stage(style=style, num_cast=len(cast), aspect=aspect, words=frozenset(words), rng=rng)
    fps = rng.choice(style.rates)
    num_frames = int(rng.uniform(*(long_s if video.part == "ava" else short_s)) * fps)
    duration_us = round(num_frames * US_PER_S / fps)
    if video.part == "ava":
        beats, keys = _film(stage, duration_us)
        label = ""
    else:
        beats, keys, label = _clip(stage, duration_us)
    cuts = [beat.start_us for beat in beats[1:]]
    excluded = tuple(key for key in keys if any(abs(key - cut) < _CUT_US for cut in cuts))
    light, warmth = rng.uniform(*style.light), rng.uniform(*style.warmth)
    return PeopleTake(
        video=video, style=style, cast=cast, beats=tuple(beats), label=label, fps=fps,
        num_frames=num_frames, key_frames_us=tuple(keys), excluded_us=excluded,
        scene=rng.choice(style.scenes), scene_seed=rng.getrandbits(64), horizon_frac=rng.uniform(0.5, 0.68),
        gain=(light * warmth, light, light / warmth), gamma=rng.uniform(*style.gamma),
        shake_px=rng.uniform(*style.shake_px), grain=rng.uniform(*style.grain), pixel_seed=rng.getrandbits(64),
    )  # fmt: skip


def _dressed(body: Body, style: Style) -> Body:
    """The person in the style's colours."""

    def toned(color: Color) -> Color:
        level = sum(color) / 3
        red, green, blue = (max(0, min(255, round(level + (c - level) * style.saturation))) for c in color)
        return red, green, blue

    return replace(body, shirt=toned(body.shirt), second=toned(body.second), trousers=toned(body.trousers))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """What a beat is made from."""

    style: Style
    num_cast: int
    aspect: float
    words: frozenset[str]
    rng: random.Random

    def pick(self, weights: Mapping[str, float], *, among: Collection[str]) -> str:
        known = {name: weight for name, weight in weights.items() if name in among}
        return self.rng.choices(list(known), weights=list(known.values()))[0]

    def scenelets(self) -> list[str]:
        alone = [name for name in self.style.scenelets if name in ("plain", "nobody") or name in self.words]
        return [name for name in alone if self.num_cast >= 2 or name not in PAIRED]


def _film(stage: _Stage, duration_us: int) -> tuple[list[Beat], list[int]]:
    """The beats of a long film, and its key-frames: every whole second but the first and the last."""
    beats, at = [], 0
    while at < duration_us:
        end = at + round(stage.rng.uniform(*stage.style.beat_s) * US_PER_S)
        end = duration_us if duration_us - end < US_PER_S else end
        what = stage.pick(stage.style.scenelets, among=stage.scenelets())
        beats.append(_beat(stage, what, start_us=at, end_us=end))
        at = end
    return beats, [second * US_PER_S for second in range(1, duration_us // US_PER_S)]


def _clip(stage: _Stage, duration_us: int) -> tuple[list[Beat], list[int], str]:
    """The beats of a short clip, its one key-frame, and the word of what it mainly shows."""
    rng = stage.rng
    key = rng.randrange(_EDGE_US, duration_us - _EDGE_US)
    scenelets = stage.scenelets()
    what = stage.pick(stage.style.scenelets, among=scenelets)
    looks_away = what == "nobody"
    if looks_away:
        what = stage.pick(stage.style.scenelets, among=[name for name in scenelets if name != "nobody"])
    beat = _beat(stage, what, start_us=0, end_us=duration_us)
    first = beat.acts[-1]
    label = first.deed or first.movement
    if not looks_away:
        return [beat], [key], label
    away = (max(key - _AWAY_US, 0), min(key + _AWAY_US, duration_us))
    nobody = Beat(start_us=away[0], end_us=away[1], acts=(), pan=-beat.pan)
    rest = [replace(beat, end_us=away[0]), nobody, replace(beat, start_us=away[1])]
    return [one for one in rest if one.start_us < one.end_us], [key], label


def _beat(stage: _Stage, what: str, *, start_us: int, end_us: int) -> Beat:
    rng = stage.rng
    acts: list[Act] = []
    if what != "nobody":
        people = rng.sample(range(stage.num_cast), stage.num_cast)
        size, foot = rng.uniform(*stage.style.size_frac), rng.uniform(0.92, 0.985)
        acts = _main_acts(stage, what, people=people, size=size, foot=foot)
        for person in people[len(acts) :]:
            if rng.random() < 0.7:
                acts.append(_beside(stage, person, acts=acts, size=size, foot=foot))
    # Who stands higher up in the frame is farther away; the first act stays last among equals.
    acts.reverse()
    acts.sort(key=lambda act: act.foot)
    return Beat(start_us=start_us, end_us=end_us, acts=tuple(acts), pan=rng.uniform(-0.14, 0.14))


def _manner(rng: random.Random) -> Manner:
    return Manner(
        tempo=rng.uniform(0.85, 1.15), reach=rng.uniform(0.86, 1.06), phase=rng.random(), stance=rng.randrange(4)
    )


def _color(rng: random.Random) -> Color:
    bright = [rng.randint(200, 255), rng.randint(0, 120), rng.randint(0, 255)]
    rng.shuffle(bright)
    return (bright[0], bright[1], bright[2])


def _main_acts(stage: _Stage, what: str, *, people: list[int], size: float, foot: float) -> list[Act]:
    """What the beat is about: one act, or those of two, or of one and a bystander."""
    rng = stage.rng
    if what == "plain":
        return [_plain(stage, people[0], x=_anywhere(stage, size), size=size, foot=foot)]
    facing = rng.choice((-1, 1))
    apart = 2 * (ARM_REACH + 0.035) * size
    room = max(0.0, stage.aspect - apart - 2 * _HALF_WIDTH * size)
    left = _HALF_WIDTH * size + rng.random() * room
    mine, other = (left, left + apart) if facing > 0 else (left + apart, left)
    manner = _manner(rng)
    act = Act(
        person=people[0], movement="stand", deed=what, x=mine, foot=foot, size=size, facing=facing, view="side",
        manner=manner, color=_color(rng),
    )  # fmt: skip
    if what in PAIRED:
        partner = replace(act, person=people[1], deed=PAIRED[what], partner=people[0], x=other, facing=-facing)
        return [replace(act, partner=people[1]), partner]
    if len(people) > 1 and rng.random() < _BYSTANDER:
        other += facing * rng.uniform(0.0, 0.15) * size
        if _HALF_WIDTH * size <= other <= stage.aspect - _HALF_WIDTH * size:
            return [act, _plain(stage, people[1], x=other, size=size, foot=foot, in_place=True)]
    return [act]


def _anywhere(stage: _Stage, size: float) -> float:
    return stage.rng.uniform(_HALF_WIDTH * size, stage.aspect - _HALF_WIDTH * size)


def _plain(stage: _Stage, person: int, *, x: float, size: float, foot: float, in_place: bool = False) -> Act:
    """An act that needs nobody else and no room before the actor."""
    rng, words = stage.rng, stage.words
    among = words - {"walk", "bend"} if in_place else words
    movement = stage.pick(stage.style.movements, among=among)
    deeds = {deed: weight for deed, weight in stage.style.deeds.items() if deed is None or deed in words}
    if movement in ("bend", "jump"):
        deeds = {None: 1.0}
    elif movement in ("walk", "crouch"):
        deeds = {deed: weight for deed, weight in deeds.items() if deed != "clap"}
    if in_place:
        deeds.pop("point", None)
    deed = rng.choices(list(deeds), weights=list(deeds.values()))[0]
    return Act(
        person=person, movement=movement, deed=deed, x=x, foot=foot, size=size, facing=rng.choice((-1, 1)),
        view=rng.choice(view_of(movement, deed)), manner=_manner(rng), color=_color(rng),
    )  # fmt: skip


def _beside(stage: _Stage, person: int, *, acts: list[Act], size: float, foot: float) -> Act:
    """A plain act in the first row where there is room, else in the second."""
    rng = stage.rng
    taken = [(act.x, _APART * size) for act in acts]
    taken += [(act.x + act.facing * ARM_REACH * size, 0.25 * size) for act in acts if act.deed in LOOK_ALIKES.values()]
    taken += [((act.x + other.x) / 2, 0.25 * size) for act in acts for other in acts if act.partner == other.person]
    act = _plain(stage, person, x=_anywhere(stage, size), size=size, foot=foot - 0.001)
    if act.movement != "walk":
        for _ in range(12):
            x = _anywhere(stage, size)
            if all(abs(x - other) >= least for other, least in taken):
                return replace(act, x=x)
    return replace(act, size=size * _BACK_SIZE * rng.uniform(0.92, 1.0), foot=foot - _BACK_RISE)
