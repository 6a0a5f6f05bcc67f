"""Decide what the world holds before a pixel is drawn: which files, who is in them, who does what and when.

Everything follows from the seed and the number of videos; a video's content follows from the seed and its number.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from gesta.schema import BadInput, UnknownName
from gesta.world.figures import Body, random_body
from gesta.world.poses import HAND_REACH, MOTIONS, Manner
from gesta.world.scenes import SCENES
from gesta.world.titles import compilation_title, title_of, video_id_of

ACTIONS = tuple(MOTIONS)
RATES = (Fraction(25, 2), Fraction(15), Fraction(25), Fraction(30000, 1001))
SIZES = ((256, 192),) * 6 + ((256, 144), (320, 180), (192, 256), (240, 240), (288, 216))
DUPLICATE_DAMAGE = ("re-encoded", "cropped", "resized", "flipped", "compilation")
"""What is done to the copies of a world, unless others are asked for. Source: Kinetics-400 paper, section 3.4."""
COPY_DAMAGE = (*DUPLICATE_DAMAGE, "letterboxed", "logo", "speed", "excerpt", "recoloured", "reworked")
"""All that can be done to a copy; reworked: cropped, mirrored, with a logo and re-encoded, all at once."""
COMPILED = ("compilation", "excerpt")
"""Copies that show other footage as well: after the whole source, or around an excerpt of it."""
CORRUPT_DAMAGE = ("truncated", "zero bytes", "wrong extension", "no frames", "audio only")
AWKWARD_DAMAGE = ("variable frame rate", "rotated")
DUPLICATE_SHARE, DISTRACTOR_SHARE, EMPTY_SHARE, CORRUPT_SHARE = 0.11, 0.085, 0.035, 0.02
NAMELESS_SHARE, MIXED_SHARE = 0.04, 0.07


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Which copies a world holds: kinds in turn, and their share of all files.

    Raises:
        BadInput: there is no kind, or a share above 0.6, which leaves too few originals.
        UnknownName: a kind is none of `COPY_DAMAGE`.
    """

    kinds: tuple[str, ...] = DUPLICATE_DAMAGE
    share: float = DUPLICATE_SHARE

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in COPY_DAMAGE:
                raise UnknownName(what="kind of copy", name=kind, choices=COPY_DAMAGE)
        if not self.kinds or not 0 <= self.share <= 0.6:
            raise BadInput(
                f"{len(self.kinds)} kinds of copy, {self.share} of all files",
                mend="Want one kind or more, and 0 to 0.6",
            )


LINE_COPIES = Copies()
"""The copies that a world holds unless others are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """One person of a take. Pixels before the camera moves; seconds from the start; the action is half-open."""

    person_id: int
    body: Body
    action: str | None
    view: str
    facing: int
    x_px: float
    foot_px: float
    size_px: float
    path_px: tuple[float, float]
    manner: Manner
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """The content of one original video."""

    width_px: int
    height_px: int
    fps: Fraction
    num_frames: int
    scene: str
    horizon_px: int
    actors: tuple[Actor, ...]
    pan_px: tuple[float, float]
    shake_px: float
    gain: tuple[float, float, float]
    gamma: float
    grain: float
    pixel_seed: int

    @property
    def duration_s(self) -> float:
        """From the first frame's start to the last frame's end."""
        return float(self.num_frames / self.fps)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoPlan:
    """One file of the world: its name and title, and the takes it shows (a compilation shows several)."""

    number: int
    video_id: str
    kind: str
    title: str
    actions: tuple[str, ...] = ()
    scene: str = "room"
    parts: tuple[int, ...] = ()
    damage: str | None = None

    @property
    def is_readable(self) -> bool:
        """Whether a decoder can show it."""
        return self.kind != "corrupt"

    @property
    def file_name(self) -> str:
        """The file's name: the id and an ending."""
        return f"{self.video_id}.mp4"


def _spread(total: int, share: float, *, least: int) -> int:
    return max(least, round(total * share))


