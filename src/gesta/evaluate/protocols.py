"""How the projects that people quote compute "AVA mAP", rule by rule.

| rule | official | acar | pyslowfast | mmaction2 |
|---|---|---|---|---|
| key-frames that count | all in the ground truth | and all with a detection | as acar | all with a labelled box |
| detections a key-frame | the 50 highest (box x class) | the 50 highest | all | all |
| who claims first | the heap's array, by score | as official | file order | file order, by score |
| column 8 of ground truth | read as a score: it orders boxes | as official | not read | read as a score |
| excluded key-frames | taken out | taken out | taken out | not matched, but their boxes are counted |
| class without detections | AP 0 | AP 0 | AP 0 | left out of the mean |
| numbers | float64 | float64 | float64 | float32 corners and scores |
| times | to the microsecond | whole seconds | whole seconds | whole seconds |

All of them: an overlap of at least the threshold is right; a detection claims only the box it overlaps most, and when
that is taken it is wrong; area under the precision envelope over all points; of equal scores the later-read comes
first (their own order among equals is that of NumPy's unstable sort, so it is none).

Source: activitynet/ActivityNet at 82304fa9; Siyu-C/ACAR-Net, `calc_mAP.py` at d684203e; facebookresearch/SlowFast,
`slowfast/utils/ava_eval_helper.py` at 287ec007; open-mmlab/mmaction2, `ava_utils.py` at 4d6c9347; each run on the cases
in `tests/golden/frame_map`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gesta.evaluate.heaps import Order

OFFICIAL_CAP = 50
"""Labelled boxes (box x class) of one key-frame that are scored at most, over all classes together.

Source: `get_ava_performance.py` at 82304fa9, `run_evaluation`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One column of the table above."""

    what: str
    counted: Literal["named", "any", "boxed"]
    cap: int
    order: Order
    groundtruth_order: Order
    counts_excluded_boxes: bool = False
    skips_undetected_classes: bool = False
    is_float32: bool = False
    has_fractions: bool = False


PROTOCOLS: dict[str, Rules] = {
    "official": Rules(
        what="activitynet/ActivityNet get_ava_performance.py at 82304fa9", counted="named", cap=OFFICIAL_CAP,
        order="heap", groundtruth_order="heap", has_fractions=True,
    ),
    "acar": Rules(
        what="Siyu-C/ACAR-Net calc_mAP.py at d684203e", counted="any", cap=OFFICIAL_CAP, order="heap",
        groundtruth_order="heap",
    ),
    "pyslowfast": Rules(
        what="facebookresearch/SlowFast ava_eval_helper.py at 287ec007", counted="any", cap=0, order="file",
        groundtruth_order="file",
    ),
    "mmaction2": Rules(
        what="open-mmlab/mmaction2 ava_utils.py at 4d6c9347", counted="boxed", cap=0, order="score",
        groundtruth_order="score", counts_excluded_boxes=True, skips_undetected_classes=True, is_float32=True,
    ),
}  # fmt: skip
"""By the name that `--protocol` takes."""
