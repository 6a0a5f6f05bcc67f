"""The page is whole, says what the tables say, loads nothing, and never fails for want of a table."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.release import run_release
from gesta.report import SECTIONS, newest_release, run_report
from gesta.schema import BadInput, Component
from gesta.tables import frame_of, made_by, read_rejects, read_table, table_path, write_table

write_work = runpy.run_path(str(Path(__file__).parents[1] / "release" / "tables_by_hand.py"))["write_work"]
VOID = {"meta", "link", "br", "img", "source", "hr", "input"}
METRICS = {
    "mean_ap": 0.4321, "chance_map": 0.054, "top1": 0.8125, "top5": 0.96875,
    "classes": [
        {"class_id": 1, "name": "archery", "ap": 0.7512, "num_groundtruth": 5, "num_detections": 4321},
        {"class_id": 2, "name": "arm <wrestling>", "ap": None, "num_groundtruth": 0, "num_detections": 33},
    ],
    "confusion": {"labels": ["archery", "arm <wrestling>"], "matrix": [[8, 1], [977, 5]]},
}  # fmt: skip
SUMMARY = {
    "videos": 260, "precision": 0.98123, "recall": 0.9, "duplicates_found": 27, "duplicates_planted": 29,
    "false_merges": 0, "map": 0.4, "map_chance": 0.05, "wall_s": 431.5,
}  # fmt: skip


class Reader(HTMLParser):
    """Checks that tags pair, and collects text, addresses and the text of each section."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text: dict[str, str] = {}
        self.images: list[dict[str, str | None]] = []
        self.section = ""

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        assert len(values) == len(attrs), f"an attribute of <{tag}> comes twice"
        self.addresses += [values[key] for key in ("src", "href", "srcset", "data", "action") if values.get(key)]
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "section":
            self.section = values["id"]
        if tag == "img":
            self.images.append(values)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text[self.section] = self.text.get(self.section, "") + data


