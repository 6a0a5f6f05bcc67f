"""`gesta features`: what a layer of a model says of any videos."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import finish, finish_json, json_option
from gesta.cli.progress import progress


@click.command("features")
@click.argument("checkpoint")
@click.argument("videos", metavar="[VIDEO_OR_FOLDER]", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), default=None, help="A .parquet file, or a folder of npz files.")
@click.option("--layer", default=None, help="Path of a layer, as --list-layers shows it.")
@click.option("--list-layers", is_flag=True, help="Show the model's layers and the shapes they give, and end.")
@click.option("--stride-s", type=float, default=None, help="Seconds between windows.  [default: a window's length]")
@click.option("--pool/--grid", "pools", default=True, show_default=True, help="The mean over time and place, or all.")
@click.option(
    "--channels",
    type=click.Choice(["auto", "first", "last"]),
    default="auto",
    show_default=True,
    help="Where the layer has its channels, for the mean.",
)
@click.option(
    "--dtype", type=click.Choice(["float32", "float16"]), default="float32", show_default=True, help="What is stored."
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Of convolutions and products.",
)
@click.option(
    "--classes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="Names of published weights' classes, one a line.",
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
@click.option("--threads", type=int, default=None, help="Threads of torch.  [default: torch's own number]")
@json_option
def command(
    checkpoint: str,
    videos: Path | None,
    *,
    out: Path | None,
    layer: str | None,
    list_layers: bool,
    stride_s: float | None,
    pools: bool,
    channels: str,
    dtype: str,
    precision: str,
    classes: Path | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Write what a layer of a clip model gives for every window of a video, or of every video of a folder.

    CHECKPOINT is as in `gesta predict`: a model.pt of clips, a name of published weights, or MODEL:WEIGHTS. Written are
    the times of each window and the layer's values, averaged over time and place (`--pool`) or whole (`--grid`). A
    video that cannot be read goes to `rejects`; videos that are done are not done again.

    \b
    Example:
      gesta features work/model/model.pt --list-layers
      gesta features work/model/model.pt videos/ --layer trunk.Mixed_4f --out features.parquet
      gesta features r3d_18:KINETICS400_V1 videos/ --layer avgpool --dtype float16 --out features/
    """
    from gesta.predict.clip_models import load_clip_model
    from gesta.predict.features import run_features
    from gesta.predict.layers import layers_of
    from gesta.predict.videos import videos_under

    names = classes.read_text().splitlines() if classes else None
    if list_layers:
        model = load_clip_model(checkpoint, device="cpu", class_names=names)
        layers = layers_of(model.net, frames=model.frames)
        if as_json:
            return finish_json([{"layer": one.name, "kind": one.kind, "shape": list(one.shape[1:])} for one in layers])
        width = max(len(one.name) for one in layers)
        for one in layers:
            click.echo(f"{one.name:<{width}}  {' x '.join(map(str, one.shape[1:])) or '-':<20}  {one.kind}")
        return None
    for given, word in ((videos, "VIDEO_OR_FOLDER"), (layer, "--layer"), (out, "--out")):
        if given is None:
            raise click.UsageError(f"Missing {word}.")
    assert videos is not None
    assert layer is not None
    assert out is not None
    with progress("features", total=len(videos_under(videos))) as advance:
        summary = run_features(
            checkpoint,
            videos=videos,
            out=out,
            layer=layer,
            stride_s=stride_s,
            pools=pools,
            channels=channels,
            dtype=dtype,
            device=device,
            precision=precision,
            threads=threads,
            class_names=names,
            on_videos=advance,
        )
    return finish(summary, as_json=as_json)
