"""The tables and figures of the papers' data sections, made from the real files at hand, beside the papers' numbers.

Not a measure of speed: what is compared is what `gesta stats` counts. Of AVA there are four films of val (v2.1), of
AVA-Kinetics half of the clips of val, of Kinetics-400 val and test, of Kinetics-600 val, of Kinetics-700 (2019) val and
test. So whole tables cannot be had; each row says what was counted.

Run: python -m benchmarks.papers_numbers [--shared FOLDER]
FOLDER is the folder of real files (its `data`). Writes `benchmarks/results/papers_real-files_<date>.json`, the page
`docs/papers-numbers.md` and the pictures in `docs/figures`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gesta.formats import read_excluded_timestamps, read_included_timestamps, read_kinetics_csv, read_label_map
from gesta.formats.papers import paper_table, paper_tables
from gesta.stats import (
    Asked,
    Beside,
    Overlay,
    Stats,
    count_class_pairs,
    named_targets,
    npmi,
    npmi_tables,
    rows_of_file,
    stats_of_targets,
    write_stats,
)
from gesta.tables import write_text

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).resolve().parents[1] / "docs"
FIGURES = {
    "samples_per_class": "Figure 2 of AVA-Kinetics: samples per class, the rarer half again above.",
    "videos_per_class": "Figure 3 of AVA-Kinetics: unique videos per class. Stacked bars on a log axis would "
    "lie about "
    "their upper part, so the datasets are marks.",
    "boxes_per_key_frame": "Figure 4 of AVA-Kinetics: boxes per key-frame, as shares.",
    "box_areas": "Figure 5 of AVA-Kinetics: areas of boxes, the frame being a 1x1 square.",
    "groups": "Appendix B of Kinetics-400: clips of val in each parent group.",
}  # fmt: skip
Row = dict[str, Any]


def _share(number: float, whole: float) -> float:
    return round(number / whole, 4)


def side_by_side(data: Path) -> Overlay:
    """AVA val (four films, every included second) beside AVA-Kinetics val (half of the clips)."""
    ava = data / "annotations" / "ava"
    stats = stats_of_targets(
        named_targets(
            [ava / "ava_val_v2.1_4videos.csv", data / "annotations/ava_kinetics/kinetics_val_v1.0_half.csv"],
            ["AVA/val", "Kinetics/val"],
        ),
        beside=Beside(
            label_map=ava / "ava_action_list_v2.2.pbtxt",
            included=ava / "ava_included_timestamps_v2.2.txt",
            excluded=(ava / "ava_val_excluded_timestamps_v2.2.csv",),
        ),
    )
    assert isinstance(stats, Overlay)
    return stats


def table_1(data: Path, overlay: Overlay) -> list[Row]:
    """Key-frames and videos: AVA's from its lists of films and seconds, Kinetics' from half of val."""
    ava = data / "annotations" / "ava"
    per_film = len(read_included_timestamps(ava / "ava_included_timestamps_v2.2.txt"))
    films = {part: len((ava / f"ava_file_names_{part}_v2.1.txt").read_text().split()) for part in ("trainval", "test")}
    out = {
        split: len(read_excluded_timestamps(ava / f"ava_{split}_excluded_timestamps_v2.2.csv"))
        for split in ("train", "val", "test")
    }
    printed = {
        (split, dataset): (frames, videos)
        for split, dataset, frames, videos in paper_table("ava_kinetics_table_1").frame.iter_rows()
    }
    both = tuple(a + b for a, b in zip(printed["train", "AVA"], printed["val", "AVA"], strict=True))
    rows = []
    for name, num_films, num_out, paper in (
        ("AVA train + val", films["trainval"], out["train"] + out["val"], both),
        ("AVA train", 235, out["train"], printed["train", "AVA"]),
        ("AVA val", 64, out["val"], printed["val", "AVA"]),
        ("AVA test", films["test"], out["test"], printed["test", "AVA"]),
    ):
        made_of = f"{num_films} films x {per_film} seconds - {num_out} excluded"
        rows.append(
            {
                "of": name,
                "made of": made_of,
                "frames": num_films * per_film - num_out,
                "videos": num_films,
                "paper frames": paper[0],
                "paper videos": paper[1],
            }
        )
    counted = overlay.tables["frames_and_videos"].filter(split="val")
    for dataset, made_of, paper in (
        ("AVA", "four films of val", (None, None)),
        ("Kinetics", "half of val", printed["val", "Kinetics"]),
        ("AVA-Kinetics", "both", (None, None)),
    ):
        frames, videos = counted.filter(dataset=dataset).select("num_key_frames", "num_videos").row(0)
        rows.append(
            {
                "of": f"{dataset} val, at hand",
                "made of": made_of,
                "frames": frames,
                "videos": videos,
                "paper frames": paper[0],
                "paper videos": paper[1],
            }
        )
    return rows


def findings(overlay: Overlay) -> list[Row]:
    """What sections 2.1 to 2.5 say, beside val."""
    ava, kinetics = (overlay.stats[name].totals for name in ("AVA", "Kinetics"))
    spread = {name: dict(overlay.stats[name].tables["boxes_per_key_frame"].iter_rows()) for name in ("AVA", "Kinetics")}
    listen = {
        row["dataset"]: row["num_boxes"]
        for row in overlay.tables["classes"].to_dicts()
        if row["name"] == "listen (e.g., to music)"
    }

    def above(name: str, low: int) -> float:
        return _share(sum(n for boxes, n in spread[name].items() if boxes > low), sum(spread[name].values()))

    def at(name: str, number: int) -> float:
        return _share(spread[name].get(number, 0), sum(spread[name].values()))

    return [
        {
            "what": "boxes per key-frame, mean (2.4)",
            "AVA": ava["mean_boxes_per_key_frame"],
            "paper AVA": 1.5,
            "Kinetics": kinetics["mean_boxes_per_key_frame"],
            "paper Kinetics": 1.2,
        },
        {
            "what": "key-frames without a box (2.4: a substantial number)",
            "AVA": at("AVA", 0),
            "Kinetics": at("Kinetics", 0),
        },
        {"what": "key-frames with one box (2.4: the majority)", "AVA": at("AVA", 1), "Kinetics": at("Kinetics", 1)},
        {
            "what": "key-frames with more than five (2.4: very rare)",
            "AVA": above("AVA", 5),
            "Kinetics": above("Kinetics", 5),
        },
        {
            "what": "box area at the peak (figure 5)",
            "AVA": ava["peak_box_area"],
            "paper AVA": 0.02,
            "Kinetics": kinetics["peak_box_area"],
            "paper Kinetics": 0.01,
        },
        {
            "what": "square root of the box area, median",
            "AVA": ava["median_box_side"],
            "Kinetics": kinetics["median_box_side"],
        },
        {
            "what": "videos of the class with most (figure 3; paper: train)",
            "AVA": ava["max_videos_per_box_class"],
            "paper AVA": 235,
            "Kinetics": kinetics["max_videos_per_box_class"],
            "paper Kinetics": "over 10,000",
        },
        {
            "what": "videos per class, median (2.2; paper: train)",
            "AVA": ava["median_videos_per_box_class"],
            "Kinetics": kinetics["median_videos_per_box_class"],
            "paper Kinetics": "over 300",
        },
        {
            "what": 'samples of "listen (e.g., to music)" (2.1: Kinetics adds most)',
            "AVA": listen["AVA"],
            "Kinetics": listen["Kinetics"],
        },
    ]


def npmi_beside(data: Path) -> dict[str, Any]:
    """Tables 2 and 3: the three best partners here and there, and our value of each printed pair."""
    folder = data / "annotations"
    names = read_label_map(folder / "ava/ava_action_list_v2.2.pbtxt").sort("class_id")
    rows = rows_of_file(folder / "ava_kinetics/kinetics_val_v1.0_half.csv")
    clips = read_kinetics_csv(folder / "kinetics/kinetics-700_validate.csv").rename({"label": "clip_class"})
    clip_classes = clips["clip_class"].unique().sort()
    found: dict[str, Any] = {}
    for over in ("labels", "clips"):
        counts = count_class_pairs(
            rows.boxes, clips, clip_classes=clip_classes, box_classes=names["class_id"], over=over
        )  # fmt: skip
        values_XY = npmi(counts)
        place = {name: i for i, name in enumerate(clip_classes)}, {name: i for i, name in enumerate(names["name"])}
        tables = npmi_tables(counts, clip_classes=clip_classes, box_classes=names["name"])
        pairs, num_same, num_all, firsts = [], 0, 0, {"ava_kinetics_table_2": 0, "ava_kinetics_table_3": 0}
        for table, mine, other in (
            ("ava_kinetics_table_2", "clip_class", "box_class"),
            ("ava_kinetics_table_3", "box_class", "clip_class"),
        ):
            printed = paper_table(table).frame
            ours = tables[f"npmi_of_{mine}es"]
            lines = []
            for name in printed[mine].unique(maintain_order=True):
                top = ours.filter(pl.col(mine) == name)
                theirs = printed.filter(pl.col(mine) == name)
                num_same += len(set(top[other]) & set(theirs[other]))
                num_all += len(theirs)
                firsts[table] += int(top[other].head(1).to_list() == theirs[other].head(1).to_list())
                lines.append(
                    {
                        mine.replace("_", " "): name,
                        "paper": _listed(theirs, other),
                        "here": _listed(top, other),
                        "labels here": _number_of(top, mine),
                    }
                )
                for line in theirs.to_dicts():
                    x, y = place[0][line["clip_class"]], place[1][line["box_class"]]
                    if counts.num_XY[x, y]:
                        pairs.append((line["npmi"], float(values_XY[x, y])))
            if over == "labels":
                found[table.replace("ava_kinetics_", "npmi_")] = lines
        paper, here = np.array(pairs).T
        found.setdefault("npmi_agreement", []).append(
            {
                "p is a share of": "box labels" if over == "labels" else "clips",
                "draws": counts.num_draws,
                "printed pairs seen here": len(pairs),
                "mean difference": round(float((here - paper).mean()), 3),
                "mean distance": round(float(np.abs(here - paper).mean()), 3),
                "correlation": round(float(np.corrcoef(paper, here)[0, 1]), 3),
                "same first partner, table 2 and 3": " and ".join(f"{number} of 15" for number in firsts.values()),
                "of the printed partners, also here among the three best": f"{num_same} of {num_all}",
            }
        )
    return found


def _listed(frame: pl.DataFrame, other: str) -> str:
    return "; ".join(f"{name} ({value:.2f})" for name, value in frame.select(other, "npmi").iter_rows())


def _number_of(frame: pl.DataFrame, mine: str) -> int:
    return int(frame[f"num_{mine}"][0]) if len(frame) else 0


def kinetics_lists(data: Path) -> list[Row]:
    """Clips of the real lists beside those printed, published and still available on 2020-10-14."""
    folder = data / "annotations" / "kinetics"
    printed = {
        (d, s): (n, a)
        for d, s, n, a in paper_table("kinetics_700_2020_table_2")
        .frame.select("dataset", "split", "num_clips", "num_available")
        .iter_rows()
    }
    rows = []
    for file, dataset, split in (
        ("kinetics-400_val.csv", "Kinetics-400", "val"),
        ("kinetics-400_test.csv", "Kinetics-400", "test"),
        ("kinetics-600_val.csv", "Kinetics-600", "val"),
        ("kinetics-700_validate.csv", "Kinetics-700", "val"),
        ("kinetics-700_test.csv", "Kinetics-700", "test"),
    ):
        totals = _stats(folder / file).totals
        published, available = printed[dataset, split]
        mean = totals["mean_clips_per_class"]
        low, high = totals["min_clips_per_class"], totals["max_clips_per_class"]
        rows.append(
            {
                "list": f"{dataset} {split}",
                "clips": totals["num_clips"],
                "videos": totals["num_videos"],
                "paper published": published,
                "paper on 2020-10-14": available,
                "share of published": _share(float(totals["num_clips"] or 0), published),
                "per class": f"{low} to {high}, mean {mean:.2f}" if mean else "no labels",
            }
        )
    return rows


def _stats(path: Path, *, asked: Asked | None = None, beside: Beside | None = None) -> Stats:
    stats = stats_of_targets(named_targets([path]), asked=asked, beside=beside)
    assert isinstance(stats, Stats)
    return stats


def retained(data: Path) -> list[Row]:
    """Which videos of earlier lists are in later ones."""
    folder = data / "annotations" / "kinetics"
    rows = []
    for early, late in (
        ("400_val", "600_val"),
        ("400_val", "700_validate"),
        ("600_val", "700_validate"),
        ("400_test", "700_test"),
    ):
        stats = _stats(folder / f"kinetics-{early}.csv", asked=Asked(later=folder / f"kinetics-{late}.csv"))
        _, _, clips, there, share = stats.tables["retention"].filter(split="all").row(0)
        rows.append(
            {
                "of": early.replace("_", " "),
                "in": late.replace("_", " "),
                "clips": clips,
                "named again": there,
                "share": share,
            }
        )
    return rows


def earlier(data: Path) -> list[Row]:
    """The row of UCF-101 in table 1 of Kinetics-400, beside its split files."""
    found = _stats(data / "annotations" / "ucf101")
    printed = paper_table("kinetics_400_table_1").frame.row(by_predicate=pl.col("dataset") == "UCF-101", named=True)
    lists = [(data / f"annotations/ucf101/{name}list01.txt").read_text().split() for name in ("train", "test")]
    # A clip is v_<class>_g<group>_c<clip>.avi; the clips of a group are of one video.
    names = [word.split("/")[1] for words in lists for word in words if "/" in word]
    totals = found.totals
    return [
        {"what": "classes", "paper": printed["num_classes"], "here": totals["num_classes"]},
        {"what": "clips", "paper": printed["num_clips"], "here": totals["num_clips"]},
        {"what": "least clips of a class", "paper": printed["clips_per_class"], "here": totals["min_clips_per_class"]},
        {
            "what": "videos (here: groups of clips)",
            "paper": printed["num_videos"],
            "here": len({name.rsplit("_c", 1)[0] for name in names}),
        },
    ]


def appendix_a(data: Path) -> list[Row]:
    """Classes of Kinetics-400 by the clips that appendix A prints, and how many of val's fifty are left."""
    classes = _stats(data / "annotations/kinetics/kinetics-400_val.csv").tables["classes"]
    printed = paper_table("kinetics_400_classes").frame.with_columns(
        pl.col("name").replace({"massaging person": "massaging person's head"})
    )
    joined = printed.join(classes, on="name", suffix="_val")
    assert len(joined) == len(printed)
    edges = [(0, 400), (400, 500), (500, 600), (600, 800), (800, 1000), (1000, 1151)]
    rows = []
    for low, high in edges:
        part = joined.filter(pl.col("num_clips").is_between(low, high, closed="left"))
        rows.append(
            {
                "printed clips": f"{low} to {high - 1}" if low else "below 400",
                "classes": len(part),
                "clips printed": int(part["num_clips"].sum()),
                "clips in val": int(part["num_clips_val"].sum()),
                "val per class": round(float(str(part["num_clips_val"].mean())), 2),
            }
        )
    rows.append(
        {
            "printed clips": "all",
            "classes": len(joined),
            "clips printed": int(joined["num_clips"].sum()),
            "clips in val": int(joined["num_clips_val"].sum()),
            "val per class": round(float(str(joined["num_clips_val"].mean())), 2),
        }
    )
    return rows


