"""`gesta bank`: a long-term feature bank, what a model of persons sees of everybody in a set of key-frames.

The folder that comes out:
    bank.pt     the features of each person by video and time, in half precision, and what made them
    rejects/    key-frames that could not be read
    parts/      only while it runs: what a cut run has done already

Shapes: N persons, D features of one.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from gesta.models.feature_bank import FeatureBank, bank_of, read_bank, write_bank
from gesta.predict.person_score_stage import PersonParts
from gesta.predict.person_scores import ScoredPersons, batches_of, iter_person_scores, numbers_with_boxes
from gesta.schema import BadInput, Reject
from gesta.tables import (
    StageSummary,
    count_reasons,
    made_by,
    read_rejects,
    sha256_of_file,
    write_rejects,
)
from gesta.train.clips.footage import ClipSource
from gesta.train.devices import pick_device, pick_precision, threads_in_use
from gesta.train.persons.banks import FILE
from gesta.train.persons.boxes import PersonBoxes
from gesta.train.persons.checkpoints import load_person_checkpoint, person_model_of
from gesta.train.persons.examples import PersonSet

STAGE = "bank"


def run_bank(
    checkpoint: Path,
    persons: PersonSet,
    *,
    out: Path,
    rejects: Sequence[Reject] = (),
    boxes: str = "truth",
    least_score: float | None = None,
    device: str = "auto",
    precision: str = "auto",
    num_workers: int = 0,
    threads: int | None = None,
    source: ClipSource | None = None,
    on_key_frames: Callable[[int], None] | None = None,
) -> StageSummary:
    """`out/bank.pt`: the features of every person of the set, for a head that asks what the minute around showed.

    A key-frame shown whole, no random change. The same key-frames, checkpoint and arguments give the same bank,
    whether or not the run was cut. Videos of which nothing could be read are in the bank, with nobody in them.

    Args:
        checkpoint: a `model.pt` of `gesta train` with a recipe of persons; what its own head asks is not looked at.
        persons: key-frames.
        out: folder of the bank.
        rejects: key-frames dropped before, as by the reader of the set; they are listed with those dropped here.
        boxes: "truth": annotated persons, in their order; "proposals": those that a detector found, best first.
        least_score: of a detector's box; None = the recipe's. Where none of a key-frame has it, the best one counts.
        device: auto, cpu or cuda.
        precision: auto (the recipe's), float32 or bfloat16.
        num_workers: processes that decode; 0 = this one does.
        threads: of torch; None = torch's own number.
        source: how videos are opened.
        on_key_frames: called with the number of key-frames just done.
    Raises:
        BadInput: no checkpoint, no key-frame with such a box or none that can be read, or features that half precision
            does not hold.
        UnknownName: no such choice of boxes or device.
        GestaError: the model gives a number that is none, or a worker process died.
    Source: MMAction2, LFBInferHead; its bank's persons come in a detector's order and are drawn in tests too.
    """
    loaded = load_person_checkpoint(checkpoint)
    place, recipe = pick_device(device), loaded.recipe
    rules = recipe.boxes if least_score is None else dataclasses.replace(recipe.boxes, least_score=least_score)
    recipe = dataclasses.replace(recipe, boxes=rules)
    made = made_by(
        STAGE,
        arguments={
            "boxes": boxes, "least_score": rules.least_score, "device": place,
            "precision": pick_precision(recipe.precision if precision == "auto" else precision, device=place),
        },
        inputs={"checkpoint": sha256_of_file(checkpoint), "persons": persons.sha256},
        tools=["torch"],
    )  # fmt: skip
    path = out / FILE
    if path.is_file() and (old := read_bank(path)).origin.get("fingerprint") == made.fingerprint:
        rows = [row for row in read_rejects(out).iter_rows(named=True) if row["stage"] == STAGE]
        return _summary(old, [Reject(**row) for row in rows], persons, was_current=True)
    todo = _todo(persons, boxes=boxes, rules=rules)
    parts = PersonParts(folder=out / "parts", prefix=made.fingerprint[:16])
    done = {start for start, _ in parts.read()}
    left = [batch for batch in todo if batch[0] not in done]
    if on_key_frames is not None:
        on_key_frames(sum(len(batch) for batch in todo if batch[0] in done))
    with threads_in_use(threads):
        model = person_model_of(loaded, where=checkpoint, device=place)
        seen = iter_person_scores(
            model, best_first(persons), recipe=recipe, batches=left, boxes=boxes, device=place,
            num_workers=num_workers, precision=precision, source=source, gives="features",
        )  # fmt: skip
        parts.write_all(zip(left, _in_half(seen), strict=True), on_key_frames=on_key_frames)
    kept = [one for _, one in sorted(parts.read(), key=lambda part: part[0])]
    bank = bank_of(
        _by_key_frame(kept, persons),
        video_ids=[example.video_id for example in persons.examples],
        origin={
            "fingerprint": made.fingerprint, "checkpoint": made.inputs["checkpoint"], "persons": persons.sha256,
            "recipe": recipe.name, "boxes": boxes, "least_score": rules.least_score,
        },
    )  # fmt: skip
    found = [dataclasses.replace(row, stage=STAGE) for row in (*rejects, *(row for one in kept for row in one.rejects))]
    write_rejects(out, STAGE, found, made_by=made)
    # Last, since it says that all the others are there.
    write_bank(path, bank)
    shutil.rmtree(parts.folder, ignore_errors=True)
    return _summary(bank, found, persons, was_current=False)


def _todo(persons: PersonSet, *, boxes: str, rules: PersonBoxes) -> list[tuple[int, ...]]:
    todo = batches_of(numbers_with_boxes(persons, boxes=boxes, rules=rules))
    if not todo:
        what = "proposal" if boxes == "proposals" else "annotated box"
        raise BadInput(
            f"no key-frame has a {what}", mend="Give proposals with the labels (--proposals), or --boxes truth"
        )
    return todo


def best_first(persons: PersonSet) -> PersonSet:
    """The set with each key-frame's proposals in the order of their scores, equal ones in their own order."""
    examples = []
    for example in persons.examples:
        order_M = np.argsort(-example.proposals_M5[:, 4], kind="stable")
        examples.append(dataclasses.replace(example, proposals_M5=example.proposals_M5[order_M]))
    return dataclasses.replace(persons, examples=tuple(examples))


def _in_half(seen: Iterator[ScoredPersons]) -> Iterator[ScoredPersons]:
    """The same in half precision, as the bank stores it: a part is half as large."""
    for one in seen:
        with np.errstate(over="ignore"):
            yield dataclasses.replace(one, scores_NK=one.scores_NK.astype(np.float16))


def _by_key_frame(kept: Sequence[ScoredPersons], persons: PersonSet) -> dict[tuple[str, int], np.ndarray]:
    """The features [P, D] of each key-frame's persons, by video id and microseconds.

    Raises:
        BadInput: nobody was seen.
    """
    found: dict[tuple[str, int], np.ndarray] = {}
    for one in kept:
        for number in np.unique(one.numbers_N).tolist():
            example = persons.examples[number]
            key = (example.video_id, example.timestamp_us)
            own_PD = one.scores_NK[one.numbers_N == number]
            found[key] = np.concatenate((found[key], own_PD)) if key in found else own_PD
    if not found:
        raise BadInput("no key-frame could be read", mend="Look at the rejects: they say why each was dropped")
    return found


def _summary(bank: FeatureBank, rejects: Sequence[Reject], persons: PersonSet, *, was_current: bool) -> StageSummary:
    return StageSummary(
        stage=STAGE,
        kept=len(bank.features_MD),
        rejected=count_reasons(rejects),
        outputs=(FILE,),
        was_current=was_current,
        numbers={
            "num_videos": len(bank.video_ids), "num_key_frames": len(persons),
            "num_features": bank.features_MD.shape[1], "boxes": bank.origin.get("boxes"),
        },
    )  # fmt: skip
