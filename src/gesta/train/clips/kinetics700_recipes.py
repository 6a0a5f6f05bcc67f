"""Recipes of the Kinetics-700-2020 paper: I3D from scratch on 100, 200 … 600 and all clips of each class.

What the paper says is taken from it: SGD with momentum 0.9, weight decay 1e-5, 135 epochs, a rate of 0.5 divided by ten
after 90, 105, 115 and 120, clips of 32 frames, 32 devices with 8 clips each, tested on 8 clips of 32 evenly spaced.
It does not say how far frames are apart nor how large they are: 25 frames a second and every one of them, since 8 clips
of 32 are then 10.24 s, the length of a video; the shorter side 256 px and crops of 224 as in Carreira & Zisserman, Quo
Vadis (2017), section 2.5. It does not say whether flips are made; the same paper's section 2.5 makes them.

Hours are arithmetic alone, on one H200 at 15 % of its 989 TFLOP/s in bfloat16 (`gesta.train.clips.cost`), with clips
prepared beforehand. None of these was run by us: nobody has trained them with gesta yet.

Source: Smaira et al., A Short Note on the Kinetics-700-2020 Human Action Dataset (2020), section 3 and table 4.
"""

from __future__ import annotations

from gesta.train.clips.augment import ClipAugment
from gesta.train.clips.frames import ClipFrames
from gesta.train.clips.recipe import ClipRecipe, ClipTest

NUM_DEVICES, CLIPS_PER_DEVICE = 32, 8
"""Source: section 3, "a 32 device TPU pod, batch size 8 videos per device"."""


def _i3d(*, name: str, per_class: int | None) -> ClipRecipe:
    return ClipRecipe(
        name=name,
        model="i3d",
        frames=ClipFrames(num_frames=32, side_px=256, side="short", crop_px=224),
        augment=ClipAugment(),
        epochs=135,
        clips_per_batch=NUM_DEVICES * CLIPS_PER_DEVICE,
        num_parts=NUM_DEVICES,
        base_lr=0.5,
        momentum=0.9,
        weight_decay=1e-5,
        milestones=(90, 105, 115, 120),
        per_class=per_class,
        test=ClipTest(num_segments=8),
    )


def i3d_k700_2020_100() -> ClipRecipe:
    """I3D on RGB, from scratch, on 100 clips of each class of Kinetics-700-2020.

    Command: `gesta train k700_2020/train.csv --videos k700_2020/train --val k700_2020/validate.csv
    --recipe i3d_k700_2020_100 --out work/i3d_k700_2020_100`.

    Hardware and cost: one H200 (the paper: 32 TPU devices), about 5.4 hours for 70,000 clips.

    Expect: top-1 38.8 / top-5 63.0 percent on valid, 36.9 / 61.1 on test (the paper's numbers).

    Source: Smaira et al. (2020), table 4.
    """
    return _i3d(name="i3d_k700_2020_100", per_class=100)


def i3d_k700_2020_200() -> ClipRecipe:
    """I3D on RGB, from scratch, on 200 clips of each class of Kinetics-700-2020.

    Command: `gesta train k700_2020/train.csv --videos k700_2020/train --val k700_2020/validate.csv
    --recipe i3d_k700_2020_200 --out work/i3d_k700_2020_200`.

    Hardware and cost: one H200 (the paper: 32 TPU devices), about 10.9 hours for 140,000 clips.

    Expect: top-1 48.6 / top-5 72.4 percent on valid, 46.8 / 70.9 on test (the paper's numbers).

    Source: Smaira et al. (2020), table 4.
    """
    return _i3d(name="i3d_k700_2020_200", per_class=200)


