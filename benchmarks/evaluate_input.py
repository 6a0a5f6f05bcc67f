"""Ground truth and detections of the size of AVA's validation set, the same bytes on every machine.

Sizes as published or counted: 64 films and 57,371 key-frames (AVA paper, table 1: 64 x 897 less 37 excluded), of which
50,029 show 93,400 persons (`ava_val_v2.1.csv`), 2.697 labels a person (252 k rows), and detections like those of a
model with 2.49 boxes a key-frame whose sigmoid scores are kept above 0.002 (3.23 M rows). Scores are of float32 and
written in full; boxes have three decimals. What the scores mean is nothing: only time and equality are measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from gesta.formats import read_ava_csv, write_ava_csv, write_detections_csv

_RANGES = [
    (1, 1), (3, 15), (17, 17), (20, 20), (22, 22), (24, 24), (26, 30), (34, 34), (36, 38), (41, 41), (43, 43), (45, 49),
    (51, 52), (54, 54), (56, 70), (72, 74), (76, 80),
]  # fmt: skip
CLASS_IDS = [class_id for first, last in _RANGES for class_id in range(first, last + 1)]
"""The 60 classes that AVA scores. Source: `ava_action_list_v2.2_for_activitynet_2019.pbtxt`."""

NUM_FILMS, FIRST_SECOND, SECONDS_A_FILM, NUM_EXCLUDED = 64, 902, 897, 37
NUM_LABELLED_FRAMES, NUM_PERSONS, LABELS_A_PERSON = 50_029, 93_400, 2.697
NUM_FOUND, SHARE_FOUND, MIN_SCORE = 143_015, 0.95, 0.002
SEED = 20
BIAS = -6.67
"""Mean log-odds of a class. Source: ours; it leaves 3.23 M of the scores above `MIN_SCORE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """The two files and what is in them."""

    groundtruth: Path
    detections: Path
    num_groundtruth: int
    num_detections: int
    num_key_frames: int


def films(rng: np.random.Generator, num: int) -> list[str]:
    """Ids of eleven characters, as YouTube's are."""
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"))
    return ["".join(letters[rng.integers(0, len(letters), 11)]) for _ in range(num)]


def shapes(rng: np.random.Generator, num: int, shared: Path | None) -> np.ndarray:
    """Boxes of persons, fractions [num, 4] as x1 y1 x2 y2; resampled from real ones where `shared` has them."""
    if shared is not None:
        real = read_ava_csv(shared / "data/annotations/ava/ava_val_v2.1_4videos.csv").drop_nulls("x1")
        boxes = real.select("x1", "y1", "x2", "y2").unique(maintain_order=True).to_numpy()
        return boxes[rng.integers(0, len(boxes), num)]
    height = rng.beta(5, 2, num)
    width = np.clip(height * rng.uniform(0.25, 0.75, num), 0.03, 1)
    left, top = rng.random(num) * (1 - width), rng.random(num) ** 2 * (1 - height)
    return np.stack([left, top, left + width, top + height], axis=1)


def _counts(rng: np.random.Generator, *, total: int, num: int) -> np.ndarray:
    """`num` counts of at least one that add up to `total`."""
    return 1 + np.bincount(rng.integers(0, num, total - num), minlength=num)


def make_truth(rng: np.random.Generator, *, num_films: int, shared: Path | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    """All key-frames (video_id, timestamp_us), and the labelled boxes of those that show somebody."""
    names = films(rng, num_films)
    num_labelled, num_persons = (n * num_films // NUM_FILMS for n in (NUM_LABELLED_FRAMES, NUM_PERSONS))
    seconds = np.tile(np.arange(FIRST_SECOND, FIRST_SECOND + SECONDS_A_FILM), num_films)
    key_frames = pl.DataFrame({"video_id": np.repeat(names, SECONDS_A_FILM), "timestamp_us": seconds * 1_000_000})
    kept = np.sort(rng.choice(len(key_frames), len(key_frames) - NUM_EXCLUDED, replace=False))
    key_frames = key_frames[kept]
    labelled = np.sort(rng.choice(len(key_frames), num_labelled, replace=False))
    frame_of_person = np.repeat(labelled, _counts(rng, total=num_persons, num=num_labelled))
    boxes = np.round(shapes(rng, num_persons, shared), 3)
    num_labels = _counts(rng, total=round(num_persons * LABELS_A_PERSON), num=num_persons)
    # Distinct classes for a person, the frequent ones far more often: the highest of log-weight plus Gumbel noise.
    log_weight = -1.1 * np.log(np.arange(1, 81))[rng.permutation(80)]
    order = np.argsort(-(log_weight + rng.gumbel(size=(num_persons, 80))), axis=1)
    person = np.repeat(np.arange(num_persons), num_labels)
    turn = np.arange(len(person)) - np.repeat(np.cumsum(num_labels) - num_labels, num_labels)
    corners = {name: boxes[person, i] for i, name in enumerate(["x1", "y1", "x2", "y2"])}
    truth = key_frames[frame_of_person[person]].with_columns(
        **{name: pl.Series(values) for name, values in corners.items()},
        class_id=pl.Series(order[person, turn] + 1), person_id=pl.Series(person % 97),
    )  # fmt: skip
    return key_frames, truth


def make_detections(
    rng: np.random.Generator, key_frames: pl.DataFrame, truth: pl.DataFrame, *, num_films: int, shared: Path | None
) -> pl.DataFrame:
    """Boxes near most persons and some beside them, each with its scores of the 60 classes above `MIN_SCORE`."""
    number = key_frames.with_row_index("frame")
    num_boxes = NUM_FOUND * num_films // NUM_FILMS
    corners = ["x1", "y1", "x2", "y2"]
    persons = truth.join(number, on=["video_id", "timestamp_us"]).group_by("frame", "person_id", *corners)
    persons = persons.agg(pl.col("class_id")).sort("frame", "person_id", *corners)
    found = np.flatnonzero(rng.random(len(persons)) < SHARE_FOUND)
    num_false = num_boxes - len(found)
    near = persons[found].select(corners).to_numpy()
    size = np.tile(near[:, 2:] - near[:, :2], 2)
    boxes = np.concatenate([near + 0.08 * size * rng.standard_normal(near.shape), shapes(rng, num_false, shared)])
    boxes = np.round(np.clip(boxes, 0, 1), 3)
    frame = np.concatenate([persons["frame"].to_numpy()[found], rng.integers(0, len(key_frames), num_false)])
    is_class = np.zeros((num_boxes, 81), dtype=bool)
    labels = persons[found]["class_id"]
    is_class[np.repeat(np.arange(len(found)), labels.list.len().to_numpy()), labels.explode().to_numpy()] = True
    # Scores draw from a stream of their own, so that other boxes do not change how many there are.
    rng = np.random.default_rng([SEED, 1])
    bias = rng.normal(BIAS, 2.0, 81)
    logit = bias + 1.1 * rng.standard_normal((num_boxes, 81)) + 2.5 * is_class
    score = (1 / (1 + np.exp(-logit))).astype(np.float32)
    order = np.argsort(frame, kind="stable")
    row, column = np.nonzero(score[np.ix_(order, CLASS_IDS)] > MIN_SCORE)
    box, class_id = order[row], np.array(CLASS_IDS)[column]
    written = pl.Series(score[box, class_id]).cast(pl.String).cast(pl.Float64)
    return key_frames[frame[box]].with_columns(
        **{name: pl.Series(boxes[box, i]) for i, name in enumerate(corners)}, class_id=pl.Series(class_id),
        score=written,
    )  # fmt: skip


def make_input(folder: Path, *, num_films: int = NUM_FILMS, shared: Path | None = None) -> Input:
    """Both files, written into `folder`; with fewer films everything else is fewer too."""
    rng = np.random.default_rng(SEED)
    key_frames, truth = make_truth(rng, num_films=num_films, shared=shared)
    detections = make_detections(rng, key_frames, truth, num_films=num_films, shared=shared)
    paths = folder / "groundtruth.csv", folder / "detections.csv"
    write_ava_csv(paths[0], truth)
    write_detections_csv(paths[1], detections, box_decimals=3)
    return Input(
        groundtruth=paths[0], detections=paths[1], num_groundtruth=len(truth), num_detections=len(detections),
        num_key_frames=len(key_frames),
    )  # fmt: skip


def make_scaled(folder: Path, base: Input, *, num_rows: int, by: str) -> Input:
    """The same with so many detection rows, the last copy of the files cut short.

    Args:
        folder: where the files go.
        base: what is copied.
        num_rows: detection rows.
        by: "films": each copy has films of its own, ground truth too; "boxes": all are detections of the same
            key-frames, each copy with other scores.
    """
    paths = folder / f"groundtruth_{num_rows}.csv", folder / f"detections_{num_rows}.csv"
    num_copies = -(-num_rows // base.num_detections)
    text, left = base.detections.read_bytes(), num_rows
    with paths[1].open("wb") as file:
        for copy in range(num_copies):
            piece = text if left >= base.num_detections else b"".join(text.splitlines(keepends=True)[:left])
            file.write(_renamed(piece, copy) if by == "films" else _rescored(piece, copy))
            left -= base.num_detections
    num_truths, truth = num_copies if by == "films" else 1, base.groundtruth.read_bytes()
    with paths[0].open("wb") as file:
        for copy in range(num_truths):
            file.write(_renamed(truth, copy))
    return Input(
        groundtruth=paths[0], detections=paths[1], num_groundtruth=base.num_groundtruth * num_truths,
        num_detections=num_rows, num_key_frames=base.num_key_frames * num_truths,
    )  # fmt: skip


def _renamed(text: bytes, copy: int) -> bytes:
    """Every line with the copy's number in front of the film's id; the first copy as it is."""
    if not copy:
        return text
    prefix = f"{copy:02d}".encode()
    return prefix + text[:-1].replace(b"\n", b"\n" + prefix) + b"\n"


def _rescored(text: bytes, copy: int) -> bytes:
    """Every line with the copy's number behind its score, which is the line's last cell."""
    return text.replace(b"\n", f"{copy:02d}\n".encode()) if copy else text