def parents(stats: Stats) -> list[Row]:
    """Groups of appendix B: the size printed, the names listed, the classes of the released file."""
    printed = (
        paper_table("kinetics_400_parents")
        .frame.group_by("group")
        .agg(pl.col("num_printed").first(), pl.len().alias("listed"))
    )
    real = stats.tables["groups"]
    joined = real.join(printed, on="group", how="left").sort("group")
    return [
        {
            "group": row["group"],
            "printed size": row["num_printed"],
            "names listed": row["listed"],
            "released file": row["num_classes"],
            "clips of val": row["num_clips"],
        }
        for row in joined.to_dicts()
        if len({row["num_printed"], row["listed"], row["num_classes"]}) > 1
    ]


def rare_classes(data: Path) -> list[Row]:
    """The 123 classes topped up in 2020, beside the other 577: clips of the 2019 lists, which fell short of "
    "50."""
    classes = _stats(data / "annotations/kinetics/kinetics-700_validate.csv").tables["classes"]
    yields = paper_table("kinetics_700_2020_yields").frame
    rare = classes.filter(pl.col("name").is_in(yields["name"].implode()))
    others = classes.filter(~pl.col("name").is_in(yields["name"].implode()))
    return [
        {
            "classes": f"{what} ({len(part)})",
            "clips of val per class, mean": round(float(str(part["num_clips"].mean())), 2),
            "least": int(str(part["num_clips"].min())),
        }
        for what, part in (("the 123 of appendix A", rare), ("the others", others))
    ] + [
        {
            "classes": "percent accepted, percent published (paper)",
            "clips of val per class, mean": "",
            "least": f"{yields['percent_accepted'].mean():.2f}, {yields['percent_published'].mean():.2f} on average",
        }
    ]


