"""`gesta score` with a model of persons: its detections on the key-frames of a set, in files that evaluation reads.

The folder that comes out:
    detections.parquet  a table of kind detections: a row a box and class
    detections.csv      the same in AVA's layout
    groundtruth.csv     what is annotated, a line of two columns for a key-frame without anybody
    label_map.pbtxt     names of the model's classes
    rejects/            key-frames that could not be read
    parts/              only while it runs: what a cut run has done already

Shapes: N persons (boxes), K classes.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl

from gesta.formats import write_ava_kinetics_csv, write_detections_csv, write_label_map
from gesta.models.feature_bank import FeatureBankSpec
from gesta.predict.person_scores import (
    KEY_FRAMES_PER_BATCH,
    STAGE,
    ScoredPersons,
    batches_of,
    detections_of,
    iter_person_scores,
    numbers_with_boxes,
    truth_of,
)
from gesta.schema import BadInput, LabelClass, Reject
from gesta.tables import (
    Provenance,
    StageSummary,
    count_reasons,
    frame_of,
    is_current,
    made_by,
    read_rejects,
    read_table,
    sha256_of_file,
    table_path,
    whole_file,
    write_rejects,
    write_table,
)
from gesta.train.clips.footage import ClipSource
from gesta.train.devices import pick_device, pick_precision, threads_in_use
from gesta.train.persons.banks import OpenBank, check_bank, open_banks, with_windows
from gesta.train.persons.checkpoints import PersonCheckpoint, load_person_checkpoint, person_model_of
from gesta.train.persons.examples import PersonSet

KEY_FRAMES_PER_PART = 256
"""Key-frames after which what was scored is written down. Source: ours; what a cut run does again at most."""


def run_score_persons(
    checkpoint: Path,
    persons: PersonSet,
    *,
    out: Path,
    rejects: Sequence[Reject] = (),
    boxes: str = "truth",
    least_score: float | None = None,
    flip: bool | None = None,
    device: str = "auto",
    precision: str = "auto",
    num_workers: int = 0,
    threads: int | None = None,
    source: ClipSource | None = None,
    banks: Sequence[Path] = (),
    on_key_frames: Callable[[int], None] | None = None,
) -> StageSummary:
    """`out/detections.parquet`, the same as csv, and the ground truth: `score_person_set` as a stage that goes on.

    The same key-frames, checkpoint and arguments give the same files, whether or not the run was cut.

    Args:
        checkpoint: a `model.pt` of `gesta train` with a recipe of persons.
        persons: key-frames to score; classes that both know must have one name.
        out: folder of the results.
        rejects: key-frames dropped before, as by the reader of the set; they are listed with those dropped here.
        boxes: "truth": annotated persons; "proposals": those that a detector found.
        least_score: of a row; None = the recipe's.
        flip: the mean over each clip and its mirror image; None = the recipe's.
        device: auto, cpu or cuda.
        precision: auto (the recipe's), float32 or bfloat16.
        num_workers: processes that decode; 0 = this one does.
        threads: of torch; None = torch's own number.
        source: how videos are opened.
        banks: what `gesta bank` wrote of these key-frames, for a model that reads a feature bank.
        on_key_frames: called with the number of key-frames just done.
    Raises:
        BadInput: no checkpoint, a class that the model knows by another name, no key-frame with such a box, or the
            banks are not what the model reads.
        UnknownName: no such choice of boxes or device.
        GestaError: the model gives a number that is none, or a worker process died.
    """
    loaded = load_person_checkpoint(checkpoint)
    check_person_classes(loaded, persons, where=checkpoint)
    place, recipe = pick_device(device), loaded.recipe
    bank = open_bank_for(loaded, banks, persons)
    least = recipe.test.least_score if least_score is None else least_score
    flips = recipe.test.flip if flip is None else flip
    made = made_by(
        STAGE,
        arguments={
            "boxes": boxes, "least_score": least, "flip": flips, "device": place,
            "precision": pick_precision(recipe.precision if precision == "auto" else precision, device=place),
        },
        inputs={
            "checkpoint": sha256_of_file(checkpoint), "persons": persons.sha256,
            **({} if bank is None else {"bank": bank.sha256}),
        },
        tools=["torch"],
    )  # fmt: skip
    path = table_path(out, "detections")
    if is_current(path, made) and (out / "groundtruth.csv").is_file():
        old = [row for row in read_rejects(out).iter_rows(named=True) if row["stage"] == STAGE]
        return _summary(out, persons, [Reject(**row) for row in old], boxes=boxes, was_current=True)
    todo = batches_of(numbers_with_boxes(persons, boxes=boxes, rules=recipe.boxes))
    if not todo:
        what = "proposal" if boxes == "proposals" else "annotated box"
        raise BadInput(
            f"no key-frame has a {what}", mend="Give proposals with the labels (--proposals), or --boxes truth"
        )
    parts = PersonParts(folder=out / "parts", prefix=made.fingerprint[:16])
    done = {start for start, _ in parts.read()}
    left = [batch for batch in todo if batch[0] not in done]
    if on_key_frames is not None:
        on_key_frames(sum(len(batch) for batch in todo if batch[0] in done))
    with threads_in_use(threads):
        model = person_model_of(loaded, where=checkpoint, device=place)
        scored = iter_person_scores(
            model, persons, recipe=recipe, batches=left, boxes=boxes, device=place, num_workers=num_workers,
            flip=flips, precision=precision, source=source,
            bank=None if bank is None else functools.partial(
                with_windows, persons=persons, bank=bank, spec=cast(FeatureBankSpec, recipe.head.bank)
            ),
        )  # fmt: skip
        parts.write_all(zip(left, scored, strict=True), on_key_frames=on_key_frames)
    kept = sorted(parts.read(), key=lambda part: part[0])
    frames = [detections_of(one, persons, class_ids=loaded.class_ids, least_score=least) for _, one in kept]
    found = [*rejects, *(reject for _, one in kept for reject in one.rejects)]
    _write(out, pl.concat([frame_of("detections", []), *frames]), found, persons, checkpoint=loaded, made=made)
    shutil.rmtree(parts.folder, ignore_errors=True)
    return _summary(out, persons, found, boxes=boxes, was_current=False)


def open_bank_for(checkpoint: PersonCheckpoint, banks: Sequence[Path], persons: PersonSet) -> OpenBank | None:
    """The feature bank that the model is to be shown on those key-frames; None for one that reads none.

    Raises:
        BadInput: the model reads a bank and none is given, or the other way about; it is of another width or of another
            model than the bank that was learnt with, or lacks a video.
    """
    bank = open_banks(banks) if banks else None
    check_bank(checkpoint.recipe, bank, [persons])
    learnt = checkpoint.bank.get("model_sha256")
    if bank is not None and learnt is not None and bank.model_sha256 != learnt:
        raise BadInput(
            "the feature bank was written by another model than the one that was learnt with", where=banks[0],
            mend="Write it with the same model.pt: features of another mean something else",
        )  # fmt: skip
    return bank


def check_person_classes(checkpoint: PersonCheckpoint, persons: PersonSet, *, where: Path) -> None:
    """Nothing, if no class id has two names, and the model and the set share a class.

    Raises:
        BadInput: a class of the model has another name in the set, or they share none.
    """
    names = dict(zip(persons.class_ids, persons.class_names, strict=True))
    for class_id, name in zip(checkpoint.class_ids, checkpoint.class_names, strict=True):
        if names.get(class_id, name) != name:
            raise BadInput(
                f"class {class_id} of the labels is {names[class_id]!r}, and {name!r} in the model", where=where,
                mend="Score key-frames with the classes that the model was trained on",
            )  # fmt: skip
    if not names.keys() & set(checkpoint.class_ids):
        raise BadInput(
            "the labels and the model share no class", where=where,
            mend="Score key-frames with the classes that the model was trained on",
        )  # fmt: skip


def _write(
    out: Path, frame: pl.DataFrame, rejects: Sequence[Reject], persons: PersonSet, *, checkpoint: PersonCheckpoint,
    made: Provenance,
) -> None:  # fmt: skip
    write_rejects(out, STAGE, [dataclasses.replace(reject, stage=STAGE) for reject in rejects], made_by=made)
    classes = [
        LabelClass(class_id=class_id, name=name)
        for class_id, name in sorted(zip(checkpoint.class_ids, checkpoint.class_names, strict=True))
    ]
    write_label_map(out / "label_map.pbtxt", frame_of("label_map", classes))
    write_truth_csv(out / "groundtruth.csv", truth_of(persons))
    write_detections_csv(out / "detections.csv", frame)
    # Last, since it says that all the others are there.
    write_table(table_path(out, "detections"), "detections", frame, made_by=made)


def write_truth_csv(path: Path, truth: pl.DataFrame) -> None:
    """Ground truth in AVA-Kinetics' layout: a line a box and class, two columns for a key-frame without any.

    Args:
        path: of the csv.
        truth: as `gesta.predict.person_scores.truth_of` gives it.
    """
    key = ["video_id", "timestamp_us"]
    labels = truth.filter(pl.col("class_id").is_not_null())
    bare = truth.filter(pl.col("class_id").is_null()).join(labels.select(key).unique(), on=key, how="anti")
    rows = pl.concat([labels, bare]).sort(key, maintain_order=True)
    write_ava_kinetics_csv(path, rows)


def _summary(
    out: Path, persons: PersonSet, rejects: Sequence[Reject], *, boxes: str, was_current: bool
) -> StageSummary:
    rows = read_table(out, "detections")
    num = rows.select("video_id", "timestamp_us").n_unique() if len(rows) else 0
    return StageSummary(
        stage=STAGE,
        kept=num,
        rejected=count_reasons(rejects),
        outputs=("detections.parquet", "detections.csv", "groundtruth.csv", "label_map.pbtxt"),
        was_current=was_current,
        numbers={"boxes": boxes, "num_detections": len(rows), "num_key_frames": len(persons)},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonParts:
    """Files of some batches each, named by what made them and their first key-frame; each appears whole."""

    folder: Path
    prefix: str

    def read(self) -> list[tuple[int, ScoredPersons]]:
        """The first key-frame of each batch that lies there, and its scores; a broken file is as none."""
        found: list[tuple[int, ScoredPersons]] = []
        for path in sorted(self.folder.glob(f"{self.prefix}-*.npz")):
            try:
                with path.open("rb") as stream, np.load(stream, allow_pickle=False) as part:
                    ends_B = np.cumsum(part["counts"])
                    numbers_N, boxes_N4, scores_NK = part["numbers"], part["boxes"], part["scores"]
                    starts, dropped = part["starts"].tolist(), json.loads(str(part["rejects"]))
            except (zipfile.BadZipFile, KeyError, ValueError, OSError):
                continue
            begin = 0
            for start, end, rejects in zip(starts, ends_B.tolist(), dropped, strict=True):
                rows = slice(begin, end)
                begin = end
                found.append((
                    start,
                    ScoredPersons(
                        numbers_N=numbers_N[rows], boxes_N4=boxes_N4[rows], scores_NK=scores_NK[rows],
                        rejects=tuple(Reject(**row) for row in rejects), num_wanted=0,
                    ),
                ))  # fmt: skip
        return found

    def write_all(
        self,
        scored: Iterator[tuple[tuple[int, ...], ScoredPersons]],
        *,
        on_key_frames: Callable[[int], None] | None,
    ) -> None:
        """Write the batches down as they come, about `KEY_FRAMES_PER_PART` key-frames at a time."""
        waiting: list[tuple[int, ScoredPersons]] = []
        for batch, one in scored:
            waiting.append((batch[0], one))
            if len(waiting) * KEY_FRAMES_PER_BATCH >= KEY_FRAMES_PER_PART:
                self._write(waiting)
                waiting = []
            if on_key_frames is not None:
                on_key_frames(len(batch))
        if waiting:
            self._write(waiting)

    def _write(self, waiting: Sequence[tuple[int, ScoredPersons]]) -> None:
        width = max(one.scores_NK.shape[1] for _, one in waiting)
        scores = [one.scores_NK.reshape(len(one.numbers_N), width) for _, one in waiting]
        dropped = [[dataclasses.asdict(reject) for reject in one.rejects] for _, one in waiting]
        with whole_file(self.folder / f"{self.prefix}-{waiting[0][0]:08d}.npz") as temporary:
            np.savez(
                temporary, starts=np.array([start for start, _ in waiting]), scores=np.concatenate(scores),
                counts=np.array([len(one.numbers_N) for _, one in waiting]), rejects=np.array(json.dumps(dropped)),
                numbers=np.concatenate([one.numbers_N for _, one in waiting]),
                boxes=np.concatenate([one.boxes_N4 for _, one in waiting]),
            )  # fmt: skip
