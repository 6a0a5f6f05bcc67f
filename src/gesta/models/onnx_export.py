"""Models as ONNX files, checked number by number in onnxruntime.

Shapes: B clips, T frames, H and W px; N boxes, K classes of persons, C classes of clips; L rows of D features of a
feature bank. B and N are free in the file; T, H and W are fixed, for positions and pools depend on them.

Inputs: `clip` float32 [B, 3, T, H, W] and, of a model of persons, `boxes` float32 [N, 5] (clip number, x1 y1 x2 y2 as
fractions) and, of one with a feature bank, `bank` float32 [B, L, D]. Outputs: `scores` [N, K], the probability of each
action by itself (sigmoid), or [B, K] of a clip model, shares of one (softmax); `clip_scores` [B, C] (softmax) of a
model that also labels clips.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gesta.models.person_model import PersonModel
from gesta.schema import BadInput, GestaError, MissingExtra
from gesta.tables import Json, whole_file

FORMAT = "gesta-onnx-1"
"""Value of the key `gesta.format` in the metadata of every file."""

LEAST_OPSET = 18
"""torch's exporter writes no older one; RoIAlign with the half-cell shift came with 16. Source: torch 2.13, onnx."""

TOLERANCE = 1e-4
"""Largest difference of a probability between torch and onnxruntime that passes as the same model."""

CASES = ((1, 0), (1, 1), (2, 5), (1, 17))
"""Numbers of clips and of boxes that a file is tried with."""


class Scored(nn.Module):
    """A model whose outputs are probabilities, as the file has it."""

    def __init__(self, model: PersonModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip_BCTHW: Tensor, boxes_N5: Tensor, bank_BLD: Tensor | None = None) -> tuple[Tensor, ...]:
        """`scores` [N, K] and, where the model labels clips, `clip_scores` [B, C].

        Takes clips [B, 3, T, H, W], `boxes_N5` [N, 5] and `bank_BLD` [B, L, D] as the model does.
        """
        logits_NK, logits_BC = self.model.both(clip_BCTHW, boxes_N5, bank_BLD)
        if logits_BC is None:
            return (logits_NK.sigmoid(),)
        return logits_NK.sigmoid(), logits_BC.softmax(dim=1)


