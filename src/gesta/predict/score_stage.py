"""`gesta score`: a clip model's scores of a set of clips as files that `gesta evaluate clips` reads.

The folder that comes out:
    scores.csv      clip_id, class_id, score: a row a clip and class (scores.parquet where there are many)
    labels.csv      clip_id, class_id: what the clips show
    label_map.pbtxt names of the classes
    scores.json     what ran: checkpoint, test, versions, hashes
    rejects/        clips that could not be read
    parts/          only while it runs: what a cut run has done already

Shapes: N clips, K classes.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.formats import write_label_map
from gesta.predict.clip_test import STAGE, ScoredBatch, clips_of_batches, iter_scores
from gesta.schema import BadInput, LabelClass, Reject, UnknownName
from gesta.tables import (
    Json,
    Provenance,
    StageSummary,
    count_reasons,
    frame_of,
    made_by,
    read_rejects,
    sha256_of_file,
    whole_file,
    write_json,
    write_rejects,
)
from gesta.train.clips.checkpoints import ClipCheckpoint, clip_model_of, load_clip_checkpoint
from gesta.train.clips.footage import ClipSource
from gesta.train.clips.recipe import ClipTest
from gesta.train.clips.sets import ClipExample, ClipSet, clip_set
from gesta.train.devices import pick_device, pick_precision, threads_in_use

FILE_FORMATS = ("auto", "csv", "parquet")

MANY_SCORES = 2_000_000
"""Scores from which on "auto" writes Parquet. Source: ours; a csv of them has about 100 MB."""

CLIPS_PER_PART = 128
"""Clips after which what was scored is written down. Source: ours; what a cut run does again at most."""

_ABOUT = "scores.json"


def run_score_clips(
    checkpoint: Path,
    clips: ClipSet,
    *,
    out: Path,
    rejects: Sequence[Reject] = (),
    test: ClipTest | None = None,
    file_format: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    num_workers: int = 0,
    threads: int | None = None,
    source: ClipSource | None = None,
    on_clips: Callable[[int], None] | None = None,
) -> StageSummary:
    """`out/scores.csv` (or .parquet), labels and label map: `score_clips` as a stage that goes on where it was cut.

    A clip that stands in the set for several classes is scored once. The same clips, checkpoint and arguments give the
    same files, whether or not the run was cut.

    Args:
        checkpoint: a `model.pt` of `gesta train` with a clip recipe.
        clips: what to score; every class must be one of the model's, by id and name.
        out: folder of the results.
        rejects: clips dropped before, as by the reader of the set; they are listed with those dropped here.
        test: segments, crops, frames, average; None = the recipe's.
        file_format: csv, parquet, or auto: csv below `MANY_SCORES` scores.
        device: auto, cpu or cuda.
        precision: auto, float32 or bfloat16.
        num_workers: processes that decode; 0 = this one does.
        threads: of torch; None = torch's own number.
        source: how examples are opened.
        on_clips: called with the number of clips just done.
    Raises:
        BadInput: no checkpoint, a class that the model does not know, or a clip id of two different stretches.
        UnknownName: no such file format or device.
        GestaError: the model gives a number that is none, or a worker process died.
    """
    if file_format not in FILE_FORMATS:
        raise UnknownName(what="file format", name=file_format, choices=FILE_FORMATS)
    loaded = load_clip_checkpoint(checkpoint)
    check_class_names(loaded, clips, where=checkpoint)
    place, how = pick_device(device), test or loaded.recipe.test
    made = made_by(
        STAGE,
        arguments={
            "test": dataclasses.asdict(how), "device": place, "file_format": file_format,
            "precision": pick_precision(precision, device=place),
        },
        inputs={"checkpoint": sha256_of_file(checkpoint), "clips": clips.sha256},
        tools=["torch"],
    )  # fmt: skip
    if (done := _finished(out, made)) is not None:
        return done
    once = _each_once(clips)
    with threads_in_use(threads):
        model = clip_model_of(loaded, where=checkpoint, device=place)
        parts = _Parts(folder=out / "parts", prefix=made.fingerprint[:16])
        batches = clips_of_batches(len(once), test=how)
        kept = parts.read()
        todo = [batch for batch in batches if batch.start not in kept.done]
        if on_clips is not None:
            on_clips(sum(len(batch) for batch in batches if batch.start in kept.done))
        scored = iter_scores(
            model, once, frames=loaded.recipe.frames, test=how, batches=todo, device=place, num_workers=num_workers,
            precision=precision, source=source,
        )  # fmt: skip
        parts.write_all(zip(todo, scored, strict=True), on_clips=on_clips)
    kept = parts.read()
    scores_NK = np.full((len(once), len(loaded.class_ids)), np.nan, dtype=np.float32)
    for number, scores_K in kept.scores.items():
        scores_NK[number] = scores_K
    return _write(
        out, once, scores_NK, clips=clips, checkpoint=loaded, rejects=[*rejects, *kept.rejects], made=made,
        file_format=file_format,
    )  # fmt: skip


def check_class_names(checkpoint: ClipCheckpoint, clips: ClipSet, *, where: Path) -> None:
    """Nothing, if the model knows every class of the set by the same id and name.

    Raises:
        BadInput: it does not.
    """
    known = dict(zip(checkpoint.class_ids, checkpoint.class_names, strict=True))
    for class_id, name in zip(clips.class_ids, clips.class_names, strict=True):
        if known.get(class_id) != name:
            found = f"class {class_id} is {known[class_id]!r} in" if class_id in known else "there is no such class in"
            raise BadInput(
                f"class {class_id} of the clips is {name!r}, and {found} the model", where=where,
                mend="Score clips with the classes that the model was trained on, or fine-tune it on these",
            )  # fmt: skip


def _each_once(clips: ClipSet) -> ClipSet:
    """The set with each clip id once, whatever its labels.

    Raises:
        BadInput: an id stands for two different stretches.
    """
    seen: dict[str, ClipExample] = {}
    for example in clips.examples:
        known = seen.setdefault(example.clip_id, example)
        if (known.path, known.start_us, known.end_us) != (example.path, example.start_us, example.end_us):
            raise BadInput(
                f"clip {example.clip_id} stands for two stretches", where=example.path, mend="Give each its own id"
            )
    return clip_set(list(seen.values()), classes=dict(zip(clips.class_ids, clips.class_names, strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """What parts hold: first numbers of the batches done, scores by clip number, rejects."""

    done: frozenset[int]
    scores: Mapping[int, npt.NDArray[np.float32]]
    rejects: tuple[Reject, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Files of some batches each, named by what made them and their first clip; each appears whole."""

    folder: Path
    prefix: str

    def read(self) -> _Kept:
        """Everything that lies there; a broken file is as none."""
        done: set[int] = set()
        scores: dict[int, npt.NDArray[np.float32]] = {}
        rejects: list[Reject] = []
        for path in sorted(self.folder.glob(f"{self.prefix}-*.npz")):
            try:
                with path.open("rb") as stream, np.load(stream, allow_pickle=False) as part:
                    starts, numbers, rows_NK = part["starts"], part["numbers"], part["scores"]
                    dropped = json.loads(str(part["rejects"]))
            except (zipfile.BadZipFile, KeyError, ValueError, OSError):
                continue
            done |= set(starts.tolist())
            scores |= dict(zip(numbers.tolist(), rows_NK, strict=True))
            rejects += [Reject(**row) for row in dropped]
        return _Kept(done=frozenset(done), scores=scores, rejects=tuple(rejects))

    def write_all(self, scored: Iterator[tuple[range, ScoredBatch]], *, on_clips: Callable[[int], None] | None) -> None:
        """Write the batches down as they come, about `CLIPS_PER_PART` clips at a time."""
        waiting: list[tuple[range, ScoredBatch]] = []
        for pair in scored:
            waiting.append(pair)
            if sum(len(batch) for batch, _ in waiting) >= CLIPS_PER_PART:
                self._write(waiting)
                waiting = []
            if on_clips is not None:
                on_clips(len(pair[0]))
        if waiting:
            self._write(waiting)

    def _write(self, waiting: Sequence[tuple[range, ScoredBatch]]) -> None:
        found = {number: row for _, batch in waiting for number, row in batch.scores.items()}
        dropped = [dataclasses.asdict(reject) for _, batch in waiting for reject in batch.rejects]
        rows_NK = np.stack(list(found.values())) if found else np.empty((0, 0), dtype=np.float32)
        with whole_file(self.folder / f"{self.prefix}-{waiting[0][0].start:08d}.npz") as temporary:
            np.savez(
                temporary, starts=np.array([batch.start for batch, _ in waiting]), scores=rows_NK,
                numbers=np.array(list(found), dtype=np.int64), rejects=np.array(json.dumps(dropped)),
            )  # fmt: skip


