"""Options that several verbs share, and how every verb ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gesta.tables import Json, StageSummary

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print one JSON object for machines.")
dry_run_option: Decorator = click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
workers_option: Decorator = click.option(
    "--workers", type=int, default=None, help="Worker processes.  [default: the cores there are]"
)
cluster_option: Decorator = click.option(
    "--cluster", default=None, help="Address of a Ray cluster that shares this folder; 'local' starts one."
)
work_argument: Decorator = click.argument("work", type=click.Path(file_okay=False, exists=True, path_type=Path))


def finish(summary: StageSummary, *, as_json: bool) -> None:
    """Print a stage's closing line, or its JSON."""
    click.echo(json.dumps(summary.as_json(), sort_keys=True) if as_json else summary.line)


def finish_json(value: Json) -> None:
    """Print one JSON object on one line."""
    click.echo(json.dumps(value, sort_keys=True))
