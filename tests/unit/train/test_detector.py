import json
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from gesta.cli import main
from gesta.detect import build_detector, find_people
from gesta.models.centernet import Preprocessing, checkpoint_of, load_centernet
from gesta.schema import BadInput, TruthBox, TruthVideo, box_iou
from gesta.tables import frame_of, made_by, table_path, write_table
from gesta.train.detector import DetectorRecipe, _fit, train_detector, world_detector
from gesta.train.detector_shots import Changes, Shot, change_shot, read_shots
from gesta.train.muon import Muon, orthogonalised
from gesta.video import write_video

HAND = made_by("test", arguments={}, inputs={})
PLAIN = Changes(scale=(1.0, 1.0), stretch=0.0, gain=0.0, shift=0.0, swapped_share=0.0, negative_share=0.0, gray=0)


def painted(rng, *, height=48, width=64):
    """A dark frame with one or two bright rectangles, and their boxes."""
    frame = rng.integers(0, 90, (height, width, 3), dtype=np.uint8)
    boxes = []
    for left in [4, 34] if rng.uniform() < 0.5 else [rng.integers(4, 34)]:
        x1, y1 = left + rng.integers(0, 6), rng.integers(4, 14)
        x2, y2 = x1 + rng.integers(10, 18), y1 + rng.integers(18, 28)
        frame[y1:y2, x1:x2] = rng.integers(170, 255, 3)
        boxes.append([x1 / width, y1 / height, x2 / width, y2 / height])
    return Shot(frame, np.array(boxes, dtype=np.float64))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Three videos with a moving rectangle and their truth, one of them broken; one without people."""
    folder = tmp_path_factory.mktemp("world")
    videos, boxes = [], []
    for number in range(4):
        frames = np.zeros((20, 48, 64, 3), np.uint8)
        for time, frame in enumerate(frames if number < 3 else ()):
            left = 4 + 2 * time
            frame[10:40, left : left + 12] = (250, 200, 100 + 50 * number)
            corners = {"x1": left / 64, "y1": 10 / 48, "x2": (left + 12) / 64, "y2": 40 / 48}
            boxes.append(TruthBox(video_id=f"v{number}", person_id=0, timestamp_us=100_000 * time, **corners))
        path = write_video(folder / f"v{number}.mp4", frames, fps=Fraction(10))
        videos.append(TruthVideo(video_id=f"v{number}", path=path.name, kind="original", title=""))
    (folder / "v2.mp4").write_bytes(b"")
    write_table(table_path(folder, "truth_videos"), "truth_videos", frame_of("truth_videos", videos), made_by=HAND)
    write_table(table_path(folder, "truth_boxes"), "truth_boxes", frame_of("truth_boxes", boxes), made_by=HAND)
    return folder


def test_shots_have_the_truth_of_their_own_frame(world):
    shots, num_bad = read_shots(world, num_frames=24, seed=3)
    assert num_bad == 1
    assert len(shots) == 18
    assert sum(len(shot.boxes_K4) for shot in shots) == 12
    for shot in shots:
        seen = shot.frame_HWC.max(axis=2) > 120
        if len(shot.boxes_K4):
            columns = np.flatnonzero(seen.any(axis=0))
            assert abs(columns[0] / 64 - shot.boxes_K4[0, 0]) < 0.03
            assert abs((columns[-1] + 1) / 64 - shot.boxes_K4[0, 2]) < 0.03
        else:
            assert not seen.any()


def test_changed_boxes_stay_on_their_people():
    rng = np.random.default_rng(4)
    changes = Changes(
        scale=(0.6, 1.6), stretch=0.2, gain=0.0, shift=0.0, swapped_share=0.0, negative_share=0.0, gray=0,
        canvas_height_px=64, canvas_width_px=96,
    )  # fmt: skip
    num_boxes = 0
    for _ in range(40):
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[10:40, 20:32] = 255
        shot = Shot(frame, np.array([[20 / 64, 10 / 48, 32 / 64, 40 / 48]]))
        changed = change_shot(shot, changes, rng, long_side_px=96)
        assert changed.frame_HWC.shape == (64, 96, 3)
        for x1, y1, x2, y2 in changed.boxes_K4:
            rows, columns = np.nonzero(changed.frame_HWC[:, :, 0] > 127)
            assert np.abs([columns.min() - x1, rows.min() - y1, columns.max() + 1 - x2, rows.max() + 1 - y2]).max() < 2
            num_boxes += 1
    assert num_boxes > 30


def test_people_almost_cut_off_are_left_out():
    frame = np.zeros((48, 64, 3), np.uint8)
    shot = Shot(frame, np.array([[0.0, 0.0, 0.1, 1.0], [0.5, 0.0, 1.0, 1.0]]))
    kept = [
        len(change_shot(shot, Changes(scale=(2.0, 2.0)), np.random.default_rng(seed), long_side_px=192).boxes_K4)
        for seed in range(30)
    ]
    assert set(kept) >= {0, 1}


def test_colours_change_but_nothing_else():
    shot = painted(np.random.default_rng(1), height=160, width=192)
    plain = change_shot(shot, PLAIN, np.random.default_rng(5), long_side_px=192)
    colours = Changes(scale=(1.0, 1.0), stretch=0.0)
    changed = change_shot(shot, colours, np.random.default_rng(5), long_side_px=192)
    assert np.allclose(plain.boxes_K4, changed.boxes_K4)
    assert not np.array_equal(plain.frame_HWC, changed.frame_HWC)


@pytest.mark.parametrize("shape", [(8, 8), (8, 40), (40, 8)])
def test_an_orthogonalised_matrix_has_singular_values_near_1(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    values = torch.linalg.svdvals(orthogonalised(matrix))
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_muon_goes_down_a_valley():
    weight = torch.nn.Parameter(torch.ones(4, 4))
    target = torch.eye(4)
    optimiser = Muon([weight], lr=0.1, momentum=0.9, weight_decay=0.0)
    start = (weight - target).square().sum().item()
    for step in range(100):
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / 100)
        weight.grad = None
        (weight - target).square().sum().backward()
        optimiser.step()
    assert (weight - target).square().sum().item() < 0.05 * start


def test_it_learns_to_find_bright_rectangles(tmp_path):
    rng = np.random.default_rng(0)
    recipe = DetectorRecipe(
        width=16, steps=60, changes=Changes(canvas_height_px=64, canvas_width_px=64),
        preprocessing=Preprocessing(long_side_px=64),
    )  # fmt: skip
    net, log = _fit([painted(rng) for _ in range(64)], recipe, seed=1, threads=2, on_steps=None, clock=lambda: 0.0)
    assert log[-1]["loss"] < 0.6 * log[0]["loss"]
    path = tmp_path / "net.pt"
    torch.save(checkpoint_of(net, recipe.preprocessing, made_by={}), path)
    detector = build_detector("centernet", path)
    num_right = num_there = 0
    for _ in range(20):
        shot = painted(rng)
        ((boxes, _),) = find_people(detector, shot.frame_HWC[None], min_score=0.3)
        num_right += (box_iou(shot.boxes_K4, boxes).max(axis=1, initial=0) > 0.5).sum()
        num_there += len(shot.boxes_K4)
    assert num_right >= 0.8 * num_there


def test_the_weights_come_from_the_seed_and_not_from_the_threads(world, tmp_path):
    nets = {}
    before, threads = torch.random.get_rng_state(), (torch.get_num_threads(), cv2.getNumThreads())
    for name, seed, num_threads in (("a", 1, 1), ("b", 1, 2), ("c", 2, 1)):
        train_detector(world, tmp_path / f"{name}.pt", seed=seed, steps=2, threads=num_threads)
        nets[name] = load_centernet(tmp_path / f"{name}.pt")[0].state_dict()
    assert all(torch.equal(nets["a"][key], nets["b"][key]) for key in nets["a"])
    assert not all(torch.equal(nets["a"][key], nets["c"][key]) for key in nets["a"])
    assert torch.equal(before, torch.random.get_rng_state())
    assert threads == (torch.get_num_threads(), cv2.getNumThreads())


def test_it_writes_its_log_and_origin_and_is_not_made_twice(world, tmp_path):
    out, done = tmp_path / "net.pt", []
    summary = train_detector(world, out, steps=21, threads=1, on_steps=done.append, clock=lambda: 7.0)
    # A quarter of the recipe's frames from each video would be more than the 20 that each has.
    assert summary.line == "train-detector: kept 60, rejected 1 (decode 1)"
    assert sum(done) == 21
    log = [json.loads(line) for line in (tmp_path / "net.pt.log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [20, 21]
    assert log[0]["spent_s"] == 0.0
    origin = json.loads((tmp_path / "net.pt.json").read_text())
    assert origin["made_by"]["arguments"]["recipe"]["steps"] == 21
    made = out.stat().st_mtime_ns
    again = train_detector(world, out, steps=21, threads=2)
    assert again.was_current
    assert again.numbers == summary.numbers
    assert out.stat().st_mtime_ns == made
    assert not train_detector(world, out, steps=1, threads=1).was_current


def test_an_argument_out_of_range_and_a_world_without_videos(world, tmp_path):
    with pytest.raises(BadInput, match=r"--steps 0. Want at least 1"):
        train_detector(world, tmp_path / "net.pt", steps=0)
    with pytest.raises(BadInput, match=r"--threads 0. Want at least 1"):
        train_detector(world, tmp_path / "net.pt", threads=0)
    for table in ("truth_videos", "truth_boxes"):
        write_table(table_path(tmp_path, table), table, frame_of(table, []), made_by=HAND)
    with pytest.raises(BadInput, match="not one of its videos can be read"):
        train_detector(tmp_path, tmp_path / "net.pt", steps=1)


def test_the_verb_trains_and_says_so(world, tmp_path):
    arguments = ["train-detector", str(world), str(tmp_path / "net.pt"), "--steps", "1", "--json"]
    run = CliRunner().invoke(main, arguments)
    assert run.exit_code == 0, run.output
    assert json.loads(run.output)["num_steps"] == 1


def test_the_recipe_takes_other_steps():
    assert world_detector(steps=5).steps == 5
    assert world_detector() == DetectorRecipe()
