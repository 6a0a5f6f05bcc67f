"""What can be wrong with a set of labelled persons before a model learns from it, beside the codes of single files.

The codes of `gesta.lint.codes` are of files by themselves; these are of files held against one another: labels against
the label map, videos and proposals, training against validation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from gesta.lint.codes import Code
from gesta.lint.findings import MAX_EXAMPLES, Example, Finding

STOPPING_SHARE = 0.1
"""Share of rows that are wrong from which nothing good can be learnt. Source: ours; published files of AVA and
AVA-Kinetics stay far below a thousandth."""

PERSON_CODES: Mapping[str, Code] = {
    "set-empty": Code(
        "error",
        "No labelled box is left to learn from.",
        "A model that sees no person learns nothing, and its mAP is 0.",
        "Look at the lists of excluded key-frames, at the videos at hand, and at the classes asked for",
    ),
    "set-unreadable": Code(
        "error",
        "A file of the set cannot be read.",
        "Its key-frames, or its boxes, would be missing.",
        "Mend what the message names",
    ),
    "class-without-positive": Code(
        "warning",
        "A class that is to be learnt has no positive example.",
        "The model can only learn to say no; the class has AP 0 where the ground truth shows it.",
        "Leave the class out (--classes), or add examples of it",
    ),
    "classes-foreign": Code(
        "error",
        "No label is of a class that is to be learnt.",
        "Every target is 0, and so is the mAP.",
        "Give the label map that the labels were written with",
    ),
    "classes-off-by-one": Code(
        "error",
        "The labels count classes from another number than the label map.",
        "Every box is learnt as its neighbour in the list; scored with a right map, the mAP is near 0.",
        "Renumber the labels: AVA's ids count from 1",
    ),
    "classes-unknown": Code(
        "error",
        "Many labels have ids that the label map lacks.",
        "They are dropped without a word, and their persons are learnt as doing nothing.",
        "Give the label map that the labels were written with",
    ),
    "boxes-wrong": Code(
        "error",
        "Many boxes are no boxes within the frame: pixels, sizes in place of corners, corners exchanged.",
        "The model looks beside every person.",
        "Write x1, y1, x2, y2 as fractions of the frame, x to the right and y down",
    ),
    "times-outside": Code(
        "error",
        "Many key-frames lie outside their videos.",
        "Nothing can be decoded there, or a frame of the wrong moment is learnt.",
        "Write times in seconds from the start of the video file at hand",
    ),
    "times-few-outside": Code(
        "warning",
        "Some key-frames lie outside their videos.",
        "They cannot be read and are left out.",
        "Look whether the videos named were cut short when they were downloaded",
    ),
    "videos-none": Code(
        "error",
        "None of the labels' videos is at hand.",
        "Nothing can be learnt or scored.",
        "Name the folder of the videos; files are called after their video ids",
    ),
    "videos-missing": Code(
        "warning",
        "Some of the labels' videos are not at hand.",
        "Their key-frames are left out; of ground truth, every person in them counts as missed.",
        "Download them, or say with the result how many are missing",
    ),
    "proposals-unmet": Code(
        "error",
        "No key-frame with labels has proposals.",
        "With detected boxes nothing is scored, and the mAP is 0.",
        "Write proposals with the labels' video ids and times",
    ),
    "proposals-sparse": Code(
        "warning",
        "Many labelled key-frames have no proposals.",
        "The persons there cannot be found, whatever the model.",
        "Run the detector on every key-frame of the labels",
    ),
    "proposals-low-recall": Code(
        "warning",
        "The proposals cover few of the labelled persons.",
        "The mAP with detected boxes cannot be above this share.",
        "Look at the boxes' units and order of corners, or use a better detector",
    ),
    "proposals-below-score": Code(
        "warning",
        "Few proposals have the score from which they are used.",
        "Key-frames fall back to their best box only.",
        "Lower the recipe's least score, or write the detector's probabilities from 0 to 1",
    ),
    "proposals-recall": Code(
        "note",
        "How many labelled persons the proposals cover.",
        "It bounds the mAP with detected boxes.",
        "",
    ),
    "rows-repeated": Code(
        "warning",
        "Many rows repeat another.",
        "They count twice in the loss, and of ground truth the second can never be found.",
        "Drop repeated rows; a file may have been written or joined twice",
    ),
    "leak-train-val": Code(
        "error",
        "Videos are in training and in validation.",
        "The model is tested on what it has seen, and the mAP says nothing.",
        "Leave them out of one of the two",
    ),
}


def set_finding(
    code: str, message: str, *, where: str | Path, count: int = 1, more: Sequence[str] = (), mend: str | None = None
) -> Finding:
    """The finding of that code, one of `PERSON_CODES`.

    Args:
        code: one of `PERSON_CODES`.
        message: what is wrong, without a full stop.
        where: file or set.
        count: places.
        more: further places.
        mend: in place of the code's own, where more is known.
    """
    known = PERSON_CODES[code]
    return Finding(
        code=code, severity=known.severity, where=str(where), line=None, message=message,
        mend=known.mend if mend is None else mend, count=count,
        more=tuple(Example(None, text) for text in more[:MAX_EXAMPLES]),
    )  # fmt: skip


def milder(finding: Finding) -> Finding:
    """The finding as a warning where it was an error."""
    return dataclasses.replace(finding, severity="warning") if finding.severity == "error" else finding
