"""`gesta actions`: lists of actions imported, looked over, merged by recorded decisions, grouped and written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from gesta.cli.options import dry_run_option, finish_json, json_option
from gesta.schema import BadInput

if TYPE_CHECKING:
    import polars as pl

    from gesta.mine.actions import ActionList, Checked, Decision, Finding, Grouped, SynonymTable

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUT = click.Path(dir_okay=False, path_type=Path)
_SHOWN = 12
_actions_argument = click.argument("actions")
_form_option = click.option(
    "--form", type=click.Choice(["ing", "infinitive"]), default=None, help="Form that verbs of names shall have."
)
_synonyms_option = click.option(
    "--synonyms", type=_FILE, help="csv of kept,other,matches (words or name), to go before the shipped synonyms."
)


@click.group("actions")
def command() -> None:
    """Make a list of actions of those of existing datasets: import, check, merge, group, write.

    ACTIONS is an action list (csv), any other list or dataset that `gesta actions import` reads, or the name of a
    shipped list. Each takes --json, to print one JSON object for machines.

    \b
    Example:
      gesta actions list
      gesta actions import all.csv kinetics-400 ucf101/classInd.txt
      gesta actions check all.csv
      gesta actions merge all.csv merged.csv
      gesta actions parents merged.csv grouped.csv --groups kinetics-400 --skip-missing
      gesta actions write grouped.csv actions.pbtxt
    """


@command.command("list")
@click.argument("name", required=False)
@click.option("--out", type=_OUT, help="File to write: csv, or JSON by its ending.")
@json_option
def list_command(name: str | None, out: Path | None, as_json: bool) -> None:
    """Print the shipped lists, or the rows of the list NAME as csv; NAME may be a file too.

    \b
    Example:
      gesta actions list
      gesta actions list kinetics-400 --out kinetics-400.csv
      gesta actions list kinetics-700-2020-rarest
    """
    from gesta.mine.actions import SHIPPED, read_actions, shipped_table, what_is_shipped
    from gesta.tables import write_json, write_text

    if name is None:
        rows = {one: (shipped_table(one).height, what) for one, what in what_is_shipped().items()}
        if as_json:
            return finish_json({one: {"num_rows": num_rows, "what": what} for one, (num_rows, what) in rows.items()})
        width = max(map(len, rows))
        return click.echo("\n".join(f"{one:<{width}}  {num:>4}  {what}" for one, (num, what) in rows.items()))
    is_shipped = name in SHIPPED and not Path(name).exists()
    table = shipped_table(name) if is_shipped else read_actions(name).frame
    if out is not None:
        if out.suffix == ".json":
            write_json(out, table.to_dicts())
        else:
            write_text(out, table.write_csv())
        return click.echo(f"{out}: {table.height:,} rows")
    return finish_json(table.to_dicts()) if as_json else click.echo(table.write_csv(), nl=False)


@command.command("import")
@click.argument("out", type=_OUT)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--name", "names", multiple=True, help="What to call a SOURCE; once a SOURCE, in order.")
@click.option(
    "--from", "format_name", help="Format of the SOURCEs, see `gesta convert --list`, or titles.  [default: looked at]"
)
@click.option("--label-map", type=_FILE, help="Names of the classes of a SOURCE that has ids only, such as AVA's.")
@json_option
def import_command(
    out: Path,
    sources: tuple[str, ...],
    names: tuple[str, ...],
    format_name: str | None,
    label_map: Path | None,
    as_json: bool,
) -> None:
    """Join the classes of every SOURCE into the action list OUT, each with the lists that its name came from.

    A SOURCE is a shipped list, a list of names (csv, txt, JSON, label map), a dataset in any format that gesta reads,
    a folder of class folders too, a work folder, or what its workers suggested (suggestions.parquet); with --from
    titles, a folder whose files' titles are the names, as those of motion capture. Ids of the first SOURCE stay as
    published. Equal names become one class; names that differ are left to `check` and `merge`.

    \b
    Example:
      gesta actions import all.csv kinetics-400 ucf101/classInd.txt activity_net.v1-3.json
      gesta actions import more.csv all.csv work/suggestions.parquet
      gesta actions import all.csv ava_val_v2.2.csv --label-map ava_action_list_v2.2.pbtxt --name ava
    """
    from gesta.mine.actions import joined, read_actions, write_actions

    lists = [
        read_actions(one, source=name, format_name=None if is_shipped(one) else format_name, label_map=label_map)
        for one, name in zip(sources, _names_of(names, num_sources=len(sources)), strict=True)
    ]
    both = joined(lists)
    write_actions(out, both)
    per_list = {source: len(one) for source, one in zip(sources, lists, strict=True)}
    if as_json:
        return finish_json({"num_classes": len(both), "num_classes_per_source": dict(per_list), "out": str(out)})
    read = ", ".join(f"{source} {num:,}" for source, num in per_list.items())
    return click.echo(f"actions import: {len(both):,} classes of {sum(per_list.values()):,} ({read}) in {out}")


def _names_of(names: tuple[str, ...], *, num_sources: int) -> list[str | None]:
    if names and len(names) != num_sources:
        raise BadInput(f"{len(names)} names for {num_sources} lists", mend="Give --name once a SOURCE, or not at all")
    return list(names) or [None] * num_sources


def is_shipped(source: str) -> bool:
    """Whether the text names a shipped list and no file.

    >>> is_shipped("ava-60"), is_shipped("actions.csv")
    (True, False)
    """
    from gesta.mine.actions import ACTION_LISTS

    return source in ACTION_LISTS and not Path(source).exists()


@command.command("check")
@_actions_argument
@click.option(
    "--labels",
    type=click.Path(exists=True, path_type=Path),
    help="Work folder or annotations whose labels say what goes together.",
)
@click.option("--from", "format_name", help="Format of --labels, see `gesta convert --list`.  [default: looked at]")
@_synonyms_option
@_form_option
@click.option("--out", type=_OUT, help="csv of the findings.")
@click.option("--families", "with_families", is_flag=True, help="Print families of one verb or one object too.")
@json_option
def check(
    actions: str,
    labels: Path | None,
    format_name: str | None,
    synonyms: Path | None,
    form: Literal["ing", "infinitive"] | None,
    out: Path | None,
    with_families: bool,
    as_json: bool,
) -> None:
    """Find classes that are one action, overlap, are too general, or whose verb has another form.

    Nothing is changed. Looked at are spelling, endings, word order and synonyms; choices, asides and names inside
    names; bare verbs, and words that several classes hold; and with --labels the classes that stand beside many
    others. Class ids of --labels are those of ACTIONS, unless they name their classes.

    \b
    Example:
      gesta actions check all.csv --out findings.csv
      gesta actions check ava-80 --labels ava_val_v2.2.csv
    """
    from gesta.mine.actions import check_actions, read_actions, write_findings

    read = read_actions(actions)
    units = None if labels is None else _units_of(labels, format_name=format_name, actions=read)
    checked = check_actions(read, synonyms=_synonyms_of(synonyms), form=form or "ing", units=units)
    if out is not None:
        write_findings(out, checked)
    if as_json:
        return finish_json(checked.as_json())
    return click.echo("\n".join(_checked_lines(checked, with_families=with_families)))


def _units_of(labels: Path, *, format_name: str | None, actions: ActionList) -> pl.DataFrame:
    from gesta.formats import read_annotations
    from gesta.mine.actions import units_of, units_of_work
    from gesta.mine.actions.together import with_ids_of
    from gesta.tables import read_table, table_path

    accepted = units_of_work(labels) if format_name is None and labels.is_dir() else None
    if accepted is not None:
        has_names = table_path(labels, "label_map").is_file()
        label_map = read_table(labels, "label_map") if has_names else actions.frame
        return with_ids_of(accepted, label_map=label_map, actions=actions)
    annotations = read_annotations(labels, format_name=format_name)
    return with_ids_of(units_of(annotations), label_map=annotations.label_map, actions=actions)


def _synonyms_of(path: Path | None) -> SynonymTable | None:
    from gesta.mine.actions import read_synonyms, shipped_synonyms

    return None if path is None else read_synonyms(path).with_rows(shipped_synonyms())


_KINDS = {
    "same": "one action under two names", "alternative": "a choice, and one of its branches",
    "aside": "equal but for what stands in brackets", "inside": "a name inside another",
    "general": "too general by the name", "company": "beside many other classes", "form": "another form of the verb",
}  # fmt: skip


def _checked_lines(checked: Checked, *, with_families: bool) -> list[str]:
    findings = checked.findings
    lines = [f"actions check: {checked.num_classes:,} classes, {len(findings):,} findings"]
    for kind, what in _KINDS.items():
        rows = [row for row in findings if row.kind == kind]
        if rows:
            lines.append(f"\n{what} ({kind}): {len(rows):,}")
            lines += [
                f"  {row.name!r}" + (f" - {row.other!r}" if row.other else "") + _told(row) for row in rows[:_SHOWN]
            ]
            lines += [f"  ... {len(rows) - _SHOWN:,} more (--out, --json)"] * (len(rows) > _SHOWN)
    for family in checked.families if with_families else ():
        lines.append(f"\n{len(family.names)} share the {family.shared_by} {family.word!r}: {', '.join(family.names)}")
    return lines


def _told(row: Finding) -> str:
    pair = f"{row.name!r} - {row.other!r}" if row.other else repr(row.name)
    return f"{pair}: {row.detail}" if row.kind in ("same", "general", "company") else pair


@command.command("merge")
@_actions_argument
@click.argument("out", type=_OUT)
@click.option(
    "--decisions", type=_OUT, help="csv of decisions to replay and to add to.  [default: OUT's name with -decisions]"
)
@_synonyms_option
@_form_option
@click.option("--no-rules", is_flag=True, help="Do what is decided already, and nothing more.")
@dry_run_option
@json_option
def merge(
    actions: str,
    out: Path,
    decisions: Path | None,
    synonyms: Path | None,
    form: Literal["ing", "infinitive"] | None,
    no_rules: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Make classes that are one action one class, and write OUT and every decision that was taken.

    Decisions on file come first; then the rules of `check` propose merges, and with --form new names, and these are
    added to the file. To change your mind, edit a line and run again: `merge` joins the class `other` to the class
    `name`, `apart` keeps the two as they are, `rename` calls the class `name` by the name `other`. Overlaps are never
    merged by rule: write such a line yourself.

    \b
    Example:
      gesta actions merge all.csv merged.csv
      gesta actions merge all.csv merged.csv --decisions decisions.csv --form ing
      gesta actions merge all.csv merged.csv --decisions decisions.csv --no-rules
    """
    from gesta.mine.actions import (
        merged_actions,
        proposed_decisions,
        read_actions,
        read_decisions,
        write_actions,
        write_decisions,
    )

    read = read_actions(actions)
    journal = decisions or out.with_name(f"{out.stem}-decisions.csv")
    earlier = read_decisions(journal) if journal.is_file() else []
    merged_actions(read, decisions=earlier, where=journal)
    added = (
        []
        if no_rules
        else proposed_decisions(read, earlier=earlier, synonyms=_synonyms_of(synonyms), form=form, where=journal)
    )
    merged = merged_actions(read, decisions=[*earlier, *added], where=journal)
    if not dry_run:
        write_actions(out, merged)
        write_decisions(journal, [*earlier, *added])
    if as_json:
        rows = [{"what": d.what, "name": d.name, "other": d.other, "rule": d.rule, "why": d.why} for d in added]
        return finish_json(
            {
                "num_classes_before": len(read), "num_classes": len(merged), "num_earlier": len(earlier), "added": rows,
                "out": str(out), "decisions": str(journal), "is_dry_run": dry_run,
            }
        )  # fmt: skip
    for row in added:
        click.echo(f"{row.what} {row.name!r} <- {row.other!r}: {row.why}" if row.what == "merge" else _renamed(row))
    where = "nothing was written" if dry_run else f"{out}, {journal}"
    return click.echo(
        f"actions merge: {len(read):,} classes became {len(merged):,} ({len(earlier)} decisions stood, {len(added)} "
        f"are new); {where}"
    )


