"""How often a clip shows what its title says: clips around a frame classifier's responses against evenly spread ones.

The classifier is trained by the recipe `frame_r18_images`, its pictures shrunk to 32 px and in fewer epochs, on frames
of the training people of a rendered world of motions: the four classes that one frame tells, and all else as a fifth.
The videos are long uploads made of other people's clips: one of the titled action somewhere among clips that show
something else. Both ways choose as many clips of the same length; a clip shows the action when at least half a second
of it does. Chance is what a clip at a random place would show.

Run: OMP_NUM_THREADS=1 python -m benchmarks.positions [FOLDER]; what is made is kept in FOLDER, where one is named.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gesta.cli.frame_classifier import find_classifier
from gesta.mine import FrameSearch, clip_around, run_mine
from gesta.schema import US_PER_S, Video
from gesta.tables import frame_of, made_by, read_table, sha256_of_file, table_path, write_json, write_table, write_text
from gesta.train.clips import find_clip_recipe, open_clips, run_train_clips
from gesta.video import probe, read_frames
from gesta.video.encode import write_video
from gesta.world.motion_set import render_motions
from gesta.world.motions import CONTROLS

NUM_VIDEOS, EPOCHS, NUM_OTHERS = 200, 8, 13
CLIP_S, K, RATE, FPS = 2.0, 2, 2.0, Fraction(25, 2)
LEAST_US = US_PER_S // 2
"""Of the action in a clip that counts as showing it."""
OTHERS = ("opening a door", "closing a door", "sitting down", "standing up", "raising arms", "lowering arms")
"""Classes whose clips are all else: a frame does not tell one of a pair from the other."""
ELSE = "something else"
FRAMES_OF = {**dict.fromkeys(CONTROLS, 4), ELSE: 2}
"""Pictures a clip."""
RESULTS = Path(__file__).parent / "results"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A clip of the world with its path, its end, what is done in it and when."""

    path: Path
    end_us: int
    action: str
    is_seen: bool
    span_us: tuple[int, int]


def stretches_of(world: Path) -> list[Stretch]:
    """All clips of a world of motions, in the order of their ids; those of its training split are the seen ones."""
    videos = read_table(world, "truth_videos").join(read_table(world, "truth_actions"), on="video_id")
    found = []
    for row in videos.sort("video_id").iter_rows(named=True):
        facts = probe(world / row["path"])
        found.append(
            Stretch(
                path=world / row["path"],
                end_us=facts.start_us + facts.duration_us,
                action=row["action"],
                is_seen=row["path"].split("/")[1] == "train",
                span_us=(row["start_us"], row["end_us"]),
            )
        )
    return found


def write_pictures(stretches: Sequence[Stretch], folder: Path) -> Counter[str]:
    """How many pictures of each class were written: frames of the time in which seen people act."""
    counts: Counter[str] = Counter()
    for stretch in stretches:
        name = stretch.action if stretch.action in CONTROLS else ELSE
        start_us, end_us = stretch.span_us
        step_us = (end_us - start_us) / FRAMES_OF[name]
        times_us = [round(start_us + (k + 0.5) * step_us) for k in range(FRAMES_OF[name])]
        target = folder / name.replace(" ", "_")
        target.mkdir(parents=True, exist_ok=True)
        for number, frame_HWC in enumerate(read_frames(stretch.path, times_us)):
            cv2.imwrite(str(target / f"{stretch.path.stem}_{number}.jpg"), frame_HWC[:, :, ::-1])
            counts[name] += 1
    return counts


def _frames(parts: Sequence[Stretch]) -> Iterator[np.ndarray]:
    for part in parts:
        yield from read_frames(part.path, [round(k * US_PER_S / FPS) for k in range(_num_frames(part))])


def _num_frames(part: Stretch) -> int:
    return int(part.end_us * FPS / US_PER_S)


