"""`gesta predict`: who does what in any video, or what it shows as a whole."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
from click.core import ParameterSource

from gesta.cli.options import dry_run_option, finish, finish_json, json_option
from gesta.cli.progress import progress
from gesta.schema import BadInput
from gesta.tables import Json

OF_PERSONS = (
    "detector", "weights", "detector_min_score", "min_score", "recipe", "rows", "fps", "live", "retries", "serve",
    "show", "stop_after_s",
)  # fmt: skip
OF_CLIPS = ("top_k", "classes")
OF_STREAMS = ("live", "retries", "stop_after_s")
"""Options that only one kind of model has, or one kind of source."""


@click.command("predict")
@click.argument("checkpoint")
@click.argument("source", metavar="SOURCE")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the results.")
@click.option("--stride-s", type=float, default=1.0, show_default=True, help="Seconds from one instant to the next.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
@click.option("--threads", type=int, default=None, help="Threads of torch.  [default: torch's own number]")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Of convolutions and products.",
)
@click.option(
    "--video/--no-video",
    default=None,
    help="Whether OUT/<name>.mp4 is made.  [default: of files, yes; of streams, no]",
)
@click.option("--top-k", type=int, default=5, show_default=True, help="Clip labels: how many are named.")
@click.option(
    "--classes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="Clip labels: names of published weights' classes, one a line.",
)
@click.option(
    "--recipe", default=None, help="Persons: CHECKPOINT is of another program, and of the model of this recipe."
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
@click.option(
    "--rows",
    type=click.Choice(["jsonl", "csv", "ava"]),
    multiple=True,
    help="Persons: rows as text, too; may be given again.  [default: of files, none; of streams, jsonl]",
)
@click.option("--fps", type=float, default=None, help="Persons: images a second.  [default: 25]")
@click.option("--serve", metavar="HOST:PORT", default=None, help="Persons: a web page with the live picture.")
@click.option("--show", is_flag=True, help="Persons: a window with the live picture; Esc ends it.")
@click.option(
    "--live/--no-live", default=None, help="Streams: whether to leave out what is late.  [default: told by the address]"
)
@click.option("--retries", type=int, default=5, show_default=True, help="Streams: failures in a row that end it.")
@click.option("--stop-after-s", type=float, default=None, help="Streams: stop after so many seconds.")
@dry_run_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    checkpoint: str,
    source: str,
    *,
    out: Path,
    stride_s: float,
    device: str,
    threads: int | None,
    precision: str,
    video: bool | None,
    top_k: int,
    classes: Path | None,
    recipe: str | None,
    detector: str,
    weights: Path | None,
    detector_min_score: float | None,
    min_score: float,
    rows: tuple[str, ...],
    fps: float | None,
    serve: str | None,
    show: bool,
    live: bool | None,
    retries: int,
    stop_after_s: float | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Label videos, images, a camera or a stream by a model that `gesta train` wrote or that others published.

    CHECKPOINT is a model.pt, a name of published weights, or MODEL:WEIGHTS (docs/predict.md). SOURCE is a video, a
    folder of videos, a folder or pattern of images, camera:0, an address such as rtsp://..., or - for standard input.

    A model of whole clips writes OUT/<name>.json with the likeliest labels of the video and of a window every
    `--stride-s`, and OUT/<name>.mp4 with these drawn. A model of persons finds them, follows them and says what they
    do: boxes, probabilities over time and the intervals of the likely actions, all of it drawn too. In a folder, a
    video that cannot be read goes to OUT/rejects and the others go on; videos that are done are not done again.

    Of a camera or a stream, rows are written while it goes on, until it ends or Ctrl-C; frames are left out rather
    than late. With `--serve` or `--show` a file is played as one.

    \b
    Example:
      gesta predict work/model/model.pt party.mp4 --out seen
      gesta predict i3d-rgb-k400 videos/ --out seen --no-video --json
      gesta predict work/model/model.pt party.mp4 --out seen --detector onnx --weights FastestDet.onnx
      gesta predict model.pt rtsp://door.lan/1 --out seen --rows csv --serve 127.0.0.1:8765
    """
    from gesta.predict import videos_under
    from gesta.predict.clip_models import is_clip_model
    from gesta.predict.streams.opening import is_images, is_stream

    is_clips = recipe is None and is_clip_model(checkpoint)
    _refuse_strange(ctx, OF_PERSONS if is_clips else OF_CLIPS, checkpoint=checkpoint, is_clips=is_clips)
    is_watched = is_stream(source) or show or serve is not None
    if is_watched and is_clips:
        raise BadInput("a model of whole clips labels files", where=source, mend="Name a file, or a model of persons")
    if not is_stream(source):
        given = [name for name in OF_STREAMS if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT]
        if given and not (is_watched and given == ["stop_after_s"]):
            raise BadInput(f"--{given[0].replace('_', '-')} is for streams", where=source, mend="Leave it out")
    path = Path(source)
    files = [path] if is_stream(source) or is_images(path) else videos_under(path)
    names = classes.read_text().splitlines() if classes else None
    if dry_run:
        return _plan(checkpoint, files, out=out, names=names, recipe=recipe, is_clips=is_clips, as_json=as_json)
    if is_clips:
        return _label_clips(
            checkpoint, path, files=files, out=out, names=names, stride_s=stride_s, top_k=top_k, device=device,
            draws=video is not False, precision=precision, threads=threads, as_json=as_json,
        )  # fmt: skip
    how = Persons(
        detector=detector, weights=weights, detector_min_score=detector_min_score, min_score=min_score,
        stride_s=stride_s, device=device, precision=precision, threads=threads, fps=fps, rows=rows,
    )  # fmt: skip
    if is_watched:
        return _watch(
            checkpoint, source, out=out, recipe=recipe, how=how, draws=bool(video), serve=serve, show=show, live=live,
            retries=retries, stop_after_s=stop_after_s, as_json=as_json,
        )  # fmt: skip
    return _predict_files(
        checkpoint, path, files=files, out=out, recipe=recipe, how=how, draws=video is not False, as_json=as_json
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Persons:
    """Options that files and streams have alike."""

    detector: str
    weights: Path | None
    detector_min_score: float | None
    min_score: float
    stride_s: float
    device: str
    precision: str
    threads: int | None
    fps: float | None
    rows: tuple[str, ...]


def _predict_files(
    checkpoint: str,
    path: Path,
    *,
    files: Sequence[Path],
    out: Path,
    recipe: str | None,
    how: Persons,
    draws: bool,
    as_json: bool,
) -> None:
    from gesta.predict import load_person_scorer, run_predict

    scorer = load_person_scorer(checkpoint, recipe=recipe, device=how.device, precision=how.precision)
    with progress("predict", total=len(files)) as advance:
        summary = run_predict(
            scorer, videos=path, out=out, detector=how.detector, weights=how.weights,
            detector_min_score=how.detector_min_score, min_score=how.min_score, stride_s=how.stride_s,
            precision=how.precision, threads=how.threads, fps=how.fps, rows=how.rows, draws=draws, on_videos=advance,
        )  # fmt: skip
    return finish(summary, as_json=as_json)


def _watch(
    checkpoint: str,
    source: str,
    *,
    out: Path,
    recipe: str | None,
    how: Persons,
    draws: bool,
    serve: str | None,
    show: bool,
    live: bool | None,
    retries: int,
    stop_after_s: float | None,
    as_json: bool,
) -> None:
    from gesta.predict import load_person_scorer
    from gesta.predict.streams.streamed import Patience
    from gesta.predict.watching import Views, run_watch

    def say_open(name: str) -> None:
        click.echo(f"Watching {name}; Ctrl-C stops and writes what was seen", err=True)

    def say_link(link: str) -> None:
        click.echo(f"The page is at {link}", err=True)

    scorer = load_person_scorer(checkpoint, recipe=recipe, device=how.device, precision=how.precision)
    with stopping(stop_after_s) as stop, progress("predict", total=None) as advance:
        summary = run_watch(
            scorer, source=source, out=out, detector=how.detector, weights=how.weights,
            detector_min_score=how.detector_min_score, min_score=how.min_score, stride_s=how.stride_s,
            threads=how.threads, fps=how.fps, live=live, patience=Patience(retries=retries),
            rows=how.rows or ("jsonl",), views=Views(draws=draws, shows=show, serve=serve, on_link=say_link),
            stop=stop, on_open=say_open, on_moment=lambda moment: advance(1),
        )  # fmt: skip
    return finish(summary, as_json=as_json)


@contextmanager
def stopping(after_s: float | None) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets, or the time; a second one ends the process as ever."""
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def on_signal(number: int, frame: object) -> None:
        del frame
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    timer = None if after_s is None else threading.Timer(after_s, stop.set)
    for number in numbers:
        signal.signal(number, on_signal)
    try:
        if timer is not None:
            timer.daemon = True
            timer.start()
        yield stop
    finally:
        if timer is not None:
            timer.cancel()
        for number in numbers:
            signal.signal(number, before[number])


def _label_clips(
    checkpoint: str,
    path: Path,
    *,
    files: Sequence[Path],
    out: Path,
    names: Sequence[str] | None,
    stride_s: float,
    top_k: int,
    device: str,
    draws: bool,
    precision: str,
    threads: int | None,
    as_json: bool,
) -> None:
    from gesta.predict.clips import labels_text, run_predict_clips

    texts: list[str] = []

    def say(name: str, result: Mapping[str, Json]) -> None:
        texts.append(labels_text(name, result))

    with progress("predict", total=len(files)) as advance:
        summary = run_predict_clips(
            checkpoint,
            videos=path,
            out=out,
            class_names=names,
            stride_s=stride_s,
            top_k=top_k,
            draws=draws,
            device=device,
            precision=precision,
            threads=threads,
            on_videos=advance,
            on_result=None if as_json else say,
        )
    if texts:
        click.echo("\n".join(texts))
    return finish(summary, as_json=as_json)


def _refuse_strange(ctx: click.Context, options: Sequence[str], *, checkpoint: str, is_clips: bool) -> None:
    """Nothing, once no option was given that this kind of model does not have."""
    given = [name for name in options if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT]
    if given:
        kind = "labels whole clips" if is_clips else "is of persons"
        raise BadInput(
            f"this model {kind}, and has no --{given[0].replace('_', '-')}", where=checkpoint, mend="Leave it out"
        )


def _plan(
    checkpoint: str,
    files: Sequence[Path],
    *,
    out: Path,
    names: Sequence[str] | None,
    recipe: str | None,
    is_clips: bool,
    as_json: bool,
) -> None:
    from gesta.predict import load_person_scorer
    from gesta.predict.clip_models import load_clip_model

    if is_clips:
        found = load_clip_model(checkpoint, device="cpu", class_names=names).class_names
    else:
        found = load_person_scorer(checkpoint, recipe=recipe, device="cpu").class_names
    if as_json:
        return finish_json({"num_videos": len(files), "classes": list(found), "out": str(out)})
    return click.echo(f"predict: would look for {_listed(found)} in {len(files):,} videos and write to {out}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 10 else f"{', '.join(names[:10])} and {len(names) - 10:,} more"
