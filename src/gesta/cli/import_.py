"""`gesta import`: a folder of videos and annotation files to tables."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import dry_run_option, finish, finish_json, json_option, workers_option
from gesta.cli.progress import progress
from gesta.tables import StageSummary

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_ANNOTATIONS = click.Path(exists=True, path_type=Path)


@click.command("import")
@click.argument("work", type=click.Path(file_okay=False, path_type=Path))
@click.option("--videos", type=_FOLDER, default=None, help="Folder of video files.")
@click.option("--recursive/--flat", default=True, show_default=True, help="Look into subfolders of the folder, or not.")
@click.option(
    "--annotations",
    type=_ANNOTATIONS,
    multiple=True,
    help="Annotation file of any format (gesta convert --list); may be given several times.",
)
@click.option(
    "--label-map",
    type=_FILE,
    default=None,
    help="Class ids of the annotations: .pbtxt, or a name a line.  [default: the files' own, or their labels, sorted]",
)
@workers_option
@dry_run_option
@json_option
def command(
    work: Path,
    *,
    videos: Path | None,
    recursive: bool,
    annotations: tuple[Path, ...],
    label_map: Path | None,
    workers: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put a folder of videos, and what annotation files say, into the tables of the work folder WORK.

    WORK is made where it is missing. Every video is probed: `videos` holds what can be shown, and what cannot goes to
    `rejects` with a reason. Clip labels of annotation files become `clips` and `candidates`, box labels become `clips`,
    `key_frames` and accepted `box_labels`, with `label_map`; `availability` says which of their videos are at hand.

    \b
    Example:
      gesta import work --videos VIDEOS --annotations kinetics-400_val.csv --label-map label_map_k400.txt
      gesta import work --videos VIDEOS --annotations corrected.xml
    """
    _refuse_halves(videos=videos, annotations=annotations, label_map=label_map)
    if dry_run:
        summaries = _planned(work, videos=videos, recursive=recursive, annotations=annotations, label_map=label_map)
    else:
        summaries = []
        if videos is not None:
            summaries.append(_import_videos(work, videos=videos, recursive=recursive, workers=workers))
        if annotations:
            from gesta.import_ import run_import_annotations

            summaries.append(run_import_annotations(work, files=annotations, label_map=label_map))
    if as_json and len(summaries) > 1:
        return finish_json({**summaries[0].as_json(), "annotations": summaries[1].as_json()})
    for summary in summaries:
        finish(summary, as_json=as_json)
    return None


def _refuse_halves(*, videos: Path | None, annotations: tuple[Path, ...], label_map: Path | None) -> None:
    if videos is None and not annotations:
        raise click.UsageError("Give --videos, --annotations, or both.")
    if label_map is not None and not annotations:
        raise click.UsageError("--label-map belongs to --annotations.")


def _import_videos(work: Path, *, videos: Path, recursive: bool, workers: int | None) -> StageSummary:
    from gesta.import_.folder import list_files, run_import_folder

    with progress("import", total=len(list_files(videos, recursive=recursive, work=work))) as advance:
        return run_import_folder(work, folder=videos, recursive=recursive, workers=workers, on_rows=advance)


def _planned(
    work: Path, *, videos: Path | None, recursive: bool, annotations: tuple[Path, ...], label_map: Path | None
) -> list[StageSummary]:
    """What would be done: files to probe, all counted as kept, and rows that would be kept and rejected."""
    summaries = []
    if videos is not None:
        from gesta.import_.folder import list_files

        num_files = len(list_files(videos, recursive=recursive, work=work))
        summaries.append(StageSummary(stage="import", kept=num_files, numbers={"num_files": num_files}))
    if annotations:
        from gesta.import_ import plan_import_annotations

        summaries.append(plan_import_annotations(work, files=annotations, label_map=label_map))
    return summaries