def _kinds(num_videos: int, copies: Copies, rng: random.Random) -> list[tuple[str, str | None]]:
    """The kind and damage of every file, shuffled."""
    few = num_videos < 60
    num_corrupt = min(len(CORRUPT_DAMAGE), num_videos // 4) if few else _spread(num_videos, CORRUPT_SHARE, least=5)
    # From 60 videos on every kind of damage is there at least once.
    num_duplicate = _spread(num_videos, copies.share, least=1 if few else len(copies.kinds))
    kinds: list[tuple[str, str | None]] = [("corrupt", CORRUPT_DAMAGE[k % 5]) for k in range(num_corrupt)]
    kinds += [("duplicate", copies.kinds[k % len(copies.kinds)]) for k in range(num_duplicate)]
    kinds += [("distractor", None)] * _spread(num_videos, DISTRACTOR_SHARE, least=1)
    kinds += [("empty", None)] * _spread(num_videos, EMPTY_SHARE, least=1)
    num_awkward = 2 if few else max(2, round(num_videos * 0.02))
    kinds += [("original", AWKWARD_DAMAGE[k % 2]) for k in range(num_awkward)]
    if len(kinds) >= num_videos:
        raise BadInput(
            f"{num_duplicate} copies among {num_videos} videos leave no original",
            mend="Want more videos or fewer copies",
        )
    kinds += [("original", None)] * (num_videos - len(kinds))
    rng.shuffle(kinds)
    return kinds


def plan_world(*, seed: int, num_videos: int, copies: Copies = LINE_COPIES) -> list[VideoPlan]:
    """The files of the world that `seed` names, in the order of their numbers.

    Raises:
        BadInput: fewer than 8 videos, too few for one of each kind; or so many copies that there is no original.
    """
    if num_videos < 8:
        raise BadInput(f"a world of {num_videos} videos", mend="Want at least 8, so that each kind of file fits")
    rng = random.Random(f"world:{seed}:{num_videos}")
    kinds = _kinds(num_videos, copies, rng)
    plans: list[VideoPlan] = []
    deck: list[str] = []
    for number, (kind, damage) in enumerate(kinds):
        scene = rng.choice(tuple(SCENES))
        video_id = video_id_of(rng, number=number)
        plan = VideoPlan(number=number, video_id=video_id, kind=kind, title="", scene=scene, damage=damage)
        if kind == "duplicate":
            plans.append(plan)
            continue
        # Originals take turns, so that every action has its share of them.
        if kind == "original" and not deck:
            deck = rng.sample(ACTIONS, len(ACTIONS))
        action = deck.pop() if kind == "original" else rng.choice(ACTIONS)
        actions: tuple[str, ...] = (action,) if kind == "original" else ()
        names: tuple[str, ...] = (action,)
        if kind == "original" and damage is None and rng.random() < MIXED_SHARE:
            other = rng.choice([name for name in ACTIONS if name != action and not MOTIONS[name].needs_partner])
            if not MOTIONS[action].needs_partner:
                actions = names = (action, other)
        elif kind == "distractor" and rng.random() < 0.6:
            # Someone does something, only not what the title says.
            actions = (rng.choice([name for name in ACTIONS if name != action]),)
        elif kind == "original" and damage is None and rng.random() < NAMELESS_SHARE:
            names = ()
        title = title_of(names, place=scene, rng=rng)
        plans.append(replace(plan, actions=actions, title=title, parts=(number,)))
    return [_copied(plan, plans, rng) if plan.kind == "duplicate" else plan for plan in plans]


def _copied(plan: VideoPlan, plans: Sequence[VideoPlan], rng: random.Random) -> VideoPlan:
    """A duplicate with its source (and a compilation with its other parts) chosen."""
    clean = [other for other in plans if other.kind == "original" and other.damage is None]
    single = [other for other in clean if len(other.actions) == 1]
    source = rng.choice((single or clean) if plan.damage in COMPILED else clean)
    parts: tuple[int, ...] = (source.number,)
    title = title_of(source.actions, place=source.scene, rng=rng)
    if plan.damage in COMPILED:
        title = compilation_title(source.actions[0], rng=rng)
        others = [other for other in single if other.number != source.number]
        same = [other for other in others if other.actions == source.actions]
        pool = same if same and rng.random() < 0.8 else others
        parts += tuple(other.number for other in rng.sample(pool, min(len(pool), rng.choice((1, 2)))))
    return replace(plan, title=title, scene=source.scene, actions=source.actions, parts=parts)


def _interval(action: str | None, duration_s: float, rng: random.Random) -> tuple[float, float]:
    if action is None:
        return 0.0, 0.0
    if rng.random() < 0.55:
        return 0.0, duration_s
    # Idle before, after or both; the action lasts at least 2 s of the at least 4.
    before = rng.uniform(0.4, duration_s * 0.28) if rng.random() < 0.7 else 0.0
    after = rng.uniform(0.4, duration_s * 0.22) if before == 0.0 or rng.random() < 0.5 else 0.0
    return before, duration_s - after


def _cast(actions: Sequence[str], rng: random.Random) -> list[str | None]:
    """What each person does, None = nothing; 1 to 4 people."""
    if not actions:
        return [None] * rng.choice((1, 1, 2, 2, 3, 4))
    if MOTIONS[actions[0]].needs_partner:
        return [actions[0], actions[0], *[None] * rng.choice((0, 0, 0, 1, 2))]
    doing: list[str | None] = list(actions)
    if len(actions) == 1:
        doing += list(actions) * rng.choice((0, 0, 0, 1, 1, 2))
    idle: list[str | None] = [None] * rng.choice((0, 0, 0, 1, 1, 2))
    return (doing + idle)[:4]


def _places(doing: Sequence[str | None], width_px: int, size_px: float, rng: random.Random) -> list[float]:
    """Where each person stands; partners who shake hands stand at arm's length."""
    slot = width_px / len(doing)
    order = list(range(len(doing)))
    has_pair = len(doing) > 1 and doing[0] is not None and MOTIONS[doing[0]].needs_partner
    if has_pair:
        at = rng.randint(0, len(doing) - 2)
        order = [at, at + 1, *[k for k in range(len(doing)) if k not in (at, at + 1)]]
    else:
        rng.shuffle(order)
    places = [(k + 0.5) * slot + rng.uniform(-0.16, 0.16) * slot for k in order]
    if has_pair:
        middle = (places[0] + places[1]) / 2
        reach = HAND_REACH * size_px
        places[0], places[1] = middle - reach, middle + reach
    return places


def plan_take(*, seed: int, plan: VideoPlan) -> Take:
    """The content of an original, distractor or empty video.

    Raises:
        ValueError: the plan is of a file that has no content of its own (our own claim).
    """
    if plan.kind in ("duplicate", "corrupt"):
        raise ValueError(f"{plan} has no take of its own")
    rng = random.Random(f"take:{seed}:{plan.number}")
    width, height = rng.choice(SIZES)
    fps = rng.choice(RATES)
    num_frames = int(fps * Fraction(rng.randint(400, 700), 100))
    duration_s = float(num_frames / fps)
    horizon = round(height * rng.uniform(0.5, 0.7))
    actors: list[Actor] = []
    if plan.kind != "empty":
        doing = _cast(plan.actions, rng)
        actors = _actors(doing, width=width, height=height, horizon=horizon, duration_s=duration_s, rng=rng)
    light = rng.uniform(0.72, 1.2)
    reach = 0.06 * width
    pan = rng.uniform(-reach, reach) if rng.random() < 0.45 else 0.0
    return Take(
        width_px=width, height_px=height, fps=fps, num_frames=num_frames, scene=plan.scene, horizon_px=horizon,
        actors=tuple(sorted(actors, key=lambda actor: actor.foot_px)),
        pan_px=(-pan, pan), shake_px=rng.choice((0.0, 0.0, 0.4, 0.8, 1.6, 2.4)),
        gain=(light * rng.uniform(0.9, 1.1), light, light * rng.uniform(0.9, 1.1)), gamma=rng.uniform(0.8, 1.25),
        grain=rng.choice((0.0, 1.0, 1.5, 2.5)), pixel_seed=rng.getrandbits(64),
    )  # fmt: skip


def _facing(place_frac: float, rng: random.Random) -> int:
    """To the right or left; into the picture for those near its sides."""
    if 0.3 < place_frac < 0.7:
        return rng.choice((-1, 1))
    return 1 if place_frac < 0.5 else -1


def _actors(
    doing: Sequence[str | None], *, width: int, height: int, horizon: int, duration_s: float, rng: random.Random
) -> list[Actor]:
    headroom = max(MOTIONS[action].headroom if action else 0.0 for action in doing)
    largest = min(0.95, 0.98 / (1 + headroom), max(0.37, 1.75 * width / len(doing) / height))
    smallest = min(0.38, largest)
    front_size = height * rng.uniform(smallest + 0.3 * (largest - smallest), largest)
    front_foot = min(height * 0.985, max(front_size * (1 + headroom) + 1, height * rng.uniform(0.84, 0.985)))
    places = _places(doing, width, front_size, rng)
    tempo, phase, shared = rng.uniform(0.82, 1.22), rng.random(), _interval(doing[0], duration_s, rng)
    actors = []
    for person_id, action in enumerate(doing):
        motion = MOTIONS[action] if action else None
        pair = motion is not None and motion.needs_partner
        # Who stands farther back is smaller, and higher in the picture.
        depth = 1.0 if pair else rng.uniform(max(0.75, 0.35 * height / front_size), 1.0)
        depth = min(1.0, depth)
        size = front_size * depth
        foot = front_foot if pair else horizon + max(0.0, front_foot - horizon) * depth
        body = random_body(rng)
        facing = (1 if person_id == 0 else -1) if pair else _facing(places[person_id] / width, rng)
        start_s, end_s = shared if pair or rng.random() < 0.4 else _interval(action, duration_s, rng)
        margin = min(0.25 * width, 0.22 * size)
        actors.append(
            Actor(
                person_id=person_id, body=replace(body, arm=1.0, shoulders=0.11) if pair else body, action=action,
                view=rng.choice(motion.views) if motion else rng.choice(("front", "front", "side")), facing=facing,
                x_px=places[person_id], foot_px=foot, size_px=size, path_px=(margin, width - margin),
                manner=Manner(
                    tempo=tempo if pair else rng.uniform(0.82, 1.22), reach=rng.uniform(0.88, 1.08),
                    phase=phase if pair else rng.random(), stance=rng.randrange(4),
                ),
                start_s=start_s if action else 0.0, end_s=end_s if action else 0.0,
            )
        )  # fmt: skip
    return actors
