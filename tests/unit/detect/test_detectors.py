import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from gesta.detect import DETECTORS, HABITS, build_detector, find_people
from gesta.detect.hog import hog, score_of_distance
from gesta.detect.onnx_file import onnx, read_fastest_grid
from gesta.detect.torchvision_file import torchvision
from gesta.models.centernet import CenterNet, Preprocessing, checkpoint_of, load_centernet
from gesta.schema import BadInput, GestaError, UnknownName
from gesta.video import read_frames

_spec = importlib.util.spec_from_file_location("onnx_bytes", Path(__file__).with_name("onnx_bytes.py"))
onnx_bytes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(onnx_bytes)

torch.set_num_threads(1)
WHITE = np.full((2, 32, 48, 3), 255, np.uint8)


def test_there_are_four_detectors_each_with_its_habits():
    assert set(DETECTORS) == set(HABITS) == {"torchvision", "onnx", "hog", "centernet"}


def test_a_name_that_is_none_lists_the_detectors():
    with pytest.raises(UnknownName, match=r"no detector 'hogg'. Did you mean 'hog'. There are: centernet, hog, onnx"):
        build_detector("hogg", None)


@pytest.mark.parametrize(("name", "says"), [("onnx", "--weights FILE.onnx"), ("centernet", "gesta train-detector")])
def test_a_detector_without_its_file_says_how_to_get_one(name, says, tmp_path):
    with pytest.raises(GestaError, match=f"the detector '{name}' needs a weights file.*{says}"):
        build_detector(name, None)
    with pytest.raises(GestaError, match="there is no such weights file"):
        build_detector(name, tmp_path / "absent.bin")


