"""What three rules of asking cost, and how right their labels are, on simulated crowds of known habits.

Every number on the page `docs/crowd-study.md` and in its figure is of the stored result; both are made here. Nothing
depends on the machine: the same seeds give the same file.

Run: python -m benchmarks.crowd_study          simulate, and write result, page and figure
     python -m benchmarks.crowd_study --page   page and figure anew from the stored result
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from gesta.consensus.simulate import (
    CLIPS_A_TASK,
    GOLD_A_TASK,
    PRESUMED_KA,
    WORKER_KINDS,
    Outcome,
    Rule,
    make_crowd,
    make_pool,
    simulate,
)
from gesta.tables import whole_file, write_text

RESULTS, DOCS = Path(__file__).parent / "results", Path(__file__).parents[1] / "docs"
NUM_WORKERS, NUM_CLIPS, NUM_GOLD, SEEDS = 150, 8_000, 300, (1, 2, 3)
SPAMMER_FRACS = (0.0, 0.1, 0.2, 0.3, 0.4)
HONEST = {"expert": 0.1, "sloppy": 0.3}
THRESHOLDS = (0.8, 0.9, 0.95, 0.98, 0.99)
STOPS = {"fixed": "fixed 5", "early-stop": "early stop", "dawid-skene": "Dawid-Skene"}
COLOURS = {"fixed": "#0072B2", "early-stop": "#E69F00", "dawid-skene": "#009E73"}
"""Source: Okabe and Ito, "Color universal design" (2008)."""

Row = dict[str, Any]


def outcomes(*, rule: Rule, spammer_frac: float) -> Row:
    """Means over the seeds, with the least and the largest accuracy."""
    found = [_once(rule=rule, spammer_frac=spammer_frac, seed=seed) for seed in SEEDS]
    means = {
        field.name: round(statistics.fmean(getattr(outcome, field.name) for outcome in found), 6)
        for field in dataclasses.fields(Outcome)
    }
    accuracies = [outcome.accuracy for outcome in found]
    return means | {"accuracy_least": min(accuracies), "accuracy_largest": max(accuracies)}


def _once(*, rule: Rule, spammer_frac: float, seed: int) -> Outcome:
    # One stream for crowd and clips: every rule meets the same ones.
    rng = np.random.default_rng([seed, round(1000 * spammer_frac)])
    shares = {kind: share * (1 - spammer_frac) for kind, share in HONEST.items()}
    shares |= dict.fromkeys(("spammer-random", "spammer-yes"), spammer_frac / 2)
    crowd = make_crowd(NUM_WORKERS, shares=shares, rng=rng)
    return simulate(crowd, make_pool(NUM_CLIPS, num_gold=NUM_GOLD, rng=rng), rule=rule, seed=seed)


def numbers() -> Row:
    """Everything that is stored."""
    rows = [
        {"gold": has_gold, "spammers": frac, "rule": stop}
        | outcomes(rule=Rule(stop=stop, has_gold=has_gold), spammer_frac=frac)
        for has_gold in (True, False)
        for frac in SPAMMER_FRACS
        for stop in STOPS
    ]
    thresholds = [
        {"threshold": threshold} | outcomes(rule=Rule(stop="dawid-skene", threshold=threshold), spammer_frac=0.2)
        for threshold in THRESHOLDS
    ]
    return {
        "program": "python -m benchmarks.crowd_study",
        "what": "precision, recall and answers per clip of three rules of asking on simulated crowds; means of 3 seeds",
        "hardware": "simulated",
        "num_workers": NUM_WORKERS,
        "num_clips": NUM_CLIPS,
        "num_gold": NUM_GOLD,
        "seeds": list(SEEDS),
        "rows": rows,
        "thresholds": thresholds,
    }


def page(result: Mapping[str, Any]) -> str:
    """The page, in Markdown, of a stored result."""
    rows = result["rows"]
    words = {
        "clips_a_task": CLIPS_A_TASK,
        "gold_a_task": GOLD_A_TASK,
        "presumed": _presumed(),
        "others": " and ".join(f"{share:.0%} are {kind}" for kind, share in HONEST.items()),
        "share_10": _share_of_answers(0.1),
        "share_40": _share_of_answers(0.4),
    }
    parts = [_HEAD.format(**result, **words)]
    parts += ["| kind | right | tasks to a careful worker's one |\n|---|---|---|\n"]
    for name, kind in WORKER_KINDS.items():
        right = (
            "{:g} % to {:g} %".format(*(100 * right for right in kind.right))
            if kind.right
            else _habit(kind.habit_A or ())
        )
        parts.append(f"| {name} | {right} | {kind.pace:g} |\n")
    parts.append("\n![Answers per clip, precision and recall](figures/crowd_study.svg)\n")
    for has_gold, title in ((True, "With gold"), (False, "Without gold")):
        parts.append(f"\n## {title}\n\n{_WITH_GOLD if has_gold else _WITHOUT_GOLD}\n\n")
        parts.append(_table([row for row in rows if row["gold"] == has_gold], has_gold=has_gold))
    parts.append(f"\n## How likely is likely enough\n\n{_THRESHOLDS}\n\n")
    columns = ("threshold", "precision", "recall", "right", "answers per clip")
    parts.append(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n")
    for row in result["thresholds"]:
        parts.append(
            f"| {row['threshold']} | {row['precision']:.4f} | {row['recall']:.4f} | {row['accuracy']:.4f} "
            f"| {row['answers_per_clip']:.2f} |\n"
        )
    parts.append(_saved(rows))
    return "".join(parts)


def _presumed() -> str:
    share = PRESUMED_KA.diagonal().sum() / PRESUMED_KA.sum()
    return f"{PRESUMED_KA[0].sum():.0f} votes of each true answer, {share:.0%} of them right"


def _share_of_answers(spammer_frac: float) -> float:
    """The share of answers that so large a share of workers gives who are spammers."""
    shares = {kind: share * (1 - spammer_frac) for kind, share in HONEST.items()}
    shares["careful"] = 1 - spammer_frac - sum(shares.values())
    honest = sum(share * WORKER_KINDS[kind].pace for kind, share in shares.items())
    spam = spammer_frac * WORKER_KINDS["spammer-yes"].pace
    return spam / (spam + honest)


def _habit(habit_A: Sequence[float]) -> str:
    names = ("yes", "no", "unsure", "broken")
    return "never looks: " + ", ".join(
        f"{share:.0%} {name}" for share, name in zip(habit_A, names, strict=True) if share
    )


def _table(rows: Sequence[Row], *, has_gold: bool) -> str:
    columns = ["spammers", "rule", "precision", "recall", "right", "right, by seed", "answers per clip"]
    columns += ["gold per clip", "spammers barred", "honest barred"] if has_gold else []
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        cells = [
            f"{row['spammers']:.0%}", STOPS[row["rule"]], f"{row['precision']:.4f}", f"{row['recall']:.4f}",
            f"{row['accuracy']:.4f}", f"{row['accuracy_least']:.4f} to {row['accuracy_largest']:.4f}",
            f"{row['answers_per_clip']:.2f}",
        ]  # fmt: skip
        if has_gold:
            cells += [f"{row['gold_per_clip']:.2f}"]
            cells += [f"{row[name]:.1f}" for name in ("num_spammers_barred", "num_honest_barred")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _saved(rows: Sequence[Row]) -> str:
    """What the rules save beside five answers, in a sentence."""
    paid = {
        (row["rule"], row["spammers"]): row["answers_per_clip"] + row["gold_per_clip"] for row in rows if row["gold"]
    }
    shares = {
        stop: [1 - paid[stop, frac] / paid["fixed", frac] for frac in SPAMMER_FRACS]
        for stop in STOPS
        if stop != "fixed"
    }
    saved = "; ".join(f"{STOPS[stop]} {min(some):.0%} to {max(some):.0%}" for stop, some in shares.items())
    return f"\n## What is saved\n\nWith gold, of what five answers to every clip and their gold cost: {saved}.\n"


def draw(result: Mapping[str, Any], path: Path) -> Path:
    """The path of the figure: answers per clip, precision and recall over the share of spammers, as SVG."""
    style: dict[Any, Any] = {
        "svg.hashsalt": "gesta", "svg.fonttype": "none", "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"], "font.size": 8.0, "axes.spines.top": False, "axes.spines.right": False,
        "axes.titlesize": 10.0, "axes.titlelocation": "left", "legend.frameon": False,
        "figure.constrained_layout.use": True,
    }  # fmt: skip
    panels = (("answers per clip", "answers_per_clip"), ("precision", "precision"), ("recall", "recall"))
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(style)
        figure = Figure(figsize=(9.0, 3.2))
        for axes, (title, column) in zip(figure.subplots(1, 3), panels, strict=True):
            for stop, name in STOPS.items():
                for has_gold in (True, False):
                    rows = [row for row in result["rows"] if row["rule"] == stop and row["gold"] == has_gold]
                    axes.plot(
                        [100 * row["spammers"] for row in rows],
                        [row[column] for row in rows],
                        color=COLOURS[stop],
                        linestyle="-" if has_gold else "--",
                        marker="o",
                        markersize=3,
                        label=f"{name}, {'gold' if has_gold else 'no gold'}",
                    )
            axes.set_title(title)
            axes.set_xlabel("spammers, % of workers")
            axes.grid(axis="y", color="#D5D8DC", linewidth=0.6)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        with whole_file(path) as temporary:
            FigureCanvasSVG(figure).print_figure(temporary, metadata={"Date": None, "Creator": None}, format="svg")
    return path


_HEAD = """# What a rule of asking costs