def _renamed(row: Decision) -> str:
    return f"{row.what} {row.name!r} to {row.other!r}"


@command.command("parents")
@_actions_argument
@click.argument("out", type=_OUT)
@click.option("--groups", required=True, help="kinetics-400, or a file: JSON, csv of group,name, label map.")
@click.option("--keep", is_flag=True, help="Keep the groups that classes have already.")
@click.option("--skip-missing", is_flag=True, help="Pass over children that no class is, and say which.")
@json_option
def parents(actions: str, out: Path, groups: str, keep: bool, skip_missing: bool, as_json: bool) -> None:
    """Put classes into groups, which need not exclude each other, and write OUT.

    A child that no class is stops it, unless --skip-missing is given.

    \b
    Example:
      gesta actions parents kinetics-400 grouped.csv --groups kinetics-400
      gesta actions parents merged.csv grouped.csv --groups groups.json --skip-missing
    """
    from gesta.mine.actions import read_actions, read_groups, with_parents, write_actions

    done = with_parents(read_actions(actions), read_groups(groups), keep=keep)
    if not skip_missing:
        _refuse_missing(done, actions=actions, groups=groups)
    write_actions(out, done.actions)
    if as_json:
        return finish_json(
            {
                "num_groups": len(done.sizes), "sizes": dict(done.sizes), "ungrouped": list(done.ungrouped),
                "missing": [list(row) for row in done.missing], "loosely": [list(row) for row in done.loosely],
                "out": str(out),
            }
        )  # fmt: skip
    for group, child in done.missing:
        click.echo(f"{group}: no class is {child!r}")
    for group, child, name in done.loosely:
        click.echo(f"{group}: took {child!r} for {name!r}")
    return click.echo(
        f"actions parents: {len(done.sizes)} groups, {len(done.actions) - len(done.ungrouped):,} of "
        f"{len(done.actions):,} classes in one at least, {len(done.missing)} children missing; {out}"
    )


