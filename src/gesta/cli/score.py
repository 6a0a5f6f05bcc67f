"""`gesta score`: a model's scores of a labelled set, of clips or of persons at key-frames."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gesta.cli.options import dry_run_option, finish_json, json_option
from gesta.cli.person_data import (
    FILE,
    FOLDER,
    bank_option,
    clip_labels_option,
    described,
    excluded_option,
    included_option,
    proposals_option,
)
from gesta.cli.progress import progress
from gesta.cli.score_persons import PersonData, score_persons
from gesta.evaluate.classification import score_clips
from gesta.evaluate.clip_files import read_clip_labels, read_clip_scores
from gesta.evaluate.result_json import clips_json
from gesta.evaluate.studies import scores_in
from gesta.evaluate.text import clips_text
from gesta.formats import read_label_map
from gesta.schema import BadInput
from gesta.tables import StageSummary

decoders_option = click.option(
    "--workers", type=int, default=None, help="Processes that decode.  [default: the cores there are; CPU: 0]"
)


@click.command("score")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--split", default=None, help="Which split, such as val or test01.  [default: the only one]")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the results.")
@click.option("--videos", type=FOLDER, default=None, help="Folder of a list's videos.  [default: the list's own]")
@click.option("--label-map", type=FILE, default=None, help="Class ids and names in place of a list's own.")
@click.option("--segments", type=click.IntRange(min=1), default=None, help="Views in time.  [default: the recipe's]")
@click.option("--crops", type=click.Choice(["1", "3", "10"]), default=None, help="In space.  [default: the recipe's]")
@click.option("--frames", type=click.IntRange(min=1), default=None, help="Of each view.  [default: the recipe's]")
@click.option(
    "--average", type=click.Choice(["probabilities", "logits"]), default=None,
    help="What is averaged over views.  [default: the recipe's]",
)  # fmt: skip
@click.option(
    "--format", "file_format", type=click.Choice(["auto", "csv", "parquet"]), default="auto", show_default=True,
    help="Of the scores; auto: Parquet from two million on.",
)  # fmt: skip
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
@click.option(
    "--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto", show_default=True,
    help="Of convolutions and products.",
)  # fmt: skip
@click.option(
    "--boxes", type=click.Choice(["truth", "proposals"]), default=None,
    help="Of persons.  [default: proposals where given, else truth]",
)  # fmt: skip
@proposals_option
@excluded_option
@included_option
@clip_labels_option
@bank_option
@decoders_option
@click.option("--threads", type=int, default=None, help="Threads of torch.  [default: torch's own number]")
@dry_run_option
@json_option
def command(
    checkpoint: Path, data: Path, *, split: str | None, out: Path, videos: Path | None, label_map: Path | None,
    segments: int | None, crops: str | None, frames: int | None, average: str | None, file_format: str, device: str,
    precision: str, boxes: str | None, proposals: Path | None, excluded: Path | None, included: Path | None,
    clip_labels: Path | None, banks: tuple[Path, ...], workers: int | None, threads: int | None, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Score DATA with the model in CHECKPOINT as its paper tests, and print top-1 and top-5, or the frame mAP.

    A clip model takes a release, a list with --videos, a folder of class folders or prepared clips; OUT/scores.csv (or
    .parquet), labels.csv and label_map.pbtxt are what `gesta evaluate clips` reads, and scores.json says what ran.

    A model of persons takes a release, or a csv of AVA or AVA-Kinetics with --videos; OUT/detections.csv (and .parquet)
    and groundtruth.csv are what `gesta evaluate ava` reads. Key-frames without people are scored too where a detector
    found somebody. Where the mAP is no better than chance, what is wrong is looked for and said.

    A run that was cut goes on where it was when the command is given again.

    \b
    Example:
      gesta score work/model/model.pt work/releases/1.0.0 --split val --out work/scores/rgb
      gesta score persons.pt ava_val_v2.2.csv --videos films --proposals ava_val_boxes.pkl --out work/scores/ava
      gesta score model.pt ucf/testlist01.txt --videos ucf/videos --segments 25 --crops 10 --out scores
      gesta evaluate clips --groundtruth rgb/labels.csv --scores rgb/scores.csv --scores flow/scores.csv
    """
    import dataclasses

    from gesta.predict.score_stage import check_class_names, run_score_clips
    from gesta.train.clips import open_clips
    from gesta.train.clips.checkpoints import load_clip_checkpoint
    from gesta.train.persons.checkpoints import is_person_checkpoint

    of_clips = {"segments": segments, "crops": crops, "frames": frames, "average": average}
    of_persons: dict[str, object] = {"boxes": boxes, "proposals": proposals, "excluded": excluded, "included": included}
    of_persons |= {"clip_labels": clip_labels, "bank": banks or None}
    if is_person_checkpoint(checkpoint):
        if given := described(of_clips):
            raise BadInput(f"{given}: this is a model of persons", where=checkpoint, mend="It goes with one of clips")
        asked = PersonData(
            data=data, out=out, split=split, videos=videos, label_map=label_map, excluded=excluded, included=included,
            proposals=proposals, clip_labels=clip_labels, banks=banks, boxes=boxes, device=device, precision=precision,
            num_workers=num_workers(workers, device=device), threads=threads,
        )  # fmt: skip
        return score_persons(checkpoint, asked, dry_run=dry_run, as_json=as_json)
    if given := described(of_persons):
        raise BadInput(f"{given}: this is a model of clips", where=checkpoint, mend="It goes with one of persons")
    loaded = load_clip_checkpoint(checkpoint)
    own = loaded.recipe.test
    test = dataclasses.replace(
        own, num_segments=segments or own.num_segments, crops=int(crops or own.crops),
        num_frames=frames or own.num_frames, average=average or own.average,
    )  # fmt: skip
    clips, rejects = open_clips(data, split=split, videos=videos, label_map=label_map, frames=loaded.recipe.frames)
    if dry_run:
        check_class_names(loaded, clips, where=checkpoint)
        plan = {"num_clips": len(clips), "num_rejected": len(rejects), "num_views": test.num_segments * test.crops}
        text = "score: would score {num_clips:,} clips of {num_views} views each; {num_rejected:,} are rejected"
        return finish_json(plan) if as_json else click.echo(text.format(**plan))
    with progress("score", total=len({example.clip_id for example in clips.examples})) as advance:
        summary = run_score_clips(
            checkpoint, clips, out=out, rejects=rejects, test=test, file_format=file_format, device=device,
            precision=precision, num_workers=num_workers(workers, device=device), threads=threads, on_clips=advance,
        )  # fmt: skip
    return _say(summary, out, as_json=as_json)


def num_workers(workers: int | None, *, device: str) -> int:
    """Processes that decode: as many as asked for; else the cores there are, or none where the model needs these."""
    from gesta.shards import worker_count
    from gesta.train.devices import pick_device

    if workers == 0:
        return 0
    count = worker_count(workers) if workers is not None or pick_device(device) == "cuda" else 1
    return 0 if count == 1 else count


def _say(summary: StageSummary, out: Path, *, as_json: bool) -> None:
    classes = read_label_map(out / "label_map.pbtxt")
    scores = read_clip_scores(scores_in(out))
    if not len(scores):
        raise BadInput("no clip could be scored", where=out / "rejects", mend="The rejects say why")
    labels = read_clip_labels(out / "labels.csv")
    result = score_clips(labels, scores, class_ids=classes["class_id"].to_list())
    if as_json:
        shown = ("num_clips", "num_labels", "num_without_scores", "top_k", "mean_class_accuracy", "kinetics_error")
        value = clips_json(result)
        return click.echo(json.dumps({**summary.as_json(), **{name: value[name] for name in shown}}, sort_keys=True))
    click.echo(clips_text(result, classes, max_classes=5))
    return click.echo(summary.line)
