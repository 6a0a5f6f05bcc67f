"""Every number and name that the package ships of the papers, against the papers' text, line by line.

Each table has a reader here that takes its rows out of the text by itself. A row that differs is told with the file
and the line where the paper prints it; a table without a reader, or a shipped row without a printed one, is a failure.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gesta.formats.papers import paper_table, paper_tables

Row = tuple[int, tuple[object, ...]]
"""The line where a row is printed (its first, where it has several), and the row."""


class Text:
    """A paper's text: its lines, from 1, and all of it on one line to look for quotations in."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.lines = [_plain(line) for line in path.read_text(encoding="utf-8").split("\n")]
        self.whole = " ".join(self.lines)
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def line_at(self, offset: int) -> int:
        return bisect_right(self._starts, offset)

    def line_of(self, exact: str, *, after: int = 0) -> int:
        """The first line of just that text, behind the line `after`."""
        return next(i for i, line in enumerate(self.lines, start=1) if i > after and line.strip() == exact)

    def quoted(self, pattern: str) -> tuple[int, re.Match[str]]:
        """The line of the pattern's first group, and the match; it must be there exactly once."""
        found = list(re.finditer(pattern, self.whole))
        assert len(found) == 1, f"{self.name}: {pattern!r} stands there {len(found)} times"
        return self.line_at(found[0].start(1)), found[0]

    def between(self, first: int, last: int) -> list[tuple[int, str]]:
        """Numbers and texts of the lines that are not blank, both ends included."""
        return [(i, self.lines[i - 1].strip()) for i in range(first, last + 1) if self.lines[i - 1].strip()]


def _plain(line: str) -> str:
    return re.sub("[’‘]", "'", re.sub("[“”]", '"', line)).replace("–", "-").replace("−", "-").replace("\f", " ")


@pytest.fixture(scope="module")
def texts(shared: Path) -> dict[str, Text]:
    found = {}
    for paper, number in (("ava_kinetics", "000"), ("kinetics_400", "001"), ("kinetics_700_2020", "002")):
        (path,) = (shared.parent / "seeds").glob(f"{number}_*.txt")
        found[paper] = Text(path)
    return found


def number(text: str) -> float | int:
    bare = text.replace(",", "").strip(" %")
    return float(bare) if "." in bare else int(bare)


# Kinetics-400.


def kinetics_400_classes(text: Text) -> list[Row]:
    first = text.line_of("This is the list of classes included in the human action")
    found = {}
    for line, printed in text.between(first, len(text.lines)):
        if match := re.fullmatch(r"(\d+)\. (.+) \((\d+)\)", printed):
            found[int(match[1])] = (line, (int(match[1]), match[2], int(match[3])))
    return [found[rank] for rank in sorted(found)]


def kinetics_400_parents(text: Text) -> list[Row]:
    rows: list[Row] = []
    group: tuple[str, int] | None = None
    for line, printed in text.between(text.line_of("arts and crafts (12)"), len(text.lines)):
        if re.match(r"\d+\. ", printed):
            continue  # the last column of appendix A stands between
        if match := re.fullmatch(r"(.+) \((\d+)\)", printed):
            group = (match[1], int(match[2]))
        elif group is not None:
            rows.append((line, (*group, printed)))
    return rows


def kinetics_400_table_1(text: Text) -> list[Row]:
    first = text.line_of("HMDB-51 [15]")
    names = [printed.split(" [")[0] for _, printed in text.between(first, first + 3)]
    columns = []
    for head in ("Year", "Actions", "Clips", "Total", "Videos"):
        at = text.line_of(head, after=first)
        columns.append([(line, printed) for line, printed in text.between(at + 1, at + 4)])
    return [
        (
            columns[0][i][0],
            (
                "Kinetics" if i == 3 else name,
                *(number(columns[c][i][1]) if c != 2 else columns[c][i][1] for c in range(5)),
            ),
        )
        for i, name in enumerate(names)
    ]


def kinetics_400_table_2(text: Text) -> list[Row]:
    at = text.line_of("Train", after=130)
    low, high = text.lines[at].split("-")
    rows: list[Row] = [(at + 1, ("train", int(low), int(high)))]
    for split, head in (("val", "Validation"), ("test", "Test")):
        line = text.line_of(head, after=at)
        rows.append((line + 1, (split, int(text.lines[line]), int(text.lines[line]))))
    return rows


