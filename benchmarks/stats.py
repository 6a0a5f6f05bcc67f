"""How fast the statistics of a dataset of AVA-Kinetics' size are made, beside pandas and DuckDB.

One input, seeded: 1.6 M label rows of 240,000 clips, each with one key-frame and one of 700 clip classes, boxes with
long-tailed labels of 80 classes, a quarter of the key-frames empty. Each program gets it as it likes best (a frame of
its own in memory), in a process of its own, and makes the same numbers, which are compared:

- statistics: key-frames and videos per split (table 1), samples and unique videos per class (figures 2 and 3), boxes
  per key-frame (figure 4), box areas in 200 bins (figure 5), a box with several labels counted once;
- npmi: both directions, top 3, with the classes of clip and box beside each row as numbers;
- npmi from ids: the same, with the clip's class joined by video id first.

gesta's statistics hold more than these (medians, peak, spread, classes by split); the time is that of all of them.
The limit is one pass over memory: a sum over as many bytes as the columns have.

Run: python -m benchmarks.stats
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gesta.stats import Rows, count, count_class_pairs, label_pairs, npmi, npmi_tables, top_pairs
from gesta.stats.counts import CLIP_COLUMNS
from gesta.tables import write_json

NUM_CLIPS, NUM_ROWS, NUM_CLIP_CLASSES, NUM_BOX_CLASSES, REPEATS = 240_000, 1_600_000, 700, 80, 7
RESULTS = Path(__file__).parent / "results"
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1") | {
    "POLARS_MAX_THREADS": "2"
}
CORNERS = ["x1", "y1", "x2", "y2"]
PROGRAMS = ("gesta", "gesta, rows in no order", "pandas", "duckdb", "limit: memory read once")


def made(folder: Path) -> None:
    """The input, as Parquet: `boxes` in the order of a file, `clips` with their class."""
    rng = np.random.default_rng(20)
    ids = np.array([f"{number:011x}" for number in rng.permutation(NUM_CLIPS)])
    is_empty = rng.random(NUM_CLIPS) < 0.25
    num_persons = np.where(is_empty, 0, np.minimum(1 + rng.geometric(0.62, NUM_CLIPS) - 1, 12))
    num_persons = np.maximum(num_persons, ~is_empty)
    person_clip = np.repeat(np.arange(NUM_CLIPS), num_persons)
    labels = 1 + rng.poisson(NUM_ROWS / len(person_clip) - 1, len(person_clip))
    row_person = np.repeat(np.arange(len(person_clip)), labels)[:NUM_ROWS]
    size = np.exp(rng.normal(-1.6, 0.7, (len(person_clip), 2))).clip(0.02, 0.99)
    low = rng.random((len(person_clip), 2)) * (1 - size)
    corners = np.round(np.concatenate([low, low + size], axis=1), 6)[row_person]
    clip_class = _long_tailed(rng, NUM_CLIPS, NUM_CLIP_CLASSES)
    # Half of the labels follow the clip's class, so that there is something to find.
    follows = rng.random(len(row_person)) < 0.5
    free = _long_tailed(rng, len(row_person), NUM_BOX_CLASSES)
    row_clip = person_clip[row_person]
    box_class = np.where(follows, clip_class[row_clip] % NUM_BOX_CLASSES, free) + 1
    time_us = rng.integers(1_000_000, 300_000_000, NUM_CLIPS)
    split = rng.choice(["train", "val", "test"], NUM_CLIPS, p=[0.6, 0.13, 0.27])
    rows = {
        "video_id": ids[row_clip],
        "timestamp_us": time_us[row_clip],
        "class_id": box_class,
        "split": split[row_clip],
    }
    silent = np.flatnonzero(is_empty)
    nothing = {"video_id": ids[silent], "timestamp_us": time_us[silent], "split": split[silent]}
    columns = ["video_id", "timestamp_us", *CORNERS, "class_id", "split"]
    boxes = pl.concat(
        [
            pl.DataFrame(rows).with_columns(**{name: corners[:, i] for i, name in enumerate(CORNERS)}).select(columns),
            pl.DataFrame(nothing).with_columns(
                *(pl.lit(None, dtype=pl.Float64).alias(name) for name in CORNERS),
                pl.lit(None, dtype=pl.Int64).alias("class_id"),
            ).select(columns),
        ]
    )  # fmt: skip
    boxes.sort("video_id", "timestamp_us", maintain_order=True).write_parquet(folder / "boxes.parquet")
    names = np.array([f"class {number:03d}" for number in range(NUM_CLIP_CLASSES)])
    clips = pl.DataFrame({"video_id": ids, "clip_class": names[clip_class]})
    clips.with_columns(start_us=pl.lit(0), end_us=pl.lit(300_000_000)).write_parquet(folder / "clips.parquet")


def _long_tailed(rng: np.random.Generator, num: int, num_classes: int) -> np.ndarray:
    weights = 1 / np.arange(1, num_classes + 1) ** 1.1
    return rng.choice(num_classes, num, p=weights / weights.sum())


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Median wall and processor seconds of `REPEATS` runs, after one that is not counted."""
    work()
    wall, cpu = [], []
    for _ in range(REPEATS):
        started = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - started[0])
        cpu.append(time.process_time() - started[1])
    return {"wall_s": statistics.median(wall), "cpu_s": statistics.median(cpu), "best_wall_s": min(wall)}


