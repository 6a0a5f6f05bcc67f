"""Lists of actions from wherever they are: shipped lists, our csv, names in any layout, and datasets in any format.

Layouts of names, beside the formats of `gesta.formats` (label maps, Kinetics, ActivityNet, folders of UCF-101, HMDB-51
and class folders, and the others):

| file | layout |
|---|---|
| `.csv` with a header | a column `name`, `label`, `class`, `action`, `activity` or `act_name`; further `class_id`, `id`, `label_id` or `act_id`; `category`, `parent`, `group` or `cat_name` |
| `.txt` | a name a line; or a number and a name (`1 ApplyEyeMakeup`), or a name and a number (`brush_hair 0`) |
| `.json` | `["wave", ...]`, `{"wave": 0, ...}`, `{"0": "wave", ...}`, groups `{"hands": ["wave", ...]}`, or a model's `config.json` with `id2label` |

A csv with a column of videos (`video_id`, `youtube_id`, `file_name`, `path` or `video`) has a clip a row.

A work folder gives its classes, with the clips (or boxed persons) that were accepted; its table `suggestions` gives what
workers said instead of the action asked for; and titles of files, by the name `titles`, are names too.

Source: Kinetics-400 paper, section 3.1 (datasets, file titles of motion capture, workers); `classInd.txt` of UCF-101; the activity columns of MPII Human Pose; `config.json` of Hugging Face models.
"""  # noqa: E501

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from gesta.formats import Annotations, Context, format_named, format_of, read_label_map
from gesta.formats.delimited import read_lines
from gesta.formats.json_values import read_json
from gesta.formats.kinetics import HEADER as KINETICS_HEADER
from gesta.mine.actions.csv_rows import headed_rows
from gesta.mine.actions.lists import Action, ActionList, Origin, is_action_list, joined, read_action_list, with_action
from gesta.mine.actions.names import readable_name
from gesta.mine.actions.shipped import ACTION_LISTS, AVA_CATEGORIES, shipped_actions
from gesta.schema import BadInput, BadRow
from gesta.tables import frame_of, read_table, table_path

_NAME_COLUMNS = ("name", "label", "class", "action", "activity", "act_name", "class_name", "display_name")
_ID_COLUMNS = ("class_id", "id", "label_id", "act_id", "index")
_CATEGORY_COLUMNS = ("category", "parent", "group", "cat_name", "label_type")
_NUMBER_FIRST = re.compile(r"\s*(-?\d{1,18})[\s:,;.)]+(\S.*?)\s*")
_NUMBER_LAST = re.compile(r"\s*(\S.*?)[\s:,;]+(-?\d{1,18})\s*")

_TAKE = re.compile(r"[\s_.-]*(?:(?:take|trial|subject|s|t)?[\s_.-]*\d+[a-z]?[\s_.-]*)*\Z", re.IGNORECASE)
"""What stands behind the title of a take: numbers, also after a word that counts takes."""

TITLES = "titles"
"""Name for `format_name`: the names are the titles of a folder's files."""

_VIDEO_COLUMNS = ("video_id", "youtube_id", "file_name", "path", "video")

_Row = tuple[int | None, str, str | None, int | None]
"""Id, name as written, category and clips, as a file says them."""


def read_actions(
    where: Path | str,
    *,
    source: str | None = None,
    format_name: str | None = None,
    label_map: Path | None = None,
) -> ActionList:
    """The action list of a shipped name or of a file or folder, with names as people read them.

    What a dataset's file holds is counted: `num_clips` of an origin are its labelled clips, or its labelled boxes where
    it has boxes only. Names that differ in capitals and underscores alone become one class with several origins.

    Args:
        where: a name of `ACTION_LISTS` (a file of that name comes first), or a path.
        source: what to call the list in `origins`; None = the shipped name, or the file's without its ending. A csv of
            ours keeps the sources that it says.
        format_name: a name of `gesta.formats.FORMATS`, or `titles`; None = what the file looks like.
        label_map: names of the classes of a file that has ids only, such as AVA's.
    Raises:
        BadInput: there is neither such a file nor such a shipped list, it cannot be read, or names no class.
        WrongSchema: a table of gesta's has other columns than it should.
        BadRow: a line is not what it must be.
        UnknownName: there is no such format.
    """
    path = Path(where)
    if not path.exists():
        if str(where) in ACTION_LISTS:
            return shipped_actions(str(where))
        raise BadInput(
            "there is no such file or folder, nor such a shipped list", where=where,
            mend=f"Shipped are: {', '.join(ACTION_LISTS)}",
        )  # fmt: skip
    if format_name is None and path.is_file() and path.suffix == ".csv" and is_action_list(path):
        return read_action_list(path)
    called = source or (path.resolve().name if path.is_dir() else path.stem)
    if format_name == TITLES:
        return _listed(_rows_of_titles(path), source=called, path=path)
    rows = None if format_name is not None else _rows_of_work(path) if path.is_dir() else _rows_of_names(path)
    if rows is not None:
        return _listed(rows, source=called, path=path)
    return _of_dataset(path, source=called, format_name=format_name, label_map=label_map)


