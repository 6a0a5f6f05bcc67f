"""The stage: count a dataset or several, write what was counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from gesta.formats import format_of, read_annotations, read_kinetics_csv
from gesta.schema import BadInput
from gesta.stats.counts import Rows, Stats, count
from gesta.stats.npmi import Over, count_class_pairs, npmi_tables
from gesta.stats.overlay import Overlay, merged, overlaid
from gesta.stats.sources import Beside, is_release, rows_of
from gesta.stats.yields import read_catalogue_column, retention, shares_of
from gesta.tables import StageSummary, read_table, table_path, whole_file, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A folder or file to count, the dataset that it is part of, and the split that it is (None: what it says)."""

    path: Path
    dataset: str
    split: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be made besides the counts.

    Args:
        npmi_with: files of clips, of any format, with the classes of the videos whose boxes are counted.
        npmi_over: what a draw of NPMI is; see `gesta.stats.npmi`.
        top: partners of each class in the tables of NPMI.
        later: a later list of the same dataset, or a work folder with the videos at hand: which clips are still there?
        catalogue: a csv with `video_id` and `column`; None = no shares.
        column: the catalogue's column to take shares of.
    """

    npmi_with: tuple[Path, ...] = ()
    npmi_over: Over = "labels"
    top: int = 3
    later: Path | None = None
    catalogue: Path | None = None
    column: str = "continent"


def named_targets(paths: Sequence[Path], names: Sequence[str] = ()) -> tuple[Target, ...]:
    """The targets with their datasets and splits: `AVA/train` is split `train` of dataset `AVA`.

    Without names, or with an empty one, a target is a dataset of its own, called like its file or folder.

    Raises:
        BadInput: there are not as many names as targets, or two datasets have one name by chance.

    >>> [(t.dataset, t.split) for t in named_targets([Path("a.csv"), Path("b.csv")], ["AVA/train", "AVA/val"])]
    [('AVA', 'train'), ('AVA', 'val')]
    """
    if names and len(names) != len(paths):
        raise BadInput(
            f"{len(names)} names for {len(paths)} targets", mend="Give --name once a target, in their order, or never"
        )
    targets = []
    for path, name in zip(paths, names or [""] * len(paths), strict=True):
        dataset, _, split = name.partition("/")
        targets.append(Target(path=path, dataset=dataset or _called(path), split=split or None))
    if not names and len({target.dataset for target in targets}) < len(targets):
        raise BadInput("two targets have one name", mend="Tell them apart with --name, once a target")
    return tuple(targets)


def _called(path: Path) -> str:
    return path.resolve().name if path.is_dir() else path.stem


def rows_of_targets(
    targets: Sequence[Target], *, beside: Beside | None = None, asked: Asked | None = None
) -> dict[str, Rows]:
    """The rows of each dataset, by its name, with the tables that were asked for besides.

    Raises:
        BadInput: see `rows_of`; or a file that was asked for cannot be read.
        BadRow: a row of a file is wrong.
        MissingTable: a folder has no table `videos`.
    """
    wanted = asked if asked is not None else Asked()
    parts: dict[str, list[Rows]] = {}
    for target in targets:
        parts.setdefault(target.dataset, []).append(rows_of(target.path, beside=beside, split=target.split))
    found = {}
    for name, listed in parts.items():
        what = listed[0].what if len(listed) == 1 else f"{name}: " + " + ".join(rows.what for rows in listed)
        rows = merged(listed, what=what)
        found[name] = replace(rows, more={**rows.more, **_more(rows, wanted, name=name)})
    return found


def _more(rows: Rows, asked: Asked, *, name: str) -> Mapping[str, pl.DataFrame]:
    """The tables that need another file beside the rows."""
    tables: dict[str, pl.DataFrame] = {}
    if asked.later is not None:
        # Where there are boxes only, what stays or goes is a video.
        then = rows.clips if len(rows.clips) else rows.boxes.with_columns(clip_id="video_id")
        tables["retention"] = retention(then, _video_ids(asked.later), name=name)
    if asked.catalogue is not None:
        ids = pl.concat([rows.clips["video_id"].unique(), rows.boxes["video_id"].unique()])
        tables[f"videos_by_{asked.column}"] = shares_of(ids, read_catalogue_column(asked.catalogue, asked.column))
    if asked.npmi_with and len(rows.boxes):
        clips = pl.concat([_classes_of_clips(path) for path in asked.npmi_with])
        classes = clips["clip_class"].drop_nulls().unique().sort()
        seen = rows.names.join(rows.boxes.select("class_id").unique(), on="class_id", how="semi").sort("class_id")
        counts = count_class_pairs(
            rows.boxes, clips, clip_classes=classes, box_classes=seen["class_id"], over=asked.npmi_over
        )  # fmt: skip
        tables |= npmi_tables(counts, clip_classes=classes, box_classes=seen["name"], top=asked.top)
    return tables


def _video_ids(path: Path) -> pl.Series:
    """Ids of the videos that a list names or that a work folder holds."""
    if table_path(path, "videos").is_file():
        return read_table(path, "videos")["video_id"]
    found = rows_of(path)
    return pl.concat([found.clips["video_id"].unique(), found.boxes["video_id"].unique()])


def _classes_of_clips(path: Path) -> pl.DataFrame:
    """The clips of a file with the names of their classes: `video_id`, `start_us`, `end_us`, `clip_class`."""
    columns = ["video_id", "start_us", "end_us", "clip_class"]
    if format_of(path) == "kinetics":
        return read_kinetics_csv(path).rename({"label": "clip_class"}).select(columns)
    found = read_annotations(path)
    names = found.label_map.select("class_id", pl.col("name").alias("clip_class"))
    return found.clips.join(names, on="class_id", how="left").select(columns)


def stats_of(target: Path, *, label_map: Path | None = None) -> Stats:
    """The numbers of a work folder, a release or an annotation file; nothing is written.

    Args:
        target: a folder with the table `videos`, or a file of any format in `gesta.formats.FORMATS`.
        label_map: names of AVA's classes (pbtxt or txt); without it they are called by their ids.
    Raises:
        BadInput: there is no such file or folder, or the file is of none of these kinds.
        BadRow: a row of the file is wrong.
        MissingTable: the folder has no table `videos`.
    """
    return count(rows_of(target, beside=Beside(label_map=label_map)))


def stats_of_targets(
    targets: Sequence[Target],
    *,
    beside: Beside | None = None,
    asked: Asked | None = None,
    combined: str | None = None,
) -> Stats | Overlay:
    """The numbers of one dataset, or of several side by side; nothing is written.

    Args:
        targets: see `named_targets`.
        beside: label map, excluded and included key-frames, groups.
        asked: tables to be made besides.
        combined: what to call several datasets as one.
    Raises:
        BadInput: see `rows_of_targets` and `overlaid`.
        BadRow: a row of a file is wrong.
        MissingTable: a folder has no table `videos`.
    """
    if not targets:
        raise BadInput("nothing to count", mend="Name a work folder, a release or an annotation file")
    rows = rows_of_targets(targets, beside=beside, asked=asked)
    return count(next(iter(rows.values()))) if len(rows) == 1 else overlaid(rows, combined=combined)


def run_stats(target: Path, *, out: Path | None = None, label_map: Path | None = None) -> StageSummary:
    """What was counted, written to a folder as `stats.json` and one csv a table; the numbers are in the summary.

    Args:
        target: a work folder, a release, or an annotation file.
        out: the folder to write; None = `stats` in a work folder, and beside a release (which never changes) or a
            file, named like it with `-stats` at the end.
        label_map: names of AVA's classes (pbtxt or txt).
    Raises:
        BadInput: see `stats_of`; or the folder cannot be written.
        MissingTable: the folder has no table `videos`.
    """
    return write_stats(stats_of(target, label_map=label_map), target, out=out)


def write_stats(
    stats: Stats | Overlay, target: Path, *, out: Path | None = None, pictures: bool = False
) -> StageSummary:
    """What was counted of `target`, written as `run_stats` does; of several datasets their tables side by side.

    Args:
        pictures: also draw each figure, as PNG and SVG (needs the extra `stats`).
    Raises:
        BadInput: the folder cannot be written.
        MissingExtra: pictures were asked for and matplotlib is not installed.
    """
    # Looked for before anything is written.
    draw = _drawer() if pictures else None
    folder = out if out is not None else _default_out(target)
    tables = stats.tables
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in tables.items():
            with whole_file(folder / f"{name}.csv") as temporary:
                frame.write_csv(temporary)
        write_json(folder / "stats.json", stats.as_json())
        drawn = draw(stats, folder) if draw is not None else ()
    except OSError as error:
        raise BadInput(
            f"cannot be written ({error.strerror})", where=folder, mend="Name another folder: --out"
        ) from error
    outputs = (str(folder / "stats.json"), *(str(folder / f"{name}.csv") for name in tables), *map(str, drawn))
    totals: dict[str, Any] = dict((stats if isinstance(stats, Stats) else stats.stats[stats.combined]).totals)
    num_counted = totals["num_clips"] or totals["num_key_frames"] or 0
    return StageSummary(stage="stats", kept=int(num_counted), outputs=outputs, numbers=totals)


def _drawer() -> Callable[[Stats | Overlay, Path], tuple[Path, ...]]:
    from gesta.stats.pictures import draw_all

    return draw_all


def _default_out(target: Path) -> Path:
    if target.is_file():
        return target.with_name(f"{target.stem}-stats")
    return target.with_name(f"{target.name}-stats") if is_release(target) else target / "stats"
