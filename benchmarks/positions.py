"""How often a clip shows what its title says: clips around a frame classifier's responses against evenly spread ones.

The classifier is trained by the recipe `frame_r18_images`, its pictures shrunk to 48 px and in fewer epochs, on
pictures of one rendered world: frames of people acting, by action, and of people who do nothing. The videos are long
uploads made of another world: one stretch of the titled action somewhere among stretches of other actions and of
nothing. Both ways choose as many clips of the same length; a clip shows the action when at least a second of it does.
Chance is what a clip at a random place would show.

Run: OMP_NUM_THREADS=1 python -m benchmarks.positions [FOLDER]; what is made is kept in FOLDER, where one is named.
"""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
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
import polars as pl

from gesta.cli.frame_classifier import find_classifier
from gesta.mine import FrameSearch, clip_around, run_mine
from gesta.schema import US_PER_S, Video
from gesta.tables import frame_of, made_by, read_table, sha256_of_file, table_path, write_json, write_table
from gesta.train.clips import find_clip_recipe, open_clips, run_train_clips
from gesta.video import probe, read_frames
from gesta.video.encode import write_video
from gesta.world import render_world

NUM_TRAIN_VIDEOS, NUM_UPLOAD_VIDEOS, FRAMES_A_STRETCH, EPOCHS = 120, 40, 6, 12
CLIP_S, K, RATE, FPS = 4.0, 2, 2.0, Fraction(25, 2)
SIZE = (256, 192)
LEAST_US = US_PER_S
"""Of the action in a clip that counts as showing it."""
NOTHING = "doing nothing"
RESULTS = Path(__file__).parent / "results"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A video of a world with its path, its last instant, what is done in it (None: nothing, or several) and when."""

    path: Path
    end_us: int
    title: str
    action: str | None
    is_idle: bool
    spans_us: tuple[tuple[int, int], ...]


def stretches_of(world: Path) -> list[Stretch]:
    """The readable originals and idle videos of a world, in the order of their ids."""
    videos = read_table(world, "truth_videos").filter(pl.col("is_readable") & (pl.col("kind") != "duplicate"))
    actions = read_table(world, "truth_actions")
    found = []
    for row in videos.sort("video_id").iter_rows(named=True):
        facts = probe(world / row["path"])
        mine = actions.filter(video_id=row["video_id"])
        names = mine["action"].unique().to_list()
        found.append(
            Stretch(
                path=world / row["path"],
                end_us=facts.start_us + facts.duration_us,
                title=row["title"],
                action=names[0] if len(names) == 1 else None,
                is_idle=not names,
                spans_us=tuple(mine.select("start_us", "end_us").iter_rows()),
            )
        )
    return found


def write_pictures(stretches: Sequence[Stretch], folder: Path) -> Counter[str]:
    """How many pictures of each class were written: frames of the whole stretch, or of the time that it acts."""
    counts: Counter[str] = Counter()
    for stretch in stretches:
        name = NOTHING if stretch.is_idle else stretch.action
        if name is None:
            continue
        start_us, end_us = (0, stretch.end_us) if stretch.is_idle else stretch.spans_us[0]
        step_us = (end_us - start_us) / FRAMES_A_STRETCH
        times_us = [round(start_us + (k + 0.5) * step_us) for k in range(FRAMES_A_STRETCH)]
        target = folder / name.replace(" ", "_")
        target.mkdir(parents=True, exist_ok=True)
        for number, frame_HWC in enumerate(read_frames(stretch.path, times_us)):
            cv2.imwrite(str(target / f"{stretch.path.stem}_{number}.jpg"), frame_HWC[:, :, ::-1])
            counts[name] += 1
    return counts


def _framed(picture_HWC: np.ndarray) -> np.ndarray:
    """The picture in a frame of `SIZE`, bars where its shape differs."""
    scale = min(SIZE[0] / picture_HWC.shape[1], SIZE[1] / picture_HWC.shape[0])
    width, height = round(picture_HWC.shape[1] * scale), round(picture_HWC.shape[0] * scale)
    framed = np.zeros((SIZE[1], SIZE[0], 3), dtype=np.uint8)
    top, left = (SIZE[1] - height) // 2, (SIZE[0] - width) // 2
    framed[top : top + height, left : left + width] = cv2.resize(picture_HWC, (width, height))
    return framed


def _frames(parts: Sequence[Stretch]) -> Iterator[np.ndarray]:
    for part in parts:
        num_frames = int(part.end_us * FPS / US_PER_S)
        times_us = [round(k * US_PER_S / FPS) for k in range(num_frames)]
        for picture_HWC in read_frames(part.path, times_us):
            yield _framed(picture_HWC)


def write_uploads(
    stretches: Sequence[Stretch], work: Path, *, rng: random.Random, num_others: int = 5
) -> dict[str, list[tuple[int, int]]]:
    """When each upload shows what its title says, by video id; the uploads' table `videos` is written.

    An upload is a stretch of one action, at a random place among `num_others` that show something else.
    """
    usable = [one for one in stretches if one.action is not None or one.is_idle]
    truth: dict[str, list[tuple[int, int]]] = {}
    rows = []
    for number, acted in enumerate(one for one in usable if one.action is not None):
        others = rng.sample([one for one in usable if one.action != acted.action], num_others)
        place = rng.randrange(num_others + 1)
        parts = [*others[:place], acted, *others[place:]]
        path = work / "videos" / f"upload{number:03d}.mp4"
        write_video(path, _frames(parts), fps=FPS, gop=12)
        before_us = round(sum(int(part.end_us * FPS / US_PER_S) for part in parts[:place]) * US_PER_S / FPS)
        facts = probe(path)
        truth[path.stem] = [(before_us + start_us, before_us + end_us) for start_us, end_us in acted.spans_us]
        rows.append(
            Video(
                video_id=path.stem, path=f"videos/{path.name}", sha256=sha256_of_file(path),
                size_bytes=path.stat().st_size, container="mp4", codec="h264", width_px=SIZE[0], height_px=SIZE[1],
                rotation_deg=0, fps_num=FPS.numerator, fps_den=FPS.denominator, is_vfr=False,
                num_frames=facts.num_frames, start_us=facts.start_us, duration_us=facts.duration_us, has_audio=False,
                title=acted.action,
            )
        )  # fmt: skip
    made = made_by("positions", arguments={}, inputs={})
    write_table(table_path(work, "videos"), "videos", frame_of("videos", rows), made_by=made)
    return truth


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
    folder: Path,
    *,
    num_train_videos: int = NUM_TRAIN_VIDEOS,
    num_upload_videos: int = NUM_UPLOAD_VIDEOS,
    epochs: int = EPOCHS,
    on_note: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Yields of both ways on uploads, the classifier's training and what it cost in processor seconds."""
    render_world(folder / "seen", seed=101, num_videos=num_train_videos, workers=1)
    render_world(folder / "unseen", seed=202, num_videos=num_upload_videos, workers=1)
    pictures = write_pictures(stretches_of(folder / "seen"), folder / "pictures")
    on_note(f"{sum(pictures.values())} pictures of {len(pictures)} classes")
    recipe = find_clip_recipe("frame_r18_images")
    recipe = dataclasses.replace(
        recipe,
        epochs=epochs,
        frames=dataclasses.replace(recipe.frames, side_px=54, crop_px=48),
        augment=dataclasses.replace(recipe.augment, scale_px=(50, 66)),
    )
    started = time.process_time()
    clips, _ = open_clips(folder / "pictures", frames=recipe.frames)
    run_train_clips(clips, out=folder / "model", recipe=recipe, device="cpu", threads=1, log_every_steps=1000)
    train_cpu_s = time.process_time() - started
    on_note(f"trained in {train_cpu_s:.0f} CPU s")
    work = folder / "work"
    truth = write_uploads(stretches_of(folder / "unseen"), work, rng=random.Random(7))
    actions = folder / "unseen" / "actions.txt"
    names = dict(enumerate(actions.read_text().splitlines(), start=1))
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
