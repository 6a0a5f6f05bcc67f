"""An ONNX file of an image classifier as a classifier of frames: any with one picture in and one score a class out.

Shapes: F frames, H and W px, h and w of the file's input; K classes.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gesta.mine.frame_classifiers import ClassifierSource, FrameClassifier, Frames, Scores
from gesta.mine.onnx_sessions import onnx_session
from gesta.schema import BadInput
from gesta.tables import Json, sha256_of_file

MEAN_RGB, STD_RGB = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE_PX, CROP_PX = 256, 224
"""What a file that says nothing wants to see. Source: torchvision 0.28, `ImageClassification`, of ImageNet's models:
the shorter side 256 px, the middle 224 of it, these means and deviations; other inputs keep the proportion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inputs:
    """What the file is shown: the sides after scaling and cutting, colours, and how its axes lie."""

    side_px: int
    is_longer_side: bool
    height_px: int
    width_px: int
    mean_rgb: tuple[float, ...]
    std_rgb: tuple[float, ...]
    axes: str
    is_one_by_one: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOnnx:
    """Opens an ONNX file; a value, so that it travels to workers."""

    path: Path
    class_names: tuple[str, ...]

    def __call__(self, action_names: Sequence[str]) -> FrameClassifier:
        """The file ready to score frames; which actions there are changes nothing.

        Raises:
            BadInput: it cannot be opened, is no image classifier, or nobody says the names of its classes.
            MissingExtra: onnxruntime is not installed.
        """
        del action_names
        session = onnx_session(self.path)
        about = _about(session)
        inputs = _inputs(session, about=about, where=self.path)
        names = self.class_names or about.get("class_names", ())
        name_in, name_out = session.get_inputs()[0].name, session.get_outputs()[0].name
        num_classes = session.get_outputs()[0].shape[1]
        if not names:
            raise BadInput(
                "it does not say the names of its classes", where=self.path, mend="Give them with --classifier-classes"
            )
        if isinstance(num_classes, int) and num_classes != len(names):
            raise BadInput(f"{len(names)} names for {num_classes} classes", where=self.path, mend="Give one for each")

        def score(frames_FHWC: Frames) -> Scores:
            pixels = _shown(frames_FHWC, inputs=inputs)
            batches = np.split(pixels, len(pixels)) if inputs.is_one_by_one else [pixels]
            return np.concatenate([session.run([name_out], {name_in: batch})[0] for batch in batches])

        short_side_px = None if inputs.is_longer_side else inputs.side_px
        return FrameClassifier(score=score, class_names=tuple(names), short_side_px=short_side_px)


def onnx_classifier(path: Path, *, class_names: Sequence[str] = ()) -> ClassifierSource:
    """An ONNX file with one input, float32 [N, 3, h, w] (or [N, 3, 1, h, w] or [N, h, w, 3]), and scores [N, K].

    A file that `gesta onnx` wrote says itself how frames are to be scaled and what its classes are called. Another
    one's `names` or `class_names` in its metadata count, and frames are shown as ImageNet's models want them.

    Args:
        path: the file.
        class_names: of the K scores, in place of what the file says.
    Raises:
        BadInput: there is no such file.
    """
    if not path.is_file():
        raise BadInput("there is no such ONNX file", where=path)
    said: dict[str, Json] = {"kind": "onnx", "sha256": sha256_of_file(path), "class_names": list(class_names)}
    return ClassifierSource(
        open=OpenOnnx(path=path.resolve(), class_names=tuple(class_names)), said=said, tools=("onnxruntime",)
    )


def _about(session: Any) -> dict[str, Any]:
    """Names of classes, sizes and colours, as far as the file's metadata says them."""
    metadata = session.get_modelmeta().custom_metadata_map
    about: dict[str, Any] = {}
    for key in ("class_names", "frames"):
        if f"gesta.{key}" in metadata:
            about[key] = json.loads(metadata[f"gesta.{key}"])
    if "class_names" not in about:
        text = metadata.get("class_names", metadata.get("names", ""))
        names = _literal(text)
        if isinstance(names, Mapping):
            names = [names[key] for key in sorted(names, key=int)]
        about["class_names"] = [str(name) for name in names] if isinstance(names, list | tuple) else []
    return about


def _literal(text: str) -> Any:
    """The value that a text of JSON or of Python's literals stands for; None where it is neither."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return None


def _inputs(session: Any, *, about: Mapping[str, Any], where: Path) -> _Inputs:
    given, scores = session.get_inputs(), session.get_outputs()
    shape = given[0].shape if given else []
    axes = _axes(shape)
    is_one_frame = axes != "NCTHW" or shape[2] == 1
    if len(given) != 1 or given[0].type != "tensor(float)" or not axes or not is_one_frame or len(scores[0].shape) != 2:
        found = ", ".join(f"{each.name} {each.type} {each.shape}" for each in (*given, *scores))
        raise BadInput(
            f"it is no classifier of single pictures: {found}",
            where=where,
            mend="Want one tensor(float) [N, 3, h, w] in and scores [N, K] out",
        )
    frames = about.get("frames", {})
    crop_px = frames.get("crop_px", CROP_PX)
    sides = [shape[axes.index(axis)] for axis in "HW"]
    height_px, width_px = (side if isinstance(side, int) else crop_px for side in sides)
    default_px = -(-max(height_px, width_px) * SIDE_PX // CROP_PX)
    return _Inputs(
        side_px=max(frames.get("side_px", default_px), height_px, width_px),
        is_longer_side=frames.get("side") == "long",
        height_px=height_px,
        width_px=width_px,
        mean_rgb=tuple(frames.get("mean_rgb", MEAN_RGB)),
        std_rgb=tuple(frames.get("std_rgb", STD_RGB)),
        axes=axes,
        is_one_by_one=shape[0] == 1,
    )


def _axes(shape: Sequence[int | str | None]) -> str:
    """How the axes lie, told by where the three colours are; empty where they are not."""
    if len(shape) in (4, 5) and shape[1] == 3:
        return "NCHW" if len(shape) == 4 else "NCTHW"
    return "NHWC" if len(shape) == 4 and shape[3] == 3 else ""


def _shown(frames_FHWC: Frames, *, inputs: _Inputs) -> npt.NDArray[np.float32]:
    """The middle of the scaled frames in the colours and axes that the file wants."""
    height_px, width_px = frames_FHWC.shape[1:3]
    side = max(height_px, width_px) if inputs.is_longer_side else min(height_px, width_px)
    least = max(inputs.height_px / height_px, inputs.width_px / width_px)
    scale = max(inputs.side_px / side, least)
    size = (max(inputs.width_px, round(width_px * scale)), max(inputs.height_px, round(height_px * scale)))
    if size != (width_px, height_px):
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        frames_FHWC = np.stack([cv2.resize(one, size, interpolation=how) for one in frames_FHWC]).astype(np.uint8)
    top, left = (size[1] - inputs.height_px) // 2, (size[0] - inputs.width_px) // 2
    middle_FHWC = frames_FHWC[:, top : top + inputs.height_px, left : left + inputs.width_px]
    mean = np.array(inputs.mean_rgb, dtype=np.float32) * 255
    std = np.array(inputs.std_rgb, dtype=np.float32) * 255
    pixels_NHWC = (middle_FHWC.astype(np.float32) - mean) / std
    if inputs.axes == "NHWC":
        return pixels_NHWC
    pixels_NCHW = np.ascontiguousarray(pixels_NHWC.transpose(0, 3, 1, 2))
    return pixels_NCHW[:, :, None] if inputs.axes == "NCTHW" else pixels_NCHW