def class_lists(data: Path, overlay: Overlay) -> list[Row]:
    """The 27 AVA classes chosen for poor recognition, with their samples in val, rarest last."""
    short = paper_table("ava_kinetics_shortlist").frame
    table = overlay.tables["classes"].filter(pl.col("dataset").is_in(["AVA", "Kinetics"]))
    wide = table.pivot(on="dataset", index="name", values="num_boxes")
    joined = short.join(wide, on="name", how="left", maintain_order="left").sort(
        "Kinetics", descending=True, maintain_order=True
    )
    return [{"class": name, "AVA": ava, "Kinetics": kinetics} for name, ava, kinetics in joined.iter_rows()]


def numbers(data: Path) -> dict[str, Any]:
    """Everything that is compared, as plain JSON values."""
    overlay = side_by_side(data)
    folder = data / "annotations" / "kinetics"
    k400 = _stats(folder / "kinetics-400_val.csv", beside=Beside(parents=folder / "k400_parents.json"))
    most = (
        overlay.tables["classes"]
        .pivot(on="dataset", index="name", values="num_boxes")
        .sort(overlay.combined, descending=True)
    )
    return {
        "what": "tables and figures of the papers' data sections made from the real files at hand, beside the "
        "papers' numbers",
        "program": "python -m benchmarks.papers_numbers --shared FOLDER",
        "table_1": table_1(data, overlay),
        "findings": findings(overlay),
        "samples": [
            {"class": row["name"], "AVA": row["AVA"], "Kinetics": row["Kinetics"]} for row in most.head(12).to_dicts()
        ],
        "shortlist": class_lists(data, overlay),
        **npmi_beside(data),
        "kinetics_lists": kinetics_lists(data),
        "retention": retained(data),
        "ucf101": earlier(data),
        "appendix_a": appendix_a(data),
        "parents": parents(k400),
        "rare_classes": rare_classes(data),
    }


