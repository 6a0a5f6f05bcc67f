"""`gesta study`: one recipe trained several times with one thing changed, and a table and plot of the accuracies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gesta.cli.options import dry_run_option, finish_json, json_option
from gesta.cli.progress import progress
from gesta.cli.score import FILE, FOLDER, decoders_option, num_workers
from gesta.evaluate.studies import Value, accuracy_row, study_text, write_study
from gesta.schema import BadInput
from gesta.tables import Json, Provenance, made_by

if TYPE_CHECKING:
    from gesta.predict.study import Setting, StudyRun
    from gesta.train.clips import ClipSet

OUT = click.Path(file_okay=False, path_type=Path)
ALL_OF_K700_2020 = 545_793 / 700
"""Training clips of each class of Kinetics-700-2020, on average. Source: its paper, table 2."""


@click.group("study")
def command() -> None:
    """Train a recipe several times, score each model, and write a table and a plot.

    Every study can be given again: what is trained and scored already is not repeated. Every study takes --json.

    \b
    Example:
      gesta study samples-per-class work/releases/1.0.0 --recipe i3d_k700_2020 --counts 100,200,all --out study
      gesta study transfer --source model.pt --target ucf/splits --videos ucf/videos --recipe i3d_k700_2020 --out study
    """


@command.command("samples-per-class")
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--recipe", required=True, help="Name of a clip recipe.")
@click.option("--counts", default="100,200,300,400,500,600,all", show_default=True, help="Clips of each class.")
@click.option("--out", type=OUT, required=True, help="Folder of the study.")
@click.option("--train-split", default="train", show_default=True, help="Split to learn from.")
@click.option(
    "--split", "splits", multiple=True, default=("val",), show_default=True,
    help="Split of DATA to score, or NAME=LIST where it has a list of its own; may be given several times.",
)  # fmt: skip
@click.option("--videos", type=FOLDER, default=None, help="Folder of a list's videos.  [default: the list's own]")
@click.option("--label-map", type=FILE, default=None, help="Class ids and names in place of a list's own.")
@click.option("--paper", is_flag=True, help="Set the numbers of the Kinetics-700-2020 paper beside ours.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of subsets, weights, order and changes.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
@decoders_option
@click.option("--threads", type=int, default=None, help="Threads of torch.  [default: torch's own number]")
@dry_run_option
@json_option
def samples_per_class(
    data: Path, *, recipe: str, counts: str, out: Path, train_split: str, splits: tuple[str, ...],
    videos: Path | None, label_map: Path | None, paper: bool, seed: int, device: str, workers: int | None,
    threads: int | None, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """How accuracy rises with the training clips of each class: figure 1 and table 4 of Kinetics-700-2020.

    One model a count is trained from scratch on that many clips of each class of DATA; the clips of a count are among
    those of the next. Writes OUT/study.json, .csv and .md, the plot samples_per_class.png and .svg, and for each count
    a folder with model and scores.

    \b
    Example:
      gesta study samples-per-class work/releases/1.0.0 --recipe i3d_small_world --counts 10,20,all --out work/study
      gesta study samples-per-class k700/train.csv --videos k700/videos --split val=k700/val.csv \
        --recipe i3d_k700_2020 --paper --out study
    """
    from gesta.predict.study import checked_counts, study_samples_per_class, subset_of
    from gesta.train.clips import open_clips

    setting = _setting(recipe, seed=seed, device=device, workers=workers, threads=threads)
    numbers = checked_counts(counts.split(","))
    where: dict[str, Any] = {"videos": videos, "label_map": label_map, "frames": setting.recipe.frames}
    train, _ = open_clips(data, split=train_split, **where)
    tested = _tested(data, splits, where=where)
    if dry_run:
        sizes = {"all" if num is None else str(num): len(subset_of(train, num, seed=seed)) for num in numbers}
        return _say_plan(sizes, tested=tested, epochs=setting.recipe.epochs, as_json=as_json)
    with progress("study", total=len(numbers) * setting.recipe.epochs) as advance:
        runs = study_samples_per_class(
            train, tested=tested, out=out, counts=numbers, setting=_with_progress(setting, advance)
        )
    rows = [row for run in runs for row in _rows_of(run)]
    if paper:
        _add_printed(rows)
    columns = {"name": "clips of each class", "num_train": "training clips", "split": "split", **_ACCURACIES}
    columns |= {"paper_top_1": "the paper's top-1", "paper_top_5": "top-5"} if paper else {}
    made = _made("study samples-per-class", setting, {"train": train, **tested}, {"counts": counts})
    write_study(out, rows, columns=columns, made_by=made, notes={"study": "samples-per-class"})
    _draw(rows, out, paper=paper)
    return _say(rows, runs, columns=columns, out=out, as_json=as_json)


@command.command("transfer")
@click.option(
    "--source", type=click.Path(exists=True, path_type=Path), required=True,
    help="A model.pt to begin from, or clips to train one on first: a release, a list, prepared clips.",
)  # fmt: skip
@click.option("--source-videos", type=FOLDER, default=None, help="Folder of the source list's videos.")
@click.option("--source-split", default="train", show_default=True, help="Split of the source to learn from.")
@click.option(
    "--target", type=click.Path(exists=True, path_type=Path), required=True,
    help="Split files, as of UCF-101 or HMDB-51: their folder.",
)  # fmt: skip
@click.option("--videos", type=FOLDER, required=True, help="Folder of the target's videos.")
@click.option("--splits", "numbers", default="1", show_default=True, help="Numbers of the splits, such as 1,2,3.")
@click.option("--label-map", type=FILE, default=None, help="Class ids and names in place of the target's own.")
@click.option("--recipe", required=True, help="Clip recipe of the training from scratch.")
@click.option("--source-recipe", default=None, help="Of the training on the source.  [default: --recipe]")
@click.option("--fine-tune-recipe", default=None, help="Of the fine-tuning.  [default: --recipe]")
@click.option("--out", type=OUT, required=True, help="Folder of the study.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights, order and changes.")
@click.option(
    "--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where to compute."
)
@decoders_option
@click.option("--threads", type=int, default=None, help="Threads of torch.  [default: torch's own number]")
@dry_run_option
@json_option
def transfer(
    *, source: Path, source_videos: Path | None, source_split: str, target: Path, videos: Path, numbers: str,
    label_map: Path | None, recipe: str, source_recipe: str | None, fine_tune_recipe: str | None, out: Path, seed: int,
    device: str, workers: int | None, threads: int | None, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """What pre-training is worth: for each split of the target a model from scratch and one fine-tuned from --source.

    Both are scored on the split's test clips. Writes OUT/study.json, .csv and .md with both accuracies, their means
    over splits, and the paired difference with its interval; a folder for each split with models and scores.

    \b
    Example:
      gesta study transfer --source work/model/model.pt --target ucfTrainTestlist --videos UCF-101 \
        --splits 1,2,3 --recipe i3d_ucf101 --out work/transfer
    """
    from gesta.predict.study import study_transfer
    from gesta.train.clips import open_clips
    from gesta.train.clips.recipes import find_clip_recipe

    setting = _setting(recipe, seed=seed, device=device, workers=workers, threads=threads)
    first = find_clip_recipe(source_recipe or recipe)
    begin: Path | ClipSet = source
    if source.suffix != ".pt":
        begin, _ = open_clips(source, split=source_split, videos=source_videos, frames=first.frames)
    pairs = {}
    for number in dict.fromkeys(part.strip() for part in numbers.split(",")):
        train, test = (
            open_clips(target, split=f"{name}{number}", videos=videos, label_map=label_map)[0] for name in _PAIR
        )
        pairs[number] = (train, test)
    if dry_run:
        sizes = {f"split {number}": len(train) for number, (train, _) in pairs.items()}
        tested = {f"test {number}": test for number, (_, test) in pairs.items()}
        return _say_plan(sizes, tested=tested, epochs=setting.recipe.epochs, as_json=as_json)
    total = (0 if isinstance(begin, Path) else first.epochs) + len(pairs) * (
        setting.recipe.epochs + find_clip_recipe(fine_tune_recipe or recipe).epochs
    )
    with progress("study", total=total) as advance:
        runs = study_transfer(
            begin, pairs, out=out, setting=_with_progress(setting, advance), source_recipe=source_recipe,
            fine_tune_recipe=fine_tune_recipe,
        )  # fmt: skip
    rows = [{**row, "split": number} for number, pair in runs.items() for run in pair for row in _rows_of(run)]
    rows += _means(rows)
    columns = {"split": "split", "name": "begins", "num_train": "training clips", **_ACCURACIES}
    sets = {f"{what}-{number}": one for number, pair in pairs.items() for what, one in zip(_PAIR, pair, strict=True)}
    recipes = {"source_recipe": first.name, "fine_tune_recipe": fine_tune_recipe or recipe}
    made = _made("study transfer", setting, sets, recipes)
    gains = {number: _gain(scratch, tuned, seed=seed) for number, (scratch, tuned) in runs.items()}
    write_study(out, rows, columns=columns, made_by=made, notes={"study": "transfer", "gain": gains})
    flat = [run for pair in runs.values() for run in pair]
    return _say(
        rows, flat, columns=columns, out=out, as_json=as_json, more=[_gain_text(n, g) for n, g in gains.items()]
    )


_ACCURACIES = {"num_clips": "clips", "top_1": "top-1", "top_5": "top-5", "mean_class_accuracy": "mean of classes"}
Rows = list[dict[str, Value]]


def _setting(recipe: str, *, seed: int, device: str, workers: int | None, threads: int | None) -> Setting:
    from gesta.predict.study import Setting
    from gesta.train.clips.recipes import find_clip_recipe

    return Setting(
        recipe=find_clip_recipe(recipe),
        seed=seed,
        device=device,
        num_workers=num_workers(workers, device=device),
        threads=threads,
    )


def _tested(data: Path, splits: tuple[str, ...], *, where: dict[str, Any]) -> dict[str, ClipSet]:
    """The clips to score by the name of their split."""
    from gesta.train.clips import open_clips

    tested = {}
    for text in dict.fromkeys(splits):
        name, _, path = text.partition("=")
        home = Path(path) if path else data
        if not home.exists():
            raise BadInput(f"there is no such file for split {name!r}", where=home, mend="Want NAME=LIST")
        tested[name] = open_clips(home, split=None if path else name, **where)[0]
    return tested


def _with_progress(setting: Setting, advance: Any) -> Setting:
    import dataclasses

    return dataclasses.replace(setting, on_epoch=advance)


def _rows_of(run: StudyRun) -> Rows:
    head: dict[str, Value] = {"name": run.name, "num_train": run.num_clips, "mean_per_class": run.mean_per_class}
    return [{**head, "split": split, **accuracy_row(folder)} for split, folder in run.scores.items()]


def _made(stage: str, setting: Setting, sets: dict[str, ClipSet], more: dict[str, str]) -> Provenance:
    return made_by(
        stage, arguments={"recipe": setting.recipe.name, "seed": setting.seed, **more},
        inputs={name: clips.sha256 for name, clips in sets.items()}, tools=["torch"],
    )  # fmt: skip


def _add_printed(rows: Rows) -> None:
    """The paper's accuracies in the rows of the same split and number of clips."""
    from gesta.formats.papers import paper_table

    for row in rows:
        examples = "Kinetics-700-2020" if row["name"] == "all" else row["name"]
        found = paper_table("kinetics_700_2020_table_4").frame.filter(examples=examples, split=row["split"])
        for k in (1, 5):
            row[f"paper_top_{k}"] = found[f"top_{k}_percent"][0] / 100 if len(found) else None


