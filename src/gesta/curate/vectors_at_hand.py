"""The clips' vectors of a trunk, made once and kept in the work folder; or taken from a file of features.

Legend: N = clips, D = length of a vector.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.curate.clip_features import NUM_FRAMES, clip_vector, read_clip_vectors, write_clip_vectors
from gesta.curate.crop_views import clip_views, part_boxes
from gesta.curate.trunks import FrameTrunk, trunk_named
from gesta.schema import BadInput, BadVideo, Reject
from gesta.tables import Provenance, frame_of, made_by, rows_of, sha256_of_json, whole_file

Floats = npt.NDArray[np.float32]

FACTS = ("clip_id", "sha256", "start_us", "end_us")
"""What a clip's vector depends on, beside the trunk: it is kept for as long as these stay."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VectorsAtHand:
    """The vectors of clips, where they lie, and the clips that have none.

    Attributes:
        path: the file they are in.
        row_of: the row of each clip in `vectors_ND`.
        vectors_ND: float32 [N, D], memory-mapped where they were read from a file of vectors; of a clip with views all
            of them, one behind the other.
        rejects: clips without a vector, with the reason.
        num_views: the whole picture and its parts; 1 = the whole picture alone.
    """

    path: Path
    row_of: dict[str, int]
    vectors_ND: Floats
    rejects: tuple[Reject, ...]
    num_views: int = 1


def trunk_vectors(
    work: Path, clips: pl.DataFrame, *, trunk: str, weights: Path | None, crops: bool = False, share: functools.partial
) -> VectorsAtHand:
    """The vector of every clip that decodes, made for those only that have none yet.

    Args:
        work: the folder; vectors lie in `clip_vectors/` under it.
        clips: clip_id, video_id, start_us, end_us, path and sha256 of the clips wanted.
        trunk: as `trunk_named` takes it.
        weights: as `trunk_named` takes it.
        crops: whether parts of each picture get a vector too; of the perceptual hash only.
        share: `map_shards`, told of workers and cluster.
    Raises:
        UnknownName: there is no such trunk or model.
        BadInput: a model's name or file is missing, or does not hold the model's weights.
        MissingExtra: the trunk's library is not installed.
        GestaError: weights could not be downloaded.
    """
    made = trunk_named(trunk, weights=weights)
    if crops and made.name != "perceptual-hash":
        raise BadInput(f"the trunk {made.name} has no vectors of parts", mend="Want perceptual-hash, or no crops")
    provenance = made_by(
        "curate",
        arguments={
            "part": "vectors",
            "trunk": made.name,
            "weights": made.weights_sha256,
            "num_frames": NUM_FRAMES,
            "parts": [list(box) for box in part_boxes()] if crops else [],
        },
        inputs={},
        tools=("av", "numpy", "opencv-python-headless"),
    )
    path = work / "clip_vectors" / f"{_slug(trunk)}{'-crops' if crops else ''}-{provenance.fingerprint[:12]}.npy"
    old = _old_vectors(path)
    known = old.join(clips.select(FACTS), on=FACTS, how="semi")
    todo = clips.join(known.select("clip_id"), on="clip_id", how="anti")
    if len(todo) or not path.is_file():
        _add(work, path, known, todo, trunk=trunk, weights=weights, crops=crops, provenance=provenance, share=share)
        known = _old_vectors(path)
    vectors = read_clip_vectors(path)
    wanted = known.join(clips.select("clip_id", "video_id", "path"), on="clip_id", how="inner")
    broken = wanted.filter(pl.col("reason").is_not_null()).sort("clip_id")
    rejects = tuple(
        Reject(
            stage="curate", reason=row["reason"], video_id=row["video_id"], clip_id=row["clip_id"], path=row["path"],
            detail=row["detail"],
        )
        for row in broken.iter_rows(named=True)
    )  # fmt: skip
    row_of = {clip_id: row for row, clip_id in enumerate(vectors.clip_ids)}
    return VectorsAtHand(path=path, row_of=row_of, vectors_ND=vectors.vectors_ND, rejects=rejects,
        num_views=1 + len(part_boxes()) if crops else 1,
    )  # fmt: skip