def peak_mb() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def digest(frames: Any, videos: Any, samples: Any, per_class: Any, boxes: Any, areas: Any) -> list[Any]:
    """The numbers in one plain shape, for comparison."""
    return [
        {str(k): int(v) for k, v in dict(part).items() if int(v)}
        for part in (frames, videos, samples, per_class, boxes, areas)
    ]


def run_gesta(folder: Path, *, in_order: bool) -> dict[str, Any]:
    """gesta: rows in memory to every table."""
    boxes, clips = pl.read_parquet(folder / "boxes.parquet"), pl.read_parquet(folder / "clips.parquet")
    if not in_order:
        boxes = boxes.sample(fraction=1.0, shuffle=True, seed=1)
    none = pl.Series([], dtype=pl.Int64)
    class_ids = pl.Series("class_id", range(1, NUM_BOX_CLASSES + 1))
    names = pl.DataFrame({"class_id": class_ids, "name": [f"action {i}" for i in class_ids]})
    rows = Rows(
        what="made", clips=pl.DataFrame(schema=CLIP_COLUMNS), boxes=boxes, names=names, person_counts=none,
        video_durations_us=none,
    )  # fmt: skip
    loaded_mb = peak_mb()
    found = {"statistics": timed(lambda: count(rows))}
    found["statistics"]["peak_mb_over_input"] = peak_mb() - loaded_mb
    tables = count(rows).tables
    classes, splits = tables["classes"], tables["splits"]
    areas = tables["box_area_shares"]["num_boxes"]
    found["numbers"] = digest(
        splits.select("split", "num_key_frames").iter_rows(), splits.select("split", "num_videos").iter_rows(),
        classes.select("class_id", "num_boxes").iter_rows(), classes.select("class_id", "num_box_videos").iter_rows(),
        tables["boxes_per_key_frame"].iter_rows(), enumerate(areas),
    )  # fmt: skip
    clip_classes = clips["clip_class"].unique().sort()
    pairs = boxes.join(clips, on="video_id", maintain_order="left").drop_nulls("class_id")
    numbers = pl.DataFrame({"clip_class": clip_classes}).with_row_index("x")
    x_N = pairs.join(numbers, on="clip_class", maintain_order="left")["x"].cast(pl.Int32).to_numpy()
    y_N = (pairs["class_id"] - 1).cast(pl.Int32).to_numpy()

    def both_ways() -> Any:
        values_XY = npmi(label_pairs(x_N, y_N, num_x=len(clip_classes), num_y=NUM_BOX_CLASSES))
        return values_XY, top_pairs(values_XY, top=3), top_pairs(values_XY.T, top=3)

    def from_ids() -> Any:
        counts = count_class_pairs(boxes, clips, clip_classes=clip_classes, box_classes=class_ids)
        return npmi_tables(counts, clip_classes=clip_classes, box_classes=names["name"])

    found["npmi"] = timed(both_ways)
    found["npmi from ids"] = timed(from_ids)
    found["npmi_values"] = _rounded(both_ways()[0], clip_classes.to_list())
    return found