def label_map_of(path: Path) -> pl.DataFrame:
    """The `label_map` table of a file of actions: an action list, or a label map or plain list as it stands.

    Raises:
        BadInput: there is no such file, it cannot be read, or holds no class.
        BadRow: a line is not what it must be.
    """
    if path.suffix == ".csv" and is_action_list(path):
        return frame_of("label_map", read_action_list(path).classes)
    return read_label_map(path)


def read_all_actions(wheres: Iterable[Path | str]) -> ActionList:
    """The lists of several names or paths, joined; see `read_actions` and `joined`.

    Raises:
        BadInput: one is neither a file nor a shipped list, cannot be read, or names no class.
        BadRow: a line is not what it must be.
    """
    return joined(read_actions(where) for where in wheres)


def _listed(rows: Sequence[_Row], *, source: str, path: Path) -> ActionList:
    """The classes of a file's rows; ids as written where all have one and none comes twice, else the places."""
    if not rows:
        raise BadInput("it names no class", where=path, mend="Give a list of names, or the label map of this file")
    ids = [class_id for class_id, *_ in rows]
    published = None not in ids and len(set(ids)) == len(ids)
    found: dict[str, Action] = {}
    for place, (class_id, name, category, num_clips) in enumerate(rows, start=1):
        readable = readable_name(name)
        if not readable:
            raise BadInput(f"name {place} is empty", where=path, mend="Leave it out, or name the class")
        origin = Origin(source=source, name=name, class_id=class_id, num_clips=num_clips)
        group = AVA_CATEGORIES.get(category, category) if category else None
        action = Action(
            class_id=class_id if published and class_id is not None else place,
            name=readable, category=category, parents=(group,) if group else (), origins=(origin,),
        )  # fmt: skip
        key = readable.casefold()
        found[key] = with_action(found[key], action) if key in found else action
    return ActionList(tuple(found.values()))


def _rows_of_names(path: Path) -> list[_Row] | None:
    """The rows of a file in one of the layouts of names; None of a file in another format."""
    if path.suffix in (".parquet", ".jsonl") and path.stem == "suggestions":
        frame = read_table(path, "suggestions").sort("num", descending=True, maintain_order=True)
        return [(None, text, None, num) for text, num in frame.select("text", "num").iter_rows()]
    if path.suffix in (".parquet", ".jsonl") and path.stem == "label_map":
        return [(i, name, category, None) for i, name, category in read_table(path, "label_map").iter_rows()]
    if path.suffix == ".json":
        return _rows_of_json(path)
    if path.suffix == ".csv":
        return _rows_of_csv(path)
    if path.suffix in (".txt", ".lst", ".names", ""):
        return _rows_of_lines(path)
    return None


def _rows_of_work(folder: Path) -> list[_Row] | None:
    """The classes of a work folder with what was accepted of each; None of another folder."""
    if not table_path(folder, "label_map").is_file():
        return None
    counts: dict[int, int] = {}
    for table in ("clip_labels", "box_labels"):
        if not counts and table_path(folder, table).is_file():
            accepted = read_table(folder, table).filter(pl.col("verdict") == "accepted")
            counts = dict(accepted.group_by("class_id").agg(pl.len()).iter_rows())
    return [(i, name, category, counts.get(i)) for i, name, category in read_table(folder, "label_map").iter_rows()]


def _rows_of_titles(folder: Path) -> list[_Row]:
    """The titles of a folder's files without the numbers behind them, the most frequent first, with how often."""
    if not folder.is_dir():
        raise BadInput("titles are those of a folder's files", where=folder, mend="Name the folder")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    titles = Counter(readable_name(_TAKE.sub("", path.stem)) for path in files)
    return [(None, title, None, num) for title, num in titles.most_common() if title]


