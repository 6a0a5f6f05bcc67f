"""`gesta predict`: who does what in any video."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import dry_run_option, finish, finish_json, json_option
from gesta.cli.progress import progress


@click.command("predict")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("videos", metavar="VIDEO_OR_FOLDER", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the results.")
@click.option("--detector", default="hog", show_default=True, help="torchvision, onnx, hog or centernet.")
@click.option("--weights", type=click.Path(path_type=Path), default=None, help="The detector's file.")
@click.option(
    "--detector-min-score", type=float, default=None, help="Least confidence of a person.  [default: the detector's]"
)
@click.option("--min-score", type=float, default=0.3, show_default=True, help="Least probability of an action drawn.")
@click.option("--stride-s", type=float, default=1.0, show_default=True, help="Seconds from one instant to the next.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
@click.option("--threads", type=int, default=None, help="Threads of torch.  [default: torch's own number]")
@dry_run_option
@json_option
def command(
    checkpoint: Path,
    videos: Path,
    *,
    out: Path,
    detector: str,
    weights: Path | None,
    detector_min_score: float | None,
    min_score: float,
    stride_s: float,
    device: str,
    threads: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Find persons, follow them and say what they do, in a video or in every video of a folder.

    For each video writes OUT/<name>.json with the persons' boxes, the probability of every action over time and the
    intervals of the likely ones, and OUT/<name>.mp4 with all of it drawn. In a folder, a video that cannot be read
    goes to OUT/rejects and the others go on; videos that are done are not done again.

    \b
    Example:
      gesta predict work/model/model.pt party.mp4 --out seen --detector onnx --weights FastestDet.onnx
    """
    from gesta.predict import run_predict, videos_under
    from gesta.train import load_checkpoint

    files = videos_under(videos)
    if dry_run:
        names = load_checkpoint(checkpoint).class_names
        if as_json:
            return finish_json({"num_videos": len(files), "classes": list(names), "out": str(out)})
        return click.echo(f"predict: would look for {', '.join(names)} in {len(files):,} videos and write to {out}")
    with progress("predict", total=len(files)) as advance:
        summary = run_predict(
            checkpoint,
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
    return finish(summary, as_json=as_json)