def i3d_k700_2020_300() -> ClipRecipe:
    """I3D on RGB, from scratch, on 300 clips of each class of Kinetics-700-2020.

    Command: `gesta train k700_2020/train.csv --videos k700_2020/train --val k700_2020/validate.csv
    --recipe i3d_k700_2020_300 --out work/i3d_k700_2020_300`.

    Hardware and cost: one H200 (the paper: 32 TPU devices), about 16.3 hours for 210,000 clips.

    Expect: top-1 52.4 / top-5 76.0 percent on valid, 50.8 / 74.6 on test (the paper's numbers).

    Source: Smaira et al. (2020), table 4.
    """
    return _i3d(name="i3d_k700_2020_300", per_class=300)


def i3d_k700_2020_400() -> ClipRecipe:
    """I3D on RGB, from scratch, on 400 clips of each class of Kinetics-700-2020.

    Command: `gesta train k700_2020/train.csv --videos k700_2020/train --val k700_2020/validate.csv
    --recipe i3d_k700_2020_400 --out work/i3d_k700_2020_400`.

    Hardware and cost: one H200 (the paper: 32 TPU devices), about 21.7 hours for 280,000 clips.

    Expect: top-1 54.1 / top-5 77.6 percent on valid, 52.6 / 76.0 on test (the paper's numbers).

    Source: Smaira et al. (2020), table 4.
    """
    return _i3d(name="i3d_k700_2020_400", per_class=400)


def i3d_k700_2020_500() -> ClipRecipe:
    """I3D on RGB, from scratch, on 500 clips of each class of Kinetics-700-2020.

    Command: `gesta train k700_2020/train.csv --videos k700_2020/train --val k700_2020/validate.csv
    --recipe i3d_k700_2020_500 --out work/i3d_k700_2020_500`.

    Hardware and cost: one H200 (the paper: 32 TPU devices), about 27.2 hours for 350,000 clips.

    Expect: top-1 55.7 / top-5 79.0 percent on valid, 54.0 / 77.7 on test (the paper's numbers).

    Source: Smaira et al. (2020), table 4.
    """
    return _i3d(name="i3d_k700_2020_500", per_class=500)


def i3d_k700_2020_600() -> ClipRecipe:
    """I3D on RGB, from scratch, on 600 clips of each class of Kinetics-700-2020.

    Command: `gesta train k700_2020/train.csv --videos k700_2020/train --val k700_2020/validate.csv
    --recipe i3d_k700_2020_600 --out work/i3d_k700_2020_600`.

    Hardware and cost: one H200 (the paper: 32 TPU devices), about 32.6 hours for 420,000 clips.

    Expect: top-1 58.1 / top-5 81.1 percent on valid, 56.8 / 79.9 on test (the paper's numbers).

    Source: Smaira et al. (2020), table 4.
    """
    return _i3d(name="i3d_k700_2020_600", per_class=600)


def i3d_k700_2020() -> ClipRecipe:
    """I3D on RGB, from scratch, on all clips of Kinetics-700-2020.

    Command: `gesta train k700_2020/train.csv --videos k700_2020/train --val k700_2020/validate.csv
    --recipe i3d_k700_2020 --out work/i3d_k700_2020`.

    Hardware and cost: one H200 (the paper: 32 TPU devices), about 42.4 hours for 545,793 clips.

    Expect: top-1 59.3 / top-5 82.0 percent on valid, 58.2 / 80.9 on test (the paper's numbers).

    Source: Smaira et al. (2020), table 4.
    """
    return _i3d(name="i3d_k700_2020", per_class=None)


def i3d_k700() -> ClipRecipe:
    """I3D on RGB, from scratch, on all clips of Kinetics-700.

    Command: `gesta train k700/train.csv --videos k700/train --val k700/validate.csv
    --recipe i3d_k700 --out work/i3d_k700`.

    Hardware and cost: one H200 (the paper: 32 TPU devices), about 42.3 hours for 545,317 clips.

    Expect: top-1 58.0 / top-5 81.7 percent on valid, 57.6 / 80.7 on test (the paper's numbers).

    Source: Smaira et al. (2020), table 4.
    """
    return _i3d(name="i3d_k700", per_class=None)
