"""Who is shown in each class, and who is classified worse: verdicts, tests, corrections, files."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.schema import BadInput, BadRow, UnknownName
from gesta.stats.attributes import read_attributes
from gesta.stats.bias import bias_of, verdicts_of
from gesta.stats.proportions import fisher, holm

NAMES = {1: "shaving beard", 2: "playing poker", 3: "crying"}


def dataset(tmp_path: Path) -> tuple[pl.DataFrame, Path, pl.DataFrame]:
    """60 clips a class: beards are men's, poker is even, crying can mostly not be told; girls' crying is missed."""
    rows, lines, scored = [], ["clip_id,gender,age"], []
    for class_id in NAMES:
        for n in range(60):
            clip = f"c{class_id}-{n:02d}"
            gender = ("male", "female")[n % 2] if class_id > 1 else ("male" if n else "female")
            age = "baby" if class_id == 3 and n < 30 else "adult"
            is_told = class_id != 3 or n < 24
            rows.append((clip, f"v{n}", class_id))
            lines.append(f"{clip},{gender if is_told else 'Unknown'},{age}")
            is_right = n % 10 != 0 if age != "baby" else True
            scored.append((clip, f"v{n}", class_id, is_right if class_id != 3 or age == "baby" else n % 3 == 0))
    path = tmp_path / "people.csv"
    path.write_text("\n".join(lines) + "\n")
    columns = ["clip_id", "video_id", "class_id"]
    frame = pl.DataFrame(rows, schema=columns, orient="row")
    return frame, path, pl.DataFrame(scored, schema=[*columns, "is_right"], orient="row")


def test_classes_are_dominated_balanced_or_cannot_be_told(tmp_path: Path):
    clips, path, _ = dataset(tmp_path)
    found = bias_of(clips, read_attributes(path, columns=["gender"]), names=NAMES)
    rows = {row["name"]: row for row in found.balance.iter_rows(named=True)}
    assert [rows[name]["verdict"] for name in NAMES.values()] == ["dominated", "balanced", "untold"]
    beard = rows["shaving beard"]
    assert (beard["value"], beard["num_value"], beard["num_known"]) == ("male", 59, 60)
    assert beard["low"] > 0.8
    assert rows["crying"]["known_share"] == 0.4
    assert dict(verdicts_of(found.balance).select("verdict", "num_classes").iter_rows()) == {
        "dominated": 1, "unsure": 0, "balanced": 1, "untold": 1,
    }  # fmt: skip
    assert found.values.filter(name="playing poker").select("value", "num_clips", "share").rows() == [
        ("female", 30, 0.5), ("male", 30, 0.5),
    ]  # fmt: skip
    # Four of five is not surely four fifths.
    few = clips.filter(pl.col("clip_id").is_in(["c1-00", *(f"c1-{n:02d}" for n in range(1, 9))]))
    assert bias_of(few, read_attributes(path), names=NAMES).balance.filter(column="gender")["verdict"].to_list() == [
        "unsure"
    ]


def test_subgroups_that_are_recognised_worse_are_found_and_corrected_for_all_tests(tmp_path: Path):
    clips, path, scored = dataset(tmp_path)
    found = bias_of(clips, read_attributes(path), names=NAMES, scored=scored)
    babies = found.accuracy.filter(name="crying", column="age", value="adult").row(0, named=True)
    assert (babies["num_clips"], babies["num_right"], babies["num_rest"], babies["rest_accuracy"]) == (30, 10, 30, 1.0)
    assert babies["p"] == pytest.approx(fisher(10, 30, 30, 30))
    assert babies["difference_high"] < 0
    # Tests: gender in poker and in crying, age in crying. Beards have one woman, and other classes one age.
    tested = found.accuracy.drop_nulls("p").unique(["column", "test"])
    assert sorted(tested.select("column", "name").rows()) == [
        ("age", "crying"), ("gender", "crying"), ("gender", "playing poker"),
    ]  # fmt: skip
    wanted = dict(zip(tested["test"] + tested["column"], holm(tested["p"].to_list()), strict=True))
    for row in found.accuracy.drop_nulls("p").iter_rows(named=True):
        assert row["p_holm"] == pytest.approx(wanted[row["test"] + row["column"]])
    overall = {row["value"]: row for row in found.overall.filter(column="age").iter_rows(named=True)}
    assert overall["adult"]["odds_ratio"] == 0.0
    assert overall["adult"]["p"] == overall["baby"]["p"] < 1e-6
    assert found.accuracy.filter(name="shaving beard", column="gender")["p"].to_list() == [None, None]


def test_a_fair_classifier_raises_no_alarm_by_holm(tmp_path: Path):
    clips, path, scored = dataset(tmp_path)
    fair = scored.with_columns((pl.col("clip_id").str.slice(-2).cast(pl.Int64) % 4 < 3).alias("is_right"))
    found = bias_of(clips, read_attributes(path, columns=["age"]), names=NAMES, scored=fair)
    assert found.accuracy.filter(pl.col("p_holm") < 0.05).height == 0


def test_attributes_are_read_and_bad_files_refused(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("youtube_id,gender\n-a,female\n_b,\nc,N/A\n")
    found = read_attributes(path)
    assert (found.key, found.columns) == ("video_id", ("gender",))
    assert found.rows.rows() == [("-a", "female"), ("_b", None), ("c", None)]
    for text, problem in {
        "name,gender\nx,y\n": "the header has no clip_id or video_id",
        "video_id,g,g\nx,y,z\n": "the header repeats a name",
        "video_id,g\nx\n": r"a.csv:2: 1 cells, want 2",
        "video_id,g\nx,y\nx,y\n": "'x' stands twice",
    }.items():
        path.write_text(text)
        with pytest.raises(BadRow, match=problem):
            read_attributes(path)
    for text, problem in {"": "the file is empty", "video_id\nx\n": "no attribute beside the ids"}.items():
        path.write_text(text)
        with pytest.raises(BadInput, match=problem):
            read_attributes(path)
    path.write_text("video_id,gender\nx,y\n")
    with pytest.raises(UnknownName, match=r"no attribute 'gendr'. Did you mean 'gender'"):
        read_attributes(path, columns=["gendr"])
    clips = pl.DataFrame({"clip_id": ["c"], "video_id": ["v"], "class_id": [1]})
    with pytest.raises(BadInput, match=r"no video_id of the attributes is one of the dataset's \('v' ...\)"):
        bias_of(clips, read_attributes(path), names=NAMES)
    with pytest.raises(BadInput, match=r"dominated 0.2"):
        bias_of(clips, read_attributes(path), names=NAMES, dominated=0.2)


def test_the_command_reports_on_a_list_of_kinetics(tmp_path: Path):
    lines, people = ["label,youtube_id,time_start,time_end,split"], ["video_id,gender"]
    scores = ["clip_id,class_id,score"]
    for n in range(40):
        lines.append(f"poker,v{n:02d},{n},{n + 10},val")
        people.append(f"v{n:02d},{'female' if n < 20 else 'male'}")
        for class_id in (7, 4):
            scores.append(f"v{n:02d}_{n:06d}_{n + 10:06d},{class_id},{0.9 if (class_id == 4) == (n < 18) else 0.1}")
    lines.append("chess,w,0,10,val")
    for name, text in (("list", lines), ("people", people), ("scores", scores)):
        (tmp_path / f"{name}.csv").write_text("\n".join(text) + "\n")
    pairs = (("poker", 7), ("chess", 4))
    text = "".join(f'item {{\n  name: "{name}"\n  id: {number}\n}}\n' for name, number in pairs)
    (tmp_path / "map.pbtxt").write_text(text)
    asked = ["bias", str(tmp_path / "list.csv"), "--attributes", str(tmp_path / "people.csv")]
    plain = CliRunner().invoke(main, asked)
    assert "gender: of 2 classes dominated 0, unsure 0, balanced 1, untold 1" in plain.output
    asked += ["--scores", str(tmp_path / "scores.csv"), "--label-map", str(tmp_path / "map.pbtxt")]
    result = CliRunner().invoke(main, [*asked, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "1 comparisons within classes; below 0.05 by Benjamini and Hochberg:" in result.output
    assert "gender female: 10.0% of 20, the rest 100.0% of 20" in result.output
    value = json.loads(CliRunner().invoke(main, [*asked, "--json"]).output)
    assert value["accuracy"][0]["num_right"] == 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "accuracy.csv", "balance.csv", "bias.json", "overall.csv", "values.csv",
    ]  # fmt: skip
    top = json.loads(CliRunner().invoke(main, [*asked, "--top", "2", "--json"]).output)
    assert top["accuracy"][0]["num_right"] == 20
    (tmp_path / "scores.csv").write_text("clip_id,class_id,score\nother,7,1\n")
    result = CliRunner().invoke(main, asked)
    assert "no clip of the scores is one of the dataset's" in result.output