def kinetics_400_table_4(text: Text) -> list[Row]:
    at = text.line_of("Architecture", after=580)
    names = [printed.split(") ")[1] for _, printed in text.between(at + 1, at + 3)]
    cells: dict[tuple[str, str, str], tuple[int, str]] = {}
    blocks = text.between(
        at + 4,
        text.line_of(
            "Table 4: Baseline comparisons across datasets: (left) training and "
            "testing on split 1 of UCF-101; (middle) training and testing"
        )
        - 1,
    )
    numbers = [(line, printed) for line, printed in blocks if re.match(r"\d+\.\d|-$", printed)]
    # As the columns stand in the text: each dataset's RGB, then its flow and both, which are one block of two columns
    # for UCF-101 and HMDB-51 and two blocks for Kinetics.
    at_cell = iter(numbers)
    for dataset in ("UCF-101", "HMDB-51", "Kinetics"):
        for name in names:
            cells[name, "RGB", dataset] = next(at_cell)
        order = [(name, stream) for name in names for stream in ("Flow", "RGB+Flow")]
        if dataset == "Kinetics":
            order = [(name, stream) for stream in ("Flow", "RGB+Flow") for name in names]
        for name, stream in order:
            cells[name, stream, dataset] = next(at_cell)
    assert next(at_cell, None) is None
    rows: list[Row] = []
    for name in names:
        for stream in ("RGB", "Flow", "RGB+Flow"):
            for dataset in ("UCF-101", "HMDB-51", "Kinetics"):
                line, printed = cells[name, stream, dataset]
                if printed != "-":
                    top = [number(part) for part in printed.split(" / ")]
                    rows.append((line, (name, stream, dataset, top[0], top[1] if len(top) == 2 else None)))
    return rows


# Kinetics-700-2020.


def tabbed(text: Text, *, head: str) -> list[tuple[int, list[str]]]:
    at = next(i for i, line in enumerate(text.lines, start=1) if line.startswith(head))
    rows = []
    for line in range(at + 1, len(text.lines)):
        if not text.lines[line - 1].strip():
            return rows
        rows.append((line, text.lines[line - 1].split("\t")))
    return rows


def kinetics_700_2020_table_1(text: Text) -> list[Row]:
    return [(line, (cells[0], *map(number, cells[1:]))) for line, cells in tabbed(text, head="Dataset\t# classes")]


def kinetics_700_2020_table_2(text: Text) -> list[Row]:
    rows: list[Row] = []
    for line, (name, *cells) in tabbed(text, head="Dataset & split"):
        rows.append((line, (*name.split(" "), *(None if cell == "-" else number(cell) for cell in cells))))
    return rows


def kinetics_700_2020_table_3(text: Text) -> list[Row]:
    at = next(i for i, line in enumerate(text.lines, start=1) if line.startswith("Continent\t"))
    datasets = text.lines[at - 1].split("\t")[1:]
    return [
        (line, (name, dataset, number(cell)))
        for line, (name, *cells) in tabbed(text, head="Continent\t")
        for dataset, cell in zip(datasets, cells, strict=True)
    ]


def kinetics_700_2020_table_4(text: Text) -> list[Row]:
    return [
        (line, (name, split, *map(number, cell.split(" / "))))
        for line, (name, *cells) in tabbed(text, head="# train examples")
        for split, cell in zip(("val", "test"), cells, strict=True)
    ]


def kinetics_700_2020_yields(text: Text) -> list[Row]:
    rows: list[Row] = []
    for line, printed in text.between(1, len(text.lines)):
        if match := re.fullmatch(r"(\d+)\. (.+) (\d+\.\d\d)% (\d+\.\d\d)%", printed):
            rows.append((line, (int(match[1]), match[2], float(match[3]), float(match[4]))))
    return rows


# AVA-Kinetics.


