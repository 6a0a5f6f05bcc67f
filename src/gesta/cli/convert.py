"""`gesta convert`: one annotation format to another."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.annotation_options import (
    context_of,
    counts,
    ids_option,
    label_map_option,
    list_option,
    only,
    part_option,
    split_number_option,
    videos_option,
)
from gesta.cli.options import finish_json, json_option
from gesta.formats import FORMATS, format_named, format_of, writer_named
from gesta.formats.annotations import PathIds
from gesta.schema import Refused


@click.command("convert")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--from", "source_format", type=click.Choice(list(FORMATS)), help="Format of SOURCE.  [default: what it looks like]"
)
@click.option("--to", "target_format", type=click.Choice(list(FORMATS)), required=True, help="Format of TARGET.")
@label_map_option
@videos_option
@ids_option
@split_number_option
@part_option
@click.option("--force", is_flag=True, help="Write over a TARGET that is there.")
@list_option
@json_option
def command(
    source: Path,
    target: Path,
    *,
    source_format: str | None,
    target_format: str,
    label_map: Path | None,
    videos: Path | None,
    ids: PathIds,
    split_number: int,
    part: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Read the annotations in SOURCE and write them to TARGET in another format.

    Formats differ in what they hold: where names of classes, frame sizes or rates are missing, the error says which,
    and --label-map or --videos gives them. What a format cannot hold is refused, not dropped; --part leaves it out.

    \b
    Example:
      gesta convert ava_val_v2.2.csv val.xml --to cvat --label-map map.pbtxt --videos VIDEOS
      gesta convert annotated.xml val.csv --to ava --label-map map.pbtxt --videos VIDEOS
      gesta convert kinetics-400_val.csv val.json --to activitynet
      gesta convert --list
    """
    if target.exists() and not force and (target.is_file() or any(target.iterdir())):
        raise Refused("there is something here already", where=target, mend="Name another target, or give --force")
    write = writer_named(target_format)
    name = source_format or format_of(source)
    context = context_of(label_map=label_map, videos=videos, ids=ids, split_number=split_number)
    annotations = only(format_named(name).read(source, context=context), part)
    write(target, annotations, context=context)
    numbers = counts(annotations)
    if as_json:
        return finish_json({"from": name, "to": target_format, "written": str(target), **numbers})
    said = ", ".join(f"{value:,} {key.removeprefix('num_')}" for key, value in numbers.items())
    click.echo(f"{name} to {target_format}: {said}; written: {target}")
    return None
