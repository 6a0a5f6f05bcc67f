"""`gesta evaluate clips`: top-k, mean class accuracy and confusions of clip scores, of one stream or several fused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import polars as pl

from gesta.cli.evaluate_ava import FILE
from gesta.cli.options import finish_json, json_option
from gesta.evaluate.classification import score_clips
from gesta.evaluate.clip_files import read_clip_labels, read_clip_scores
from gesta.evaluate.fusion import checked_weights, fuse_scores
from gesta.evaluate.result_json import clips_json, plain_json
from gesta.evaluate.text import accuracy_difference_text, clips_text, difficulty_text
from gesta.formats import read_label_map
from gesta.tables import Json, made_by, sha256_of_file, whole_file, write_json

if TYPE_CHECKING:
    from gesta.evaluate.modality import AccuracyDifference


def numbers_of(_context: click.Context, _option: click.Parameter, text: str | None) -> list[float] | None:
    """Numbers with commas between them, as an option's callback.

    Raises:
        click.BadParameter: a part is no number.
    """
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{text!r}, want numbers with commas between them, such as 1,1.5") from error


@click.command("clips")
@click.option(
    "--groundtruth", type=FILE, required=True, help="Labels: csv clip_id,class_id, Kinetics csv, ActivityNet."
)
@click.option(
    "--scores", type=FILE, required=True, multiple=True,
    help="Scores: csv or Parquet clip_id,class_id,score, or ActivityNet's results; several are fused by their mean.",
)  # fmt: skip
@click.option("--weights", callback=numbers_of, help="One number for each --scores, such as 1,1.5.  [default: equal]")
@click.option("--label-map", type=FILE, help="Class ids, where the files have names; and the classes that count.")
@click.option(
    "--top",
    "ks",
    multiple=True,
    type=click.IntRange(min=1),
    default=(1, 5),
    show_default=True,
    help="Numbers of guesses.",
)
@click.option(
    "--pairs", "num_pairs", type=click.IntRange(min=0), default=10, show_default=True, help="Confused pairs to list."
)
@click.option("--difficulty", "wants_difficulty", is_flag=True, help="List classes from the hardest to the easiest.")
@click.option(
    "--compare", type=FILE, default=None,
    help="Other scores: by how much --scores are above them, class by class, with intervals.",
)  # fmt: skip
@click.option(
    "--resamples", type=click.IntRange(min=1), default=1000, show_default=True, help="Draws for --compare's intervals."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Chance of these draws.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=None,
    help="Folder for the numbers as JSON and csv, and for the pictures of --difficulty and --compare.",
)  # fmt: skip
@json_option
def command(
    *, groundtruth: Path, scores: tuple[Path, ...], weights: list[float] | None, label_map: Path | None,
    ks: tuple[int, ...], num_pairs: int, wants_difficulty: bool, compare: Path | None, resamples: int, seed: int,
    out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Top-k and mean class accuracy, Kinetics' error, and which classes are taken for each other.

    Several --scores are late fusion, as of RGB and flow: every file must score the same clips and classes, and the
    order does not matter. --compare shows where motion matters most: --scores of the flow stream, --compare of RGB.

    \b
    Example:
      gesta evaluate clips --groundtruth labels.csv --scores scores.csv
      gesta evaluate clips --groundtruth kinetics-400_val.csv --scores scores.csv --label-map label_map_k400.txt
      gesta evaluate clips --groundtruth labels.csv --scores rgb.csv --scores flow.csv --weights 1,1.5
      gesta evaluate clips --groundtruth labels.csv --scores flow.csv --compare rgb.csv --out motion
    """
    classes = None if label_map is None else read_label_map(label_map)
    checked_weights(weights, num_streams=len(scores))
    labels = read_clip_labels(groundtruth, label_map=classes)
    streams = [read_clip_scores(path, label_map=classes) for path in scores]
    found = streams[0]
    if len(streams) > 1:
        found = fuse_scores(streams, weights=weights, names=[path.as_posix() for path in scores])
    known = classes["class_id"] if classes is not None else labels["class_id"].append(found["class_id"])
    class_ids = known.unique().sort().to_list()
    result = score_clips(labels, found, class_ids=class_ids, ks=sorted(set(ks)), num_pairs=num_pairs)
    value, texts = clips_json(result, classes), [clips_text(result, classes)]
    tables: dict[str, pl.DataFrame] = {"classes": result.by_class}
    if wants_difficulty:
        from gesta.evaluate.difficulty import class_difficulty

        tables["difficulty"] = class_difficulty(labels, found, class_ids=class_ids, label_map=classes)
        value["difficulty"] = plain_json(tables["difficulty"])
        texts.append(difficulty_text(tables["difficulty"]))
    names = ("+".join(stream_name(path) for path in scores), "" if compare is None else stream_name(compare))
    if compare is not None:
        difference = _compared(
            labels, found, compare, class_ids=class_ids, classes=classes, resamples=resamples, seed=seed
        )
        names = _apart(*names)
        tables["difference"] = difference.by_class
        value["difference"] = plain_json(difference)
        texts.append(accuracy_difference_text(difference, a=names[0], b=names[1]))
    if out is not None:
        inputs = [groundtruth, *scores, *([] if compare is None else [compare])]
        _write(out, value, tables, names=names, inputs=inputs, weights=weights, seed=seed)
    finish_json(value) if as_json else click.echo("\n\n".join(texts))


def stream_name(path: Path) -> str:
    """What a file of scores is called in a table: its name, or its folder's where that is what `gesta score` wrote.

    >>> stream_name(Path("flow.csv")), stream_name(Path("out/rgb/scores.parquet"))
    ('flow', 'rgb')
    """
    return path.resolve().parent.name if path.stem == "scores" else path.stem


def _apart(a: str, b: str) -> tuple[str, str]:
    """Names of two streams, told apart where their files are called alike."""
    return (a, b) if a != b else (f"{a} (--scores)", f"{b} (--compare)")


def _compared(
    labels: pl.DataFrame, found: pl.DataFrame, compare: Path, *, class_ids: list[int], classes: pl.DataFrame | None,
    resamples: int, seed: int,
) -> AccuracyDifference:  # fmt: skip
    from gesta.evaluate.modality import accuracy_difference

    other = read_clip_scores(compare, label_map=classes)
    return accuracy_difference(
        labels, found, other, class_ids=class_ids, label_map=classes, num_resamples=resamples, seed=seed
    )


def _write(
    out: Path, value: dict[str, Json], tables: dict[str, pl.DataFrame], *, names: tuple[str, str], inputs: list[Path],
    weights: list[float] | None, seed: int,
) -> None:  # fmt: skip
    made = made_by(
        "evaluate clips", arguments={"weights": weights, "seed": seed},
        inputs={f"{path.resolve().parent.name}/{path.name}": sha256_of_file(path) for path in inputs},
    )  # fmt: skip
    write_json(out / "clip_scores.json", {**value, "made_by": made.as_json()})
    for name, table in tables.items():
        with whole_file(out / f"{name}.csv") as temporary:
            table.write_csv(temporary)
    if len(tables.get("difficulty", ())):
        from gesta.stats.score_pictures import draw_difficulty

        draw_difficulty(tables["difficulty"], out)
    if len(tables.get("difference", ())):
        from gesta.stats.score_pictures import draw_difference

        draw_difference(tables["difference"], out, a=names[0], b=names[1])