def ava_kinetics_table_1(text: Text) -> list[Row]:
    at = text.line_of("Train", after=70)
    cells = [(line, number(printed)) for line, printed in text.between(at, at + 50) if re.fullmatch(r"[\d,]+", printed)]
    assert len(cells) == 24
    datasets = ("AVA", "Kinetics", "AVA-Kinetics")
    # Three columns of frames, then three of videos, each of train, val, test; then both totals, a row each.
    frames = {
        (split, d): cells[3 * i + j] for i, d in enumerate(datasets) for j, split in enumerate(("train", "val", "test"))
    }
    videos = {
        (s, d): cells[9 + 3 * i + j] for i, d in enumerate(datasets) for j, s in enumerate(("train", "val", "test"))
    }
    for i, dataset in enumerate(datasets):
        frames["total", dataset], videos["total", dataset] = cells[18 + i], cells[21 + i]
    return [
        (frames[split, dataset][0], (split, dataset, frames[split, dataset][1], videos[split, dataset][1]))
        for split in ("train", "val", "test", "total")
        for dataset in datasets
    ]


def partners(text: Text, *, first: str, last: str) -> list[Row]:
    """The rows of a table of which the text has the column of classes first, then their partners, a line a class."""
    at = text.line_of(first, after=text.line_of("Top relevant AVA classes" if first == "putting on sari" else last))
    names = []
    for line in range(at, at + 15):
        names.append(text.lines[line - 1].strip())
    rows: list[Row] = []
    for name, line in zip(names, range(at + 16, at + 31), strict=True):
        found = re.findall(r"(\S.*?) \((\d\.\d\d)\);", text.lines[line - 1])
        assert len(found) == 3, f"{text.name}:{line}"
        rows += [(line, (name, rank, other, float(npmi))) for rank, (other, npmi) in enumerate(found, start=1)]
    return rows


def ava_kinetics_table_2(text: Text) -> list[Row]:
    return partners(text, first="putting on sari", last="")


def ava_kinetics_table_3(text: Text) -> list[Row]:
    return partners(text, first="close (e.g., a door, a box)", last="Top relevant Kinetics classes")


def scores(text: Text, *, title: str) -> list[Row]:
    """Table 4 or 5: three rows of AVA and Kinetics, then the column of both by itself."""
    at = next(i for i, line in enumerate(text.lines, start=1) if line.startswith(title))
    trained = ("ava", "kinetics", "ava-kinetics")
    cells: list[tuple[int, float]] = []
    for line, printed in text.between(at, at + 40):
        if re.search(r"\d+\.\d\d\s*/\s?\d+\.\d\d", printed):
            cells += [(line, float(value)) for value in re.findall(r"\d+\.\d\d", printed)]
    assert len(cells) >= 18, len(cells)
    rows: list[Row] = []
    for i, train in enumerate(trained):
        four, two = cells[4 * i : 4 * i + 4], cells[12 + 2 * i : 14 + 2 * i]
        places = [(dataset, split) for dataset in ("ava", "kinetics", "ava-kinetics") for split in ("val", "test")]
        rows += [
            (line, (train, dataset, split, value))
            for (dataset, split), (line, value) in zip(places, [*four, *two], strict=True)
        ]
    return rows


def ava_kinetics_table_4(text: Text) -> list[Row]:
    return scores(text, title="Table 4. Performance of the Video Action Transformer")


def ava_kinetics_table_5(text: Text) -> list[Row]:
    return scores(text, title="Table 5. Performance of the Video Action Transformer")


def listed(text: Text, pattern: str) -> list[Row]:
    """The names of a list in running text, cut at commas outside brackets."""
    _, match = text.quoted(pattern)
    names, depth, start = [], 0, match.start(1)
    for place in range(match.start(1), match.end(1)):
        sign = text.whole[place]
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            names.append((start, text.whole[start:place]))
            start = place + 1
    names.append((start, text.whole[start : match.end(1)]))
    return [
        (text.line_at(at + len(name) - len(name.lstrip())), (" ".join(name.split()),))
        for at, name in names
        if name.strip()
    ]


def ava_kinetics_shortlist(text: Text) -> list[Row]:
    return listed(text, r"The poorly performing AVA classes we prioritize are: (.*?hand wave)\.")


def ava_kinetics_hand_picked(text: Text) -> list[Row]:
    return listed(text, r"The full list is the following: (swimming, .*)")


