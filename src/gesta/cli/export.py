"""`gesta export`: a work folder or release to any annotation format."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.annotation_options import counts, list_option, only, part_option
from gesta.cli.options import finish_json, json_option
from gesta.formats import FORMATS, Context, writer_named
from gesta.schema import Refused


@click.command("export")
@click.argument("work", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--to", "target_format", type=click.Choice(list(FORMATS)), required=True, help="Format of TARGET.")
@click.option("--split", help="Only this split of a release: train, val or test.")
@part_option
@click.option("--force", is_flag=True, help="Write over a TARGET that is there.")
@list_option
@json_option
def command(
    work: Path, target: Path, *, target_format: str, split: str | None, part: str | None, force: bool, as_json: bool
) -> None:
    """Write the labels of the work folder or release WORK to TARGET in any annotation format.

    Clips are those kept (else accepted, else candidates), boxes those with an accepted label. What the format cannot
    hold is refused; --part leaves it out.

    \b
    Example:
      gesta export work val.xml --to cvat --part boxes
      gesta export work/releases/1.0.0 test.json --to coco-vid --split test --part boxes
    """
    from gesta.release import annotations_of

    if target.exists() and not force and (target.is_file() or any(target.iterdir())):
        raise Refused("there is something here already", where=target, mend="Name another target, or give --force")
    write = writer_named(target_format)
    annotations = only(annotations_of(work, split=split), part)
    write(target, annotations, context=Context())
    numbers = counts(annotations)
    if as_json:
        return finish_json({"to": target_format, "written": str(target), **numbers})
    said = ", ".join(f"{value:,} {key.removeprefix('num_')}" for key, value in numbers.items())
    click.echo(f"{work} to {target_format}: {said}; written: {target}")
    return None
