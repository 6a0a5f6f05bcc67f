"""`gesta onnx`: a trained model as a file for onnxruntime."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import dry_run_option, finish_json, json_option


@click.command("onnx")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The .onnx file.")
@click.option("--height", "height_px", type=int, default=None, help="Of the clips, px.  [default: the recipe's crop]")
@click.option("--width", "width_px", type=int, default=None, help="Of the clips, px.  [default: the recipe's crop]")
@click.option("--opset", type=int, default=18, show_default=True, help="Version of ONNX's operators.")
@dry_run_option
@json_option
def command(
    checkpoint: Path,
    *,
    out: Path,
    height_px: int | None,
    width_px: int | None,
    opset: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write a model that `gesta train` wrote as ONNX, and compare the two.

    CHECKPOINT is the model.pt of persons or of clips. The file takes any number of clips and of boxes; its frames,
    height and width are fixed. It gives probabilities, and its metadata hold the names of the classes and how frames
    become what it sees. It is run in onnxruntime beside the model, with several numbers of clips and boxes, none among
    them, and is not kept where a probability differs by more than 0.0001.

    \b
    Example:
      gesta onnx work/model/model.pt --out work/model/model.onnx
      gesta onnx model.pt --out wide.onnx --height 256 --width 456 --json
    """
    if dry_run:
        return click.echo(f"onnx: would write {checkpoint} as {out}")
    from gesta.predict.onnx_files import run_onnx

    summary = run_onnx(checkpoint, out=out, height_px=height_px, width_px=width_px, opset=opset)
    if as_json:
        return finish_json(summary.as_json())
    numbers = summary.numbers
    return click.echo(
        f"onnx: wrote {out} ({numbers['num_bytes']:,} bytes) for clips of {numbers['num_frames']} frames of "
        f"{numbers['height_px']} x {numbers['width_px']} px; "
        f"largest difference of a score from the model's {numbers['largest_difference']:.1e}"
    )
