"""`gesta bank`: a long-term feature bank of the persons of a labelled set."""

from __future__ import annotations

from pathlib import Path

import click

from gesta.cli.options import dry_run_option, finish, finish_json, json_option
from gesta.cli.person_data import FILE, FOLDER, excluded_option, included_option, open_persons, proposals_option
from gesta.cli.progress import progress
from gesta.cli.score import decoders_option, num_workers
from gesta.tables import Json


@click.command("bank")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--split", default=None, help="Which split of a release or a file of parts.  [default: test, else val]")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the bank.")
@click.option("--videos", type=FOLDER, default=None, help="Folder of a csv's videos.  [default: the csv's own]")
@click.option("--label-map", type=FILE, default=None, help="Class ids and names of a csv.  [default: AVA's 80]")
@click.option(
    "--boxes", type=click.Choice(["truth", "proposals"]), default=None,
    help="Whose features.  [default: proposals where given, else truth]",
)  # fmt: skip
@click.option("--least-score", type=float, default=None, help="Of a detector's box.  [default: the recipe's]")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
@click.option(
    "--precision", type=click.Choice(["auto", "float32", "bfloat16"]), default="auto", show_default=True,
    help="Of convolutions and products.",
)  # fmt: skip
@proposals_option
@excluded_option
@included_option
@decoders_option
@click.option("--threads", type=int, default=None, help="Threads of torch.  [default: torch's own number]")
@dry_run_option
@json_option
def command(
    checkpoint: Path, data: Path, *, split: str | None, out: Path, videos: Path | None, label_map: Path | None,
    boxes: str | None, least_score: float | None, device: str, precision: str, proposals: Path | None,
    excluded: Path | None, included: Path | None, workers: int | None, threads: int | None, dry_run: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Write what the model in CHECKPOINT sees of every person of DATA, for models whose head asks a feature bank.

    CHECKPOINT is a model of persons of `gesta train`; DATA is a release, a csv of AVA or AVA-Kinetics with --videos, or
    a file of parts. `gesta train --bank` and `gesta score --bank` read OUT: a bank of the key-frames learnt from and
    one of those tried, written with the same model. A run that was cut goes on when the command is given again.

    \b
    Example:
      gesta bank short/model.pt ava.toml --split train --boxes proposals --out banks/train
      gesta bank short/model.pt ava.toml --split val --boxes proposals --out banks/val
      gesta train ava.toml --recipe lfb_nl_kinetics_pretrained_slowonly_r50_4x16x1_20e_ava_rgb --val val \\
        --bank banks/train --bank banks/val --out long
      gesta score long/model.pt ava.toml --split val --boxes proposals --bank banks/val --out scores
    """
    from gesta.predict.person_bank import run_bank
    from gesta.predict.person_scores import numbers_with_boxes
    from gesta.train.persons.checkpoints import load_person_checkpoint

    loaded = load_person_checkpoint(checkpoint)
    persons, rejects = open_persons(
        data, split=split, videos=videos, label_map=label_map, excluded=excluded, included=included,
        proposals=proposals,
    )  # fmt: skip
    chosen = boxes or ("truth" if proposals is None else "proposals")
    num = len(numbers_with_boxes(persons, boxes=chosen, rules=loaded.recipe.boxes))
    if dry_run:
        plan: dict[str, Json] = {
            "num_key_frames": len(persons), "num_shown": num, "num_rejected": len(rejects), "boxes": chosen,
        }  # fmt: skip
        text = f"bank: would show {num:,} of {len(persons):,} key-frames ({chosen} boxes); {len(rejects):,} rejects"
        return finish_json(plan) if as_json else click.echo(text)
    with progress("bank", total=num) as advance:
        summary = run_bank(
            checkpoint, persons, out=out, rejects=rejects, boxes=chosen, least_score=least_score, device=device,
            precision=precision, num_workers=num_workers(workers, device=device), threads=threads,
            on_key_frames=advance,
        )  # fmt: skip
    return finish(summary, as_json=as_json)