def _rounded(values_XY: np.ndarray, names: list[str]) -> dict[str, float]:
    return {
        f"{names[x]}/{y + 1}": round(float(values_XY[x, y]), 9)
        for x, y in zip(*np.nonzero(values_XY > -1), strict=True)
    }


def run_pandas(folder: Path) -> dict[str, Any]:
    """pandas, as its users write it."""
    import pandas as pd

    boxes, clips = pd.read_parquet(folder / "boxes.parquet"), pd.read_parquet(folder / "clips.parquet")
    loaded_mb = peak_mb()

    def work() -> list[Any]:
        frames = boxes[["video_id", "timestamp_us", "split"]].drop_duplicates()
        videos = frames[["video_id", "split"]].drop_duplicates()
        real = boxes.dropna(subset=["x1"])
        per_class = real[["class_id", "video_id"]].drop_duplicates().groupby("class_id").size()
        distinct = real[["video_id", "timestamp_us", *CORNERS]].drop_duplicates()
        per_frame = distinct.groupby(["video_id", "timestamp_us"]).size().clip(upper=10).value_counts()
        per_frame[0] = len(frames) - int(per_frame.sum())
        area = ((distinct["x2"] - distinct["x1"]) * (distinct["y2"] - distinct["y1"])).to_numpy()
        bins = np.bincount(np.clip(np.floor(area * 200 + 1e-10), 0, 199).astype(np.int64), minlength=200)
        samples = real.groupby("class_id").size()
        return digest(
            frames.groupby("split").size(), videos.groupby("split").size(), _whole(samples), _whole(per_class),
            per_frame, enumerate(bins),
        )  # fmt: skip

    def _whole(series: Any) -> dict[int, int]:
        return {int(key): int(value) for key, value in series.items()}

    found = {"statistics": timed(work), "numbers": work()}
    found["statistics"]["peak_mb_over_input"] = peak_mb() - loaded_mb
    joined = boxes.dropna(subset=["class_id"]).merge(clips, on="video_id")[["clip_class", "class_id"]]
    joined["x"] = joined["clip_class"].astype("category").cat.codes.astype("int32")
    joined["y"] = joined["class_id"].astype("int32")
    names = sorted(joined["clip_class"].unique())

    def npmi_of(frame: Any, x: str, y: str) -> Any:
        both = frame.groupby([x, y], observed=True).size().rename("n").reset_index()
        num = both["n"].sum()
        p_x = both.groupby(x, observed=True)["n"].transform("sum") / num
        p_y = both.groupby(y, observed=True)["n"].transform("sum") / num
        both["npmi"] = (np.log(p_x) + np.log(p_y)) / np.log(both["n"] / num) - 1
        ordered = both.sort_values("npmi", ascending=False)
        return both, ordered.groupby(x, observed=True).head(3), ordered.groupby(y, observed=True).head(3)

    found["npmi"] = timed(lambda: npmi_of(joined, "x", "y"))
    found["npmi from ids"] = timed(
        lambda: npmi_of(boxes.dropna(subset=["class_id"]).merge(clips, on="video_id"), "clip_class", "class_id")
    )
    values = npmi_of(joined, "x", "y")[0]
    found["npmi_values"] = {
        f"{names[x]}/{y}": round(v, 9) for x, y, v in zip(values["x"], values["y"], values["npmi"], strict=True)
    }
    return found