def write_uploads(
    stretches: Sequence[Stretch], work: Path, *, rng: random.Random, num_others: int = NUM_OTHERS
) -> dict[str, list[tuple[int, int]]]:
    """When each upload shows what its title says, by video id; the uploads' table `videos` is written.

    An upload is a clip of one action, at a random place among `num_others` that show something else.
    """
    truth: dict[str, list[tuple[int, int]]] = {}
    rows = []
    for number, acted in enumerate(one for one in stretches if one.action in CONTROLS):
        others = rng.sample([one for one in stretches if one.action != acted.action], num_others)
        place = rng.randrange(num_others + 1)
        parts = [*others[:place], acted, *others[place:]]
        path = work / "videos" / f"upload{number:03d}.mp4"
        write_video(path, _frames(parts), fps=FPS, gop=12)
        before_us = round(sum(map(_num_frames, parts[:place])) * US_PER_S / FPS)
        facts = probe(path)
        truth[path.stem] = [(before_us + acted.span_us[0], before_us + acted.span_us[1])]
        rows.append(
            Video(
                video_id=path.stem, path=f"videos/{path.name}", sha256=sha256_of_file(path),
                size_bytes=path.stat().st_size, container="mp4", codec="h264", width_px=96, height_px=72,
                rotation_deg=0, fps_num=FPS.numerator, fps_den=FPS.denominator, is_vfr=False,
                num_frames=facts.num_frames, start_us=facts.start_us, duration_us=facts.duration_us, has_audio=False,
                title=acted.action,
            )
        )  # fmt: skip
    made = made_by("positions", arguments={}, inputs={})
    write_table(table_path(work, "videos"), "videos", frame_of("videos", rows), made_by=made)
    return truth


def uploads_of(folder: Path) -> dict[str, list[tuple[int, int]]]:
    """The truth of the uploads of `folder`, which are made where they are not there yet."""
    kept = folder / "work" / "truth.json"
    if not kept.is_file():
        unseen = [one for one in stretches_of(folder / "world") if not one.is_seen]
        truth = write_uploads(unseen, folder / "work", rng=random.Random(7))
        write_json(kept, {video_id: [list(span) for span in spans] for video_id, spans in truth.items()})
    return {video_id: [tuple(span) for span in spans] for video_id, spans in json.loads(kept.read_text()).items()}


def shown_us(start_us: int, end_us: int, spans_us: Sequence[tuple[int, int]]) -> int:
    """The most of a clip that one person's acting fills, microseconds."""
    return max((min(end_us, last) - max(start_us, first) for first, last in spans_us), default=0)


def yields_of(work: Path, truth: dict[str, list[tuple[int, int]]], names: dict[int, str]) -> dict[str, Any]:
    """The share of candidates that show what their video's title says, of all and of the strongest of each video."""
    joined = read_table(work, "candidates").join(read_table(work, "clips"), on="clip_id")
    titles = dict(read_table(work, "videos").select("video_id", "title").iter_rows())
    rows = [row for row in joined.iter_rows(named=True) if names[row["class_id"]] == titles[row["video_id"]]]
    hits = [shown_us(row["start_us"], row["end_us"], truth[row["video_id"]]) >= LEAST_US for row in rows]
    first: dict[str, int] = {}
    for number, row in enumerate(rows):
        best = first.setdefault(row["video_id"], number)
        if row["score"] > rows[best]["score"]:
            first[row["video_id"]] = number
    found = {row["video_id"] for row, hit in zip(rows, hits, strict=True) if hit}
    return {
        "num_candidates": len(rows),
        "num_shown": sum(hits),
        "yield_frac": round(float(np.mean(hits)), 4),
        "strongest_yield_frac": round(float(np.mean([hits[number] for number in first.values()])), 4),
        "videos_found_frac": round(len(found) / len(truth), 4),
    }


