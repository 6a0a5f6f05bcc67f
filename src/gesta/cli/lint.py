"""`gesta lint`: what is wrong with annotation files and datasets."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import finish_json, json_option
from gesta.schema import BadInput

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("lint")
@click.argument("targets", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--label-map", type=_FILE, help="Classes there are: .pbtxt, or a name a line.")
@click.option("--groundtruth", type=_FILE, help="Ground truth, csv in AVA's layout, that detections belong to.")
@click.option("--excluded", type=_FILE, help="Key-frames that do not count: AVA's excluded timestamps.")
@click.option("--included", type=_FILE, help="Seconds that are annotated: AVA's included timestamps.")
@click.option("--clips", type=_FILE, help="Kinetics csv whose clips the key-frames of AVA-Kinetics lie in.")
@click.option(
    "--videos", type=click.Path(exists=True, path_type=Path),
    help="Videos at hand: a folder of files, a work folder, a table, or a list of names.",
)  # fmt: skip
@click.option(
    "--min-per-class", type=click.IntRange(min=0), default=None,
    help="Least rows a class; 0 = off.  [default: the papers', for Kinetics files]",
)  # fmt: skip
@click.option(
    "--as", "kind", default=None,
    help="What the targets are: kinetics, ava, detections, key-frames, times, label-map, names, or another format "
    "of `gesta convert`.  [default: told from their lines]",
)  # fmt: skip
@click.option("--select", multiple=True, help="Only these codes, families (box) or severities; comma-separated.")
@click.option("--ignore", multiple=True, help="All but these codes, families or severities; comma-separated.")
@click.option(
    "--max-per-code", type=click.IntRange(min=1), default=5, show_default=True, help="Places shown a file and code."
)
@click.option("--list", "is_list", is_flag=True, help="Print the codes and end.")
@json_option
def command(
    *, targets: tuple[Path, ...], label_map: Path | None, groundtruth: Path | None, excluded: Path | None,
    included: Path | None, clips: Path | None, videos: Path | None, min_per_class: int | None, kind: str | None,
    select: tuple[str, ...], ignore: tuple[str, ...], max_per_code: int, is_list: bool, as_json: bool,
) -> None:  # fmt: skip
    """Find everything that is wrong with annotation files, label maps, lists, work folders and releases.

    TARGETS are held against themselves, against one another (a video in train here and in val there, of any version)
    and against what the options name. Findings look like a compiler's: FILE:LINE: error CODE: what. How to mend.
    Exit code 1 when there are errors, 0 when there are none, 2 when a file could not be checked.

    \b
    Example:
      gesta lint kinetics-400_val.csv kinetics-700_train.csv
      gesta lint ava_val_v2.2.csv --label-map ava_action_list_v2.2.pbtxt --excluded ava_val_excluded.csv
      gesta lint detections.csv --groundtruth ava_val_v2.2.csv
      gesta lint work/releases/1.0.0 --json
    """
    from gesta.lint import CODES, codes_named, lint_targets, read_against, report_text

    if is_list:
        if as_json:
            finish_json({n: {"severity": c.severity, "what": c.what, "mend": c.mend} for n, c in CODES.items()})
        else:
            for name, code in CODES.items():
                click.echo(f"{name:<28} {code.severity:<8} {code.what}")
        return
    if not targets:
        raise BadInput("nothing to check", mend="Name files or folders, or --list the codes")
    chosen = codes_named(_names(select), what="code for --select") if select else frozenset(CODES)
    chosen -= codes_named(_names(ignore), what="code for --ignore") if ignore else frozenset()
    against = read_against(
        label_map=label_map, excluded=excluded, included=included, groundtruth=groundtruth, clips=clips,
        videos=videos, min_per_class=min_per_class,
    )  # fmt: skip
    report = lint_targets(targets, against=against, kind=kind, codes=chosen)
    if as_json:
        finish_json(report.as_json())
    else:
        click.echo(report_text(report, max_per_code=max_per_code))
    if report.num_errors:
        raise click.exceptions.Exit(1)


def _names(values: tuple[str, ...]) -> list[str]:
    return [name.strip() for value in values for name in value.split(",") if name.strip()]
