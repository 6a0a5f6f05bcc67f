"""`gesta weights`: models of persons from MMAction2's and PySlowFast's files, and into them."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import dry_run_option, finish_json, json_option


@click.command("weights")
@click.argument("source")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to write.")
@click.option("--recipe", default=None, help="Whose model the weights are of.  [default: the published name's]")
@click.option(
    "--as", "lineage", type=click.Choice(["gesta", "mmaction2", "pyslowfast"]), default="gesta", show_default=True,
    help="Whose file is written.",
)  # fmt: skip
@dry_run_option
@json_option
def command(
    source: str, *, out: Path, recipe: str | None, lineage: str, dry_run: bool, as_json: bool
) -> None:  # fmt: skip
    """Write weights of persons' actions as another program's file, or another program's as a model.pt.

    With `--as gesta` SOURCE is a checkpoint of MMAction2 or PySlowFast (.pth, .pyth, Caffe2's .pkl), or the name of one
    that MMAction2 has published, and --recipe says of which model. The model.pt is scored, predicted with and started
    from like one of `gesta train`. Otherwise SOURCE is such a model.pt.

    Names and shapes of every tensor are compared first. Nothing that a file holds is run.

    \b
    Example:
      gesta weights slowfast_kinetics_pretrained_r50_8x8x1_20e_ava_rgb --out slowfast.pt
      gesta weights SLOWFAST_32x2_R50.pkl --recipe pyslowfast_slowfast_r50_8x8_ava22 --out slowfast.pt
      gesta weights work/model/model.pt --as mmaction2 --out epoch_20.pth
    """
    if dry_run:
        return click.echo(f"weights: would write {source} as {lineage}'s file {out}")
    from gesta.train.persons.foreign import export_person_weights, import_person_weights

    if lineage != "gesta":
        if recipe is not None:
            raise click.UsageError("--recipe belongs to --as gesta: a model.pt carries its own")
        export_person_weights(Path(source), out=out, lineage=lineage)
        return finish_json({"out": str(out), "as": lineage}) if as_json else click.echo(f"weights: wrote {out}")
    made = import_person_weights(source, out=out, recipe=recipe)
    if as_json:
        return finish_json({"out": str(out), "as": lineage, "num_classes": len(made.class_ids), **made.versions})
    return click.echo(f"weights: wrote {out}, recipe {made.recipe.name}, {len(made.class_ids)} classes")