FINDINGS: dict[str, dict[tuple[str, ...], str]] = {
    "ava_kinetics_findings": {
        ("num_labels", "AVA"): r"for a total of (1\.6M) labels",
        ("num_videos", "AVA"): r"actions in (430) 15-minute movie clips",
        ("num_classes", "AVA"): r"densely annotates (80) atomic visual actions",
        ("num_evaluated_classes", "AVA"): r"only predict (60) classes",
        ("num_clips", "AVA-Kinetics"): r"contains over (230k) clips",
        ("max_videos_per_class", "AVA"): r"videos per class is (235), while",
        ("max_videos_per_class", "Kinetics"): r"Kinetics has over (10,000) unique videos for the top classes",
        ("median_videos_per_class", "Kinetics"): r"half of the classes in Kinetics have over (300) unique",
        ("mean_boxes_per_key_frame", "AVA"): r"boxes per frame in AVA is (1\.5) and",
        ("mean_boxes_per_key_frame", "Kinetics"): r"that of Kinetics is around (1\.2)\.",
        ("peak_box_area", "AVA"): r"peak area in AVA is around (0\.02) while",
        ("peak_box_area", "Kinetics"): r"peak in Kinetics is around (0\.01)\.",
        ("num_shortlisted_classes", "AVA"): r"shortlist of (27) out of the original 80 AVA classes",
        ("num_hand_picked_classes", "Kinetics"): r"we hand picked (115) Kinetics classes",
    },
    "kinetics_400_findings": {
        ("num_classes",): r"The dataset has (400) human action classes",
        ("min_clips_per_class",): r"with (400)-1150 clips for each action",
        ("max_clips_per_class",): r"with 400-(1150) clips for each action",
        ("num_videos",): r"The current version has (306,245) videos",
        ("clip_s",): r"Each clip lasts around (10)s\. The current",
        ("responses_per_video",): r"top k responses \(where k = (2)\)",
        ("half_clip_s",): r"created by taking (5) seconds either side",
        ("num_workers_at_once",): r"more than (400) distinct workers",
        ("clips_per_task",): r"The task consisted of (20) videos",
        ("golden_per_task",): r"(Two) of the video slots were used by us to inject groundtruth",
        ("min_golden_percent",): r"fell below a (50)% success rating",
        ("min_positive_votes",): r"receive at least (3) positive responses",
        ("max_votes",): r"each clip to be annotated (5) times",
        ("trial_clips",): r"were calculated after (20) clips from that class",
        ("trial_percent",): r"start at a high accuracy of (50)%",
        ("percent_dropped_same_video",): r"filtered out around (20)% of Turkerapproved examples",
        ("feature_frames",): r"center crops of (25) uniformly sampled frames",
        ("feature_crop_px",): r"on (224) × 224 center crops",
        ("min_cosine",): r"same threshold of (0\.97), but adjusted it in a few cases",
        ("percent_dropped_duplicates",): r"Turker-approved examples by a further (15)%",
        ("num_balanced_classes",): r"in (340) action classes out of the 400",
    },
    "kinetics_700_2020_findings": {
        (
            "num_classes",
        ): r"there are at least 700 video clips from different YouTube videos for each of the (700) classes",
        ("num_rarest_classes",): r"new clips for the (123) rarest classes",
        ("min_clips_per_class",): r"until they reach at least (700) per class",
        ("num_query_languages",): r"in all (four) query languages",
        ("percent_with_location",): r"containing that information \(around (90)%\)",
        ("min_positive_votes",): r"by (three) or more human annotators",
        ("max_training_examples",): r"some classes have up to (1000) training examples",
    },
}
_WORDS = {"two": 2.0, "three": 3.0, "four": 4.0, "1.6m": 1_600_000.0, "230k": 230_000.0}


def findings(name: str) -> Callable[[Text], list[Row]]:
    def read(text: Text) -> list[Row]:
        rows: list[Row] = []
        for key, pattern in FINDINGS[name].items():
            line, match = text.quoted(pattern)
            printed = match[1].casefold()
            rows.append((line, (*key, _WORDS[printed] if printed in _WORDS else float(number(printed)))))
        return rows

    return read


