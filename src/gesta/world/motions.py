"""Plan short clips of paired motions, each clip the other one in reverse, so that only order tells a pair apart.

A world of motions has groups, as UCF-101 has: a group is one person at one place, seen doing every class once. The two
clips of a pair show one and the same footage, the second backwards: opening a door backwards is closing it. So the two
classes of a pair have, within each group, the same frames; whoever sees single frames, whatever frames, can only guess,
and who sees one frame of each clip of a pair (the middle one) is right for exactly half of them. A few classes that a
single frame does tell (an umbrella, a scooter) stand beside them. Splits share no group, so neither person nor place.

Source: ours. The pairs are of the kind that the Kinetics-400 paper names as needing motion ("swinging" ..., section 2);
groups as `UCF101TrainTestSplits-RecognitionTask` has them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from fractions import Fraction

from gesta.schema import BadInput
from gesta.world.figures import Body, Color, random_body
from gesta.world.scenes import SCENES

PAIRS = (
    ("opening a door", "closing a door"), ("sitting down", "standing up"), ("moving right", "moving left"),
    ("raising arms", "lowering arms"), ("picking up", "putting down"), ("pushing a crate", "pulling a crate"),
    ("coming closer", "going away"),
)  # fmt: skip
"""The motion classes: the second of a pair is the first in reverse. A person who moves right or left may face either
way, and so may one who pushes (walks after the crate) or pulls (walks backwards, the crate follows)."""

CONTROLS = ("holding an umbrella", "holding a balloon", "riding a scooter", "doing push-ups")
"""Classes that one frame tells."""

CLASSES = (*(name for pair in PAIRS for name in pair), *CONTROLS)
"""All class names; a class's id is its place from 0 in the sorted names, as in a folder of class folders."""

MOTION_RATES = (Fraction(25, 2), Fraction(25, 2), Fraction(15), Fraction(15), Fraction(25), Fraction(30000, 1001))
SPLITS = ("train", "val", "test")
VAL_SHARE, TEST_SHARE = 0.1, 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One person at one place, who does every class once."""

    number: int
    split: str
    body: Body
    scene: str
    scene_seed: int
    horizon_frac: float
    gain: tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionTake:
    """The footage of one pair or control class in one group, before it is a clip or two.

    The movement goes from 0 to 1 between `start_s` and `end_s` and holds still before and after. Places are fractions
    of the frame; the number of frames is odd, so that the clip has a middle one.
    """

    group: Group
    what: str
    fps: Fraction
    num_frames: int
    start_s: float
    end_s: float
    facing: int
    x_frac: float
    foot_frac: float
    size_frac: float
    path_frac: float
    reach: float
    phase: float
    tempo: float
    paint: tuple[Color, Color]
    shake_px: float
    grain: float
    pixel_seed: int

    @property
    def duration_s(self) -> float:
        """From the first frame's start to the last frame's end."""
        return float(self.num_frames / self.fps)


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionClip:
    """One file: a class, the take that it shows, and the clip whose frames it shows in reverse order, if any."""

    video_id: str
    label: str
    group: int
    split: str
    what: str
    reverse_of: str | None

    @property
    def file_name(self) -> str:
        """The file, in a folder of its class in one of its split."""
        return f"{self.split}/{self.label}/{self.video_id}.mp4"


def partner_of(label: str) -> str | None:
    """The class whose clips are this one's in reverse; None of a class that has none.

    >>> partner_of("standing up"), partner_of("doing push-ups")
    ('sitting down', None)
    """
    for one, other in PAIRS:
        if label in (one, other):
            return other if label == one else one
    return None


def plan_groups(*, seed: int, num_groups: int, num_classes: int = len(CLASSES)) -> list[Group]:
    """The people and places of a world of motions; each split has at least one.

    Args:
        num_classes: clips a group, for the error's words.
    Raises:
        BadInput: fewer than 3 groups.
    """
    if num_groups < len(SPLITS):
        problem = f"a world of {num_groups} groups of {num_classes} clips"
        least = len(SPLITS) * num_classes
        raise BadInput(problem, mend=f"Want at least {least} videos, so that each split has a group")
    num_val, num_test = (max(1, round(num_groups * share)) for share in (VAL_SHARE, TEST_SHARE))
    splits = ["val"] * num_val + ["test"] * num_test + ["train"] * (num_groups - num_val - num_test)
    random.Random(f"motion-splits:{seed}:{num_groups}").shuffle(splits)
    return [_group(seed, number, split) for number, split in enumerate(splits)]


def _group(seed: int, number: int, split: str) -> Group:
    # A group's content hangs on the seed and its number alone: a larger world begins with the people of a smaller one.
    rng = random.Random(f"motion-group:{seed}:{number}")
    light = rng.uniform(0.75, 1.15)
    return Group(
        number=number, split=split, body=random_body(rng), scene=rng.choice(tuple(SCENES)),
        scene_seed=rng.getrandbits(64), horizon_frac=rng.uniform(0.5, 0.68),
        gain=(light * rng.uniform(0.92, 1.08), light, light * rng.uniform(0.92, 1.08)),
    )  # fmt: skip


def clips_of(group: Group) -> list[MotionClip]:
    """A group's clips, one a class, in the order of `CLASSES`."""
    first_of = {name: pair[0] for pair in PAIRS for name in pair}
    clips = []
    for label in CLASSES:
        what = first_of.get(label, label)
        clips.append(
            MotionClip(
                video_id=_video_id(label, group), label=label, group=group.number, split=group.split, what=what,
                reverse_of=_video_id(what, group) if what != label else None,
            )
        )  # fmt: skip
    return clips


