"""`gesta select-training` by its outputs."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from gesta.cli import main
from gesta.schema import ClassScore
from gesta.tables import frame_of, made_by, read_table, table_path, write_table

KINETICS = "label,youtube_id,time_start,time_end,split\n" + "".join(
    f"{name},{name[:3]}{i:08d},0,10,train\n" for name in ("hammer throw", "putting on sari", "yoga") for i in range(4)
)


def run(*arguments: str, exit_code: int = 0) -> str:
    done = CliRunner().invoke(main, ["select-training", *arguments])
    assert done.exit_code == exit_code, done.output
    return done.output


def source(tmp_path: Path) -> str:
    file = tmp_path / "kinetics.csv"
    file.write_text(KINETICS)
    return str(file)


def evaluation(tmp_path: Path) -> str:
    rows = [
        ClassScore(class_id=1, name="throw", average_precision=0.1, num_groundtruth=5),
        ClassScore(class_id=2, name="dress/put on clothing", average_precision=0.2, num_groundtruth=5),
        ClassScore(class_id=3, name="stretch", average_precision=0.9, num_groundtruth=5),
    ]
    folder = tmp_path / "out"
    record = made_by("test", arguments={}, inputs={})
    write_table(table_path(folder, "class_scores"), "class_scores", frame_of("class_scores", rows), made_by=record)
    return str(folder)


def test_weak_classes_of_an_evaluation_choose_their_clips_and_a_draw_of_the_rest(tmp_path: Path) -> None:
    out = tmp_path / "selected.csv"
    arguments = [
        source(tmp_path),
        "--scores",
        evaluation(tmp_path),
        "--worst",
        "2",
        "--uniform",
        "2",
        "--out",
        str(out),
    ]
    shown = run(*arguments)
    assert "throw: hammer throw (4)\n" in shown
    assert "dress/put on clothing: putting on sari (4)\n" in shown
    table = read_table(out, "selected_clips")
    assert table.group_by("name").len().sort("name").rows() == [
        ("hammer throw", 4),
        ("putting on sari", 4),
        ("yoga", 2),
    ]
    said = json.loads(run(*arguments, "--json"))
    assert (said["kept"], said["num_related"], said["num_uniform"], said["num_related_classes"]) == (10, 8, 2, 2)


def test_pairs_are_written_mended_and_read_again(tmp_path: Path) -> None:
    pairs, weak = tmp_path / "pairs.csv", tmp_path / "weak.txt"
    weak.write_text("throw\nswim\n")
    shown = run(source(tmp_path), "--weak", str(weak), "--pairs-out", str(pairs))
    assert "no class is related to: swim\n" in shown
    pairs.write_text("target,source\nswim,yoga\n")
    assert "swim: yoga (4)\n" in run(source(tmp_path), "--pairs", str(pairs))


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    weak, out, pairs = tmp_path / "weak.txt", tmp_path / "selected.csv", tmp_path / "pairs.csv"
    weak.write_text("throw\n")
    run(source(tmp_path), "--weak", str(weak), "--out", str(out), "--pairs-out", str(pairs), "--dry-run")
    assert not out.exists()
    assert not pairs.exists()


def test_weak_classes_must_come_from_one_place(tmp_path: Path) -> None:
    assert "weak classes come from --scores or --weak. Give one of them, or --pairs" in run(
        source(tmp_path), exit_code=2
    )
