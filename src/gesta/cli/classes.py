"""`gesta classes`: split a class, or merge two."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gesta.cli.options import finish, json_option, work_argument
from gesta.tables import read_table, table_path

if TYPE_CHECKING:
    from gesta.label.class_edits import Clips, EditedClass


@click.group("classes")
def command() -> None:
    """Split a class whose clips show several actions, or merge two that are one.

    Votes stay as they were cast; the label map, the candidates and the items follow, and so do consensus and the
    label service when they run next. Each takes --json, to print one JSON object for machines.

    \b
    Example:
      gesta classes split work gardening --into "watering plants" --into "trimming trees"
      gesta classes merge work "riding motorbike" "riding motorcycle"
    """


@command.command("split")
@work_argument
@click.argument("old")
@click.option("--into", multiple=True, required=True, help="Name of a class in its place; give it several times.")
@click.option(
    "--clips", type=click.Choice(["accepted", "rejected", "all"]), default="accepted", show_default=True,
    help="Which of its clips are asked about again.",
)  # fmt: skip
@json_option
def split(work: Path, old: str, into: Sequence[str], clips: Clips, as_json: bool) -> None:
    """Put several classes in the place of the class OLD (name or id), and send its clips out again.

    A new class gets the id after the highest. OLD is asked for no more, unless --into names it too.

    \b
    Example:
      gesta classes split work gardening --into "watering plants" --into "trimming trees" --into "planting trees"
    """
    from gesta.label.class_edits import class_named, split_class

    class_id = class_named(read_table(work, "label_map"), old)
    _finish(work, split_class(work, old=class_id, into=into, clips=clips), as_json=as_json)


@command.command("merge")
@work_argument
@click.argument("old")
@click.argument("new")
@json_option
def merge(work: Path, old: str, new: str, as_json: bool) -> None:
    """Ask for the class NEW instead of the class OLD (names or ids); votes on OLD count for NEW.

    \b
    Example:
      gesta classes merge work "riding motorbike" "riding motorcycle"
    """
    from gesta.label.class_edits import class_named, merge_classes

    label_map = read_table(work, "label_map")
    done = merge_classes(work, old=class_named(label_map, old), new=class_named(label_map, new))
    _finish(work, done, as_json=as_json)


def _finish(work: Path, done: EditedClass, *, as_json: bool) -> None:
    from gesta.label.items import build_items

    if table_path(work, "items").is_file():
        build_items(work)
    if as_json:
        return finish(done.summary, as_json=True)
    joined = ", ".join(
        f"{name!r} ({class_id})" for name, class_id in zip(done.new_names, done.new_class_ids, strict=True)
    )
    click.echo(f"{done.what}: {done.old_name!r} ({done.old_class_id}) into {joined}; {done.num_clips:,} clips go out")
    return None