def _draw(rows: Rows, out: Path, *, paper: bool) -> None:
    from gesta.formats.papers import paper_table
    from gesta.stats.score_pictures import draw_accuracy_curves

    curves: dict[str, list[tuple[float, float, float, float]]] = {}
    printed: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for k in (1, 5):
            values = [float(row[name] or 0) for name in ("mean_per_class", *(f"top_{k}{end}" for end in _ENDS))]
            curves.setdefault(f"{row['split']} top-{k}", []).append((values[0], values[1], values[2], values[3]))
    for split in dict.fromkeys(str(row["split"]) for row in rows) if paper else ():
        of = paper_table("kinetics_700_2020_table_4").frame.filter(split=split)
        for examples, top_1, top_5 in of.select("examples", "top_1_percent", "top_5_percent").iter_rows():
            if examples != "Kinetics-700":
                num = ALL_OF_K700_2020 if examples == "Kinetics-700-2020" else float(examples)
                for k, percent in ((1, top_1), (5, top_5)):
                    printed.setdefault(f"{split} top-{k}", []).append((num, percent / 100))
    draw_accuracy_curves(curves, out, printed=printed)


_ENDS = ("", "_low", "_high")
_PAIR = ("train", "test")


def _means(rows: Rows) -> Rows:
    """The mean over splits of each way to begin, where there are several splits."""
    names = dict.fromkeys(str(row["name"]) for row in rows)
    of = {name: [row for row in rows if row["name"] == name] for name in names}
    return [
        {
            "split": "mean", "name": name,
            **{key: sum(float(row[key] or 0) for row in same) / len(same)
               for key in ("top_1", "top_5", "mean_class_accuracy")},
        }
        for name, same in of.items() if len(same) > 1
    ]  # fmt: skip


