"""What a release has lost and what it would take to fill it up: gone videos, small classes, candidates to collect.

Kinetics-700-2020 is Kinetics-700 replenished so: videos disappear from where they were found (table 2), and classes
with fewer than 700 clips are topped up with new candidates, of which a class's yield says how many are published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from gesta.formats.delimited import read_text
from gesta.release.collect import Need, candidates_needed, fitted_prior
from gesta.release.diff import PARTS
from gesta.release.manifest import read_manifest
from gesta.release.video_lists import read_video_ids
from gesta.schema import BadInput, UnknownName
from gesta.tables import StageSummary, read_table, table_path, whole_file, write_json

WANTED = 700
"""Clips a class shall have. Source: Kinetics-700-2020, section 2: "until they reach at least 700 per class"."""

_COUNTS = ("num_released", "num_gone", "num_left", "num_lacking")
_NEEDS = ("num_candidates_low", "num_candidates", "num_candidates_high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replenishment:
    """What a release has lost and lacks.

    `gone` has a row a video: video_id, split, num_clips. `retained` has the shape of Kinetics-700-2020's table 2:
    split, num_clips, num_available, share; `all` last. `classes` has a row a class, those that want most candidates
    first: class_id, name, num_released, num_gone, num_left, num_lacking, num_asked, num_published, yield_share, and
    num_candidates_low, num_candidates, num_candidates_high; null where no yield was measured or no number is enough.
    `num_wanted` are the clips that every class shall have, `level` how sure the bounds are.
    """

    version: str
    num_wanted: int
    level: float
    gone: pl.DataFrame
    retained: pl.DataFrame
    classes: pl.DataFrame

    def as_json(self) -> dict[str, Any]:
        """The parts as plain JSON values."""
        short = self.classes.filter(pl.col("num_lacking") > 0)
        known = short.drop_nulls("num_candidates")
        return {
            "version": self.version,
            "num_wanted": self.num_wanted,
            "level": self.level,
            "num_gone_videos": len(self.gone),
            "num_short_classes": len(short),
            "num_lacking": int(short["num_lacking"].sum()),
            "num_candidates": int(known["num_candidates"].sum()),
            "num_classes_without_plan": len(short) - len(known),
            "gone": self.gone.to_dicts(),
            "retained": self.retained.to_dicts(),
            "classes": self.classes.to_dicts(),
        }


def replenishment_of(
    release: Path,
    *,
    gone: frozenset[str],
    yields: pl.DataFrame | None = None,
    num_wanted: int = WANTED,
    level: float = 0.95,
) -> Replenishment:
    """What a release has lost and lacks, and how many candidates to collect.

    Args:
        release: the folder.
        gone: videos that are no longer to be had; others than the release's do not matter.
        yields: `name`, `num_asked`, `num_published` of classes, see `read_yields`; None = no plan of candidates.
        num_wanted: clips that every class shall have.
        level: probability that the candidates which are needed lie within the bounds.
    Raises:
        BadInput: the folder is no release, or the numbers are none.
        MissingTable: it lacks a table.
        UnknownName: a class of the yields is none of the release's.
    """
    if num_wanted < 1 or not 0 < level < 1:
        raise BadInput(f"{num_wanted} clips at level {level}", mend="Want 1 clip or more and a level between 0 and 1")
    version = str(read_manifest(release)["version"])
    tables = {table: read_table(release, table) for table in ("kept", "label_map", "splits")}
    clips = tables["splits"].select("clip_id", "video_id", "split")
    is_gone = pl.col("video_id").is_in(list(gone))
    missing = clips.filter(is_gone).group_by("video_id", "split").len("num_clips").sort("video_id")
    kept = tables["kept"].with_columns(is_gone.alias("is_gone"))
    counts = kept.group_by("class_id").agg(pl.len().alias("num_released"), pl.col("is_gone").sum().alias("num_gone"))
    whole = [pl.col(name).fill_null(0).cast(pl.Int64) for name in ("num_released", "num_gone")]
    left = pl.col("num_released") - pl.col("num_gone")
    classes = (
        tables["label_map"]
        .select("class_id", "name")
        .join(counts, on="class_id", how="left")
        .with_columns(whole)
        .with_columns(left.alias("num_left"), (num_wanted - left).clip(lower_bound=0).alias("num_lacking"))
    )
    return Replenishment(
        version=version,
        num_wanted=num_wanted,
        level=level,
        gone=missing.select("video_id", "split", pl.col("num_clips").cast(pl.Int64)),
        retained=_retained(clips.with_columns(is_gone.alias("is_gone"))),
        classes=_with_plan(classes, yields, level=level),
    )


def _retained(clips: pl.DataFrame) -> pl.DataFrame:
    counts = (
        pl.len().cast(pl.Int64).alias("num_clips"),
        (~pl.col("is_gone")).sum().cast(pl.Int64).alias("num_available"),
    )
    order = pl.col("split").replace_strict(dict(zip(PARTS, range(3), strict=True)), return_dtype=pl.Int64)
    each = clips.group_by("split").agg(*counts).sort(order)
    whole = clips.select(pl.lit("all").alias("split"), *counts)
    share = (pl.col("num_available") / pl.col("num_clips")).round(6).alias("share")
    return pl.concat([each, whole]).with_columns(share)


def _with_plan(classes: pl.DataFrame, yields: pl.DataFrame | None, *, level: float) -> pl.DataFrame:
    measured = yields if yields is not None else pl.DataFrame(schema=_YIELDS)
    unknown = sorted(set(measured["name"]) - set(classes["name"]))
    if unknown:
        raise UnknownName(what="class of the yields", name=unknown[0], choices=classes["name"])
    prior = fitted_prior(measured["num_asked"].to_list(), measured["num_published"].to_list())
    has_any = measured["num_asked"].sum() > 0
    joined = classes.join(measured, on="name", how="left").with_columns(
        pl.col("num_asked", "num_published").fill_null(0)
    )
    unknown_need = Need(low=None, middle=None, high=None)
    needs = [
        candidates_needed(lacking, num_asked=asked, num_published=published, prior=prior, level=level)
        if has_any or not lacking
        else unknown_need
        for lacking, asked, published in joined.select("num_lacking", "num_asked", "num_published").iter_rows()
    ]
    columns = {
        name: pl.Series(name, [getattr(need, part) for need in needs], dtype=pl.Int64)
        for name, part in zip(_NEEDS, ("low", "middle", "high"), strict=True)
    }
    share = pl.when(pl.col("num_asked") > 0).then((pl.col("num_published") / pl.col("num_asked")).round(6))
    return (
        joined.with_columns(share.alias("yield_share"), *columns.values())
        .select("class_id", "name", *_COUNTS, "num_asked", "num_published", "yield_share", *_NEEDS)
        .sort(["num_candidates", "num_lacking", "class_id"], descending=[True, True, False], nulls_last=True)
    )


_YIELDS = {"name": pl.String, "num_asked": pl.Int64, "num_published": pl.Int64}


def read_yields(path: Path) -> pl.DataFrame:
    """What became of the candidates of classes: name, num_asked (decided by workers), num_published (kept after that).

    Args:
        path: a work folder with `candidates`, `clip_labels`, `kept` and `label_map`; or a csv with the columns `name`,
            `num_asked` and `num_published` (or `num_released`, as the yields.csv of `gesta stats` says it).
    Raises:
        BadInput: the csv cannot be read, lacks a column, or has a count that is none.
        MissingTable: the folder lacks a table.
    Source: Kinetics-700-2020, appendix A: the share of candidates that is published after de-duplication and the final
        filtering.
    """
    if path.is_dir():
        tables = {table: read_table(path, table) for table in ("candidates", "clip_labels", "kept", "label_map")}
        return yields_of_tables(tables)
    try:
        frame = pl.read_csv(read_text(path).encode(), infer_schema=False)
    except (pl.exceptions.ComputeError, pl.exceptions.NoDataError) as error:
        raise BadInput(
            "cannot be read as csv", where=path, mend="Want a header: name,num_asked,num_published"
        ) from error
    frame = frame.rename({"num_released": "num_published"}, strict=False)
    missing = [name for name in _YIELDS if name not in frame.columns]
    if missing:
        raise BadInput(f"the header lacks {missing[0]!r}", where=path, mend=f"It has: {', '.join(frame.columns)}")
    numbers = frame.select("name", pl.col("num_asked", "num_published").cast(pl.Int64, strict=False))
    bad = numbers.filter(
        pl.any_horizontal(pl.all().is_null())
        | (pl.col("num_published") < 0)
        | (pl.col("num_asked") < pl.col("num_published"))
    )
    if len(bad):
        raise BadInput(
            f"class {bad['name'][0]!r} has no counts 0 <= num_published <= num_asked", where=path, mend="Mend the line"
        )
    return numbers.group_by("name", maintain_order=True).sum()


def yields_of_tables(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The yields of the tables `candidates`, `clip_labels`, `kept` and `label_map` of a work folder."""
    key = ["clip_id", "class_id"]
    decided = (
        tables["clip_labels"]
        .filter(pl.col("verdict").is_in(["accepted", "rejected"]))
        .select(key)
        .unique()
        .join(tables["candidates"].select(key).unique(), on=key, how="semi")
    )
    published = decided.join(tables["kept"].select(key).unique(), on=key, how="semi")
    counts = decided.group_by("class_id").len("num_asked").join(
        published.group_by("class_id").len("num_published"), on="class_id", how="left"
    )  # fmt: skip
    named = tables["label_map"].select("class_id", "name").join(counts, on="class_id")
    return named.sort("class_id").select("name", *(pl.col(n).fill_null(0).cast(pl.Int64) for n in list(_YIELDS)[1:]))