def chance_of(work: Path, truth: dict[str, list[tuple[int, int]]]) -> float:
    """The share of clips around every half second of the uploads that show what the title says."""
    clip_us = round(CLIP_S * US_PER_S)
    hits = []
    for row in read_table(work, "videos").iter_rows(named=True):
        end_us = row["start_us"] + row["duration_us"]
        for position_us in range(row["start_us"], end_us, US_PER_S // 2):
            first_us, last_us = clip_around(position_us, start_us=row["start_us"], end_us=end_us, clip_us=clip_us)
            hits.append(shown_us(first_us, last_us, truth[row["video_id"]]) >= LEAST_US)
    return round(float(np.mean(hits)), 4)


def measure(
    folder: Path, *, num_videos: int = NUM_VIDEOS, epochs: int = EPOCHS, on_note: Callable[[str], None] = print
) -> dict[str, Any]:
    """Yields of both ways on uploads, the classifier's training and what it cost in processor seconds."""
    render_motions(folder / "world", seed=101, num_videos=num_videos, classes=(*OTHERS, *CONTROLS))
    counted = folder / "pictures.json"
    if not counted.is_file():
        seen = [one for one in stretches_of(folder / "world") if one.is_seen]
        write_json(counted, dict(write_pictures(seen, folder / "pictures")))
    pictures = json.loads(counted.read_text())
    on_note(f"{sum(pictures.values())} pictures of {len(pictures)} classes")
    recipe = find_clip_recipe("frame_r18_images")
    recipe = dataclasses.replace(
        recipe,
        epochs=epochs,
        frames=dataclasses.replace(recipe.frames, side_px=36, crop_px=32),
        augment=dataclasses.replace(recipe.augment, scale_px=(33, 44)),
    )
    started = time.process_time()
    clips, _ = open_clips(folder / "pictures", frames=recipe.frames)
    run_train_clips(clips, out=folder / "model", recipe=recipe, device="cpu", threads=1, log_every_steps=1000)
    train_cpu_s = time.process_time() - started
    on_note(f"trained in {train_cpu_s:.0f} CPU s")
    work = folder / "work"
    truth = uploads_of(folder)
    actions = folder / "actions.txt"
    write_text(actions, "".join(f"{name}\n" for name in CONTROLS))
    names = dict(enumerate(CONTROLS, start=1))
    settings: dict[str, Any] = {"actions": actions, "clip_s": CLIP_S, "windows_per_video": K}
    run_mine(work, **settings)
    uniform = yields_of(work, truth, names)
    started = time.process_time()
    classifier = find_classifier(str(folder / "model" / "model.pt"), class_names=None, prompts=(), device="cpu")
    run_mine(work, **settings, search=FrameSearch(classifier=classifier, k=K, rate=RATE, workers=1))
    score_cpu_s = time.process_time() - started
    scores = read_table(work, "frame_scores")
    num_frames = len(scores.select("video_id", "timestamp_us").unique())
    seconds = float(read_table(work, "videos")["duration_us"].sum()) / US_PER_S
    return {
        "side_px": recipe.frames.side_px, "epochs": recipe.epochs,
        "num_pictures": sum(pictures.values()), "num_classes": len(pictures), "num_uploads": len(truth),
        "upload_s_mean": round(seconds / len(truth), 2), "clip_s": CLIP_S, "k": K, "rate": RATE,
        "chance_frac": chance_of(work, truth),
        "uniform": uniform, "classifier": yields_of(work, truth, names),
        "train_cpu_s": round(train_cpu_s, 1), "score_cpu_s": round(score_cpu_s, 1),
        "frames_per_cpu_s": round(num_frames / score_cpu_s, 1), "video_s_per_cpu_s": round(seconds / score_cpu_s, 1),
    }  # fmt: skip


def main() -> None:
    """Measure, print one table, write the JSON."""
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(sys.argv[1] if len(sys.argv) > 1 else folder))
    result = {
        "what": "share of clips that show the titled action: around a frame classifier's responses, or evenly spread",
        "hardware": f"{os.cpu_count()}core-cpu",
        "processor": platform.processor() or platform.machine(),
        "date": date,
        "load": os.getloadavg()[0],
        "versions": {name: importlib.metadata.version(name) for name in ("gesta", "torch", "av", "numpy")},
        **measured,
    }
    for way in ("uniform", "classifier"):
        row = result[way]
        print(f"{way:<12} {row['yield_frac']:>8.1%} {row['strongest_yield_frac']:>8.1%} {row['num_candidates']:>6}")
    print(f"{'chance':<12} {result['chance_frac']:>8.1%}")
    write_json(RESULTS / f"positions_{os.cpu_count()}core-cpu_{date}.json", result)


if __name__ == "__main__":
    main()
