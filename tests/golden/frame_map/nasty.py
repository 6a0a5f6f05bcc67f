"""Small csv cases that are made to part one evaluation program from another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

Rng = np.random.Generator


@dataclass
class Case:
    """One case while it is built: rows are lists of texts, as they will stand in the csv."""

    rng: Rng
    class_ids: list[int]
    frames: list[tuple[str, str]]
    groundtruth: list[list[str]] = field(default_factory=list)
    detections: list[list[str]] = field(default_factory=list)
    excluded: list[list[str]] = field(default_factory=list)

    def pick(self, choices: list) -> object:
        """One of `choices`."""
        return choices[int(self.rng.integers(len(choices)))]

    def a_class(self) -> str:
        """A class of the label map."""
        return str(self.pick(self.class_ids))

    def a_frame(self) -> tuple[str, str]:
        """A key-frame of the case."""
        return self.pick(self.frames)


def made(index: int, *, twists: list[str]) -> dict[str, object]:
    """Case `index` with the named twists: what the programs read, as texts."""
    rng = np.random.default_rng([20261121, index])
    num_classes = 60 if index % 29 == 28 else int(rng.integers(3, 8))
    class_ids = sorted(int(i) for i in rng.choice(np.arange(1, 81), size=num_classes, replace=False))
    films = ["-v_0", "_w1", "film 2", 'a,"b"', "Zz9"][: int(rng.integers(1, 6))]
    seconds = rng.choice(np.arange(902, 930), size=int(rng.integers(2, 5)), replace=False)
    frames = [(film, f"{second:04d}") for film in films for second in seconds]
    order = rng.permutation(len(frames))[: int(rng.integers(2, 7))]
    case = Case(rng=rng, class_ids=class_ids, frames=[frames[i] for i in order])
    _people(case, score=str(rng.choice(["full", "4", "3", "ties"])) if "equal_scores" not in twists else "ties")
    for name in sorted(twists, key=list(TWISTS).index):
        TWISTS[name](case)
    return {
        "index": index, "twists": sorted(twists), "class_ids": class_ids,
        "groundtruth_csv": _text(case.groundtruth), "detections_csv": _text(case.detections),
        "excluded_csv": _text(case.excluded),
    }  # fmt: skip


def _text(rows: list[list[str]]) -> str:
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' if "," in cell else cell for cell in row] for row in rows]
    return "".join(",".join(row) + "\n" for row in quoted)


def _box(rng: Rng, decimals: int | None) -> list[str]:
    """A box of people's size, inside the frame, both sides > 0."""
    x1, y1 = rng.uniform(0, 0.6, 2)
    corners = [x1, y1, x1 + rng.uniform(0.05, 0.4), y1 + rng.uniform(0.05, 0.4)]
    return [repr(float(c)) if decimals is None else f"{c:.{decimals}f}" for c in corners]


def _near(rng: Rng, box: list[str], decimals: int | None) -> list[str]:
    moved = np.array([float(c) for c in box]) + rng.normal(0, 0.03, 4)
    x1, y1, x2, y2 = np.minimum(moved[[0, 1, 2, 3]], moved[[2, 3, 2, 3]] - [0.01, 0.01, 0, 0])
    return [repr(float(c)) if decimals is None else f"{c:.{decimals}f}" for c in (x1, y1, x2, y2)]


def _score(rng: Rng, kind: str) -> str:
    value = float(rng.beta(0.6, 1.6))
    texts = {"full": repr(value), "4": f"{value:.4f}", "3": f"{value:.3f}", "ties": f"{round(value * 4) / 4:.2f}"}
    return texts[kind]


def _people(case: Case, *, score: str) -> None:
    """Persons with one to three labels each, and detections near them and beside them."""
    rng = case.rng
    decimals = None if rng.random() < 0.3 else 3
    for frame in case.frames:
        for _ in range(int(rng.integers(1, 4))):
            box = _box(rng, 3)
            for class_id in rng.choice(case.class_ids, size=int(rng.integers(1, 3)), replace=False):
                case.groundtruth.append([*frame, *box, str(class_id)])
            for _ in range(int(rng.integers(1, 3))):
                found = _near(rng, box, decimals) if rng.random() < 0.85 else _box(rng, decimals)
                for class_id in rng.choice(case.class_ids, size=int(rng.integers(1, 4)), replace=False):
                    case.detections.append([*frame, *found, str(class_id), _score(rng, score)])