def _rows_of_csv(path: Path) -> list[_Row] | None:
    header, rows = headed_rows(path)
    name_at = next((column for column in _NAME_COLUMNS if column in header), None)
    if name_at is None or len(set(header)) < len(header) or {"youtube_id", "time_start"} & set(header):
        return None
    id_at = next((column for column in _ID_COLUMNS if column in header), None)
    category_at = next((column for column in _CATEGORY_COLUMNS if column in header), None)
    categories: dict[tuple[int | None, str], str | None] = {}
    counts: Counter[tuple[int | None, str]] = Counter()
    for line, row in rows:
        if not row[name_at]:
            raise BadRow(f"there is no {name_at}", path=path, line=line, mend="Name the class or drop the line")
        class_id = _id_in(row[id_at], path=path, line=line) if id_at is not None else None
        category = row[category_at] or None if category_at is not None else None
        categories.setdefault((class_id, row[name_at]), category)
        counts[class_id, row[name_at]] += 1
    are_clips = not set(header).isdisjoint(_VIDEO_COLUMNS)
    return [(*key, category, counts[key] if are_clips else None) for key, category in categories.items()]


def _id_in(text: str, *, path: Path, line: int) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise BadRow(f"the id is {text!r}", path=path, line=line, mend="Want a whole number")
    return int(text)


def _rows_of_lines(path: Path) -> list[_Row] | None:
    lines = read_lines(path)
    texts = lines["text"].to_list()
    if any("{" in text for text in texts[:1]) or path.stem.startswith(("trainlist", "testlist")):
        return None
    first = [_NUMBER_FIRST.fullmatch(text) for text in texts]
    if texts and all(first):
        numbered: list[_Row] = [(int(match[1]), match[2], None, None) for match in first if match]
        return numbered
    last = [_NUMBER_LAST.fullmatch(text) for text in texts]
    if texts and all(last):
        # Lists of videos end in a number too, and begin with a path.
        found: list[_Row] = [(int(match[2]), match[1], None, None) for match in last if match]
        return None if any("/" in name or "." in name for _, name, _, _ in found) else found
    if any("," in text and text.split(",")[0].strip() in KINETICS_HEADER for text in texts[:1]):
        return None
    return [(class_id, name, category, None) for class_id, name, category in read_label_map(path).iter_rows()]


def _rows_of_json(path: Path) -> list[_Row] | None:
    value = read_json(path)
    if isinstance(value, dict) and isinstance(value.get("id2label"), dict):
        value = value["id2label"]
    if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
        return [(None, name, None, None) for name in value]
    if not isinstance(value, dict) or not value:
        return None
    if all(_is_id(class_id) for class_id in value.values()):
        ids = sorted(value.items(), key=lambda item: int(item[1]))
        return [(int(class_id), name, None, None) for name, class_id in ids]
    if all(_is_id(key) and isinstance(name, str) for key, name in value.items()):
        return [(int(class_id), name, None, None) for class_id, name in value.items()]
    if all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in value.values()):
        return [(None, name, group, None) for group, names in value.items() for name in names]
    return None


def _is_id(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (
        isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value) is not None
    )


def _of_dataset(path: Path, *, source: str, format_name: str | None, label_map: Path | None) -> ActionList:
    names = None if label_map is None else read_label_map(label_map)
    # Two classes may each have a file of one name; videos are counted here, and never told apart by that.
    context = Context(label_map=names, ids="path")
    annotations = format_named(format_name or format_of(path)).read(path, context=context)
    counts = label_counts(annotations)
    rows = [(i, name, category, counts.get(i)) for i, name, category in annotations.label_map.iter_rows()]
    if not rows:
        mend = "Give the label map that belongs to it (--label-map)" if counts else "Give a list that has labels"
        raise BadInput("it has ids and no names" if counts else "it labels nothing", where=path, mend=mend)
    return _listed(rows, source=source, path=path)


def label_counts(annotations: Annotations) -> dict[int, int]:
    """Labelled clips of each class; labelled boxes where there are no labelled clips."""
    clips, boxes = (part.select("class_id").drop_nulls() for part in (annotations.clips, annotations.boxes))
    labels = clips if clips.height else boxes
    return dict(labels.group_by("class_id").agg(pl.len()).iter_rows())


def only_sources(actions: ActionList, sources: Sequence[str]) -> ActionList:
    """The classes that have an origin in one of the lists, with those origins alone.

    >>> from gesta.mine.actions.shipped import shipped_actions
    >>> len(only_sources(shipped_actions("ava-60"), ["ava-60"])), len(only_sources(shipped_actions("ava-60"), []))
    (60, 0)
    """
    kept = []
    for action in actions.actions:
        origins = tuple(origin for origin in action.origins if origin.source in sources)
        if origins:
            kept.append(replace(action, origins=origins))
    return ActionList(tuple(kept))