def test_torchvision_without_its_weights_says_which_file_to_get(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    says = (
        "needs its COCO weights. Download https://.*fasterrcnn_resnet50_fpn_v2_coco-.*.pth and pass it with --weights"
    )
    with pytest.raises(GestaError, match=says):
        build_detector("torchvision", None)
    with pytest.raises(GestaError, match=r"there is no such weights file. Download https"):
        build_detector("torchvision", tmp_path / "absent.pth")


# --- hog ---


def test_hog_sees_people_walking_on_a_real_square(shared):
    frames = read_frames(shared / "videos" / "walking_crowd.mp4", [1_000_000])
    ((boxes, _),) = find_people(hog(None), frames, min_score=0.5)
    # Looked at: 23 boxes, of which 22 hold people and one, around four of them, does not.
    assert 15 <= len(boxes) <= 30
    heights = boxes[:, 3] - boxes[:, 1]
    assert 0.1 < np.median(heights) < 0.3


def test_hog_refuses_weights_and_takes_tiny_frames(tmp_path):
    with pytest.raises(BadInput, match="'hog' takes no weights"):
        hog(tmp_path / "w")
    ((boxes, scores),) = hog(None)(np.zeros((1, 6, 300, 3), np.uint8))
    assert boxes.shape == (0, 4)
    assert scores.shape == (0,)


def test_the_hog_score_rises_with_the_distance():
    scores = score_of_distance(np.linspace(-1, 4, 50))
    assert (np.diff(scores) > 0).all()
    assert ((scores > 0) & (scores < 1)).all()


# --- onnx ---


def test_fastestdet_finds_the_signing_woman(shared):
    frames = read_frames(shared / "videos" / "asl" / "book.mkv", [1_000_000])
    ((boxes, scores),) = find_people(onnx(shared / "detectors" / "FastestDet.onnx"), frames, min_score=0.6)
    # Looked at: one box from the crown of her head to the frame's lower edge.
    assert len(boxes) == 1
    assert np.abs(boxes[0] - [0.30, 0.19, 0.65, 0.99]).max() < 0.03
    assert scores[0] > 0.8


def test_a_fastestdet_grid_is_read_by_its_rule():
    grid = np.zeros((85, 4, 8), np.float32)
    grid[0, 2, 5], grid[5, 2, 5] = 0.81, 0.64
    grid[3, 2, 5], grid[4, 2, 5] = -math.log(3), 0.0  # a quarter of the width, half of the height
    grid[0, 0, 0], grid[6, 0, 0] = 0.9, 0.9  # sure of something else
    boxes, scores = read_fastest_grid(grid)
    assert boxes.shape == (1, 4)
    assert boxes[0] == pytest.approx([0.5, 0.25, 0.75, 0.75])
    assert scores == pytest.approx([0.81**0.6 * 0.64**0.4])


@pytest.mark.parametrize("free_sides", [True, False])
def test_boxes_labels_and_scores_are_read_people_only(tmp_path, free_sides):
    path = tmp_path / "listed.onnx"
    boxes = [[0, 0, 24, 32], [12, 8, 24, 16], [0, 0, 48, 32]]
    path.write_bytes(onnx_bytes.listed_detector(boxes, [1, 3, 1], [0.9, 0.8, 0.01], free_sides=free_sides))
    found = onnx(path)(WHITE if free_sides else WHITE.repeat(2, axis=1).repeat(2, axis=2))
    assert len(found) == 2
    assert found[0][0].tolist() == [[0.0, 0.0, 0.5, 1.0]]
    assert found[0][1] == pytest.approx([0.9])  # the image reaches the model as 0..1
    ((_, scores),) = onnx(path)(WHITE[:1] // 5 * 3)
    assert scores == pytest.approx([0.54], abs=1e-4)


def test_an_unknown_layout_is_named_with_the_known_ones(tmp_path):
    path = tmp_path / "odd.onnx"
    nodes = [onnx_bytes.node("Identity", ["image"], "copy")]
    ends = [onnx_bytes.value_info(name, onnx_bytes.FLOAT, (1, 3, 8, 8)) for name in ("image", "copy")]
    path.write_bytes(onnx_bytes.model(nodes, ends[:1], ends[1:]))
    says = r"odd.onnx: its outputs copy tensor\(float\) \[1, 3, 8, 8\] are of no known layout. Known: .*FastestDet"
    with pytest.raises(BadInput, match=says):
        onnx(path)


def test_an_input_that_is_no_image_is_refused(tmp_path):
    path = tmp_path / "text.onnx"
    nodes = [onnx_bytes.node("Identity", ["words"], "copy")]
    ends = [onnx_bytes.value_info(name, onnx_bytes.INT64, ("N",)) for name in ("words", "copy")]
    path.write_bytes(onnx_bytes.model(nodes, ends[:1], ends[1:]))
    with pytest.raises(BadInput, match=r"its input is words tensor\(int64\)"):
        onnx(path)


def test_a_file_that_is_no_onnx_is_refused(tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_text("no model")
    with pytest.raises(BadInput, match=r"bad.onnx: cannot be read as an ONNX model"):
        onnx(path)


# --- torchvision ---


@pytest.mark.parametrize("version", ["fpn_v2", "fpn"])
def test_a_saved_faster_rcnn_is_loaded_and_told_by_its_weights(version, tmp_path):
    from torchvision.models import detection

    build = detection.fasterrcnn_resnet50_fpn_v2 if version == "fpn_v2" else detection.fasterrcnn_resnet50_fpn
    torch.manual_seed(3)
    model = build(weights=None, weights_backbone=None, num_classes=91)
    # An untrained head, pushed to call everything a person.
    torch.nn.init.constant_(model.roi_heads.box_predictor.cls_score.bias, 0.0)
    model.roi_heads.box_predictor.cls_score.bias.data[1] = 20.0
    path = tmp_path / "weights.pth"
    torch.save({name: value.half() for name, value in model.state_dict().items()}, path)
    found = torchvision(path, short_side_px=64)(np.random.default_rng(0).integers(0, 255, (1, 48, 64, 3), np.uint8))
    ((boxes, scores),) = found
    assert len(boxes) == len(scores) > 0
    assert ((boxes >= 0) & (boxes <= 1.0001)).all()
    assert scores.max() > 0.9


def test_weights_of_something_else_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(BadInput, match="is no state dict of torchvision's Faster R-CNN"):
        torchvision(path)
    torch.save({"roi_heads.box_predictor.cls_score.weight": torch.zeros(1)}, path)
    with pytest.raises(BadInput, match="does not fit torchvision's Faster R-CNN"):
        torchvision(path)
    path.write_text("no weights")
    with pytest.raises(BadInput, match="cannot be read as torch weights"):
        torchvision(path)


# --- centernet ---


def test_a_checkpoint_brings_its_preprocessing_and_detects(tmp_path):
    torch.manual_seed(1)
    net, preprocessing = CenterNet(width=8), Preprocessing(long_side_px=64)
    path = tmp_path / "net.pt"
    torch.save(checkpoint_of(net, preprocessing, made_by={"seed": 1}), path)
    loaded, how = load_centernet(path)
    assert how == preprocessing
    assert not loaded.training
    found = build_detector("centernet", path)(np.zeros((3, 30, 50, 3), np.uint8))
    assert len(found) == 3
    boxes, scores = found[0]
    assert boxes.shape == (len(scores), 4)


def test_a_batch_finds_what_single_frames_find(tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "net.pt"
    torch.save(checkpoint_of(CenterNet(width=8), Preprocessing(long_side_px=64), made_by={}), path)
    detector = build_detector("centernet", path)
    frames = np.random.default_rng(2).integers(0, 255, (20, 30, 50, 3), np.uint8)
    together = find_people(detector, frames, min_score=0.0)
    for number in (0, 7, 19):
        ((boxes, scores),) = find_people(detector, frames[number : number + 1], min_score=0.0)
        assert boxes == pytest.approx(together[number][0], abs=1e-4)
        assert scores == pytest.approx(together[number][1], abs=1e-4)


def test_a_file_that_is_no_checkpoint_is_refused_and_not_run(tmp_path):
    path = tmp_path / "net.pt"
    torch.save({"format": "other"}, path)
    with pytest.raises(
        BadInput, match=r"is no checkpoint of format 'gesta-centernet-1'. Make one with: gesta train-det"
    ):
        build_detector("centernet", path)
    torch.save(Path("a class that weights_only refuses"), path)
    with pytest.raises(BadInput, match="cannot be read as a checkpoint"):
        build_detector("centernet", path)