def _few_twins(case: Case) -> None:
    # The same box and class again, with the same score or another.
    for _ in range(3):
        row = list(case.pick(case.detections))
        case.detections.append(row if case.rng.random() < 0.5 else [*row[:7], _score(case.rng, "ties")])


def _crowded(case: Case) -> None:
    frame = case.a_frame()
    kind = str(case.pick(["ties", "4", "ties", "ties"]))
    boxes = [row[2:6] for row in case.groundtruth if tuple(row[:2]) == frame] + [_box(case.rng, 3)]
    while sum(tuple(row[:2]) == frame for row in case.detections) < 56:
        box = _near(case.rng, case.pick(boxes), 3)
        case.detections.append([*frame, *box, case.a_class(), _score(case.rng, kind)])
    for row in case.detections:
        if kind == "ties" and tuple(row[:2]) == frame:
            row[7] = _score(case.rng, kind)


def _crowded_twins(case: Case) -> None:
    """More than 50 rows of a few boxes, classes and scores: the heap holds twins, and its shape shows which left it."""
    frame, classes = case.a_frame(), [case.a_class(), case.a_class()]
    box = _box(case.rng, 3)
    boxes = [_near(case.rng, box, 3) for _ in range(3)]
    case.detections = [row for row in case.detections if tuple(row[:2]) != frame]
    case.groundtruth += [[*frame, *_near(case.rng, box, 3), class_id] for class_id in classes for _ in range(2)]
    for _ in range(64):
        score = str(case.pick(["0.2", "0.4", "0.4", "0.6", "0.6"]))
        case.detections.append([*frame, *case.pick(boxes), str(case.pick(classes)), score])


def _unlabelled_frames(case: Case) -> None:
    """Detections on key-frames of which the ground truth says nothing."""
    for _ in range(2):
        frame = [case.a_frame()[0], f"{case.rng.integers(1000, 1010):04d}"]
        case.detections.append([*frame, *_box(case.rng, 3), case.a_class(), _score(case.rng, "4")])


def _empty_frames(case: Case) -> None:
    """Two-column rows: key-frames without boxes, alone and beside rows with boxes."""
    seen = (case.a_frame()[0], "0950")
    case.groundtruth += [list(seen), list(case.a_frame()), [seen[0], "0951"]]
    for _ in range(2):
        case.detections.append([*seen, *_box(case.rng, 3), case.a_class(), _score(case.rng, "4")])
    if case.rng.random() < 0.3:
        case.detections.append([*case.a_frame()])


def _fractional_times(case: Case) -> None:
    """Some seconds become fractions, some whole seconds get decimals, each row by itself."""
    moved = {second for _, second in case.frames if case.rng.random() < 0.7}
    for rows in (case.groundtruth, case.detections):
        for row in rows:
            whole = int(float(row[1]))
            styles = [f"{whole + 0.5}", f"{whole}.500000", f"0{whole}.5"] if row[1] in moved else [f"{whole}.0"]
            row[1] = str(case.pick([*styles, row[1]] if row[1] not in moved else styles))
    whole = case.pick(case.frames)
    case.detections.append([whole[0], whole[1], *_box(case.rng, 3), case.a_class(), "0.9"])


def _excluded_frames(case: Case) -> None:
    case.excluded = [list(case.a_frame()), [case.frames[0][0], "1003"], [case.frames[0][0], "1700"]]
    # Only there can an excluded key-frame hold what no other one does.
    case.groundtruth.append([*case.excluded[0], *_box(case.rng, 3), case.a_class()])


def _without_groundtruth(case: Case) -> None:
    gone = case.detections[0][6]
    case.groundtruth = [row for row in case.groundtruth if len(row) < 7 or row[6] != gone] or case.groundtruth[:1]


