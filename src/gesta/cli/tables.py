"""`gesta tables`: what kinds of table there are, and a table from one file format to another."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import finish_json, json_option


@click.command(name="tables")
@click.argument("source", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--kind", default=None, help="Kind of table.  [default: SOURCE's name without its ending]")
@click.option(
    "--to", "target", type=click.Path(path_type=Path), default=None, help="Write it as .parquet, .csv or .jsonl."
)
@json_option
def command(source: Path | None, kind: str | None, target: Path | None, as_json: bool) -> None:
    """List the kinds of table, show one, or convert it.

    Without SOURCE: every kind with its columns. With SOURCE: the first rows. With --to: the whole table in another
    file format, checked against its kind and with a sidecar of its own.

    \b
    Example:
      gesta tables work/videos.parquet --to videos.csv
    """
    from gesta.tables import TABLES, made_by, read_table, sha256_of_file, write_table

    if source is None:
        columns = {name: [column.name for column in table.columns] for name, table in TABLES.items()}
        if as_json:
            finish_json(columns)
        else:
            for name, table in TABLES.items():
                click.echo(f"{name} (gesta {table.verb}): {', '.join(columns[name])}")
        return
    table_name = kind or source.name.split(".")[0]
    frame = read_table(source, table_name)
    if target is not None:
        made = made_by("tables", arguments={"kind": table_name}, inputs={source.name: sha256_of_file(source)})
        write_table(target, table_name, frame, made_by=made)
    if as_json:
        finish_json({"table": table_name, "num_rows": len(frame), "written": str(target) if target else None})
    elif target is not None:
        click.echo(f"tables: wrote {len(frame):,} rows to {target}")
    else:
        click.echo(frame)