Made by `python -m benchmarks.crowd_study` from the numbers in `benchmarks/results` (`crowd-study_simulated_*.json`).
Simulated crowds label simulated clips; nobody was asked. {num_workers} workers, {num_clips:,} clips, half of which show
the action and 5 % of which are broken; {num_gold} more clips are known (gold), and {gold_a_task} of them come with
every {clips_a_task} others. Means over seeds {seeds}; within a seed every rule meets the same workers and clips, and a
worker answers a clip in the same way whoever asks. Honest workers are taken in by difficult clips (mean difficulty 0.14
of 1); spammers do not look, and are much quicker: 10 % of workers give {share_10:.0%} of the answers, 40 % of them
{share_40:.0%}, until they are barred. Of the other workers {others}; the rest are careful.

The rules:

- **fixed 5**: five answers to every clip; three yes accept it.
- **early stop**: Kinetics-400, section 3.3: five at most, and none more once an answer has been given three times.
  On the same answers it comes to the same verdict as *fixed 5*, for less; small differences below are those of who
  answers.
- **Dawid-Skene**: after every turn (a task of each worker) the workers' confusions are estimated anew (EM) from
  gold and from the clips that have two answers or more; {presumed}, are
  presumed of everybody. A clip is settled when its likeliest answer has a chance of 0.95, or five answers are there.