READERS: dict[str, Callable[[Text], list[Row]]] = {
    read.__name__: read
    for read in (
        ava_kinetics_table_1, ava_kinetics_table_2, ava_kinetics_table_3, ava_kinetics_table_4, ava_kinetics_table_5,
        ava_kinetics_shortlist, ava_kinetics_hand_picked, kinetics_400_table_1, kinetics_400_table_2,
        kinetics_400_table_4, kinetics_400_classes, kinetics_400_parents, kinetics_700_2020_table_1,
        kinetics_700_2020_table_2, kinetics_700_2020_table_3, kinetics_700_2020_table_4, kinetics_700_2020_yields,
    )
} | {name: findings(name) for name in FINDINGS}  # fmt: skip


def shipped_rows(name: str) -> list[tuple[object, ...]]:
    """The rows of a shipped table; of findings without the column that says where."""
    frame = paper_table(name).frame
    return (frame.drop("where") if name.endswith("_findings") else frame).rows()


def differences(text: Text, printed: Sequence[Row], shipped: Sequence[tuple[object, ...]]) -> list[str]:
    """What differs, a line each: where the paper prints it, what it prints, and what is shipped."""
    found = [
        f"{text.name}:{line}: prints {row}, shipped is {ours}"
        for (line, row), ours in zip(printed, shipped, strict=False)
        if row != ours
    ]
    if len(printed) != len(shipped):
        found.append(f"{text.name}: prints {len(printed)} rows, shipped are {len(shipped)}")
    return found


def text_of(name: str, texts: dict[str, Text]) -> Text:
    return next(text for paper, text in texts.items() if name.startswith(paper))


@pytest.mark.parametrize("name", paper_tables())
def test_a_shipped_table_is_what_the_paper_prints(name: str, texts: dict[str, Text]) -> None:
    text = text_of(name, texts)
    assert differences(text, READERS[name](text), shipped_rows(name)) == []


def test_every_table_has_a_reader_and_rows() -> None:
    assert set(READERS) == set(paper_tables())
    assert sum(len(shipped_rows(name)) for name in paper_tables()) > 1_200


@pytest.mark.parametrize("name", paper_tables())
def test_every_cell_of_every_row_is_compared(name: str, texts: dict[str, Text]) -> None:
    text, shipped = text_of(name, texts), shipped_rows(name)
    printed = READERS[name](text)
    for place, row in enumerate(shipped):
        for column in range(len(row)):
            wrong = (*row[:column], "another", *row[column + 1 :])
            (told,) = differences(text, printed, [*shipped[:place], wrong, *shipped[place + 1 :]])
            assert told.startswith(f"{text.name}:{printed[place][0]}: prints ")


def test_a_changed_number_would_be_told_with_its_line(texts: dict[str, Text]) -> None:
    text = texts["kinetics_700_2020"]
    printed = kinetics_700_2020_yields(text)
    shipped = shipped_rows("kinetics_700_2020_yields")
    (line, (_, name, accepted, published)) = printed[4]
    assert name == "steer roping"
    assert text.lines[line - 1].startswith("5. steer roping 38.29% 30.79%")
    wrong = [*shipped[:4], (5, name, accepted, 31.79), *shipped[5:]]
    assert published == 30.79
    assert differences(text, printed, wrong) == [
        f"{text.name}:{line}: prints (5, 'steer roping', 38.29, 30.79), shipped is (5, 'steer roping', 38.29, 31.79)"
    ]
    assert differences(text, printed, shipped[:-1]) == [f"{text.name}: prints 123 rows, shipped are 122"]


def test_defaults_that_cite_a_paper_are_its_numbers() -> None:
    from gesta.curate.clip_features import NUM_FRAMES
    from gesta.curate.trunk_stage import MIN_COSINE
    from gesta.curate.trunks import SIDE_PX
    from gesta.label.class_gates import GateRule
    from gesta.mine.positions import TOP_K
    from gesta.schema.protocols import CLIP_PROTOCOL

    said = dict(paper_table("kinetics_400_findings").frame.select("quantity", "value").iter_rows())
    assert (said["feature_frames"], said["feature_crop_px"], said["min_cosine"]) == (NUM_FRAMES, SIDE_PX, MIN_COSINE)
    assert said["responses_per_video"] == TOP_K
    assert (CLIP_PROTOCOL.accept_yes, CLIP_PROTOCOL.max_votes) == (said["min_positive_votes"], said["max_votes"])
    gate = GateRule()
    assert (100 * gate.threshold_frac, gate.after_num_clips) == (said["trial_percent"], said["trial_clips"])