def _refuse_missing(done: Grouped, *, actions: str, groups: str) -> None:
    if done.missing:
        group, child = done.missing[0]
        raise BadInput(
            f"{len(done.missing)} children are no class of {actions}, the first {child!r} of {group!r}",
            where=groups,
            mend="Mend their names, or pass over them with --skip-missing",
        )


@command.command("write")
@_actions_argument
@click.argument("out", type=_OUT)
@_form_option
@click.option("--dialect", type=click.Choice(["label", "item"]), default="label", show_default=True, help="Of a pbtxt.")
@click.option("--renumber", is_flag=True, help="Give the ids 1, 2, 3 ... in the list's order.")
@json_option
def write(
    actions: str,
    out: Path,
    form: Literal["ing", "infinitive"] | None,
    dialect: Literal["label", "item"],
    renumber: bool,
    as_json: bool,
) -> None:
    """Write the list as what other verbs read, by OUT's ending: .pbtxt, .txt, .csv, or .json for the groups.

    \b
    Example:
      gesta actions write merged.csv actions.pbtxt
      gesta actions write merged.csv actions.txt --renumber
      gesta actions write kinetics-400 parents.json
    """
    from gesta.mine.actions import in_form, read_actions, renumbered, write_list

    listed = read_actions(actions)
    listed = listed if form is None else in_form(listed, form=form)
    listed = renumbered(listed) if renumber else listed
    write_list(out, listed, dialect=dialect)
    if as_json:
        return finish_json({"num_classes": len(listed), "out": str(out)})
    return click.echo(f"actions write: {len(listed):,} classes in {out}")
