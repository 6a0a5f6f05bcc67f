"""The stage: count a dataset or an annotation file, write what was counted."""

from __future__ import annotations

from pathlib import Path

from gesta.schema import BadInput
from gesta.stats.counts import Stats, count
from gesta.stats.sources import is_release, rows_of_file, rows_of_folder
from gesta.tables import StageSummary, whole_file, write_json


def stats_of(target: Path, *, label_map: Path | None = None) -> Stats:
    """The numbers of a work folder, a release or an annotation csv; nothing is written.

    Args:
        target: a folder with the table `videos`, or a csv of Kinetics, AVA or AVA-Kinetics.
        label_map: names of AVA's classes (pbtxt or txt); without it they are called by their ids.
    Raises:
        BadInput: there is no such file or folder, or the file is of none of these kinds.
        MissingTable: the folder has no table `videos`.
    """
    if target.is_dir():
        return count(rows_of_folder(target))
    if not target.is_file():
        raise BadInput("there is no such file or folder", where=target, mend="Name a work folder, a release or a csv")
    return count(rows_of_file(target, label_map=label_map))


def run_stats(target: Path, *, out: Path | None = None, label_map: Path | None = None) -> StageSummary:
    """What was counted, written to a folder as `stats.json` and one csv a table; the numbers are in the summary.

    Args:
        target: a work folder, a release, or a csv of Kinetics, AVA or AVA-Kinetics.
        out: the folder to write; None = `stats` in a work folder, and beside a release (which never changes) or a
            csv, named like it with `-stats` at the end.
        label_map: names of AVA's classes (pbtxt or txt).
    Raises:
        BadInput: see `stats_of`; or the folder cannot be written.
        MissingTable: the folder has no table `videos`.
    """
    return write_stats(stats_of(target, label_map=label_map), target, out=out)


def write_stats(stats: Stats, target: Path, *, out: Path | None = None) -> StageSummary:
    """What was counted of `target`, written as `run_stats` does.

    Raises:
        BadInput: the folder cannot be written.
    """
    folder = out if out is not None else _default_out(target)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in stats.tables.items():
            with whole_file(folder / f"{name}.csv") as temporary:
                frame.write_csv(temporary)
        write_json(folder / "stats.json", stats.as_json())
    except OSError as error:
        raise BadInput(
            f"cannot be written ({error.strerror})", where=folder, mend="Name another folder: --out"
        ) from error
    outputs = (str(folder / "stats.json"), *(str(folder / f"{name}.csv") for name in stats.tables))
    num_counted = stats.totals["num_clips"] or stats.totals["num_key_frames"] or 0
    return StageSummary(stage="stats", kept=int(num_counted), outputs=outputs, numbers=dict(stats.totals))


def _default_out(target: Path) -> Path:
    if target.is_file():
        return target.with_name(f"{target.stem}-stats")
    return target.with_name(f"{target.name}-stats") if is_release(target) else target / "stats"
