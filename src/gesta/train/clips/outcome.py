"""What a finished run leaves behind, and how a run that is finished already is known."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from gesta.schema import Reject
from gesta.tables import (
    Json,
    StageSummary,
    count_reasons,
    read_rejects,
    sha256_of_file,
    write_json,
    write_rejects,
)
from gesta.train.clips.logs import read_log
from gesta.train.clips.setup import Run
from gesta.train.clips.sharding import full_weights

STAGE = "train"


def finished_summary(out: Path, *, fingerprint: str) -> StageSummary | None:
    """The summary of a finished run of just this, or None."""
    notes, model = out / "train.json", out / "model.pt"
    if not notes.is_file() or not model.is_file():
        return None
    found = json.loads(notes.read_bytes())
    if found.get("fingerprint") != fingerprint or found.get("model_sha256") != sha256_of_file(model):
        return None
    rejects = count_reasons(Reject(**row) for row in read_rejects(out).iter_rows(named=True))
    return _summary(found["numbers"], out=out, rejects=rejects, was_current=True)


def write_outcome(run: Run) -> StageSummary:
    """The summary; `model.pt`, `train.json` and the rejects are written by the first process, `last.pt` is gone."""
    learner, crew, out = run.learner, run.setting.crew, run.out
    weights = learner.averaged if learner.averaged is not None else full_weights(learner.model, crew=crew)
    numbers = _numbers(run)
    rejects = list(run.rejects.values())
    if crew.is_first:
        run.task.save(out / "model.pt", dataclasses.replace(run.about, weights=weights))
        write_rejects(out, STAGE, rejects, made_by=run.made)
        model_sha256 = sha256_of_file(out / "model.pt")
        write_json(
            out / "train.json",
            {
                "fingerprint": run.made.fingerprint,
                "model_sha256": model_sha256,
                "numbers": numbers,
                "peak": {"tflops": round(run.peak.flops_per_s / 1e12, 3), "how": run.peak.how},
                "timings": dict(run.timings),
                **run.made.as_json(),
            },
        )
        (out / "last.pt").unlink(missing_ok=True)
    crew.wait()
    return _summary(numbers, out=out, rejects=count_reasons(rejects), was_current=False)


def _numbers(run: Run) -> dict[str, Json]:
    progress = run.progress
    epochs = [line for line in read_log(run.out / "log.jsonl") if line["kind"] == "epoch"]
    last = epochs[-1] if epochs else {}
    return {
        "recipe": run.recipe.name,
        **run.task.counts(run.data),
        "epochs": progress.epoch,
        "steps": progress.step,
        "num_skipped": run.learner.guard.num_skipped,
        "is_compiled": bool(progress.is_compiled),
        "processes": run.setting.crew.size,
        "train_s": round(progress.train_s, 3),
        **{name: value for name, value in last.items() if name not in ("kind", "epoch", "step", "num_skipped")},
    }


def _summary(numbers: Mapping[str, Json], *, out: Path, rejects: Mapping[str, int], was_current: bool) -> StageSummary:
    outputs = ["model.pt", "log.jsonl", "train.json"]
    return StageSummary(
        stage=STAGE,
        kept=int(str(numbers["num_clips"])),
        rejected=rejects,
        outputs=tuple(outputs + (["best.pt"] if (out / "best.pt").is_file() else [])),
        was_current=was_current,
        numbers=numbers,
    )