def _without_detections(case: Case) -> None:
    gone = {row[6] for row in case.groundtruth[:2] if len(row) > 2}
    case.detections = [row for row in case.detections if len(row) < 7 or row[6] not in gone]


def _only_uncounted(case: Case) -> None:
    """A class found on excluded key-frames and on unlabelled ones only."""
    gone = case.groundtruth[0][6]
    case.detections = [row for row in case.detections if len(row) < 7 or row[6] != gone]
    case.excluded = [case.groundtruth[0][:2]]
    case.detections += [[*frame, *_box(case.rng, 3), gone, "0.3"] for frame in (case.excluded[0], ["Zz9", "1777"])]


def _same_truth(case: Case) -> None:
    case.groundtruth += [list(case.pick(case.groundtruth)) for _ in range(3)]


def _half_overlap(case: Case) -> None:
    """Overlaps of exactly one half, in binary fractions and in decimals, where rounding decides."""
    rng, frame = case.rng, case.a_frame()
    for _ in range(4):
        class_id = case.a_class()
        if rng.random() < 0.4:
            box, half = ["0.25", "0.25", "0.75", "0.75"], ["0.25", "0.25", "0.5", "0.75"]
        else:
            x1, y1, width, height = rng.integers(10, 300, 4)
            corners = np.array([x1, y1, x1 + 2 * width, y1 + height]) / 1000
            box, half = (
                [f"{c:.3f}" for c in cs] for cs in (corners, [*corners[:2], corners[0] + width / 1000, corners[3]])
            )
        case.groundtruth.append([*frame, *box, class_id])
        case.detections.append([*frame, *half, class_id, _score(rng, "full")])


def _rivals(case: Case) -> None:
    """Several labelled boxes of one class that overlap each other, and as many detections for them."""
    frame, class_id, box = case.a_frame(), case.a_class(), _box(case.rng, 3)
    for _ in range(4):
        case.groundtruth.append([*frame, *_near(case.rng, box, 3), class_id])
        case.detections.append([*frame, *_near(case.rng, box, 3), class_id, _score(case.rng, "ties")])


def _no_detections(case: Case) -> None:
    case.detections = []


def _no_groundtruth(case: Case) -> None:
    other = next(i for i in range(1, 81) if i not in case.class_ids)
    for row in case.groundtruth:
        row[6:7] = [str(other)]


def _inverted(case: Case) -> None:
    for _ in range(3):
        row = case.pick(case.detections)
        row[2], row[4] = row[4], row[2]


def _flat_detections(case: Case) -> None:
    for _ in range(3):
        row = case.pick(case.detections)
        row[4] = row[2]


def _flat_truth(case: Case) -> None:
    """Labelled boxes without area, found exactly, and by a box without area."""
    frame, class_id = case.a_frame(), case.a_class()
    x1, y1, x2, y2 = _box(case.rng, 3)
    case.groundtruth += [[*frame, x1, y1, x1, y2, class_id], [*frame, x1, y1, x2, y2, class_id]]
    case.detections += [[*frame, x1, y1, x2, y2, class_id, "0.8"], [*frame, x1, y1, x1, y2, class_id, "0.85"]]


def _inverted_truth(case: Case) -> None:
    row = case.pick(case.groundtruth)
    row[3], row[5] = row[5], row[3]


def _other_classes(case: Case) -> None:
    others = [i for i in range(1, 81) if i not in case.class_ids][:3]
    for _ in range(2):
        case.groundtruth.append([*case.a_frame(), *_box(case.rng, 3), str(case.pick(others))])
        case.detections.append([*case.a_frame(), *_box(case.rng, 3), str(case.pick(others)), "0.99"])


def _only_others(case: Case) -> None:
    """A key-frame whose labels are all outside the label map, with detections of classes inside."""
    frame = [case.frames[0][0], "0960"]
    other = next(i for i in range(1, 81) if i not in case.class_ids)
    case.groundtruth.append([*frame, *_box(case.rng, 3), str(other)])
    case.detections += [[*frame, *_box(case.rng, 3), case.a_class(), _score(case.rng, "full")] for _ in range(3)]