def gone_videos(release: Path, *, there: Path | None = None, gone: Path | None = None) -> frozenset[str]:
    """The videos of a release that are no longer to be had.

    Without a list, those whose file is not where `videos` says, or has another size.

    Args:
        release: the folder.
        there: videos that are to be had: a list (see `read_video_ids`), or a work folder: those that its `availability`
            says are present, else those of its `videos`.
        gone: a list of videos that are not.
    Raises:
        BadInput: both were given, or a list cannot be read.
        BadRow: a line of a list is none.
        MissingTable: the release or the work folder lacks `videos`.
    """
    if there is not None and gone is not None:
        raise BadInput("both a list of what is there and one of what is gone", mend="Give one of the two")
    videos = read_table(release, "videos")
    ids = frozenset(videos["video_id"])
    if gone is not None:
        return ids & read_video_ids(gone)
    if there is not None:
        return ids - (_videos_of_folder(there) if there.is_dir() else read_video_ids(there))
    rows = videos.select("video_id", "path", "size_bytes").iter_rows()
    return frozenset(video_id for video_id, path, size in rows if not _is_file_of(release / path, size_bytes=size))


def _is_file_of(path: Path, *, size_bytes: int) -> bool:
    return path.is_file() and path.stat().st_size == size_bytes


def _videos_of_folder(work: Path) -> frozenset[str]:
    if table_path(work, "availability").is_file():
        return frozenset(read_table(work, "availability").filter("is_present")["video_id"])
    return frozenset(read_table(work, "videos")["video_id"])


def write_replenishment(found: Replenishment, release: Path, *, out: Path | None = None) -> StageSummary:
    """What was found, written to a folder as `replenish.json`, `gone.csv`, `retained.csv` and `classes.csv`.

    Args:
        found: see `replenishment_of`.
        release: the folder it was found of, which never changes.
        out: the folder to write; None = beside the release, named like it with `-replenish` at the end.
    Raises:
        BadInput: the folder cannot be written.
    """
    folder = out if out is not None else release.with_name(f"{release.name}-replenish")
    tables = {"gone": found.gone, "retained": found.retained, "classes": found.classes}
    value = found.as_json()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in tables.items():
            with whole_file(folder / f"{name}.csv") as temporary:
                frame.write_csv(temporary)
        write_json(folder / "replenish.json", value)
    except OSError as error:
        raise BadInput(
            f"cannot be written ({error.strerror})", where=folder, mend="Name another folder: --out"
        ) from error
    numbers = {name: number for name, number in value.items() if not isinstance(number, list)}
    outputs = tuple(str(folder / name) for name in ("replenish.json", *(f"{name}.csv" for name in tables)))
    return StageSummary(stage="replenish", kept=len(found.classes), outputs=outputs, numbers=numbers)
