"""What the label service bears: 400 and 10,000 workers at their pace, and as many answers as it can take.

A million clips wait, of 700 classes, with 2,000 gold ones. The service runs in a process of its own, on SQLite and on
PostgreSQL (durable: `synchronous=FULL`, `synchronous_commit=on`); the crowd is another process, and both share the
machine's processors. Three loads:

- workers: 400 of them (the crowd of the Kinetics-400 paper, 3.3) come back every 200 s, each with 20 answers, on a
  connection of their own; times are counted from when a worker was due;
- many_workers: so do 10,000, which is 1,000 answers a second;
- closed loop: 32 connections fetch and send without a pause, the workers taking turns.

Afterwards the log is compared with what the service acknowledged, task by task: `lost` are answers that were taken and
are not there, `duplicated` more answers than one of a worker to an item, `over_collected` answers that came to an item
after its verdict, as the early stop of the paper counts.

The limit is the database alone: bare rows of the log, 20 in a transaction, from one process.

Run: python -m benchmarks.label [--seconds N] [--clips N] [--databases sqlite,postgresql]
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import sqlalchemy as sa
from tests.postgres import running_postgres

from gesta.label.items import build_items
from gesta.label.sql_tables import items, tasks, votes, workers
from gesta.label.store import Store, open_store
from gesta.label.workers import hash_of_secret
from gesta.label.writes import append
from gesta.schema import CLIP_PROTOCOL, Candidate, Clip, Gold, LabelClass, Video
from gesta.tables import frame_of, made_by, read_table, table_path, write_json, write_table

RESULTS = Path(__file__).parent / "results"
NUM_CLASSES, NUM_GOLD, NUM_VIDEOS = 700, 2_000, 10_000
TASK_S = 200.0
"""How long a person takes over a task. Source: 20 clips of 10 s, Kinetics-400 paper, section 3.3."""


def make_work(work: Path, *, num_clips: int) -> None:
    """A work folder with clips that wait to be asked about; there is no video in it."""
    provenance = made_by("benchmark", arguments={"num_clips": num_clips}, inputs={})

    def write(table: str, frame: pl.DataFrame) -> None:
        write_table(table_path(work, table), table, frame, made_by=provenance)

    number = np.arange(num_clips)
    ids = pl.Series([f"c{n:011d}" for n in number])
    video = Video(
        video_id="v", path="v.mp4", sha256="0" * 64, size_bytes=1, container="mp4", codec="h264", width_px=340,
        height_px=256, rotation_deg=0, fps_num=25, fps_den=1, is_vfr=False, num_frames=250_000, start_us=0,
        duration_us=10_000_000_000, has_audio=False,
    )  # fmt: skip
    videos = frame_of("videos", [video]).select(pl.all().repeat_by(NUM_VIDEOS).explode())
    write("videos", videos.with_columns(pl.Series("video_id", [f"v{n:06d}" for n in range(NUM_VIDEOS)])))
    clip = frame_of("clips", [Clip(clip_id="c", video_id="v", start_us=0, end_us=10_000_000)])
    clips = clip.select(pl.all().repeat_by(num_clips).explode()).with_columns(
        clip_id=ids, video_id=pl.Series([f"v{n % NUM_VIDEOS:06d}" for n in number])
    )
    write("clips", clips)
    candidate = frame_of("candidates", [Candidate(clip_id="c", class_id=1, source="title", query="", score=1.0)])
    asked = candidate.select(pl.all().repeat_by(num_clips).explode()).with_columns(
        clip_id=ids, class_id=pl.Series(1 + number % NUM_CLASSES).cast(pl.Int64)
    )
    write("candidates", asked)
    names = [LabelClass(class_id=n, name=f"action number {n}") for n in range(1, NUM_CLASSES + 1)]
    write("label_map", frame_of("label_map", names))
    build_items(work)
    known = read_table(work, "items")["item_id"].sample(NUM_GOLD, seed=7)
    gold = [Gold(item_id=item_id, answer=("yes", "no")[n % 2]) for n, item_id in enumerate(known)]
    write("gold", frame_of("gold", gold))


def add_workers(store: Store, *, num_workers: int) -> list[str]:
    """Tokens of workers who may begin at once."""
    tokens = [secrets.token_urlsafe(24) for _ in range(num_workers)]
    with store.writing() as db:
        rows = [
            (f"w{n:05d}", "worker", "active", False, hash_of_secret(token), "local", 0, 0, 0, 0)
            for n, token in enumerate(tokens)
        ]
        names = (
            "worker_id", "role", "state", "is_held_by_owner", "token_sha256", "origin", "joined_at_us",
            "num_votes", "num_gold", "num_gold_right",
        )  # fmt: skip
        append(db, workers, names, rows)
    return tokens


@contextmanager
def service(work: Path, url: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The service's address; the dict has its memory and batches once the block ends."""
    command = [sys.executable, "-m", "benchmarks.label_service", str(work), url]
    told: dict[str, Any] = {}
    started = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        address = process.stdout.readline().strip()
        told["start_s"] = round(time.perf_counter() - started, 1)
        cpu_before = _cpu_s(process.pid)
        try:
            yield address, told
            told["cpu_s"] = round(_cpu_s(process.pid) - cpu_before, 2)
        finally:
            process.stdin.close()
            last = process.stdout.read().split()
            process.wait(60)
        if last:
            told.update(peak_mb=int(last[0]), batches=int(last[1]), requests=int(last[2]), failures=int(last[3]))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_load(folder: Path, address: str, tokens: list[str], plan: Mapping[str, Any]) -> dict[str, Any]:
    """What the crowd measured under one load."""
    host, port = address.removeprefix("http://").rsplit(":", 1)
    path = folder / "plan.json"
    path.write_text(json.dumps({"host": host, "port": int(port), "tokens": tokens, "seed": 1, **plan}))
    command = [sys.executable, "-m", "benchmarks.label_client", str(path)]
    subprocess.run(command, check=True, timeout=plan["seconds"] + 300)
    found: dict[str, Any] = json.loads(path.with_suffix(".out.json").read_text())
    return found


def summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """Percentiles and rates of one load."""
    fetch_ms, submit_ms = np.array(found["fetch_ms"]), np.array(found["submit_ms"])
    both = np.concatenate([fetch_ms, submit_ms])
    num_answers = sum(found["taken"].values())

    def percentiles(name: str, values: np.ndarray) -> dict[str, float]:
        return {f"{name}_p{q}_ms": round(float(np.percentile(values, q)), 2) for q in (50, 99)}

    return {
        **percentiles("fetch", fetch_ms),
        **percentiles("submit", submit_ms),
        "p50_ms": round(float(np.percentile(both, 50)), 2),
        "p99_ms": round(float(np.percentile(both, 99)), 2),
        "max_ms": round(float(both.max()), 1),
        "requests": len(both),
        "answers": num_answers,
        "answers_per_s": round(num_answers / found["seconds"], 1),
        "not_taken": found["refused"],
        "failed_requests": found["failed"],
        "crowd_cpu_s": round(found["cpu_s"], 2),
    }


def audit(store: Store, taken: Mapping[str, int]) -> dict[str, int]:
    """What the log holds against what the service said that it took."""
    with store.reading() as db:
        voted: dict[tuple[int, int], int] = {}
        by_item: dict[int, list[str]] = {}
        gold = set(db.execute(sa.select(items.c.seq).where(items.c.gold_answer.is_not(None))).scalars())
        query = sa.select(votes.c.seq, votes.c.worker_seq, votes.c.answer).order_by(votes.c.vote_id)
        for seq, worker_seq, answer in db.execute(query):
            voted[seq, worker_seq] = voted.get((seq, worker_seq), 0) + 1
            if seq not in gold:
                by_item.setdefault(seq, []).append(answer)
        lost = there = 0
        for task_id, worker_seq, seqs in db.execute(sa.select(tasks.c.task_id, tasks.c.worker_seq, tasks.c.seqs)):
            if task_id in taken:
                num_there = sum((seq, worker_seq) in voted for seq in json.loads(seqs))
                lost += max(0, taken[task_id] - num_there)
                there += num_there
    over = 0
    for answers in by_item.values():
        counts: dict[str, int] = {}
        for answer in answers:
            over += CLIP_PROTOCOL.verdict(counts) != "open"
            counts[answer] = counts.get(answer, 0) + 1
    return {
        "answers": sum(taken.values()),
        "lost": lost,
        "not_acknowledged": sum(voted.values()) - sum(taken.values()),
        "duplicated": sum(voted.values()) - len(voted),
        "over_collected": over,
        "found_in_log": there,
    }