def draw(data: Path, folder: Path) -> list[Path]:
    """The pictures of `FIGURES`, as SVG."""
    kinetics = data / "annotations" / "kinetics"
    groups = _stats(kinetics / "kinetics-400_val.csv", beside=Beside(parents=kinetics / "k400_parents.json"))
    written = []
    for stats, wanted in ((side_by_side(data), [name for name in FIGURES if name != "groups"]), (groups, ["groups"])):
        with tempfile.TemporaryDirectory() as made:
            write_stats(stats, data, out=Path(made), pictures=True)
            for name in wanted:
                target = folder / f"{name}.svg"
                # Lines without a blank at their end, as every text here.
                text = (Path(made) / f"{name}.svg").read_text()
                write_text(target, "\n".join(line.rstrip() for line in text.split("\n")))
                written.append(target)
    return written


def _table(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    listed = list(rows)
    names = list(dict.fromkeys(name for row in listed for name in row))
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    return [*lines, *("| " + " | ".join(_cell(row.get(name)) for name in names) + " |" for row in listed), ""]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if isinstance(value, float) else str(value)


def page(result: Mapping[str, Any]) -> str:
    """`docs/papers-numbers.md`, whole, from the stored result and the papers' tables."""
    parts = [
        "# The papers' numbers, and ours\n",
        "Made by `python -m benchmarks.papers_numbers` from the real files at hand; every number of ours stands in",
        f"`benchmarks/results` (`papers_real-files_{result['date']}.json`). The papers' numbers are data of the",
        'package: `gesta.formats.papers.paper_table("ava_kinetics_table_1")`. At hand are four films of AVA val',
        "(v2.1), half of the clips of AVA-Kinetics val, and the lists of Kinetics-400 (val, test), -600 (val) and -700",
        "of 2019 (val, test): no training set, so most tables can be compared in shape and not in size.\n",
    ]
    for title, name, words in _SECTIONS:
        if title:
            parts.append(f"## {title}\n")
        parts += [words + "\n", *(_table(result[name]) if name else [])]
        parts += [
            f"![{said}](figures/{figure}.svg)\n\n{said}\n"
            for figure, said in FIGURES.items()
            if _FIGURE_AFTER[figure] == name
        ]
    parts.append("## What does not add up in the papers\n")
    parts.append("Found while the printed tables were taken from the papers' text; nothing was corrected.\n")
    for name in paper_tables():
        table = paper_table(name)
        parts.append(f"- **{table.paper}**, {table.where} (`{name}`): {table.what}. {' '.join(table.notes)}")
    return "\n".join(parts).rstrip() + "\n"


_FIGURE_AFTER = {
    "samples_per_class": "samples", "videos_per_class": "samples", "boxes_per_key_frame": "findings",
    "box_areas": "findings", "groups": "parents",
}  # fmt: skip
_SECTIONS = (
    (
        "AVA-Kinetics, table 1: key-frames and videos",
        "table_1",
        "AVA's key-frames are every second of 0902 to 1798 of every film but the excluded ones, with a box or "
        "without: so "
        "counted, the paper's number comes out for each split. `gesta stats --included ... --excluded ...` "
        "counts them so.",
    ),
    (
        "AVA-Kinetics, sections 2.1 to 2.5 and figures 3 to 5",
        "findings",
        "The four films meet AVA's mean of 1.5 boxes a key-frame only when key-frames that no line of the csv names "
        "count too (without them it is 1.72): a further sign that the paper counts them.",
    ),
    (
        "AVA-Kinetics, figures 2 and 3: samples and videos per class",
        "samples",
        "The twelve classes with most samples in what is at hand. Both datasets are long-tailed.",
    ),
    (
        "AVA-Kinetics, footnote 1: the 27 classes of weak recognition",
        "shortlist",
        "Samples in what is at hand. Of the 115 Kinetics classes picked for them the text at hand prints 23.",
    ),
    (
        "AVA-Kinetics, equation 1 and tables 2 and 3: NPMI",
        "npmi_agreement",
        "Printed is (log p(x) + log p(y)) / log p(x, y) - 1, which equals standard NPMI: log(p(x, y) / (p(x) "
        "p(y))) / "
        "-log p(x, y). Its range is the stated one, -1 to 1, if a pair never seen is -1 (the formula has no "
        "value there, "
        "only that limit); p(x, y) = 1 is 0 / 0 and set to 0. What p is a share of is not said: shares of box "
        "labels come "
        "closer to the printed values than shares of clips, and are what gesta takes. The paper has train and "
        "val, here is "
        "half of val, so values differ, most where a class has a handful of labels.",
    ),
    ("", "npmi_table_2", "Table 2, side by side:"),
    ("", "npmi_table_3", "Table 3, side by side (the paper's rarest classes; some are not seen here at all):"),
    (
        "Kinetics-400, table 2, and Kinetics-700-2020, tables 1 and 2: clips",
        "kinetics_lists",
        "The lists at hand of Kinetics-400 and -700 hold fewer clips than were published; that of Kinetics-600 "
        "val all.",
    ),
    (
        "",
        "retention",
        "Which clips of one list have their video in another (`gesta stats LIST --later LIST`): Kinetics-600 "
        "kept two thirds of the val of Kinetics-400 in its own, Kinetics-700 almost none.",
    ),
    (
        "Kinetics-400, table 1: UCF-101",
        "ucf101",
        "The one earlier dataset of the table whose files are at hand: its smallest class (TaiChi) has 100 clips.",
    ),
    (
        "Kinetics-400, appendix A: clips per class",
        "appendix_a",
        "The printed counts sum to the paper's total, 306,245. Val had fifty of each class, small or large, "
        "and has lost few.",
    ),
    (
        "Kinetics-400, appendix B: parent groups",
        "parents",
        "Groups whose printed size, listed names and released file do not agree; the other groups agree in all "
        "three. "
        '"custom" is in the released file only.',
    ),
    (
        "Kinetics-700-2020, appendix A: yields of the 123 rarest classes",
        "rare_classes",
        "The classes that were topped up in 2020 are no smaller in the val of 2019; what they lacked must be "
        "in train or test. "
        "`gesta stats WORK` makes the same two shares from the votes (table `yields`).",
    ),
)


def stored() -> Path:
    """The newest stored result."""
    return max(RESULTS.glob("papers_real-files_*.json"))


def main() -> None:
    """Count, draw, and write the result, the page and the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    # As the tests find it: GESTA_SHARED, or `shared` beside the checkout.
    default = Path(os.environ.get("GESTA_SHARED", DOCS.parents[1] / "shared")) / "data"
    parser.add_argument("--shared", type=Path, default=default, help="folder of real files (its data)")
    data = parser.parse_args().shared
    if not data.is_dir():
        print(f"the folder of real files is absent: {data}; nothing done (name it: --shared)")
        return
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    result = {"date": date, **numbers(data)}
    path = RESULTS / f"papers_real-files_{date}.json"
    # Not with sorted keys: the order of a row's parts is that of the page's columns.
    write_text(path, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    write_text(DOCS / "papers-numbers.md", page(json.loads(path.read_text())))
    for picture in [path, DOCS / "papers-numbers.md", *draw(data, DOCS / "figures")]:
        print(picture.relative_to(DOCS.parent))


if __name__ == "__main__":
    main()
