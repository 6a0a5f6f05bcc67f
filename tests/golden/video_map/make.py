"""Makes `cases.jsonl` and `links.jsonl` beside it: what two programs answer to tubes drawn here. README.md says how.

The cases are drawn here and the answers stored; nothing of the programs is. They are imported without their frameworks:
`opts`, `datasets.init_dataset` and `progress.bar` are stood in for, and each function that turns precision and recall
into an area is listened to, since the programs give the mean only.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import pickle
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
NUM_CASES, NUM_LINKS = 120, 24
IOU = [0.2, 0.5, 0.75]
Case = dict[str, Any]
Tube = list[Any]


def drawn_case(seed: int) -> Case:
    """Labelled and detected tubes: `[video, class, first frame, boxes]`, and the score of a detected one."""
    rng = np.random.default_rng(seed)
    num_videos, num_classes = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    labelled: list[Tube] = [drawn_tube(rng, f"v{rng.integers(num_videos)}", c) for c in range(num_classes)]
    labelled += [
        drawn_tube(rng, f"v{rng.integers(num_videos)}", int(rng.integers(num_classes)))
        for _ in range(rng.integers(0, 6))
    ]
    found: list[Tube] = []
    for _ in range(rng.integers(0, 26)):
        if rng.random() < 0.8:
            video, label, first, boxes = labelled[rng.integers(len(labelled))]
            found.append(moved(rng, video, label, first, boxes, num_classes))
        else:
            found.append(drawn_tube(rng, f"v{rng.integers(num_videos)}", int(rng.integers(num_classes))))
    scores = rng.permutation(100)[: len(found)] / 100
    return {
        "num_videos": num_videos, "num_classes": num_classes, "groundtruth": labelled,
        "detections": [[*tube, float(score)] for tube, score in zip(found, scores, strict=True)],
    }  # fmt: skip


def drawn_tube(rng: np.random.Generator, video: str, label: int) -> Tube:
    x, y, width, height = (int(value) for value in rng.integers([0, 0, 10, 10], [60, 60, 40, 40]))
    boxes = []
    for _ in range(rng.integers(1, 13)):
        x, y = x + int(rng.integers(-2, 3)), y + int(rng.integers(-2, 3))
        boxes.append([x, y, x + width, y + height])
    return [video, label, int(rng.integers(1, 20)), boxes]


def moved(rng: np.random.Generator, video: str, label: int, first: int, boxes: Any, num_classes: int) -> Tube:
    """A labelled tube, shifted in time and place, cut or longer, and now and then of another class."""
    low = int(rng.integers(0, max(1, len(boxes) // 2)))
    kept = [list(box) for box in boxes[low:]] + [list(boxes[-1])] * int(rng.integers(0, 4))
    jitter = int(rng.integers(0, 8))
    kept = [[value + int(rng.integers(-jitter, jitter + 1)) / 2 for value in box] for box in kept]
    label = label if rng.random() < 0.9 else int(rng.integers(num_classes))
    return [video, label, first + low + int(rng.integers(0, 2)), kept]


def drawn_links(seed: int) -> Case:
    """Detections on frames, `[frame, class, x1, y1, x2, y2, score]`: persons that walk and cross, and noise."""
    rng = np.random.default_rng(1000 + seed)
    num_frames, rows = int(rng.integers(22, 31)), []
    for _ in range(rng.integers(1, 4)):
        x, y, label, begin = *(int(v) for v in rng.integers(0, 60, 2)), int(rng.integers(2)), int(rng.integers(1, 5))
        for frame in range(begin, num_frames + 1):
            x, y = x + int(rng.integers(-1, 4)), y + int(rng.integers(-2, 3))
            for _ in range(1 + (rng.random() < 0.5)):
                if rng.random() < 0.99:
                    dx, dy = (int(v) for v in rng.integers(-4, 5, 2))
                    rows.append([frame, label, x + dx, y + dy, x + dx + 30, y + dy + 50])
    for _ in range(10):
        x, y, frame = (int(v) for v in rng.integers([0, 0, 1], [60, 60, num_frames + 1]))
        rows.append([frame, int(rng.integers(2)), x, y, x + 20, y + 20])
    scores = rng.permutation(10_000)[: len(rows)] / 10_000
    return {"num_frames": num_frames, "detections": [[*row, float(s)] for row, s in zip(rows, scores, strict=True)]}


def array_of(first: int, boxes: Any) -> np.ndarray:
    """The tube as the programs have it: float64 [K, 5], frame and corners."""
    return np.column_stack([np.arange(first, first + len(boxes)), np.array(boxes, dtype=np.float64)])


def imported(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def stand_in(name: str, **members: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module
    return module


class Index(np.ndarray):
    """What `where` gives: an array that `int` takes when it holds one number, as it did before NumPy 2.4."""

    def __int__(self) -> int:
        return int(self.item())


def old_numpy() -> types.ModuleType:
    numpy = types.ModuleType("numpy")
    numpy.__dict__.update(np.__dict__)
    numpy.__dict__["where"] = lambda condition: tuple(array.view(Index) for array in np.where(condition))
    return numpy


class Bar:
    suffix = elapsed_td = eta_td = ""

    def __init__(self, *_: Any, **__: Any) -> None: ...
    def next(self) -> None: ...
    def finish(self) -> None: ...


def act_program(source: Path) -> tuple[Any, Any]:
    """`ACT` and `ACT_build` of MOC-Detector, on a data set that `stand_in` hands over."""
    stand_in("opts", opts=None)
    stand_in("progress")
    stand_in("progress.bar", Bar=Bar)
    stand_in("datasets")
    stand_in("datasets.init_dataset", get_dataset=None)
    package = stand_in("ACT_utils")
    package.__path__ = [str(source / "src/ACT_utils")]
    act = imported("ACT", source / "src/ACT.py")
    for name in ("ACT_utils.ACT_utils", "ACT_utils.ACT_build"):
        sys.modules[name].__dict__["np"] = old_numpy()
    return act, sys.modules["ACT_utils.ACT_build"]


def act_options(folder: Path, threshold: float = 0.5) -> Any:
    return types.SimpleNamespace(
        th=threshold, model_name="", dataset="", inference_dir=str(folder), split=1, redo=True, K=1
    )


def ask_act(act: Any, case: Case, threshold: float) -> tuple[float, list[float]]:
    videos = [f"v{i}" for i in range(case["num_videos"])]
    tubes: dict[str, dict[int, list[Any]]] = {video: {} for video in videos}
    for video, label, first, boxes in case["groundtruth"]:
        tubes[video].setdefault(label, []).append(array_of(first, boxes))
    dataset = types.SimpleNamespace(labels=[str(c) for c in range(case["num_classes"])], _test_videos=[videos],
                                    _gttubes=tubes)  # fmt: skip
    act.get_dataset = lambda name: lambda opt, mode: dataset
    found: list[float] = []
    plain = act.pr_to_ap
    act.pr_to_ap = lambda pr: found.append(float(plain(pr))) or plain(pr)
    try:
        with tempfile.TemporaryDirectory() as name:
            for video in videos:
                by_label: dict[int, list[Any]] = {c: [] for c in range(case["num_classes"])}
                for where, label, first, boxes, score in case["detections"]:
                    if where == video:
                        by_label[label].append((array_of(first, boxes), score))
                Path(name, f"{video}_tubes.pkl").write_bytes(pickle.dumps(by_label))
            mean = act.videoAP(act_options(Path(name), threshold), print_info=False)
    finally:
        act.pr_to_ap = plain
    return float(mean), found


def ask_multisports(program: Any, case: Case, threshold: float) -> tuple[float, list[float | None]]:
    videos = [f"v{i}" for i in range(case["num_videos"])]
    tubes: dict[str, dict[int, list[Any]]] = {video: {} for video in videos}
    for video, label, first, boxes in case["groundtruth"]:
        tubes[video].setdefault(label, []).append(array_of(first, boxes))
    truth = {"labels": [str(c) for c in range(case["num_classes"])], "test_videos": [videos], "gttubes": tubes}
    found: dict[int, list[Any]] = {c: [] for c in range(case["num_classes"])}
    for video, label, first, boxes, score in case["detections"]:
        found[label].append((video, score, array_of(first, boxes)))
    heard: list[float] = []
    plain = program.pr_to_ap_voc
    program.pr_to_ap_voc = lambda pr: heard.append(float(plain(pr))) or plain(pr)
    try:
        with tempfile.TemporaryDirectory() as name, np.errstate(invalid="ignore"):
            for file, value in (("gt.pkl", truth), ("found.pkl", found)):
                Path(name, file).write_bytes(pickle.dumps(value))
            mean = program.videoAP(f"{name}/gt.pkl", f"{name}/found.pkl", threshold, print_info=False)
    finally:
        program.pr_to_ap_voc = plain
    labelled = sorted({label for _, label, *_ in case["groundtruth"]})
    by_label = dict(zip(labelled, heard[: len(labelled)], strict=True))
    return float(mean), [by_label.get(c) for c in range(case["num_classes"])]


def ask_links(build: Any, case: Case) -> list[Any]:
    """Each class's tubes: `[score, first frame, [[x1, y1, x2, y2, score], ...]]`, the best first."""
    video, num_frames = "v0", case["num_frames"]
    dataset = types.SimpleNamespace(labels=["0", "1"], _test_videos=[[video]], _nframes={video: num_frames})
    build.get_dataset = lambda name: lambda opt, mode: dataset
    with tempfile.TemporaryDirectory() as name:
        Path(name, video).mkdir()
        for frame in range(1, num_frames + 1):
            rows = {c: [row[2:] for row in case["detections"] if row[:2] == [frame, c]] for c in range(2)}
            boxes = {c + 1: np.array(found, dtype=np.float64).reshape(-1, 5) for c, found in rows.items()}
            Path(name, video, f"{frame:05d}.pkl").write_bytes(pickle.dumps(boxes))
        build.BuildTubes(act_options(Path(name)))
        answer = pickle.loads(Path(name, f"{video}_tubes.pkl").read_bytes())
    return [
        [[float(score), int(rows[0, 0]), rows[:, 1:].astype(float).tolist()]
         for rows, score in sorted(answer[c], key=lambda tube: -tube[1])]
        for c in range(2)
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moc", type=Path, required=True, help="a checkout of MCG-NJU/MOC-Detector")
    parser.add_argument("--multisports", type=Path, required=True, help="a checkout of MCG-NJU/MultiSports")
    arguments = parser.parse_args()
    act, build = act_program(arguments.moc)
    multisports = imported("evaluate_multisports", arguments.multisports / "evaluate_multisports.py")
    multisports.np = old_numpy()
    lines = []
    for seed in range(NUM_CASES):
        case = drawn_case(seed)
        answers = {}
        for name, ask, program in (("act", ask_act, act), ("multisports", ask_multisports, multisports)):
            pairs = [ask(program, case, threshold) for threshold in IOU]
            answers[name] = {"mean": [mean for mean, _ in pairs], "ap": [areas for _, areas in pairs]}
        lines.append(json.dumps(case | {"iou": IOU, "answers": answers}))
    (HERE / "cases.jsonl").write_text("\n".join(lines) + "\n")
    links = [drawn_links(seed) for seed in range(NUM_LINKS)]
    (HERE / "links.jsonl").write_text("\n".join(json.dumps(c | {"tubes": ask_links(build, c)}) for c in links) + "\n")


if __name__ == "__main__":
    main()