class ScoredClips(nn.Module):
    """A clip model whose outputs are shares of one, as the file has it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, clip_BCTHW: Tensor) -> tuple[Tensor, ...]:
        """`scores` [B, K] of clips [B, 3, T, H, W]."""
        return (self.model(clip_BCTHW).softmax(dim=1),)


def export_onnx(
    model: nn.Module,
    out: Path,
    *,
    clip_shape: tuple[int, int, int],
    opset: int = LEAST_OPSET,
    about: Mapping[str, Json] | None = None,
) -> Path:
    """The file written, whole or not at all: a model of persons or of clips, in evaluation mode on the CPU.

    Args:
        clip_shape: frames, height and width of the clips.
        opset: version of ONNX's operators, from 18 on.
        about: what the file says of itself besides its format and inputs; each value is stored as JSON.
    Raises:
        BadInput: the opset is older, or the shape is none; the model refuses such clips.
        MissingExtra: `onnx` or `onnxscript` is not installed.
        GestaError: torch cannot write this model as ONNX.
    Source: torch 2.13, torch.onnx.export by torch.export.
    """
    if opset < LEAST_OPSET:
        raise BadInput(f"opset {opset} is too old", mend=f"Give {LEAST_OPSET} or more")
    if len(clip_shape) != 3 or min(clip_shape) < 1:
        raise BadInput(f"clips of {clip_shape} frames, height and width", mend="Give three numbers from 1 on")
    _need_onnx()
    wrapped = (Scored(model) if isinstance(model, PersonModel) else ScoredClips(model)).eval()
    # Two of each, as torch takes a size of one for a number that will stay so.
    inputs = example_inputs(model, clip_shape=clip_shape, num_clips=2, num_boxes=3, seed=0)
    free = {"clip": {0: "clips"}, "boxes": {0: "boxes"}, "bank": {0: "clips"}}
    names = ["scores", "clip_scores"] if getattr(model, "clip_head", None) is not None else ["scores"]
    with torch.no_grad():
        wrapped(*inputs.values())
        try:
            with warnings.catch_warnings():
                # Its own parts warn of each other.
                warnings.simplefilter("ignore")
                program: Any = torch.onnx.export(
                    wrapped,
                    tuple(inputs.values()),
                    input_names=list(inputs),
                    output_names=names,
                    opset_version=opset,
                    dynamic_shapes=tuple(free[name] for name in inputs),
                    dynamo=True,
                    verbose=False,
                )
        except torch.onnx.OnnxExporterError as error:
            raise GestaError(
                f"torch cannot write this model as ONNX ({str(error).strip().splitlines()[0]})", where=out
            ) from error
    said: dict[str, Json] = {"format": FORMAT, "inputs": list(inputs), "outputs": list(names), **(about or {})}
    for key, value in said.items():
        program.model.metadata_props[f"gesta.{key}"] = value if key == "format" else json.dumps(value)
    with whole_file(out) as temporary:
        program.save(str(temporary))
    return out


def example_inputs(
    model: nn.Module, *, clip_shape: tuple[int, int, int], num_clips: int, num_boxes: int, seed: int
) -> dict[str, Tensor]:
    """Clips [B, 3, T, H, W], boxes [N, 5] and a bank [B, L, D] drawn by the seed, by name, as far as the model has it.

    The first box is the whole frame, the second sticks out of it, the third has no width; the others lie anywhere.
    """
    draw = np.random.default_rng(seed)
    clip = torch.from_numpy(draw.standard_normal((num_clips, 3, *clip_shape), dtype=np.float32))
    inputs = {"clip": clip}
    if not isinstance(model, PersonModel):
        return inputs
    corners = np.sort(draw.random((num_boxes, 2, 2)), axis=1).reshape(num_boxes, 4)
    special = np.array([[0, 0, 1, 1], [-0.1, 0.4, 0.7, 1.2], [0.5, 0.2, 0.5, 0.9]])[:num_boxes]
    corners[: len(special)] = special
    numbers = draw.integers(0, num_clips, (num_boxes, 1))
    inputs["boxes"] = torch.from_numpy(np.concatenate((numbers, corners), axis=1).astype(np.float32))
    if model.head.bank is not None:
        shape = (num_clips, model.head.bank.num_rows, model.head.bank.num_bank_features)
        inputs["bank"] = torch.from_numpy(draw.standard_normal(shape, dtype=np.float32))
    return inputs


def onnx_difference(
    model: nn.Module,
    path: Path,
    *,
    clip_shape: tuple[int, int, int],
    cases: Sequence[tuple[int, int]] = CASES,
    seed: int = 0,
) -> float:
    """The largest difference of any probability between the model and its file.

    `cases` are numbers of clips and of boxes, of which a model of clips has none.

    Raises:
        BadInput: onnxruntime cannot open the file.
        MissingExtra: onnxruntime is not installed.
        GestaError: an output has another shape, or is no number.
    """
    session = open_onnx(path)
    wrapped = (Scored(model) if isinstance(model, PersonModel) else ScoredClips(model)).eval()
    largest = 0.0
    for number, (clips, boxes) in enumerate(cases):
        inputs = example_inputs(model, clip_shape=clip_shape, num_clips=clips, num_boxes=boxes, seed=seed + number)
        with torch.no_grad():
            wanted = [x.numpy() for x in wrapped(*inputs.values())]
        found = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        for want, have in zip(wanted, found, strict=True):
            if want.shape != have.shape or not np.isfinite(have).all():
                raise GestaError(
                    f"onnxruntime gives {have.shape} for {clips} clips and {boxes} boxes where torch gives "
                    f"{want.shape}, or no numbers",
                    where=path,
                )
            largest = max(largest, float(np.abs(want - have).max(initial=0)))
    return largest


def onnx_about(path: Path) -> dict[str, Any]:
    """What a file says of itself, by the keys of `about`, and its `format`, `inputs` and `outputs`.

    Raises:
        BadInput: onnxruntime cannot open the file, or gesta did not write it.
        MissingExtra: onnxruntime is not installed.
    """
    said = open_onnx(path).get_modelmeta().custom_metadata_map
    own = {key.removeprefix("gesta."): value for key, value in said.items() if key.startswith("gesta.")}
    if own.get("format") != FORMAT:
        raise BadInput(f"this is no ONNX file of gesta: format {own.get('format')!r}, want {FORMAT!r}", where=path)
    return {key: value if key == "format" else json.loads(value) for key, value in own.items()}


def open_onnx(path: Path) -> Any:
    """A session of onnxruntime on the file, on the CPU, in one thread.

    Raises:
        BadInput: there is no such file, or onnxruntime cannot open it.
        MissingExtra: onnxruntime is not installed.
    """
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="onnx", module="onnxruntime") from error
    if not path.is_file():
        raise BadInput("there is no such ONNX file", where=path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (state.Fail, state.InvalidProtobuf, state.InvalidGraph, state.NotImplemented, RuntimeError) as error:
        raise BadInput(f"onnxruntime cannot open it ({str(error).splitlines()[0]})", where=path) from error


def _need_onnx() -> None:
    for module in ("onnx", "onnxscript"):
        try:
            __import__(module)
        except ModuleNotFoundError as error:
            raise MissingExtra(extra="onnx", module=error.name or module) from error
