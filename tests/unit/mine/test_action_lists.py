"""Action lists: read from every layout, joined, written and read again, with errors that name the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gesta.mine.actions import (
    ACTION_LISTS,
    SHIPPED,
    Action,
    ActionList,
    Origin,
    action_list,
    in_form,
    joined,
    label_map_of,
    read_action_list,
    read_actions,
    read_all_actions,
    renumbered,
    shipped_actions,
    shipped_table,
    units_of_work,
    what_is_shipped,
    write_actions,
    write_list,
)
from gesta.schema import BadInput, BadRow, ClipLabel, LabelClass, Suggestion, UnknownName
from gesta.tables import frame_of, made_by, table_path, write_table


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def pairs(actions: ActionList) -> list[tuple[int, str]]:
    return [(row.class_id, row.name) for row in actions]


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("classInd.txt", "1 ApplyEyeMakeup\n2 YoYo\n", [(1, "apply eye makeup"), (2, "yo yo")]),
        ("hmdb.txt", "brush_hair 0\nride_bike 1\n", [(0, "brush hair"), (1, "ride bike")]),
        ("plain.txt", "abseiling\n\nyoga\n", [(1, "abseiling"), (3, "yoga")]),
        ("numbers.txt", "3: yoga\n7: zumba\n", [(3, "yoga"), (7, "zumba")]),
        ("map.pbtxt", 'label {\n  name: "swim"\n  label_id: 13\n  label_type: PERSON_MOVEMENT\n}\n', [(13, "swim")]),
        ("list.json", '["Tai chi", "BMX"]', [(1, "tai chi"), (2, "BMX")]),
        ("ids.json", '{"wave": 4, "clap": 2}', [(2, "clap"), (4, "wave")]),
        ("config.json", '{"id2label": {"0": "wave", "1": "clap"}, "x": 1}', [(0, "wave"), (1, "clap")]),
        ("parents.json", '{"hair": ["braiding hair", "washing hair"]}', [(1, "braiding hair"), (2, "washing hair")]),
        ("mpii.csv", 'act_id,cat_name,act_name\n5,bicycling,"bicycling, mountain"\n', [(5, "bicycling, mountain")]),
        ("names.csv", "label\nJumpRope\nBand Marching\n", [(1, "jump rope"), (2, "band marching")]),
        (
            "kinetics.csv",
            "label,youtube_id,time_start,time_end,split\nyoga,a,0,10,val\nabseiling,b,0,10,val\n",
            [(1, "abseiling"), (2, "yoga")],
        ),
    ],
)
def test_a_list_of_any_layout_is_read(tmp_path: Path, name: str, text: str, wanted: list[tuple[int, str]]) -> None:
    actions = read_actions(written(tmp_path / name, text))
    assert pairs(actions) == wanted
    assert actions.sources == (name.rsplit(".", 1)[0],)


def test_an_origin_keeps_the_name_as_printed_and_groups_come_along(tmp_path: Path) -> None:
    mpii = written(tmp_path / "mpii.csv", "cat_name,act_name\nsports,Rope_Skipping\nsports,yoga\n")
    (skipping, yoga) = read_actions(mpii, source="MPII")
    assert skipping.origins == (Origin(source="MPII", name="Rope_Skipping"),)
    assert skipping.parents == yoga.parents == ("sports",)
    ava = read_actions(
        written(tmp_path / "a.pbtxt", 'label { name: "kiss" label_id: 72 label_type: PERSON_INTERACTION }')
    )
    assert (ava.actions[0].category, ava.actions[0].parents) == ("PERSON_INTERACTION", ("person-person interaction",))


def test_activity_net_brings_its_taxonomy(tmp_path: Path) -> None:
    taxonomy = [
        {"nodeId": 0, "nodeName": "Root", "parentId": None, "parentName": None},
        {"nodeId": 1, "nodeName": "Sports", "parentId": 0, "parentName": "Root"},
        {"nodeId": 7, "nodeName": "Long jump", "parentId": 1, "parentName": "Sports"},
    ]
    clips = {
        "v": {"duration": 9.0, "subset": "training", "annotations": [{"label": "Long jump", "segment": [0.0, 5.0]}]}
    }
    value = {"database": clips, "taxonomy": taxonomy, "version": "1.3"}
    (jump,) = read_actions(written(tmp_path / "activity_net.json", json.dumps(value)))
    assert (jump.class_id, jump.name, jump.parents, jump.num_clips) == (7, "long jump", ("Sports",), 1)


def test_a_folder_of_class_folders_is_a_list(tmp_path: Path) -> None:
    for name in ("brush_hair/a.avi", "brush_hair/b.avi", "ride_bike/a.avi"):
        (tmp_path / "hmdb" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "hmdb" / name).touch()
    actions = read_actions(tmp_path / "hmdb")
    assert [(row.name, row.num_clips) for row in actions] == [("brush hair", 2), ("ride bike", 1)]
    assert actions.sources == ("hmdb",)


def test_a_csv_with_videos_is_counted_and_one_without_is_not(tmp_path: Path) -> None:
    clips = written(tmp_path / "c.csv", "video_id,class\na,swim\nb,swim\nc,run\n")
    assert [(row.name, row.num_clips) for row in read_actions(clips)] == [("swim", 2), ("run", 1)]
    names = written(tmp_path / "n.csv", "class\nswim\nswim\n")
    assert [(row.name, row.num_clips) for row in read_actions(names)] == [("swim", None)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "class_id,label\n1,\n", "a.csv:2: there is no label. Name the class or drop the line"),
        ("a.csv", "id,label\nx,run\n", "a.csv:2: the id is 'x'. Want a whole number"),
        ("a.txt", "run\nrun\n", "a.txt:2: name 'run' was given in line 1 already. Keep one of the two"),
        ("a.txt", "", "a.txt: the label map holds no class. Write one name a line"),
        ("a.json", "{}", "a.json: it looks like no format that is known"),
        (
            "a.csv",
            "youtube_id,time_start,time_end,split\nv,0,10,test\n",
            "it labels nothing. Give a list that has labels",
        ),
        ("a.csv", "v,0902,0.1,0.1,0.9,0.9,12\n", "it has ids and no names. Give the label map that belongs to it"),
    ],
)
def test_what_names_no_class_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(BadInput) as error:
        read_actions(written(tmp_path / name, text))
    assert message in str(error.value)


def test_neither_file_nor_shipped_list() -> None:
    with pytest.raises(
        BadInput, match=r"kinetics-401: there is no such file or folder, nor .* Shipped are: kinetics-400,"
    ):
        read_actions("kinetics-401")
    with pytest.raises(UnknownName, match=r"no list of actions 'ava-81'. Did you mean 'ava-8"):
        shipped_table("ava-81")
    with pytest.raises(UnknownName, match="no list of actions 'kinetics-400-parents'"):
        shipped_actions("kinetics-400-parents")


def test_shipped_lists_have_the_sizes_that_the_papers_say() -> None:
    sizes = {name: shipped_table(name).height for name in SHIPPED}
    assert sizes == {
        "kinetics-400": 400, "kinetics-400-parents": 38, "kinetics-700-2020-rarest": 123, "ava-80": 80, "ava-60": 60,
        "ava-kinetics-shortlist": 27, "ava-kinetics-hand-picked": 23,
    }  # fmt: skip
    assert set(what_is_shipped()) == set(SHIPPED)
    assert [len(shipped_actions(name)) for name in ACTION_LISTS] == [400, 123, 80, 60, 27, 23]


def test_the_shipped_lists_say_clips_groups_categories_and_yields() -> None:
    kinetics = shipped_actions("kinetics-400")
    assert sum(row.num_clips or 0 for row in kinetics) == 306_245
    assert kinetics.named("punching person (boxing)").parents == ("martial arts",)
    assert kinetics.named("massaging person").parents == ("touching person",)
    assert len({parent for row in kinetics for parent in row.parents}) == 38
    kinds = [row.parents for row in shipped_actions("ava-80")]
    names = ("person-pose", "person-object interaction", "person-person interaction")
    assert [kinds.count((kind,)) for kind in names] == [
        14, 49, 17,
    ]  # fmt: skip
    assert [row.class_id for row in shipped_actions("ava-kinetics-shortlist")][:3] == [13, 46, 65]
    rarest = shipped_table("kinetics-700-2020-rarest")
    assert rarest.columns == ["class_id", "name", "percent_accepted", "percent_published"]


def test_lists_are_joined_with_the_ids_of_the_first(tmp_path: Path) -> None:
    first = written(tmp_path / "a.txt", "1 yoga\n9 SkyDiving\n")
    second = written(tmp_path / "b.txt", "Yoga\nzumba\n")
    both = read_all_actions([first, second])
    assert pairs(both) == [(1, "yoga"), (9, "sky diving"), (10, "zumba")]
    assert [origin.source for origin in both.actions[0].origins] == ["a", "b"]
    assert both.sources == ("a", "b")
    assert joined([]).classes == []


def test_ids_that_come_twice_are_not_taken_and_new_ones_follow_the_highest(tmp_path: Path) -> None:
    double = read_actions(written(tmp_path / "a.csv", "class_id,name\n7,run\n7,walk\n"))
    assert pairs(double) == [(1, "run"), (2, "walk")]
    assert [row.origins[0].class_id for row in double] == [7, 7]
    first = action_list("x", [(5, "run"), (1, "walk")])
    assert pairs(joined([first, action_list("y", [(1, "sit"), (2, "stand")])]))[2:] == [(6, "sit"), (7, "stand")]


def test_a_class_is_found_by_any_name_or_its_id_and_its_own_name_first() -> None:
    listed = ActionList(
        (
            Action(class_id=1, name="biking", origins=(Origin(source="a", name="yoga"),)),
            Action(class_id=2, name="Yoga", origins=(Origin(source="a", name="Yoga"),)),
        )
    )
    assert listed.named("yoga").class_id == 2
    assert listed.named("BIKING").class_id == listed.named("1").class_id == 1
    with pytest.raises(UnknownName, match=r"no class 'bikin'. Did you mean 'biking'"):
        listed.named("bikin")


def test_ids_and_names_are_unique() -> None:
    with pytest.raises(BadInput, match=r"'b' .1. and 'a' share an id or a name"):
        action_list("x", [(1, "a"), (1, "b")])
    with pytest.raises(BadInput, match=r"'A' .2. and 'a' share an id or a name"):
        action_list("x", [(1, "a"), (2, "A")])
    with pytest.raises(BadInput, match="has no name or no origin"):
        ActionList((Action(class_id=1, name="a", origins=()),))


def test_a_list_is_written_and_read_again(tmp_path: Path) -> None:
    listed = joined([shipped_actions("ava-60"), shipped_actions("kinetics-400")])
    write_actions(tmp_path / "a.csv", listed)
    assert read_action_list(tmp_path / "a.csv") == read_actions(tmp_path / "a.csv") == listed


HEAD = "class_id,name,category,parents,source,source_id,source_name,num_clips\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "a.csv:1: the columns are a,b. Want class_id,name,category,parents,source"),
        (HEAD, "a.csv: the action list holds no class. Make one: gesta actions import"),
        (HEAD + "1,yoga\n", "a.csv:2: 2 cells. Want 8"),
        (HEAD + "x,yoga,,,k,,yoga,\n", "a.csv:2: class_id is 'x'. Want a whole number"),
        (HEAD + ",yoga,,,k,,yoga,\n", "a.csv:2: there is no class_id. Every row needs one"),
        (HEAD + "1,,,,k,,yoga,\n", "a.csv:2: there is no name. Every row needs one"),
        (HEAD + "1,yoga,,,k,,yoga,many\n", "a.csv:2: num_clips is 'many'. Want a whole number"),
        (HEAD + "1,yoga,,,k,,yoga,\n1,zumba,,,l,,zumba,\n", "a.csv:3: class 1 is written differently in line 2"),
        (HEAD + "1,yoga,,,k,,yoga,\n2,Yoga,,,l,,zumba,\n", "a.csv: 'Yoga' (2) and 'yoga' share an id or a name"),
        (HEAD + '1,"yoga,,,k,,yoga,\n', "a.csv:2: the quotes do not pair"),
    ],
)
def test_a_bad_row_of_an_action_list_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInput) as error:
        read_action_list(written(tmp_path / "a.csv", text))
    assert message in str(error.value)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    origin = (Origin(source="a", name="a"),)
    with pytest.raises(BadInput, match=r"'a\\nb' breaks a line"):
        write_actions(tmp_path / "a.csv", ActionList((Action(class_id=1, name="a\nb", origins=origin),)))
    with pytest.raises(BadInput, match=r"the group 'b\|c' cannot be written"):
        write_actions(tmp_path / "a.csv", ActionList((Action(class_id=1, name="a", parents=("b|c",), origins=origin),)))
    assert not (tmp_path / "a.csv").exists()


def test_a_list_becomes_a_label_map_names_or_groups(tmp_path: Path) -> None:
    from gesta.formats import read_label_map

    ava = shipped_actions("ava-60")
    write_list(tmp_path / "a.pbtxt", ava)
    assert read_label_map(tmp_path / "a.pbtxt").rows() == [(row.class_id, row.name, row.category) for row in ava]
    with pytest.raises(BadInput, match=r"are not 1, 2, 3 .*, or give new ids with --renumber"):
        write_list(tmp_path / "a.txt", ava)
    write_list(tmp_path / "a.txt", in_form(renumbered(ava), form="ing"))
    assert (tmp_path / "a.txt").read_text().splitlines()[:2] == ["bending/bowing (at the waist)", "crouching/kneeling"]
    write_list(tmp_path / "a.json", ava)
    sizes = {group: len(names) for group, names in json.loads((tmp_path / "a.json").read_text()).items()}
    assert sizes == {"person-pose": 13, "person-object interaction": 32, "person-person interaction": 15}
    write_list(tmp_path / "a.csv", ava)
    assert read_actions(tmp_path / "a.csv") == ava
    with pytest.raises(BadInput, match=r"no layout has the ending '.xml'"):
        write_list(tmp_path / "a.xml", ava)
    with pytest.raises(BadInput, match="no class is in a group"):
        write_list(tmp_path / "b.json", action_list("a", [(1, "yoga")]))


def test_a_category_of_words_fits_a_label_map(tmp_path: Path) -> None:
    mpii = written(tmp_path / "m.csv", "act_id,cat_name,act_name\n1,water activities,rafting\n")
    write_list(tmp_path / "m.pbtxt", read_actions(mpii))
    assert "label_type: water_activities" in (tmp_path / "m.pbtxt").read_text()


def test_two_ids_of_one_name_are_one_class_with_two_origins(tmp_path: Path) -> None:
    path = written(tmp_path / "a.pbtxt", 'item { name: "cut" id: 1 }\nitem { name: "cut" id: 5 }\n')
    (cut,) = read_actions(path)
    assert [origin.class_id for origin in cut.origins] == [1, 5]


def test_a_bad_row_names_path_and_line(tmp_path: Path) -> None:
    with pytest.raises(BadRow, match=r"a.csv:3: the quotes do not pair"):
        read_actions(written(tmp_path / "a.csv", 'label\nrun\n"walk\n'))


def test_an_action_list_is_a_label_map_too(tmp_path: Path) -> None:
    write_actions(tmp_path / "a.csv", shipped_actions("ava-60"))
    assert label_map_of(tmp_path / "a.csv").rows()[0] == (1, "bend/bow (at the waist)", "PERSON_MOVEMENT")
    assert label_map_of(written(tmp_path / "a.txt", "yoga\nzumba\n"))["name"].to_list() == ["yoga", "zumba"]


MADE = made_by("by-hand", arguments={}, inputs={})


def test_a_work_folder_gives_its_classes_and_what_was_accepted(tmp_path: Path) -> None:
    labels = [
        ClipLabel(clip_id=f"c{i}", class_id=1 + i % 2, verdict=verdict, num_yes=3, num_no=0, num_unsure=0, num_broken=0)
        for i, verdict in enumerate(["accepted", "rejected", "accepted", "open"])
    ]
    rows = [LabelClass(class_id=1, name="yoga"), LabelClass(class_id=2, name="zumba")]
    for name, table in (("label_map", rows), ("clip_labels", labels)):
        write_table(table_path(tmp_path / "work", name), name, frame_of(name, table), made_by=MADE)
    assert [(row.name, row.num_clips) for row in read_actions(tmp_path / "work")] == [("yoga", 2), ("zumba", None)]
    assert pairs(read_actions(tmp_path / "work" / "label_map.parquet")) == [(1, "yoga"), (2, "zumba")]
    units = units_of_work(tmp_path / "work")
    assert units is not None
    assert units.rows() == [(0, 1), (1, 1)]
    assert units_of_work(tmp_path) is None


def test_what_workers_suggested_is_a_list(tmp_path: Path) -> None:
    rows = [
        Suggestion(text="watering plants", num=2, num_workers=2, clip_id="c"),
        Suggestion(text="trimming trees", num=5, num_workers=4, clip_id="c"),
    ]
    path = table_path(tmp_path, "suggestions")
    write_table(path, "suggestions", frame_of("suggestions", rows), made_by=MADE)
    found = [(row.name, row.num_clips, row.origins[0].source) for row in read_actions(path)]
    assert found == [("trimming trees", 5, "suggestions"), ("watering plants", 2, "suggestions")]


def test_titles_of_files_are_names_without_their_takes(tmp_path: Path) -> None:
    for name in ("walk_forward_01.bvh", "s2/walk_forward_02.bvh", "Jump Rope take 3.c3d", "cartwheel.bvh", ".hidden"):
        (tmp_path / "mocap" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mocap" / name).touch()
    actions = read_actions(tmp_path / "mocap", format_name="titles")
    assert [(row.name, row.num_clips) for row in actions] == [("walk forward", 2), ("jump rope", 1), ("cartwheel", 1)]
    with pytest.raises(BadInput, match=r"titles are those of a folder's files. Name the folder"):
        read_actions(written(tmp_path / "a.txt", "x\n"), format_name="titles")


def test_the_split_files_of_hmdb_51_are_a_list(tmp_path: Path) -> None:
    for name in ("brush_hair", "ride_bike"):
        written(tmp_path / f"{name}_test_split1.txt", f"{name}_a.avi 1\n{name}_b.avi 2\n{name}_c.avi 0\n")
    assert [row.name for row in read_actions(tmp_path)] == ["brush hair", "ride bike"]