def _video_id(label: str, group: Group) -> str:
    return f"{label.replace(' ', '_').replace('-', '_')}_g{group.number:04d}"


def plan_motion(group: Group, what: str, *, seed: int) -> MotionTake:
    """The footage of `what` (the first class of a pair, or a control class) in a group.

    Raises:
        ValueError: `what` is neither (our own claim).
    """
    if what not in (*(pair[0] for pair in PAIRS), *CONTROLS):
        raise ValueError(f"{what!r} is neither the first class of a pair nor a control class")
    rng = random.Random(f"motion-take:{seed}:{group.number}:{what}")
    fps = rng.choice(MOTION_RATES)
    num_frames = int(fps * Fraction(rng.randint(160, 260), 100)) // 2 * 2 + 1
    duration_s = float(num_frames / fps)
    is_travel = what in ("moving right", "pushing a crate", "coming closer", *CONTROLS)
    # Travel fills the clip; other movements begin and end inside it.
    start_s = 0.0 if is_travel else duration_s * rng.uniform(0.06, 0.3)
    end_s = duration_s if is_travel else duration_s * rng.uniform(0.66, 0.92)
    size = rng.uniform(0.62, 0.8)
    return MotionTake(
        group=group, what=what, fps=fps, num_frames=num_frames, start_s=start_s, end_s=end_s,
        facing=rng.choice((-1, 1)), x_frac=rng.uniform(0.4, 0.6), foot_frac=rng.uniform(0.9, 0.97),
        size_frac=size, path_frac=rng.uniform(0.3, 0.5), reach=rng.uniform(0.86, 1.06), phase=rng.random(),
        tempo=rng.uniform(0.85, 1.25), paint=(_paint(rng), _paint(rng)), shake_px=rng.choice((0.0, 0.0, 0.4, 0.8)),
        grain=rng.choice((0.0, 1.0, 1.5, 2.5)), pixel_seed=rng.getrandbits(64),
    )  # fmt: skip


def _paint(rng: random.Random) -> Color:
    return (rng.randint(30, 230), rng.randint(30, 230), rng.randint(30, 230))