_DISTINCT = "SELECT DISTINCT video_id, timestamp_us, x1, y1, x2, y2 FROM boxes WHERE x1 IS NOT NULL"
_QUERIES = (
    "SELECT split, count(*) FROM (SELECT DISTINCT split, video_id, timestamp_us FROM boxes) GROUP BY 1",
    "SELECT split, count(DISTINCT video_id) FROM boxes GROUP BY 1",
    "SELECT class_id, count(*) FROM boxes WHERE x1 IS NOT NULL GROUP BY 1",
    "SELECT class_id, count(DISTINCT video_id) FROM boxes WHERE x1 IS NOT NULL GROUP BY 1",
    "SELECT least(n, 10), count(*) FROM (SELECT count(DISTINCT CASE WHEN x1 IS NOT NULL THEN (x1, y1, x2, y2) END) "
    "AS n FROM boxes GROUP BY video_id, timestamp_us) GROUP BY 1",
    "SELECT least(greatest(floor((x2 - x1) * (y2 - y1) * 200 + 1e-10), 0), 199)::INT, count(*) "
    f"FROM ({_DISTINCT}) GROUP BY 1",
)  # fmt: skip
_NPMI = """
CREATE OR REPLACE TEMP TABLE pairs AS WITH counts AS
(SELECT {x} AS x, {y} AS y, count(*) AS n FROM {source} GROUP BY ALL),
shares AS (SELECT x, y, n / sum(n) OVER () AS p, sum(n) OVER (PARTITION BY x) / sum(n) OVER () AS px,
sum(n) OVER (PARTITION BY y) / sum(n) OVER () AS py FROM counts)
SELECT x, y, (ln(px) + ln(py)) / ln(p) - 1 AS npmi FROM shares;
"""
_TOP = "SELECT * FROM pairs QUALIFY row_number() OVER (PARTITION BY {a} ORDER BY npmi DESC) <= 3"


def run_duckdb(folder: Path) -> dict[str, Any]:
    """DuckDB: tables of its own in memory."""
    import duckdb

    base = duckdb.connect()
    for name in ("boxes", "clips"):
        base.execute(f"CREATE TABLE {name} AS SELECT * FROM '{folder / name}.parquet'")
    loaded_mb = peak_mb()

    def work() -> list[Any]:
        return digest(*(base.execute(query).fetchall() for query in _QUERIES))

    found = {"statistics": timed(work), "numbers": work()}
    found["statistics"]["peak_mb_over_input"] = peak_mb() - loaded_mb
    base.execute(
        "CREATE TABLE joined AS SELECT dense_rank() OVER (ORDER BY clip_class)::INT AS x, class_id::INT AS y "
        "FROM boxes JOIN clips USING (video_id) WHERE class_id IS NOT NULL"
    )

    def npmi_of(source: str, x: str, y: str) -> Any:
        base.execute(_NPMI.format(source=source, x=x, y=y))
        return [base.execute(_TOP.format(a=a)).fetchall() for a in ("x", "y")]

    joined = "(SELECT clip_class, class_id FROM boxes JOIN clips USING (video_id) WHERE class_id IS NOT NULL)"
    found["npmi from ids"] = timed(lambda: npmi_of(joined, "clip_class", "class_id"))
    found["npmi_values"] = {f"{x}/{y}": round(v, 9) for x, y, v in base.execute("SELECT * FROM pairs").fetchall()}
    found["npmi"] = timed(lambda: npmi_of("joined", "x", "y"))
    return found


def run_limit(folder: Path) -> dict[str, Any]:
    """A sum over as many bytes as the columns that must be looked at have; of the pairs alone for NPMI."""
    num_rows = pl.scan_parquet(folder / "boxes.parquet").select(pl.len()).collect().item()
    row_bytes = 16 + 16 + 8 + 8 + 4 * 8  # two texts as views, a time, a class, four corners
    memory, pairs = np.ones(num_rows * row_bytes // 8), np.ones(NUM_ROWS)
    return {"statistics": timed(memory.sum), "npmi": timed(pairs.sum)}


def child(program: str, folder: Path) -> dict[str, Any]:
    """What one program measures of itself."""
    if program.startswith("gesta"):
        found = run_gesta(folder, in_order=program == "gesta")
    else:
        found = {"pandas": run_pandas, "duckdb": run_duckdb}.get(program, run_limit)(folder)
    found["peak_mb"] = peak_mb()
    return found


def measured(folder: Path) -> dict[str, dict[str, Any]]:
    """Each program in a process of its own."""
    made(folder)
    found = {}
    for program in PROGRAMS:
        command = [sys.executable, "-m", "benchmarks.stats", program, str(folder)]
        output = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | THREADS).stdout
        found[program] = json.loads(output)
    return found


