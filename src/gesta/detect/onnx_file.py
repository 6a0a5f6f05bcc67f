"""Any detector given as an ONNX file, told by the shapes of its outputs.

Shapes: N frames of H by W; K boxes a frame; 4 = x1 y1 x2 y2 as fractions of the frame; C channels and h by w cells
of a grid of predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gesta.detect.interface import SCORE_FLOOR, Detector, Found, Frames, import_cv2, weights_file
from gesta.schema import BadInput, MissingExtra

FASTEST_CHANNELS = 85
"""Objectness, 4 of the box, 80 COCO classes. Source: FastestDet (github.com/dog-qiuqiu/FastestDet), README."""

FASTEST_PERSON = 5
"""Channel of the class person, the first of COCO's 80."""

LISTED_PERSON = 1
"""COCO's id of person; 0 is the background. Source: torchvision 0.28, `FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1`."""

KNOWN_LAYOUTS = (
    "Known: one output [1, 85, h, w] (FastestDet), or boxes [K, 4], labels [K] (integers, person 1) and scores [K]"
    " (as torchvision's detectors are exported)"
)


def onnx(weights: Path | None) -> Detector:
    """A detector that runs an ONNX file on one core; people only.

    Raises:
        GestaError: no file is given, or there is no such file.
        BadInput: it cannot be read as ONNX, or its input or outputs are of no known layout.
        MissingExtra: onnxruntime or OpenCV is not installed.
    """
    path = weights_file(weights, detector="onnx", mend="Pass an ONNX file with --weights FILE.onnx")
    session, cv2 = _session(path), import_cv2()
    inputs = session.get_inputs()
    layout = _layout(inputs, session.get_outputs(), where=path)
    height_px, width_px = (side if isinstance(side, int) else None for side in inputs[0].shape[-2:])

    def detect_one(frame_HWC: Frames) -> Found:
        size = (width_px or frame_HWC.shape[1], height_px or frame_HWC.shape[0])
        if size != (frame_HWC.shape[1], frame_HWC.shape[0]):
            frame_HWC = cv2.resize(frame_HWC, size, interpolation=cv2.INTER_AREA)
        colours_HWC = frame_HWC[:, :, ::-1] if layout.is_bgr else frame_HWC
        input_CHW = np.ascontiguousarray(colours_HWC.transpose(2, 0, 1), dtype=np.float32) / 255
        batched = input_CHW[None] if len(inputs[0].shape) == 4 else input_CHW
        return layout.read(session.run(None, {inputs[0].name: batched}), size)

    return lambda frames_NHWC: [detect_one(frame_HWC) for frame_HWC in frames_NHWC]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    # `read` takes the outputs and the input's width and height.
    is_bgr: bool
    read: Callable[[list[Any], tuple[int, int]], Found]


def _session(path: Path) -> Any:
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="detect", module="onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    bad = (errors.InvalidProtobuf, errors.InvalidGraph, errors.InvalidArgument, errors.Fail, errors.NotImplemented)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except bad as error:
        raise BadInput(f"cannot be read as an ONNX model ({str(error).splitlines()[0]})", where=path) from error


def _layout(inputs: list[Any], outputs: list[Any], *, where: Path) -> _Layout:
    """What the outputs mean, told by number, rank, type and fixed sides; names are free and are not looked at."""
    shapes = [each.shape for each in outputs]
    if len(inputs) != 1 or len(inputs[0].shape) not in (3, 4) or inputs[0].type != "tensor(float)":
        found = ", ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)
        raise BadInput(f"its input is {found}", where=where, mend="Want one tensor(float) [3, H, W] or [1, 3, H, W]")
    if len(shapes) == 1 and len(shapes[0]) == 4 and shapes[0][1] == FASTEST_CHANNELS:
        return _Layout(is_bgr=True, read=lambda values, size: read_fastest_grid(values[0][0]))
    ranks, types = [len(shape) for shape in shapes], [each.type for each in outputs]
    if ranks == [2, 1, 1] and "int" in types[1] and types[0] == types[2] == "tensor(float)":
        return _Layout(is_bgr=False, read=_read_listed)
    found = ", ".join(f"{each.name} {each.type} {each.shape}" for each in outputs)
    raise BadInput(f"its outputs {found} are of no known layout", where=where, mend=KNOWN_LAYOUTS)


def read_fastest_grid(grid_Chw: npt.NDArray[np.float32]) -> Found:
    """The people that a FastestDet grid [85, h, w] tells of.

    Channel 0 is objectness, 1 and 2 the centre's offset from the cell's corner through tanh, 3 and 4 width and
    height through a sigmoid, 5 to 84 the classes; score = objectness^0.6 x class^0.4. A cell counts as a person
    where that is its likeliest class.

    Source: FastestDet (github.com/dog-qiuqiu/FastestDet), `utils/tool.py`, `handle_preds`.
    """
    grid = grid_Chw.astype(np.float64)
    row_K, column_K = np.nonzero(grid[5:].argmax(axis=0) == FASTEST_PERSON - 5)
    cells_KC = grid[:, row_K, column_K].T
    scores_K = np.clip(cells_KC[:, 0], 0, None) ** 0.6 * np.clip(cells_KC[:, FASTEST_PERSON], 0, None) ** 0.4
    size_2 = np.array([grid.shape[2], grid.shape[1]])
    center_K2 = (np.stack([column_K, row_K], axis=1) + np.tanh(cells_KC[:, 1:3])) / size_2
    half_K2 = 1 / (1 + np.exp(-cells_KC[:, 3:5])) / 2
    boxes_K4 = np.concatenate([center_K2 - half_K2, center_K2 + half_K2], axis=1)
    is_sure = scores_K >= SCORE_FLOOR
    return boxes_K4[is_sure], scores_K[is_sure]


def _read_listed(values: list[Any], size: tuple[int, int]) -> Found:
    boxes_K4, labels_K, scores_K = values
    is_person = (labels_K == LISTED_PERSON) & (scores_K >= SCORE_FLOOR)
    boxes = boxes_K4.astype(np.float64) / [*size, *size]
    return boxes[is_person], scores_K[is_person].astype(np.float64)