def insert_ceiling(url: str, *, seconds: float = 5.0) -> float:
    """Rows a second of the bare log, 20 in a transaction, nothing else going on."""
    store = open_store(url)
    names = ("seq", "worker_seq", "revision", "answer", "lasts_whole_clip", "detail", "spent_ms", "cast_at_us")
    with store.reading() as db:
        worker = db.execute(sa.select(sa.func.max(workers.c.seq))).scalar_one()
        top = db.execute(sa.select(sa.func.max(items.c.seq))).scalar_one()
    with store.engine.connect() as connection:
        started, num_rows = time.perf_counter(), 0
        while time.perf_counter() - started < seconds:
            with connection.begin():
                rows = [
                    ((num_rows + n) % top + 1, worker, 9 + (num_rows + n) // top, "yes", None, None, 4000, 1)
                    for n in range(20)
                ]
                append(connection, votes, names, rows)
            num_rows += 20
        took_s = time.perf_counter() - started
    store.close()
    return round(num_rows / took_s, 1)


def measure(work: Path, folder: Path, url: str, *, seconds: float) -> dict[str, Any]:
    """All loads on one database."""
    store = open_store(url)
    tokens = add_workers(store, num_workers=10_000)
    taken: dict[str, int] = {}
    loads: dict[str, Any] = {}
    plans: dict[str, dict[str, Any]] = {
        "workers": {"mode": "open", "task_s": TASK_S, "seconds": seconds, "num_workers": 400},
        "many_workers": {"mode": "open", "task_s": TASK_S, "seconds": seconds, "num_workers": 10_000},
        "closed_loop": {"mode": "closed", "connections": 32, "seconds": seconds, "num_workers": 2_000},
    }
    with service(work, url) as (address, told):
        for name, plan in plans.items():
            found = run_load(folder, address, tokens[: plan["num_workers"]], plan)
            for task_id, num in found["taken"].items():
                taken[task_id] = taken.get(task_id, 0) + num
            loads[name] = {"workers": plan["num_workers"], "seconds": seconds, **summary(found)}
            print(f"  {name}: {loads[name]}", flush=True)
    checked = audit(store, taken)
    store.close()
    print(f"  {checked} {told}", flush=True)
    ceiling = insert_ceiling(url)
    closed, usual = loads["closed_loop"], loads["workers"]
    return {
        "workers": usual["workers"],
        "p50_ms": usual["p50_ms"],
        "p99_ms": usual["p99_ms"],
        "many_workers": loads["many_workers"]["workers"],
        "many_workers_answers_per_s": loads["many_workers"]["answers_per_s"],
        "many_workers_p50_ms": loads["many_workers"]["p50_ms"],
        "many_workers_p99_ms": loads["many_workers"]["p99_ms"],
        "closed_loop_answers_per_s": closed["answers_per_s"],
        "closed_loop_p50_ms": closed["p50_ms"],
        "closed_loop_p99_ms": closed["p99_ms"],
        "insert_ceiling_per_s": ceiling,
        "share_of_ceiling": round(closed["answers_per_s"] / ceiling, 3),
        **checked,
        "service": told,
        "loads": loads,
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--faults", type=Path, help="result of the fault trials, for the number of kills")
    parser.add_argument("--keep", action="store_true", help="write no result file")
    args = parser.parse_args()
    result: dict[str, Any] = {
        "what": "label_load",
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        "hardware": f"{os.cpu_count()}core-cpu",
        "processor": platform.processor() or platform.machine(),
        "load_before": os.getloadavg()[0],
        "clips_waiting": args.clips,
        "versions": {
            name: importlib.metadata.version(name) for name in ("fastapi", "sqlalchemy", "psycopg", "uvicorn", "orjson")
        },
        "wanted": {
            "workers 400, SQLite": "p99 < 50 ms",
            "many_workers 10,000, PostgreSQL": "p99 < 100 ms at about 1,000 answers/s",
            "closed loop": ">= 10,000 answers/s on PostgreSQL and >= 5,000 on SQLite, p99 < 100 ms",
            "Label Studio 1.23.2 on such a machine": "4 to 7 answers/s (facts, section 5)",
        },
    }
    with tempfile.TemporaryDirectory(prefix="gesta-label-") as name, ExitStack() as stack:
        folder = Path(name)
        work = folder / "work"
        work.mkdir()
        started = time.perf_counter()
        make_work(work, num_clips=args.clips)
        print(f"made {args.clips} clips in {time.perf_counter() - started:.1f} s", flush=True)
        for database in args.databases.split(","):
            print(database, flush=True)
            if database == "sqlite":
                url = f"sqlite:///{folder}/labels.sqlite"
            else:
                url = stack.enter_context(running_postgres()).make_database()
            result[database] = measure(work, folder, url, seconds=args.seconds)
    kills = json.loads(args.faults.read_text())["kills"] if args.faults else None
    for database in ("sqlite", "postgresql"):
        if database in result:
            result[database]["kills"] = kills.get(database) if isinstance(kills, dict) else kills
    if not args.keep:
        path = RESULTS / f"label_load_{result['hardware']}_{result['date']}.json"
        write_json(path, result)
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