def read(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text())
    reader.close()
    assert reader.open == []
    return reader


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with everything, and its page; videos are not there unless the folder of real files is."""
    folder = tmp_path_factory.mktemp("full")
    work = write_work(folder / "work")
    run_release(work)
    (folder / "metrics.json").write_text(json.dumps(METRICS))
    lines = [{"epoch": n, "loss": 2.0 / n, "clips_per_s": 40.0 + n, "data_wait_frac": 0.25} for n in range(1, 9)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    render(folder, folder / "page.html")
    return folder


def render(folder: Path, out: Path) -> None:
    run_report(
        folder / "work", out=out, metrics=folder / "metrics.json", log=folder / "log.jsonl", summary=SUMMARY,
        title="A <test> & more",
    )  # fmt: skip


def test_tags_pair_and_ids_are_unique_and_links_lead_somewhere(full: Path):
    reader = read(full / "page.html")
    assert len(reader.ids) == len(set(reader.ids))
    assert {f"#{name}" for name, _ in SECTIONS} == {a for a in reader.addresses if a.startswith("#")}
    assert {name for name, _ in SECTIONS} == set(reader.ids)
    assert "A <test> & more" in words(reader.text[""])


def test_nothing_is_loaded_from_anywhere(full: Path):
    page = (full / "page.html").read_text()
    for address in read(full / "page.html").addresses:
        assert address.startswith(("data:", "#")), address[:80]
    assert not re.search(r"url\(|@import|https?://|<script|<iframe|//[a-z]+\.", page.replace("data:,", ""))


def test_same_inputs_give_the_same_bytes(full: Path):
    render(full, full / "again.html")
    assert (full / "again.html").read_bytes() == (full / "page.html").read_bytes()


def test_a_rejecting_reader_is_a_guard_that_can_fail(tmp_path: Path):
    for bad in ("<p><b></p></b>", "<div>", '<p class="a" class="b"></p>'):
        (tmp_path / "bad.html").write_text(bad)
        with pytest.raises(AssertionError):
            read(tmp_path / "bad.html")


def test_funnel_numbers_are_those_of_the_tables(full: Path):
    work = full / "work"
    text = words(read(full / "page.html").text["line"])
    rejects = read_rejects(work)
    for table, unit in (("videos", "videos"), ("clips", "clips"), ("items", "questions")):
        assert f"{len(read_table(work, table))} {unit}" in text
    assert "dropped 2: decode 1, empty 1" in text
    assert len(rejects.filter(stage="import")) == 2
    assert f"dropped {len(rejects.filter(stage='curate'))}: duplicate 3" in text
    for table, unit in (("clip_labels", "clip labels"), ("box_labels", "box labels")):
        labels = read_table(work, table)
        accepted, lost = len(labels.filter(verdict="accepted")), len(labels.filter(verdict="rejected"))
        assert f"{accepted} {unit} dropped {lost}: voted down {lost}" in text
    empty = len(read_table(work, "key_frames").filter(num_boxes=0))
    assert f"dropped {empty}: no person found {empty}" in text
    assert f"{len(read_table(work, 'votes'))} votes" in text
    assert f"{len(read_table(work, 'boxes'))} person boxes" in text


def test_votes_workers_and_classes_are_those_of_the_tables(full: Path):
    work, reader = full / "work", read(full / "page.html")
    votes = read_table(work, "votes").join(read_table(work, "items"), on="item_id")
    for kind in ("clip", "box"):
        for answer, count in votes.filter(kind=kind)["answer"].value_counts().iter_rows():
            assert f"{answer} {count}" in words(reader.text["votes"])
    assert f"6 workers cast {len(votes)} votes" in words(reader.text["workers"])
    assert "1 worker fell short on them and was not counted" in words(reader.text["workers"])
    for row in read_table(work, "workers").iter_rows(named=True):
        assert (
            f"{row['worker_id']}{row['num_votes']}{row['num_gold_right']}/{row['num_gold']}" in reader.text["workers"]
        )
    splits = read_table(work / "releases" / "1.0.0", "splits")["split"].value_counts()
    for split, count in splits.iter_rows():
        assert f"{split} {count}" in words(reader.text["classes"])


def test_scores_are_those_of_the_metrics(full: Path):
    text = words(read(full / "page.html").text["scores"])
    assert (
        "Frame mAP at IoU 0.5 is 0.4321 over 1 classes; chance would give 0.0540, so this is 8.0 times chance." in text
    )
    assert "Top-1 accuracy of clips is 81.2 %. Top-5 accuracy of clips is 96.9 %." in text
    assert "archery0.75154,321" in text
    assert "arm <wrestling>–033" in text
    assert "977" in text


def test_headline_and_training(full: Path):
    reader = read(full / "page.html")
    for said in ("98.1 %", "27 of 29", "0 different videos merged by mistake", "0.432", "recall 90.0 %"):
        assert said in words(reader.text[""])
    assert "2.000 → 0.250" in words(reader.text["training"])
    assert "44.5 clips/s" in words(reader.text["training"])
    assert "25.0 %" in words(reader.text["training"])
    assert "wall, s431.5" in words(reader.text["provenance"])


def test_the_loosest_groups_of_copies_are_shown_and_chains_named(full: Path, tmp_path: Path):
    shutil.copytree(full, tmp_path / "full")
    groups = [
        Component(
            component=place, cluster=place, class_id=None if place else 3, num_clips=4 + place, num_videos=4,
            num_classes=1, num_pairs=3, min_cosine=0.97, least_cosine=least, kept_clip_id=f"clip <{place}>",
        )
        for place, least in enumerate((0.911, 0.983))
    ]  # fmt: skip
    made = made_by("test", arguments={}, inputs={})
    path = table_path(tmp_path / "full" / "work", "components")
    write_table(path, "components", frame_of("components", groups), made_by=made)
    render(tmp_path / "full", tmp_path / "page.html")
    text = words(read(tmp_path / "page.html").text["duplicates"])
    assert "1 of 2 groups hang together as a chain only" in text
    assert text.index("0.911 · a chain") < text.index("0.983")
    assert "clip <0>" in text
    assert "loosest" not in words(read(full / "page.html").text["duplicates"]), "no table, nothing said"


def test_videos_that_cannot_be_shown_are_named_not_fatal(full: Path):
    reader = read(full / "page.html")
    assert reader.images == []
    assert reader.text["clips"].count("cannot be shown") == 12
    assert reader.text["duplicates"].count("cannot be shown") == 6


@pytest.mark.parametrize(
    "keep", [(), ("videos",), ("videos", "clips", "label_map"), ("votes", "items"), ("workers",), ("kept",)]
)
def test_missing_tables_are_one_line_each(tmp_path: Path, full: Path, keep: tuple[str, ...]):
    work = tmp_path / "work"
    work.mkdir()
    for table in keep:
        for path in (full / "work").glob(f"{table}.parquet*"):
            shutil.copy(path, work / path.name)
    run_report(work)
    reader = read(work / "report.html")
    assert "no scores yet: run `gesta train`" in words(reader.text["scores"])
    assert "no training log yet" in words(reader.text["training"])
    assert "no kept clips yet" in words(reader.text["clips"])
    assert ("no votes yet: run `gesta label`" in words(reader.text["votes"])) == ("votes" not in keep)
    assert ("no worker quality yet" in words(reader.text["workers"])) == ("workers" not in keep)
    assert ("not run yet: gesta import" in words(reader.text["line"])) == ("videos" not in keep)


def test_real_videos_become_animations_with_alternatives(tmp_path: Path, shared: Path):
    files = [shared / "videos" / name for name in ("asl/again.mkv", "arm_wrestling.mp4", "part_0.mp4", "asl/no.mkv")]
    work = write_work(tmp_path / "work", video_files=files)
    summary = run_report(work, max_clips=4)
    reader = read(work / "report.html")
    assert len(reader.images) == 4 + 2 * 3
    for image in reader.images:
        assert image["src"].startswith("data:image/webp;base64,")
        assert image["alt"]
        assert int(image["width"]) > 0
    assert "labelled archery" in reader.images[0]["alt"]
    assert summary.numbers["size_bytes"] < 8_000_000
    first = (work / "report.html").read_bytes()
    run_report(work, max_clips=4)
    assert (work / "report.html").read_bytes() == first


def test_the_newest_release_is_shown(full: Path, tmp_path: Path):
    work = tmp_path / "work"
    shutil.copytree(full / "work", work)
    run_release(work, version="1.10.0", seed=4)
    run_release(work, version="1.9.0", seed=3)
    assert newest_release(work) == work / "releases" / "1.10.0"
    assert newest_release(tmp_path) is None


def test_wrong_files_are_named(full: Path, tmp_path: Path):
    bad = tmp_path / "bad.json"
    bad.write_text("[1")
    with pytest.raises(BadInput, match="is not JSON"):
        run_report(full / "work", out=tmp_path / "x.html", metrics=bad)
    with pytest.raises(BadInput, match=r"bad.json:1: not a JSON object"):
        run_report(full / "work", out=tmp_path / "x.html", log=bad)
    with pytest.raises(BadInput, match=r"manifest.json: cannot be read"):
        run_report(full / "work", out=tmp_path / "x.html", release=tmp_path)
    assert not (tmp_path / "x.html").exists()


def test_a_class_name_cannot_break_the_page(tmp_path: Path):
    work = write_work(tmp_path / "work")
    path = table_path(work, "label_map")
    evil = '"><script>alert(1)</script>'
    frame = pl.read_parquet(path).with_columns(pl.lit(evil).alias("name"))
    frame.write_parquet(path)
    run_report(work)
    assert "<script" not in (work / "report.html").read_text()
    assert evil in read(work / "report.html").text["classes"]


def test_cli_says_where_the_page_is(full: Path, tmp_path: Path):
    out = tmp_path / "page.html"
    (tmp_path / "summary.json").write_text(json.dumps(SUMMARY))
    arguments = ["report", str(full / "work"), "--out", str(out), "--summary", str(tmp_path / "summary.json")]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.output) == (0, f"report: {out}\n")
    value = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).output)
    assert value["size_bytes"] == out.stat().st_size
