"""Clips chosen for weak classes, from a list of clips and from a work folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from gesta.mine.relate import Related
from gesta.mine.selection import run_selection, select_clips, source_clips
from gesta.schema import BadInput, ClipLabel, LabelClass, MissingTable, SelectedClip, SplitRow, UnknownName
from gesta.tables import frame_of, made_by, read_table, table_path, write_table

CLASSES = [LabelClass(class_id=1, name="hammer throw"), LabelClass(class_id=2, name="yoga")]
THROW = Related(target="throw", source="hammer throw", how="name", words="throw")
MARTIAL = Related(target="martial art", source="hammer throw", how="hand", words="")

KINETICS = """label,youtube_id,time_start,time_end,split
hammer throw,aaaaaaaaaaa,0,10,train
yoga,bbbbbbbbbbb,5,15,train
yoga,ccccccccccc,5,15,validate
"""


def chosen(clips: list[tuple[str, int]], **arguments) -> list[SelectedClip]:
    return select_clips(clips, **{"classes": CLASSES, "related": [THROW], **arguments})


def test_related_classes_come_whole_and_the_rest_by_draw() -> None:
    rows = chosen([("a", 1), ("b", 1), ("c", 2), ("d", 2)], related=[THROW, MARTIAL], num_uniform=1)
    assert [(row.clip_id, row.class_id, row.name, row.reason, row.targets) for row in rows if row.class_id == 1] == [
        ("a", 1, "hammer throw", "related", "throw; martial art"),
        ("b", 1, "hammer throw", "related", "throw; martial art"),
    ]
    assert [(row.reason, row.targets) for row in rows if row.class_id == 2] == [("uniform", "")]


def test_a_clip_of_two_classes_is_chosen_once_and_as_related() -> None:
    assert [(row.clip_id, row.reason) for row in chosen([("a", 2), ("a", 1)], num_uniform=5)] == [("a", "related")]


def test_a_class_may_be_capped() -> None:
    clips = [(f"c{i}", 1) for i in range(20)]
    few, more = (chosen(clips, max_per_class=size) for size in (3, 7))
    assert (len(few), len(more)) == (3, 7)
    assert {row.clip_id for row in few} < {row.clip_id for row in more}


def test_another_seed_draws_others_and_annotated_clips_stay_out() -> None:
    clips = [(f"c{i}", 2) for i in range(50)]
    first = {row.clip_id for row in chosen(clips, num_uniform=10)}
    assert first != {row.clip_id for row in chosen(clips, num_uniform=10, seed=1)}
    assert not first & {row.clip_id for row in chosen(clips, num_uniform=10, excluded=first)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_uniform": -1}, "-1 uniform clips"),
        ({"max_per_class": 0}, "0 a class"),
        ({"classes": CLASSES[1:], "related": []}, "clip 'a' has class 1, which the label map lacks"),
        ({"related": [Related(target="x", source="kite", how="hand", words="")]}, "'kite' is related and is no class"),
    ],
)
def test_what_cannot_be_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        chosen([("a", 1)], **arguments)


def test_a_reason_is_checked() -> None:
    with pytest.raises(BadInput, match=r"'why' is no reason\. Want one of related, uniform"):
        SelectedClip(clip_id="a", class_id=1, name="yoga", reason="why", targets="")


def test_clips_of_a_kinetics_list_are_read_by_split(tmp_path: Path) -> None:
    file = tmp_path / "k.csv"
    file.write_text(KINETICS)
    clips, classes = source_clips(file, split="train")
    names = {row.class_id: row.name for row in classes}
    assert [(clip_id, names[class_id]) for clip_id, class_id in clips] == [
        ("aaaaaaaaaaa_0000000000_0010000000", "hammer throw"),
        ("bbbbbbbbbbb_0005000000_0015000000", "yoga"),
    ]
    assert len(source_clips(file)[0]) == 3
    with pytest.raises(UnknownName, match=r"no split 'val'\. There are: train, validate"):
        source_clips(file, split="val")


def test_clips_of_a_work_folder_are_those_that_were_accepted(tmp_path: Path) -> None:
    record = made_by("test", arguments={}, inputs={})
    write_table(table_path(tmp_path, "label_map"), "label_map", frame_of("label_map", CLASSES), made_by=record)
    with pytest.raises(MissingTable, match="clip_labels"):
        source_clips(tmp_path)
    labels = [
        ClipLabel(clip_id=clip_id, class_id=1, verdict=verdict, num_yes=3, num_no=0, num_unsure=0, num_broken=0)
        for clip_id, verdict in (("a", "accepted"), ("b", "rejected"), ("c", "accepted"))
    ]
    write_table(table_path(tmp_path, "clip_labels"), "clip_labels", frame_of("clip_labels", labels), made_by=record)
    splits = [
        SplitRow(clip_id=clip_id, video_id=clip_id, split=split) for clip_id, split in (("a", "train"), ("c", "val"))
    ]
    write_table(table_path(tmp_path, "splits"), "splits", frame_of("splits", splits), made_by=record)
    assert source_clips(tmp_path)[0] == [("a", 1), ("c", 1)]
    assert source_clips(tmp_path, split="val")[0] == [("c", 1)]


def test_a_source_without_labelled_clips_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "k.csv"
    file.write_text("youtube_id,time_start,time_end,split\naaaaaaaaaaa,0,10,test\n")
    with pytest.raises(BadInput, match="no clip has a class here"):
        source_clips(file)


def test_a_selection_is_written_and_kept_out_of_the_next(tmp_path: Path) -> None:
    source = tmp_path / "k.csv"
    source.write_text(KINETICS)
    clips, classes = source_clips(source)
    arguments = {"classes": classes, "related": [THROW], "source": source, "num_uniform": 1}
    rows, summary = run_selection(clips, **arguments, out=tmp_path / "first.csv")
    assert (summary.kept, summary.numbers["num_related"], summary.numbers["num_uniform"]) == (2, 1, 1)
    assert read_table(tmp_path / "first.csv", "selected_clips")["clip_id"].to_list() == [row.clip_id for row in rows]
    later, summary = run_selection(clips, **arguments, excluded=tmp_path / "first.csv")
    assert (len(later), summary.numbers["num_excluded"]) == (1, 2)
    (tmp_path / "ids.txt").write_text(f"{later[0].clip_id}\n\n")
    assert len(run_selection(clips, **arguments, excluded=tmp_path / "ids.txt")[0]) == 2
