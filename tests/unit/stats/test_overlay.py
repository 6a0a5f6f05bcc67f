"""Datasets side by side: named, merged under one numbering, with key-frames that (do not) count."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.schema import BadInput, UnknownName
from gesta.stats import (
    Asked,
    Beside,
    Overlay,
    Stats,
    named_targets,
    overlay_text,
    stats_of_targets,
    stats_text,
    write_stats,
)
from gesta.tables import read_table


@pytest.fixture
def ava(tmp_path: Path) -> Path:
    path = tmp_path / "ava.csv"
    path.write_text(
        "v,0902,0.1,0.2,0.3,0.4,7,0\nv,0902,0.1,0.2,0.3,0.4,8,0\nv,0903,0.1,0.2,0.3,0.4,7,0\nw,0902,0,0,1,1,7,3\n"
    )
    return path


@pytest.fixture
def kinetics(tmp_path: Path) -> Path:
    path = tmp_path / "kin.csv"
    path.write_text("k,1.5,0.0,0.0,0.1,0.1,8\nk,9.5\nl,2.000000,0.5,0.5,0.6,0.6,9\n")
    return path


def overlay_of(*paths: Path, names: tuple[str, ...] = (), beside: Beside | None = None) -> Overlay:
    stats = stats_of_targets(named_targets(paths, names), beside=beside)
    assert isinstance(stats, Overlay)
    return stats


def test_table_1_by_hand(ava: Path, kinetics: Path) -> None:
    overlay = overlay_of(ava, kinetics, names=("AVA/val", "Kinetics/val"))
    assert overlay.combined == "AVA-Kinetics"
    assert overlay.tables["frames_and_videos"].rows() == [
        ("val", "AVA", 3, 2, 0),
        ("total", "AVA", 3, 2, 0),
        ("val", "Kinetics", 3, 2, 0),
        ("total", "Kinetics", 3, 2, 0),
        ("val", "AVA-Kinetics", 6, 4, 0),
        ("total", "AVA-Kinetics", 6, 4, 0),
    ]
    samples = overlay.tables["classes"].select("dataset", "class_id", "num_boxes", "num_box_videos").rows()
    assert samples == [
        ("AVA", 7, 3, 2), ("AVA", 8, 1, 1), ("AVA", 9, 0, 0),
        ("Kinetics", 7, 0, 0), ("Kinetics", 8, 1, 1), ("Kinetics", 9, 1, 1),
        ("AVA-Kinetics", 7, 3, 2), ("AVA-Kinetics", 8, 2, 2), ("AVA-Kinetics", 9, 1, 1),
    ]  # fmt: skip


def test_two_files_of_one_dataset_are_counted_as_one(ava: Path, kinetics: Path) -> None:
    stats = stats_of_targets(named_targets([ava, kinetics], ["all/train", "all/val"]))
    assert isinstance(stats, Stats)
    assert stats.tables["splits"].rows() == [("train", 2, 0, 4, 3), ("val", 2, 0, 2, 3)]
    assert stats.what == "all: AVA v2.1 and v2.2 csv, 4 rows + AVA v2.1 and v2.2 csv, 3 rows"


def test_included_and_excluded_key_frames(ava: Path, kinetics: Path, tmp_path: Path) -> None:
    included, excluded = tmp_path / "included.txt", tmp_path / "excluded.csv"
    included.write_text("0902\n0903\n0904\n")
    excluded.write_text("v,0903\nw,0904\n")
    beside = Beside(included=included, excluded=(excluded,))
    overlay = overlay_of(ava, kinetics, names=("A", "K"), beside=beside)
    totals = overlay.stats["A"].totals
    # Two films of three times each, but for the two excluded; the box of v at 0903 goes with its key-frame.
    assert (totals["num_key_frames"], totals["num_empty_key_frames"], totals["num_box_labels"]) == (4, 2, 3)
    assert totals["num_videos"] == 2
    # A source with other times is not AVA: nothing is added to it.
    assert overlay.stats["K"].totals["num_key_frames"] == 3


def test_any_format_can_be_counted(tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    clip = {"annotations": {"label": "walk", "segment": [1.0, 11.0]}, "subset": "train", "duration": 10.0, "url": ""}
    path.write_text(json.dumps({"-a": clip, "b": clip}))
    stats = stats_of_targets(named_targets([path]))
    assert isinstance(stats, Stats)
    assert stats.tables["splits"].rows() == [("train", 2, 2, 0, 0)]
    assert stats.tables["classes"].select("name", "num_clips").rows() == [("walk", 2)]
    with pytest.raises(UnknownName, match="no format 'kinetic'"):
        stats_of_targets(named_targets([path]), beside=Beside(format_name="kinetic"))


def test_kinetics_lists_are_matched_by_name(tmp_path: Path) -> None:
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text("label,youtube_id,time_start,time_end,split\nwalking,a,0,10,val\nzumba,b,0,10,val\n")
    new.write_text("label,youtube_id,time_start,time_end,split\nyoga,a,0,10,val\nzumba,b,0,10,val\nzumba,c,0,10,val\n")
    overlay = overlay_of(old, new)
    assert overlay.names == ("old", "new")
    counts = {(row["dataset"], row["name"]): row["num_clips"] for row in overlay.tables["classes"].to_dicts()}
    assert counts["old", "zumba"] == 1
    assert counts["new", "zumba"] == 2
    assert counts["old-new", "zumba"] == 2  # the clip that both list is one
    assert counts["old", "yoga"] == 0
    assert overlay.stats["old-new"].totals["num_videos"] == 3


def test_what_is_at_hand_of_a_list(tmp_path: Path) -> None:
    write_work = runpy.run_path(str(Path(__file__).parents[1] / "release" / "tables_by_hand.py"))["write_work"]
    work = write_work(tmp_path / "work")
    there = read_table(work, "videos")["video_id"][:2].to_list()
    listed = tmp_path / "list.csv"
    listed.write_text("youtube_id,time_start,time_end\n" + "".join(f"{i},0,10\n" for i in [*there, "gone", "lost"]))
    stats = stats_of_targets(named_targets([listed]), asked=Asked(later=work))
    assert stats.tables["retention"].rows() == [("list", "all", 4, 2, 0.5)]


def test_names_that_cannot_be_are_refused(ava: Path, kinetics: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="1 names for 2 targets"):
        named_targets([ava, kinetics], ["A"])
    (tmp_path / "other").mkdir()
    with pytest.raises(BadInput, match="two targets have one name"):
        named_targets([ava, tmp_path / "other" / "ava.csv"])
    with pytest.raises(BadInput, match="one of the datasets and all of them"):
        stats_of_targets(named_targets([ava, kinetics], ["A", "B"]), combined="A")
    with pytest.raises(BadInput, match="nothing to count"):
        stats_of_targets([])


def test_everything_asked_for_is_written(tmp_path: Path, ava: Path, kinetics: Path) -> None:
    lists = {}
    header = "label,youtube_id,time_start,time_end,split\n"
    for name, text in {
        "clips": f"{header}eat,k,0,10,val\neat,l,0,10,val\nrun,l,0,10,val\n",
        "later": "youtube_id,time_start,time_end\nk,0,10\n",
        "catalogue": "video_id,continent,other\nk,Asia,1\nl,,2\nv,Europe,3\n",
    }.items():
        lists[name] = tmp_path / f"{name}.csv"
        lists[name].write_text(text)
    parents = tmp_path / "parents.json"
    parents.write_text(json.dumps({"both": ["class 8", "class 9", "class 99"], "one": ["class 8"]}))
    asked = Asked(npmi_with=(lists["clips"],), catalogue=lists["catalogue"], top=1)
    stats = stats_of_targets(named_targets([kinetics]), beside=Beside(parents=parents), asked=asked)
    assert isinstance(stats, Stats)
    assert stats.tables["groups"].rows() == [("both", 2, 0, 2), ("one", 1, 0, 1)]
    assert stats.tables["videos_by_continent"].rows() == [("Asia", 1, 1.0)]
    assert stats.tables["npmi_of_clip_classes"].select("clip_class", "rank", "box_class").rows() == [
        ("eat", 1, "class 8"), ("run", 1, "class 9"),
    ]  # fmt: skip
    out = tmp_path / "out"
    write_stats(stats, kinetics, out=out)
    assert pl.read_csv(out / "npmi_of_box_classes.csv").height == 2
    listed = stats_of_targets(named_targets([lists["clips"]]), asked=Asked(later=lists["later"]))
    assert listed.tables["retention"].rows() == [("clips", "val", 2, 1, 0.5), ("clips", "all", 2, 1, 0.5)]
    assert "npmi" in stats_text(stats)
    # The clip classes may come in another format, and what is left of a csv of boxes is counted in videos.
    clip = {"label": "eat", "segment": [0.0, 10.0]}
    (tmp_path / "clips.json").write_text(
        json.dumps({"k": {"annotations": clip, "subset": "val", "duration": 10.0, "url": ""}})
    )
    asked = Asked(npmi_with=(tmp_path / "clips.json",), later=tmp_path / "clips.json")
    other = stats_of_targets(named_targets([kinetics]), asked=asked)
    assert other.tables["npmi_of_clip_classes"].select("clip_class", "box_class").rows() == [("eat", "class 8")]
    assert other.tables["retention"].rows() == [("kin", "all", 2, 1, 0.5)]
    assert "clips still there" in stats_text(listed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "no JSON object of lists"),
        ("{", "this is no JSON"),
        ("[" * 100_000, "this is no JSON"),
        ('{"a": [1]}', "something that is no name"),
        ('{"a": ["\\ud800"]}', "half a character"),
        ('{"a": ["swim"]}', "no class of these groups"),
    ],
)
def test_wrong_groups_are_refused(text: str, problem: str, ava: Path, tmp_path: Path) -> None:
    path = tmp_path / "parents.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=problem):
        stats_of_targets(named_targets([ava]), beside=Beside(parents=path))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file is empty"),
        ("video_id,country\nk,x\n", r"catalogue.csv:1: the header lacks 'continent'.*It has: video_id, country"),
        ("id,continent\nk,x\n", "the header lacks 'video_id'"),
        ("video_id,continent\nk\n", r"catalogue.csv:2: 1 cells, want 2"),
        ("video_id,continent\nk,Asia\nk,Africa\n", r"catalogue.csv:3: 'k' has continent 'Asia' and 'Africa'"),
        ('video_id,continent\nk,"Asia\n', r"catalogue.csv:\d+: cannot be read"),
    ],
)
def test_wrong_catalogues_are_refused(text: str, problem: str, kinetics: Path, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=problem):
        stats_of_targets(named_targets([kinetics]), asked=Asked(catalogue=path))


def test_overlay_text_fits_its_width(ava: Path, kinetics: Path) -> None:
    text = overlay_text(overlay_of(ava, kinetics), width=60, max_classes=2)
    assert max(map(len, text.splitlines())) <= 60
    assert "1 classes more" in text
    assert "ava-kin" in text


def test_cli_sets_targets_side_by_side(ava: Path, kinetics: Path, tmp_path: Path) -> None:
    arguments = ["stats", str(ava), str(kinetics), "--name", "A/val", "--name", "B/val", "--combined", "both"]
    result = CliRunner().invoke(main, [*arguments, "--json", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    value = json.loads(result.output)
    assert list(value["datasets"]) == ["A", "B", "both"]
    assert (tmp_path / "out" / "frames_and_videos.csv").is_file()
    result = CliRunner().invoke(main, [*arguments, "--dry-run"])
    assert "A beside B" in result.output
