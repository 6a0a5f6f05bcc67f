"""`gesta predict`: who does what in any video, or what it shows as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from gesta.cli.options import dry_run_option, finish, finish_json, json_option
from gesta.cli.progress import progress
from gesta.schema import BadInput
from gesta.tables import Json

OF_KEY_FRAMES = ("detector", "weights", "detector_min_score", "min_score")
OF_CLIPS = ("top_k", "video", "classes", "precision")
"""Options that only one kind of model has."""


@click.command("predict")
@click.argument("checkpoint")
@click.argument("videos", metavar="VIDEO_OR_FOLDER", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the results.")
@click.option("--stride-s", type=float, default=1.0, show_default=True, help="Seconds from one instant to the next.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
@click.option("--threads", type=int, default=None, help="Threads of torch.  [default: torch's own number]")
@click.option("--top-k", type=int, default=5, show_default=True, help="Clip labels: how many are named.")
@click.option(
    "--video/--no-video", default=True, show_default=True, help="Clip labels: whether OUT/<name>.mp4 is made."
)
@click.option(
    "--classes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="Clip labels: names of published weights' classes, one a line.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Clip labels: of convolutions and products.",
)
@click.option("--detector", default="hog", show_default=True, help="Persons: torchvision, onnx, hog or centernet.")
@click.option("--weights", type=click.Path(path_type=Path), default=None, help="Persons: the detector's file.")
@click.option(
    "--detector-min-score",
    type=float,
    default=None,
    help="Persons: least confidence of one.  [default: the detector's]",
)
@click.option(
    "--min-score", type=float, default=0.3, show_default=True, help="Persons: least probability of an action drawn."
)
@dry_run_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    checkpoint: str,
    videos: Path,
    *,
    out: Path,
    stride_s: float,
    device: str,
    threads: int | None,
    top_k: int,
    video: bool,
    classes: Path | None,
    precision: str,
    detector: str,
    weights: Path | None,
    detector_min_score: float | None,
    min_score: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Label a video, or every video of a folder, by a model that `gesta train` wrote or that others published.

    CHECKPOINT is a model.pt, a name of published weights, or MODEL:WEIGHTS (docs/predict.md). A model of whole clips
    writes OUT/<name>.json with the likeliest labels of the video and of a window every `--stride-s`, and OUT/<name>.mp4
    with these drawn. A model of key-frames finds persons, follows them and says what they do: boxes, probabilities over
    time and the intervals of the likely actions, all of it drawn too. In a folder, a video that cannot be read goes to
    OUT/rejects and the others go on; videos that are done are not done again.

    \b
    Example:
      gesta predict work/model/model.pt party.mp4 --out seen
      gesta predict i3d-rgb-k400 videos/ --out seen --no-video --json
      gesta predict work/model/model.pt party.mp4 --out seen --detector onnx --weights FastestDet.onnx
    """
    from gesta.predict import run_predict, videos_under
    from gesta.predict.clip_models import is_clip_model

    is_clips = is_clip_model(checkpoint)
    _refuse_strange(ctx, OF_KEY_FRAMES if is_clips else OF_CLIPS, checkpoint=checkpoint, is_clips=is_clips)
    files = videos_under(videos)
    names = classes.read_text().splitlines() if classes else None
    if dry_run:
        return _plan(checkpoint, files, out=out, names=names, is_clips=is_clips, as_json=as_json)
    with progress("predict", total=len(files)) as advance:
        if not is_clips:
            summary = run_predict(
                Path(checkpoint),
                videos=videos,
                out=out,
                detector=detector,
                weights=weights,
                detector_min_score=detector_min_score,
                min_score=min_score,
                stride_s=stride_s,
                device=device,
                threads=threads,
                on_videos=advance,
            )
        else:
            from gesta.predict.clips import labels_text, run_predict_clips

            texts: list[str] = []

            def say(name: str, result: Mapping[str, Json]) -> None:
                texts.append(labels_text(name, result))

            summary = run_predict_clips(
                checkpoint,
                videos=videos,
                out=out,
                class_names=names,
                stride_s=stride_s,
                top_k=top_k,
                draws=video,
                device=device,
                precision=precision,
                threads=threads,
                on_videos=advance,
                on_result=None if as_json else say,
            )
    if is_clips and texts and not as_json:
        click.echo("\n".join(texts))
    return finish(summary, as_json=as_json)


def _refuse_strange(ctx: click.Context, options: Sequence[str], *, checkpoint: str, is_clips: bool) -> None:
    """Nothing, once no option was given that this kind of model does not have."""
    given = [name for name in options if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT]
    if given:
        kind = "labels whole clips" if is_clips else "is of persons on key-frames"
        raise BadInput(
            f"this model {kind}, and has no --{given[0].replace('_', '-')}", where=checkpoint, mend="Leave it out"
        )


def _plan(
    checkpoint: str, files: Sequence[Path], *, out: Path, names: Sequence[str] | None, is_clips: bool, as_json: bool
) -> None:
    from gesta.predict.clip_models import load_clip_model
    from gesta.train import load_checkpoint

    if is_clips:
        found = load_clip_model(checkpoint, device="cpu", class_names=names).class_names
    else:
        found = load_checkpoint(Path(checkpoint)).class_names
    if as_json:
        return finish_json({"num_videos": len(files), "classes": list(found), "out": str(out)})
    return click.echo(f"predict: would look for {_listed(found)} in {len(files):,} videos and write to {out}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 10 else f"{', '.join(names[:10])} and {len(names) - 10:,} more"