def result_of(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What is stored: tables of runs, and flat ratios, the peer's time over gesta's.

    `speedup_*` are of wall time, `speedup_cpu_*` of processor time, which a busy machine does not change as much.
    """
    gesta = found["gesta"]
    parts: dict[str, Any] = {}
    for part in ("statistics", "npmi", "npmi from ids"):
        runs = {program: dict(times[part]) for program, times in found.items() if part in times}
        parts[part.replace(" ", "_")] = {"runs": runs}
    ratios = {
        f"speedup{kind}_{part.replace(' ', '_')}_{peer}": found[peer][part][time_s] / gesta[part][time_s]
        for kind, time_s in (("", "wall_s"), ("_cpu", "cpu_s"))
        for part in ("statistics", "npmi", "npmi from ids")
        for peer in ("pandas", "duckdb")
    }
    limit = found["limit: memory read once"]
    return {
        **parts,
        **ratios,
        "statistics_wall_s": gesta["statistics"]["wall_s"],
        "npmi_wall_s": gesta["npmi"]["wall_s"],
        "statistics_over_limit": gesta["statistics"]["wall_s"] / limit["statistics"]["wall_s"],
        "npmi_over_limit": gesta["npmi"]["wall_s"] / limit["npmi"]["wall_s"],
        "peak_mb": {
            program: times["peak_mb"] for program, times in found.items() if program != "limit: memory read once"
        },
        "equal_statistics": all(found[p]["numbers"] == gesta["numbers"] for p in PROGRAMS[:4]),
        "npmi_largest_difference": max(
            _difference(gesta["npmi_values"], found[p]["npmi_values"]) for p in PROGRAMS[:4]
        ),
    }


def _difference(ours: dict[str, float], theirs: dict[str, float]) -> float:
    if ours.keys() != theirs.keys():
        return 2.0
    return max(abs(value - theirs[key]) for key, value in ours.items())


def main() -> None:
    """Measure, print one table, write the JSON; with a program and a folder, measure that program alone."""
    if len(sys.argv) > 2:
        print(json.dumps(child(sys.argv[1], Path(sys.argv[2]))))
        return
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        result = result_of(measured(Path(folder)))
    result |= {
        "program": "python -m benchmarks.stats",
        "what": "statistics of 1.6 M label rows after loading, medians; limit: the columns' bytes summed once",
        "hardware": f"{os.cpu_count()}core-cpu",
        "processor": platform.processor() or platform.machine(),
        "date": date,
        "load": load,
        "num_label_rows": NUM_ROWS,
        "num_clips": NUM_CLIPS,
        "num_clip_classes": NUM_CLIP_CLASSES,
        "num_box_classes": NUM_BOX_CLASSES,
        "versions": {
            name: importlib.metadata.version(name) for name in ("gesta", "numpy", "polars", "numba", "pandas", "duckdb")
        },
    }
    for part in ("statistics", "npmi", "npmi_from_ids"):
        print(f"{part:<36} {'wall ms':>9} {'CPU ms':>9}")
        for program, row in result[part]["runs"].items():
            print(f"  {program:<34} {1000 * row['wall_s']:>9.1f} {1000 * row['cpu_s']:>9.1f}")
    print(f"same statistics: {result['equal_statistics']}; NPMI differs by {result['npmi_largest_difference']:.1e}")
    write_json(RESULTS / f"stats_{os.cpu_count()}core-cpu_{date}.json", result)


if __name__ == "__main__":
    main()