def _person_ids(case: Case) -> None:
    for row in case.groundtruth:
        if len(row) == 7:
            row.append(str(int(case.rng.integers(0, 6))))


def _negative(case: Case) -> None:
    for row in case.detections:
        if len(row) == 8 and case.rng.random() < 0.5:
            row[7] = f"-{row[7]}"


def _almost_equal(case: Case) -> None:
    """Scores and corners that differ as float64 and not as float32."""
    for row in list(case.detections)[:6]:
        if len(row) == 8:
            case.detections.append([*row[:2], *_near(case.rng, row[2:6], 3), row[6], repr(float(row[7]) + 1e-9)])
            case.detections.append([*row[:2], *row[2:5], repr(float(row[5]) + 1e-9), *row[6:]])


def _seven_columns(case: Case) -> None:
    for _ in range(3):
        case.pick(case.detections)[7:] = []


def _odd_numbers(case: Case) -> None:
    """The same numbers written otherwise: exponents, a plus, spaces, quotes, no zero before the point, many digits."""
    for rows in (case.groundtruth, case.detections):
        for row in rows:
            for i in [i for i in (2, 3, 4, 5, 7) if i < len(row) and "." in row[i] and case.rng.random() < 0.1]:
                text = row[i]
                styles = [f" {text}", f'"{text}"', f"{text}{'0' * 22}", f"{float(text):.17e}"]
                if text.startswith("0."):
                    styles += [text[1:], f"+{text}"]
                row[i] = str(case.pick(styles))


def _padding(case: Case) -> None:
    for rows in (case.groundtruth, case.detections, case.excluded):
        for row in rows:
            if row[1].startswith("0") and case.rng.random() < 0.3:
                row[1] = row[1][1:]


def _scattered(case: Case) -> None:
    case.rng.shuffle(case.groundtruth)
    case.rng.shuffle(case.detections)


TWISTS: dict[str, Callable[[Case], None]] = {
    "equal_scores": _few_twins, "crowded": _crowded, "crowded_twins": _crowded_twins,
    "unlabelled_frames": _unlabelled_frames,
    "excluded_frames": _excluded_frames, "without_groundtruth": _without_groundtruth,
    "without_detections": _without_detections, "only_uncounted": _only_uncounted, "same_truth": _same_truth,
    "half_overlap": _half_overlap, "rivals": _rivals, "other_classes": _other_classes, "only_others": _only_others,
    "few_twins": _few_twins, "almost_equal": _almost_equal, "flat_detections": _flat_detections,
    "flat_truth": _flat_truth, "inverted": _inverted, "inverted_truth": _inverted_truth, "negative": _negative,
    "seven_columns": _seven_columns, "no_detections": _no_detections, "no_groundtruth": _no_groundtruth,
    "fractional_times": _fractional_times, "empty_frames": _empty_frames, "person_ids": _person_ids,
    "odd_numbers": _odd_numbers, "padding": _padding, "scattered": _scattered,
}  # fmt: skip
"""In the order in which they are applied, whatever the order in which a case names them."""

RARE = {
    "no_detections", "no_groundtruth", "inverted_truth", "seven_columns", "fractional_times", "empty_frames",
    "inverted", "flat_detections", "flat_truth", "crowded_twins",
}  # fmt: skip
"""What some program refuses, or what empties or fills a case; a case has one of them at most."""


SELDOM = {"crowded", "odd_numbers"}
"""What makes a case long."""


def cases(num_cases: int, *, first: int = 0) -> list[dict[str, object]]:
    """`num_cases` cases from number `first` on; each leads with one twist, in turn, and has others by chance."""
    common = [name for name in TWISTS if name not in RARE]
    found = []
    for index in range(first, first + num_cases):
        rng = np.random.default_rng([7, index])
        lead = list(TWISTS)[index % len(TWISTS)]
        twists = {lead} | {name for name in common if rng.random() < (0.07 if name in SELDOM else 0.22)}
        found.append(made(index, twists=sorted(twists)))
    return found
