"""Checkpoints as ONNX files that say of themselves what they want to see and what their scores mean."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from gesta.models.onnx_export import CASES, LEAST_OPSET, TOLERANCE, export_onnx, onnx_difference
from gesta.schema import BadInput, GestaError
from gesta.tables import Json, StageSummary, whole_file
from gesta.train.clips.checkpoints import clip_model_of, is_clip_checkpoint, load_clip_checkpoint
from gesta.train.clips.frames import ClipFrames
from gesta.train.persons.checkpoints import is_person_checkpoint, load_person_checkpoint, person_model_of

BOXES = "number of the clip in the batch, then x1 y1 x2 y2 as fractions of the clip as shown, x right, y down"


BANK = (
    "float32 [clips, window_s x max_per_second, features]: of each second, from half the window before the "
    "key-frame to half after, the first persons' features as the model of model_sha256 gives them; zeros where there "
    "is nobody"
)


def run_onnx(
    checkpoint: Path,
    *,
    out: Path,
    height_px: int | None = None,
    width_px: int | None = None,
    opset: int = LEAST_OPSET,
    cases: Sequence[tuple[int, int]] = CASES,
) -> StageSummary:
    """Write a checkpoint of persons or of clips as an ONNX file, and compare both on random clips.

    The file appears whole, and only where onnxruntime's probabilities are the model's within `TOLERANCE`.

    Args:
        height_px: of the clips that the file takes; None = the recipe's crop.
        width_px: likewise.
        opset: version of ONNX's operators.
        cases: numbers of clips and of boxes that are compared.
    Raises:
        BadInput: it is no such checkpoint, the model cannot take clips of that size, or it reads flow.
        MissingExtra: onnx, onnxscript or onnxruntime is not installed.
        GestaError: torch cannot write the model as ONNX, or the file's scores differ from the model's.
    """
    model, frames, about = _opened(checkpoint)
    shape = (frames.num_frames, height_px or frames.crop_px, width_px or frames.crop_px)
    said = {**about, **_seen(frames, shape=shape)}
    with whole_file(out) as temporary:
        export_onnx(model, temporary, clip_shape=shape, opset=opset, about=said)
        difference = onnx_difference(model, temporary, clip_shape=shape, cases=cases)
        if difference > TOLERANCE:
            raise GestaError(
                f"onnxruntime's scores differ from torch's by up to {difference:.1e}, more than {TOLERANCE:.0e}",
                where=checkpoint,
                mend="Try another opset, and tell the authors of gesta",
            )
    numbers: dict[str, Json] = {
        "largest_difference": difference,
        "num_frames": shape[0],
        "height_px": shape[1],
        "width_px": shape[2],
        "num_bytes": out.stat().st_size,
    }
    names = about["class_names"]
    return StageSummary(
        stage="onnx", kept=len(names) if isinstance(names, list) else 0, outputs=(str(out),), numbers=numbers
    )


def _opened(checkpoint: Path) -> tuple[nn.Module, ClipFrames, dict[str, Json]]:
    """The model in evaluation mode, what it is shown, and what it says."""
    if is_person_checkpoint(checkpoint):
        persons = load_person_checkpoint(checkpoint)
        about: dict[str, Json] = {
            "kind": "persons",
            "class_ids": list(persons.class_ids),
            "class_names": list(persons.class_names),
            "clip_class_names": list(persons.clip_class_names),
            "recipe": persons.recipe.name,
            "data_sha256": persons.data_sha256,
            "boxes": BOXES,
            "scores": "probability of each action by itself (sigmoid is applied)",
        }
        if (spec := persons.recipe.head.bank) is not None:
            about["bank"] = {**dataclasses.asdict(spec), "model_sha256": persons.bank.get("model_sha256")}
            about["bank_windows"] = BANK
        return person_model_of(persons, where=checkpoint), persons.recipe.frames, about
    if not is_clip_checkpoint(checkpoint):
        raise BadInput(
            "this is no checkpoint of persons or of clips",
            where=checkpoint,
            mend="Name the model.pt that `gesta train` wrote",
        )
    clips = load_clip_checkpoint(checkpoint)
    about = {
        "kind": "clips",
        "class_ids": list(clips.class_ids),
        "class_names": list(clips.class_names),
        "recipe": clips.recipe.name,
        "data_sha256": clips.data_sha256,
        "scores": "probability of each class, one in the sum (softmax is applied)",
    }
    return clip_model_of(clips, where=checkpoint), clips.recipe.frames, about


def _seen(frames: ClipFrames, *, shape: tuple[int, int, int]) -> Mapping[str, Json]:
    """What has to be done to a video before the file sees it."""
    if frames.modality != "rgb":
        raise BadInput(f"a model of {frames.modality} cannot be written", mend="Name a model of colour frames")
    return {
        "frames": dataclasses.asdict(frames),
        "clip": f"float32 [clips, 3, {shape[0]}, {shape[1]}, {shape[2]}], red green blue, (x / 255 - mean) / std",
        "mean_rgb": list(frames.mean_rgb),
        "std_rgb": list(frames.std_rgb),
    }
