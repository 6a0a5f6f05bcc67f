"""`gesta`: the line's verbs in the line's order, other commands after them; each lives in `gesta.cli.<verb>`."""

from __future__ import annotations

import importlib
import os
import sys
from typing import IO, Any

import click

import gesta
from gesta.schema import GestaError, MissingExtra

LINE = (
    "import", "mine", "detect", "label", "consensus", "curate", "release", "stats", "train", "evaluate", "predict",
    "report",
)  # fmt: skip
"""The line, one verb a room. Source: the house's plan, section "The line"."""

OTHERS = (
    "run", "demo", "board", "actions", "noise", "classes", "queries", "catalogue", "world", "prepare", "score", "study",
    "benchmark", "features", "bank", "train-detector", "replenish", "diff", "bias", "geography", "tables", "lint",
    "convert", "export", "onnx", "weights", "select-training",
)  # fmt: skip
"""Commands that are not on the line: they drive it, feed it or show it."""

EXTRA_OF = {
    "av": "video", "cv2": "video", "onnxruntime": "detect", "fastapi": "label", "uvicorn": "label",
    "starlette": "label", "sqlalchemy": "label", "httpx": "label", "alembic": "label", "psycopg": "label",
    "orjson": "label", "torch": "train", "torchvision": "train", "transformers": "models", "safetensors": "models",
    "ray": "cluster", "jinja2": "report", "PIL": "report", "matplotlib": "stats", "mlcroissant": "croissant",
    "onnx": "onnx", "onnxscript": "onnx", "timm": "models", "simplemma": "mine",
    "snowballstemmer": "mine", "tantivy": "mine", "sklearn": "curate", "cleanlab": "curate",
}  # fmt: skip
"""Which extra brings a module, for the message when it is not there."""


class Verbs(click.Group):
    """A group that imports a verb's module only when the verb is named."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The line in its order, then the other commands."""
        return [*LINE, *OTHERS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, or None where there is no such verb."""
        if cmd_name not in (*LINE, *OTHERS):
            return None
        module = "import_" if cmd_name == "import" else cmd_name.replace("-", "_")
        return importlib.import_module(f"gesta.cli.{module}").command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Two lists: the line, and the rest."""
        for title, names in (("The line", LINE), ("Beside the line", OTHERS)):
            commands = [(name, self.get_command(ctx, name)) for name in names]
            with formatter.section(title):
                formatter.write_dl([(n, c.get_short_help_str(limit=200)) for n, c in commands if c is not None])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; a `GestaError`, or a missing extra, becomes one line on standard error and exit code 2.

        GESTA_DEBUG=1 lets the traceback through.

        Raises:
            click.ClickException: for a `GestaError`.
        """
        try:
            return super().invoke(ctx)
        except GestaError as error:
            if os.environ.get("GESTA_DEBUG"):
                raise
            raise _Mendable(str(error)) from error
        except ModuleNotFoundError as error:
            module = (error.name or "").split(".")[0]
            if module not in EXTRA_OF or os.environ.get("GESTA_DEBUG"):
                raise
            raise _Mendable(str(MissingExtra(extra=EXTRA_OF[module], module=module))) from error


class _Mendable(click.ClickException):
    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"gesta: error: {self.message}", file=file or sys.stderr)


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(gesta.__version__, prog_name="gesta")
def main() -> None:
    """Raw video into a labelled, de-duplicated, versioned human-action dataset; a dataset into scored models.

    Each verb reads tables and writes tables in one work folder, so that it can be run, resumed and replaced alone.

    \b
    Example:
      gesta run VIDEOS --actions actions.txt --work work
    """
