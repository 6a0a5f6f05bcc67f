"""`gesta mine`: titles, windows and responses of frames to candidate clips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from gesta.cli.options import cluster_option, dry_run_option, finish, json_option, work_argument, workers_option
from gesta.cli.progress import progress
from gesta.schema import BadInput

if TYPE_CHECKING:
    from gesta.mine import FrameSearch

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("mine")
@work_argument
@click.option("--actions", type=_FILE, required=True, help="A label map, or a list of names, a name a line.")
@click.option(
    "--queries", type=_FILE, default=None,
    help="A table of queries (`gesta queries`) to look for in titles.  [default: the names of the actions]",
)  # fmt: skip
@click.option("--clip-s", type=float, default=10.0, show_default=True, help="Length of a clip, seconds.")
@click.option(
    "--windows-per-video", type=int, default=2, show_default=True, help="Clips of a video at most, evenly spread."
)
@click.option(
    "--unmatched",
    type=click.Choice(["reject", "all"]),
    default="reject",
    show_default=True,
    help="A video whose title names no action: reject it, or ask workers for all actions.",
)
@click.option(
    "--positions", type=click.Choice(["uniform", "classifier"]), default=None,
    help="Clips evenly spread, or around a frame classifier's responses.  "
    "[default: classifier where one is named, else uniform]",
)  # fmt: skip
@click.option(
    "--classifier", default=None,
    help="Frames are scored by: a model.pt of `gesta train`, a FILE.onnx, or a CLIP-like model's folder or name.",
)  # fmt: skip
@click.option("--classifier-classes", type=_FILE, default=None, help="Names of an ONNX file's classes, a name a line.")
@click.option("--prompt", "prompts", multiple=True, help='Text for a CLIP-like model: "a photo of a person {}."')
@click.option("--k", type=int, default=2, show_default=True, help="Clips a video and action at most, by response.")
@click.option(
    "--rate", type=float, default=1.0, show_default=True, help="Frames a second that are scored; 0 = every frame."
)
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
    help="Where the classifier computes.",
)  # fmt: skip
@workers_option
@cluster_option
@dry_run_option
@json_option
def command(
    work: Path, *, actions: Path, queries: Path | None, clip_s: float, windows_per_video: int,
    unmatched: Literal["reject", "all"], positions: str | None, classifier: str | None,
    classifier_classes: Path | None, prompts: tuple[str, ...], k: int, rate: float, device: str,
    workers: int | None, cluster: str | None, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Choose clips of WORK's videos that may show an action, to be put to workers.

    Reads `videos`; writes `label_map`, `clips` and `candidates`. A title names an action when it holds the action's
    words in a row, whatever their inflection: "How to wave your hands" names "waving hand". With --queries it names
    those of which it holds a query, in the query's language. Candidates that annotation files brought stay.

    Every one of a few evenly spread windows of such a video is a candidate. With --classifier the clips lie around the
    frames that answer most strongly to the action, a clip apart at least, and are shorter at the video's ends. What
    the classifier says is kept in `frame_scores`: other clips can be chosen from it without looking at the videos
    again, and a run that was cut goes on (docs/mine.md).

    \b
    Example:
      gesta mine work --actions actions.txt --clip-s 10 --windows-per-video 2
      gesta mine work --actions actions.txt --queries queries.csv
      gesta mine work --actions actions.txt --classifier work/frames/model.pt --k 2 --rate 2
      gesta mine work --actions actions.txt --classifier models/clip-vit-base-patch32
    """
    from gesta.mine import plan_mine, run_mine
    from gesta.tables import read_table

    search = _search(
        positions=positions, classifier=classifier, classes=classifier_classes, prompts=prompts, k=k, rate=rate,
        device=device, workers=workers, cluster=cluster,
    )  # fmt: skip
    if dry_run:
        planned = plan_mine(
            work, actions=actions, clip_s=clip_s, windows_per_video=windows_per_video, unmatched=unmatched,
            queries=queries, search=search,
        )  # fmt: skip
        return finish(planned, as_json=as_json)
    with progress("mine" if search is None else "frames", total=len(read_table(work, "videos"))) as advance:
        summary = run_mine(
            work, actions=actions, clip_s=clip_s, windows_per_video=windows_per_video, unmatched=unmatched,
            queries=queries, search=search, on_rows=advance if search is None else None, on_scored=advance,
        )  # fmt: skip
    return finish(summary, as_json=as_json)


def _search(
    *, positions: str | None, classifier: str | None, classes: Path | None, prompts: tuple[str, ...], k: int,
    rate: float, device: str, workers: int | None, cluster: str | None,
) -> FrameSearch | None:  # fmt: skip
    """How positions are searched for; None = clips are evenly spread.

    Raises:
        BadInput: the options contradict each other, or the classifier is not there.
    """
    if positions == "classifier" and classifier is None:
        raise BadInput("--positions classifier without a classifier", mend="Name one with --classifier")
    if positions == "uniform" and classifier is not None:
        raise BadInput("--positions uniform with a classifier", mend="Leave one of the two out")
    if classifier is None:
        if classes is not None or prompts:
            given = "--prompt" if classes is None else "--classifier-classes"
            raise BadInput(f"{given} without a classifier", mend="Name one with --classifier")
        return None
    from gesta.cli.frame_classifier import find_classifier
    from gesta.mine import FrameSearch

    return FrameSearch(
        classifier=find_classifier(classifier, class_names=classes, prompts=prompts, device=device),
        k=k,
        rate=rate,
        workers=workers,
        cluster=cluster,
    )
