"""`gesta classes`: split a class, merge two, rename or remove one, and take any of it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gesta.cli.options import finish, finish_json, json_option, work_argument
from gesta.tables import read_table, table_path

if TYPE_CHECKING:
    from gesta.label.class_edits import Clips, EditedClass


@click.group("classes")
def command() -> None:
    """Split a class whose clips show several actions, merge two that are one, rename or remove one, or undo it.

    Votes stay as they were cast; the label map, the candidates and the items follow, and so do consensus and the
    label service when they run next. Each takes --json, to print one JSON object for machines.

    \b
    Example:
      gesta classes split work gardening --into "watering plants" --into "trimming trees"
      gesta classes merge work "riding motorbike" "riding motorcycle"
      gesta classes rename work "cooking egg" "frying egg"
      gesta classes remove work talking --reason "co-occurs with everything"
      gesta classes edits work
      gesta classes undo work 3
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


@command.command("rename")
@work_argument
@click.argument("old")
@click.argument("name")
@json_option
def rename(work: Path, old: str, name: str, as_json: bool) -> None:
    """Give the class OLD (name or id) another NAME; its id, its clips and its votes stay.

    \b
    Example:
      gesta classes rename work "cooking egg" "frying egg"
    """
    from gesta.label.class_edits import class_named, rename_class

    done = rename_class(work, old=class_named(read_table(work, "label_map"), old), name=name)
    _finish(work, done, as_json=as_json)


@command.command("remove")
@work_argument
@click.argument("old")
@click.option("--reason", default=None, help="Why, for whoever reads the edits.")
@json_option
def remove(work: Path, old: str, reason: str | None, as_json: bool) -> None:
    """Ask for the class OLD (name or id) no more; its id keeps its meaning, and the votes on it stay in the log.

    \b
    Example:
      gesta classes remove work talking --reason "co-occurs with everything"
    """
    from gesta.label.class_edits import class_named, remove_class

    done = remove_class(work, old=class_named(read_table(work, "label_map"), old), reason=reason)
    _finish(work, done, as_json=as_json)


@command.command("undo")
@work_argument
@click.argument("edit_id", type=int, required=False)
@json_option
def undo(work: Path, edit_id: int | None, as_json: bool) -> None:
    """Take back the edit EDIT_ID, or the last one that stands; an undo of an undo makes the edit again.

    An edit that a later one stands on is refused: undo the later one first.

    \b
    Example:
      gesta classes undo work
    """
    from gesta.label.class_edits import undo_edit

    _finish(work, undo_edit(work, edit_id=edit_id), as_json=as_json)


@command.command("edits")
@work_argument
@json_option
def edits(work: Path, as_json: bool) -> None:
    """Show what was done to classes, and whether it stands.

    \b
    Example:
      gesta classes edits work
    """
    from gesta.label.class_journal import journal_of
    from gesta.schema import standing_edits

    journal = journal_of(work)
    standing = {(edit.edit_id, edit.new_class_id) for edit in standing_edits(journal)}
    rows = [
        {
            "edit_id": edit.edit_id, "what": edit.what, "old_class_id": edit.old_class_id, "old_name": edit.old_name,
            "new_class_id": edit.new_class_id, "new_name": edit.new_name, "undoes_edit_id": edit.undoes_edit_id,
            "reason": edit.reason, "stands": (edit.edit_id, edit.new_class_id) in standing,
        }
        for edit in journal
    ]  # fmt: skip
    if as_json:
        return finish_json(rows)
    for row in rows:
        what = f"undo of edit {row['undoes_edit_id']}" if row["what"] == "undo" else _said(row)
        note = "" if row["stands"] or row["what"] == "undo" else "  (undone)"
        click.echo(f"{row['edit_id']:>4}  {what}{note}")
    return None


def _said(row: Mapping[str, object]) -> str:
    into = f" into {row['new_name']!r}" if row["what"] not in ("remove", "undo") else ""
    because = f": {row['reason']}" if row["reason"] else ""
    return f"{row['what']} {row['old_name']!r}{into}{because}"


def _finish(work: Path, done: EditedClass, *, as_json: bool) -> None:
    from gesta.label.items import build_items

    if table_path(work, "items").is_file():
        build_items(work)
    if as_json:
        return finish(done.summary, as_json=True)
    joined = ", ".join(
        f"{name!r} ({class_id})" for name, class_id in zip(done.new_names, done.new_class_ids, strict=True)
    )
    into = f" into {joined}" if done.what not in ("remove", "undo") else ""
    clips = {"remove": "are asked about no more", "undo": "are asked about again"}.get(done.what, "go out")
    click.echo(f"{done.what}: {done.old_name!r} ({done.old_class_id}){into}; {done.num_clips:,} clips {clips}")
    return None