def _slug(trunk: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", trunk.lower()).strip("-")[-60:]


def _facts_path(path: Path) -> Path:
    return path.with_suffix(".facts.parquet")


def _old_vectors(path: Path) -> pl.DataFrame:
    """What was made: the facts, and of clips without a vector the reason; nothing where a file is missing."""
    schema = {
        "clip_id": pl.String(), "sha256": pl.String(), "start_us": pl.Int64(), "end_us": pl.Int64(),
        "reason": pl.String(), "detail": pl.String(),
    }  # fmt: skip
    if not (path.is_file() and _facts_path(path).is_file()):
        return pl.DataFrame(schema=schema)
    return pl.read_parquet(_facts_path(path))


def _add(
    work: Path, path: Path, known: pl.DataFrame, todo: pl.DataFrame, *, trunk: str, weights: Path | None,
    crops: bool, provenance: Provenance, share: functools.partial,
) -> None:  # fmt: skip
    """Write the known vectors, and those of `todo` behind them."""
    listed = [list(row) for row in todo.select(FACTS).iter_rows()]
    asked = made_by(
        "curate",
        arguments={"part": "vectors", "of": provenance.fingerprint, "clips": sha256_of_json(listed)},
        inputs={},
    )
    parts = work / "shards" / "curate" / f"parts-{asked.fingerprint[:16]}"
    rows = todo.select("clip_id", "video_id", "start_us", "end_us", "path")
    found = share(
        functools.partial(_part, work=work.resolve(), parts=parts.resolve(), trunk=trunk, weights=weights, crops=crops),
        rows,
        outputs=["rejects"],
        folder=work / "shards" / "curate" / "vectors",
        made_by=asked,
        rows_per_shard=8,
    )
    rejects = {reject.clip_id: reject for reject in rows_of("rejects", found["rejects"])}
    new_ids = [clip_id for clip_id in todo["clip_id"] if clip_id not in rejects]
    old = read_clip_vectors(path) if path.is_file() and len(known) else None
    old_row = {} if old is None else {clip_id: row for row, clip_id in enumerate(old.clip_ids)}
    old_ids = [clip_id for clip_id in known["clip_id"] if clip_id in old_row]
    new = [parts / f"{clip_id_hash(rows['clip_id'][first])}.npy" for first in range(0, len(rows), 8)]
    length = next((np.load(part, mmap_mode="r").shape[1] for part in new if part.is_file()), 0)
    length = old.vectors_ND.shape[1] if old is not None else length
    gathered = work / "shards" / "curate" / "gathered.npy"
    gathered.parent.mkdir(parents=True, exist_ok=True)
    # On the disk, since all vectors of a large dataset need not fit in memory.
    shape = (len(old_ids) + len(new_ids), max(1, length))
    target_ND = np.lib.format.open_memmap(gathered, mode="w+", dtype=np.float32, shape=shape)
    for row, clip_id in enumerate(old_ids):
        assert old is not None
        target_ND[row] = old.vectors_ND[old_row[clip_id]]
    row = len(old_ids)
    for part in new:
        if part.is_file():
            some_ND = np.load(part)
            target_ND[row : row + len(some_ND)] = some_ND
            row += len(some_ND)
    path.parent.mkdir(parents=True, exist_ok=True)
    for other in path.parent.glob(f"{path.stem.rsplit('-', 1)[0]}-{'?' * 12}.*"):
        if not other.name.startswith(path.stem):
            # Of another version of the trunk: nobody would read them again.
            other.unlink()
    write_clip_vectors(path, [*old_ids, *new_ids], target_ND)
    facts = pl.concat(
        [
            known,
            todo.select(FACTS).with_columns(
                reason=pl.Series([_of(rejects, clip_id, "reason") for clip_id in todo["clip_id"]], dtype=pl.String),
                detail=pl.Series([_of(rejects, clip_id, "detail") for clip_id in todo["clip_id"]], dtype=pl.String),
            ),
        ]
    )
    with whole_file(_facts_path(path)) as temporary:
        facts.write_parquet(temporary)


def _of(rejects: dict[str | None, Reject], clip_id: str, field: str) -> str | None:
    return str(getattr(rejects[clip_id], field)) if clip_id in rejects else None


def clip_id_hash(clip_id: str) -> str:
    """A name for a file that begins with this clip; ids may hold what file names may not."""
    return sha256_of_json(clip_id)[:20]


@functools.lru_cache(maxsize=1)
def _trunk(name: str, weights: Path | None) -> FrameTrunk:
    return trunk_named(name, weights=weights)


def _part(
    clips: pl.DataFrame, *, work: Path, parts: Path, trunk: str, weights: Path | None, crops: bool
) -> dict[str, pl.DataFrame]:
    """Writes the vectors of some clips to `parts`, and gives rejects for those that do not decode."""
    vectors: list[Floats] = []
    rejects: list[Reject] = []
    with one_thread():
        model = _trunk(trunk, weights)
        for row in clips.iter_rows(named=True):
            try:
                path, start_us, end_us = work / row["path"], row["start_us"], row["end_us"]
                views = clip_views(path, start_us, end_us).reshape(-1) if crops else None
                vectors.append(clip_vector(path, start_us, end_us, trunk=model) if views is None else views)
            except BadVideo as error:
                rejects.append(
                    Reject(
                        stage="curate", reason=error.reason, video_id=row["video_id"], clip_id=row["clip_id"],
                        path=row["path"], detail=error.problem,
                    )
                )  # fmt: skip
    if vectors:
        parts.mkdir(parents=True, exist_ok=True)
        with whole_file(parts / f"{clip_id_hash(clips['clip_id'][0])}.npy") as temporary, temporary.open("wb") as file:
            np.save(file, np.stack(vectors))
    return {"rejects": frame_of("rejects", rejects)}


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenCV with one thread: the pool is parallel already, and its own threads would only contend."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def feature_vectors(path: Path, clips: pl.DataFrame) -> VectorsAtHand:
    """The vectors of the clips out of a file: clip vectors (.npy), or what `gesta features` wrote (.parquet).

    Of features by windows a clip's vector is the mean over windows whose middle it holds, else the nearest window's.

    Args:
        path: the file.
        clips: clip_id, video_id, start_us, end_us and path of the clips wanted.
    Raises:
        BadInput: the file is neither, is broken, or holds none of the clips.
    """
    if path.suffix == ".npy":
        vectors = read_clip_vectors(path)
        row_of = {clip_id: row for row, clip_id in enumerate(vectors.clip_ids)}
        vectors_ND = vectors.vectors_ND
    elif path.suffix == ".parquet":
        row_of, vectors_ND = _of_windows(path, clips)
    else:
        raise BadInput("a file of features with an unknown ending", where=path, mend="Want .npy or .parquet")
    if not any(clip_id in row_of for clip_id in clips["clip_id"]) and len(clips):
        raise BadInput("the file holds the features of none of the clips", where=path, mend="Run `gesta features` anew")
    rejects = tuple(
        Reject(
            stage="curate", reason="no-features", video_id=row["video_id"], clip_id=row["clip_id"], path=row["path"],
            detail=f"{path.name} holds no features of it",
        )
        for row in clips.sort("clip_id").iter_rows(named=True)
        if row["clip_id"] not in row_of
    )  # fmt: skip
    return VectorsAtHand(path=path, row_of=row_of, vectors_ND=vectors_ND, rejects=rejects)


def _of_windows(path: Path, clips: pl.DataFrame) -> tuple[dict[str, int], Floats]:
    try:
        windows = pl.read_parquet(path, columns=["video_id", "start_us", "end_us", "vector"])
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadInput(f"no file of features ({error})", where=path, mend="Write it with `gesta features`") from error
    by_video = {str(video_id): part for (video_id,), part in windows.group_by("video_id")}
    row_of: dict[str, int] = {}
    found: list[Floats] = []
    for row in clips.iter_rows(named=True):
        part = by_video.get(row["video_id"])
        if part is None:
            continue
        middles = (part["start_us"].to_numpy() + part["end_us"].to_numpy()) / 2
        inside = (middles >= row["start_us"]) & (middles < row["end_us"])
        if not inside.any():
            off = np.abs(middles - (row["start_us"] + row["end_us"]) / 2)
            inside = off == off.min()
        values = np.stack([np.asarray(vector, dtype=np.float64) for vector in part["vector"].filter(pl.Series(inside))])
        row_of[row["clip_id"]] = len(found)
        found.append(values.mean(axis=0).astype(np.float32))
    return row_of, np.stack(found) if found else np.empty((0, 1), np.float32)