def _gain(scratch: StudyRun, tuned: StudyRun, *, seed: int) -> dict[str, Json]:
    """By how much the fine-tuned model is above the other, with the interval of the paired difference."""
    from gesta.evaluate.clip_files import read_clip_labels, read_clip_scores
    from gesta.evaluate.modality import accuracy_difference
    from gesta.evaluate.studies import scores_in
    from gesta.formats import read_label_map

    folders = (tuned.scores["test"], scratch.scores["test"])
    ids = read_label_map(folders[0] / "label_map.pbtxt")["class_id"].to_list()
    found, other = (read_clip_scores(scores_in(folder)) for folder in folders)
    labels = read_clip_labels(folders[0] / "labels.csv")
    result = accuracy_difference(labels, found, other, class_ids=ids, seed=seed).difference
    return {"estimate": result.estimate, "low": result.low, "high": result.high}


def _gain_text(number: str, gain: dict[str, Any]) -> str:
    low, high = 100 * gain["low"], 100 * gain["high"]
    return f"split {number}: fine-tuning gains {100 * gain['estimate']:+.1f} % [{low:+.1f}, {high:+.1f}] of the clips"


def _say_plan(sizes: dict[str, int], *, tested: dict[str, ClipSet], epochs: int, as_json: bool) -> None:
    plan: dict[str, Json] = {
        "epochs": epochs, "num_train": sizes, "num_tested": {name: len(clips) for name, clips in tested.items()}
    }  # fmt: skip
    if as_json:
        return finish_json(plan)
    for name, num in sizes.items():
        click.echo(f"study: would train {name} on {num:,} clips for {epochs:,} epochs")
    return click.echo("study: would score " + ", ".join(f"{len(one):,} of {name}" for name, one in tested.items()))


def _say(
    rows: Rows, runs: Any, *, columns: dict[str, str], out: Path, as_json: bool, more: list[str] | None = None
) -> None:
    done = sum(run.was_current for run in runs)
    if as_json:
        return finish_json({"rows": [dict(row) for row in rows], "num_done_before": done, "out": out.as_posix()})
    click.echo(study_text(rows, columns=columns))
    for line in more or ():
        click.echo(line)
    return click.echo(f"study: {len(runs)} models, {done} of them there already; {out / 'study.md'}")