def _finished(out: Path, made: Provenance) -> StageSummary | None:
    """The summary of a run that is done already, or None."""
    try:
        about = json.loads((out / _ABOUT).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if about.get("fingerprint") != made.fingerprint or not (out / about["file"]).is_file():
        return None
    rejects = [row for row in read_rejects(out).iter_rows(named=True) if row["stage"] == STAGE]
    return _summary(about, [Reject(**row) for row in rejects], was_current=True)


def _summary(about: Mapping[str, Json], rejects: Sequence[Reject], *, was_current: bool) -> StageSummary:
    return StageSummary(
        stage=STAGE,
        kept=int(str(about["num_clips"])),
        rejected=count_reasons(rejects),
        outputs=(str(about["file"]), "labels.csv", "label_map.pbtxt"),
        was_current=was_current,
        numbers={"num_views": about["num_views"], "num_classes": about["num_classes"]},
    )


def _write(
    out: Path,
    once: ClipSet,
    scores_NK: npt.NDArray[np.float32],
    *,
    clips: ClipSet,
    checkpoint: ClipCheckpoint,
    rejects: Sequence[Reject],
    made: Provenance,
    file_format: str,
) -> StageSummary:
    frame = score_frame(once, scores_NK, class_ids=checkpoint.class_ids)
    is_csv = file_format == "csv" or (file_format == "auto" and len(frame) < MANY_SCORES)
    name = "scores.csv" if is_csv else "scores.parquet"
    (out / _ABOUT).unlink(missing_ok=True)
    for other in ("scores.csv", "scores.parquet"):
        (out / other).unlink(missing_ok=True)
    with whole_file(out / name) as temporary:
        frame.write_csv(temporary) if is_csv else frame.write_parquet(temporary, compression="zstd")
    labels = pl.DataFrame(
        [(example.clip_id, clips.class_ids[example.label]) for example in clips.examples],
        schema={"clip_id": pl.String, "class_id": pl.Int64}, orient="row",
    )  # fmt: skip
    with whole_file(out / "labels.csv") as temporary:
        labels.write_csv(temporary)
    classes = [
        LabelClass(class_id=class_id, name=name)
        for class_id, name in sorted(zip(checkpoint.class_ids, checkpoint.class_names, strict=True))
    ]
    write_label_map(out / "label_map.pbtxt", frame_of("label_map", classes))
    write_rejects(out, STAGE, [dataclasses.replace(reject, stage=STAGE) for reject in rejects], made_by=made)
    test = made.arguments["test"]
    assert isinstance(test, Mapping)
    about: dict[str, Json] = {
        "file": name, "sha256": sha256_of_file(out / name), "num_clips": frame["clip_id"].n_unique(),
        "num_classes": len(checkpoint.class_ids), "num_views": int(str(test["num_segments"])) * int(str(test["crops"])),
        "recipe": checkpoint.recipe.name, "model": checkpoint.recipe.model, "fingerprint": made.fingerprint,
        "made_by": made.as_json(),
    }  # fmt: skip
    write_json(out / _ABOUT, about)
    shutil.rmtree(out / "parts", ignore_errors=True)
    return _summary(about, rejects, was_current=False)


def score_frame(clips: ClipSet, scores_NK: npt.NDArray[np.float32], *, class_ids: Sequence[int]) -> pl.DataFrame:
    """Columns clip_id, class_id and score (32-bit), a row a clip and class; clips without numbers are left out.

    Args:
        clips: N examples.
        scores_NK: float32 [N, K].
        class_ids: of the K columns.
    """
    known = np.flatnonzero(np.isfinite(scores_NK).all(axis=1))
    clip_ids = [clips.examples[number].clip_id for number in known]
    return pl.DataFrame(
        {
            "clip_id": pl.Series(clip_ids, dtype=pl.String).repeat_by(len(class_ids)).explode(),
            "class_id": pl.Series(list(class_ids) * len(clip_ids), dtype=pl.Int64),
            "score": pl.Series(scores_NK[known].reshape(-1), dtype=pl.Float32),
        }
    )