*answers per clip* counts all that were paid for, those of barred workers too, but not gold, which stands in a column of
its own. *right* is the share of clips rightly accepted or not accepted.

"""

_WITH_GOLD = (
    "Workers who have fewer than 70 % of at least 8 gold answers right are asked no more; all their answers are set "
    "aside and asked anew."
)
_WITHOUT_GOLD = (
    "Everybody is believed, as far as the rule believes them; the Dawid-Skene stop has only the votes to know workers "
    "from. When spammers give most of the answers it can take their side."
)
_THRESHOLDS = "The Dawid-Skene stop with gold and 20 % spammers, at other thresholds than 0.95."


def stored() -> Path:
    """The newest stored result."""
    return max(RESULTS.glob("crowd-study_simulated_*.json"))


def main() -> None:
    """Simulate and store, unless `--page`; then write the page and the figure of what is stored."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", action="store_true", help="from the stored result, without simulating")
    if not parser.parse_args().page:
        date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        # Not with sorted keys: the order of a row's parts is that of the page's columns.
        text = json.dumps({"date": date, **numbers()}, indent=1) + "\n"
        write_text(RESULTS / f"crowd-study_simulated_{date}.json", text)
    result = json.loads(stored().read_text())
    write_text(DOCS / "crowd-study.md", page(result))
    for path in (stored(), DOCS / "crowd-study.md", draw(result, DOCS / "figures" / "crowd_study.svg")):
        print(path.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
