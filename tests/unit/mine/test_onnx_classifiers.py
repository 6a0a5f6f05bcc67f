"""ONNX files as classifiers of frames: small graphs made by hand, whose scores can be worked out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gesta.mine import FrameSearch, run_mine
from gesta.mine.onnx_classifiers import MEAN_RGB, STD_RGB, onnx_classifier
from gesta.schema import BadInput
from gesta.tables import read_table

NAMES = ("bowing", "waving hand")


def colour_net(path: Path, *, shape: list[Any], axes: list[int], **metadata: str) -> Path:
    """A file whose two scores are the mean red and the mean blue of what it is shown."""
    weights = numpy_helper.from_array(np.array([[1, 0], [0, 0], [0, 1]], dtype=np.float32), "weights")
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["pixels", "axes"], ["colours"], keepdims=0),
            helper.make_node("MatMul", ["colours", "weights"], ["scores"]),
        ],
        "colours",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [shape[0], 2])],
        [weights, numpy_helper.from_array(np.array(axes, dtype=np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    onnx.save(model, str(path))
    return path


def wanted(frames: np.ndarray, *, mean: Any = MEAN_RGB, std: Any = STD_RGB) -> np.ndarray:
    pixels = (frames / 255 - np.array(mean)) / np.array(std)
    return pixels.mean(axis=(1, 2))[:, [0, 2]]


@pytest.fixture
def frames() -> np.ndarray:
    """Plain colours, which no scaling changes."""
    colours = np.random.default_rng(0).integers(0, 256, (6, 1, 1, 3), dtype=np.uint8)
    return np.ascontiguousarray(np.broadcast_to(colours, (6, 30, 40, 3)))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        (["n", 3, 16, 16], [2, 3]), ([1, 3, 16, 16], [2, 3]), (["n", 3, "h", "w"], [2, 3]),
        (["n", 16, 20, 3], [1, 2]), (["n", 3, 1, 16, 16], [2, 3, 4]),
    ],
)  # fmt: skip
def test_a_classifier_of_any_layout(shape: list[Any], axes: list[int], frames: np.ndarray, tmp_path: Path) -> None:
    path = colour_net(tmp_path / "net.onnx", shape=shape, axes=axes)
    classifier = onnx_classifier(path, class_names=NAMES).open(["whatever"])
    assert classifier.class_names == NAMES
    np.testing.assert_allclose(classifier.score(frames), wanted(frames), atol=1e-3)


def test_the_middle_of_the_frame_is_shown(tmp_path: Path) -> None:
    path = colour_net(tmp_path / "net.onnx", shape=["n", 3, 16, 16], axes=[2, 3])
    sides = np.zeros((1, 40, 120, 3), dtype=np.uint8)
    sides[:, :, :30] = sides[:, :, -30:] = 255
    classifier = onnx_classifier(path, class_names=NAMES).open([])
    assert classifier.short_side_px == 19
    black = wanted(np.zeros((1, 4, 4, 3)))
    np.testing.assert_allclose(classifier.score(sides), black, atol=1e-3)


@pytest.mark.parametrize(
    "metadata",
    [
        {"names": "{1: 'waving hand', 0: 'bowing'}"},
        {"class_names": '["bowing", "waving hand"]'},
        {"names": '{"0": "bowing", "1": "waving hand"}'},
        {
            "gesta.class_names": json.dumps(NAMES),
            "gesta.frames": json.dumps(
                {"side_px": 18, "side": "short", "crop_px": 16, "mean_rgb": [0.5] * 3, "std_rgb": [0.25] * 3}
            ),
        },
    ],
)
def test_a_file_says_its_classes_and_colours(metadata: dict[str, str], frames: np.ndarray, tmp_path: Path) -> None:
    path = colour_net(tmp_path / "net.onnx", shape=["n", 3, 16, 16], axes=[2, 3], **metadata)
    classifier = onnx_classifier(path).open([])
    assert classifier.class_names == NAMES
    given = {"mean": [0.5] * 3, "std": [0.25] * 3} if "gesta.frames" in metadata else {}
    np.testing.assert_allclose(classifier.score(frames), wanted(frames, **given), atol=1e-3)
    assert classifier.short_side_px == (18 if given else 19)


def test_a_file_positions_the_clips_of_a_work_folder(coloured: Path, tmp_path: Path) -> None:
    path = colour_net(tmp_path / "net.onnx", shape=[1, 3, 16, 16], axes=[2, 3])
    search = FrameSearch(classifier=onnx_classifier(path, class_names=NAMES), workers=1, k=1)
    run_mine(coloured, actions=coloured.parent / "actions.txt", search=search)
    found = read_table(coloured, "candidates").select("class_id", "position_us").sort("class_id", "position_us")
    assert found.rows() == [(1, 1_000_000), (1, 21_000_000), (2, 4_000_000), (2, 12_000_000), (3, None)]


def test_what_is_no_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"x\.onnx: there is no such ONNX file"):
        onnx_classifier(tmp_path / "x.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no onnx")
    with pytest.raises(BadInput, match="cannot be read as an ONNX model"):
        onnx_classifier(tmp_path / "bad.onnx").open([])
    clips = colour_net(tmp_path / "clips.onnx", shape=["n", 3, 16, 8, 8], axes=[2, 3, 4])
    with pytest.raises(
        BadInput, match=r"no classifier of single pictures: pixels tensor\(float\) \['n', 3, 16, 8, 8\]"
    ):
        onnx_classifier(clips, class_names=NAMES).open([])
    plain = colour_net(tmp_path / "plain.onnx", shape=["n", 3, 8, 8], axes=[2, 3], names="garbage")
    with pytest.raises(BadInput, match=r"does not say the names of its classes\. Give them with --classifier-classes"):
        onnx_classifier(plain).open([])
    with pytest.raises(BadInput, match=r"3 names for 2 classes\. Give one for each"):
        onnx_classifier(plain, class_names=("a", "b", "c")).open([])
