"""COCO-VID json: COCO's layout with videos, frame numbers and instances, and TAO's names for the same on reading.

One file is one split. An image is one frame of a video; an annotation is one box and one action on it; what one person
does at once are several annotations with one `instance_id`:

    {"videos": [{"id": 1, "name": "v00", "width": 320, "height": 240, "fps": 25, "length": 75}],
     "images": [{"id": 1, "video_id": 1, "frame_id": 3, "file_name": "v00/000003.jpg", "width": 320, "height": 240}],
     "annotations": [{"id": 1, "image_id": 1, "video_id": 1, "category_id": 80, "instance_id": 0,
                      "bbox": [24.64, 48.0, 95.86, 168.0], "area": 16104.48, "iscrowd": 0}],
     "categories": [{"id": 80, "name": "watch (a person)", "supercategory": "PERSON_INTERACTION"}]}

| key | unit | what |
|---|---|---|
| `videos`: `id`, `name` | | number within the file; `video_id` |
| `videos`: `width`, `height` | pixels | size; else that of its images; else from the table of videos |
| `videos`: `length` | frames | number of frames |
| `videos`: `fps` | frames a second | rate; a decimal is read as the nearest fraction with a denominator up to 1001 |
| `images`: `frame_id`, or TAO's `frame_index` | frames from 0 | time: when the frame begins, at the frame rate |
| `annotations`: `bbox` | pixels | left, top, width, height; corners are divided by the frame's size |
| `annotations`: `category_id` | | `class_id`, as it stands |
| `annotations`: `instance_id`, or TAO's `track_id` | | `person_id`; may be absent |
| `annotations`: `score` | 0 to 1 | as in files of results; may be absent |
| `categories`: `id`, `name`, `supercategory` | | the label map; `supercategory` is the category |

An image without annotations is a key-frame that shows nobody. Rows come by image in the order of `images`, and within
one in the order of `annotations`.

Kept: boxes to 6 decimals of a pixel, actions, persons, scores, key-frames, sizes, rates, numbers of frames, the label
map. Lost when written: `is_interpolated`, splits, paths, urls and durations of videos, times between frames (the
nearest frame is taken), and the order among rows of different key-frames that stand mixed. Lost when read: masks,
`iscrowd`, `neg_category_ids`, names of image files, and whatever else is there. Refused: clips, boxes without an
action (COCO wants a category), images whose size is not that of their video.

MMTracking's reader takes `frame_id` for a place in the list of a video's images, so it wants files with every frame.
TAO's own reader wants a list of `tracks`, one category each, which is not written.

Source: open-mmlab/mmtracking, docs/en/tutorials/customize_dataset.md (keys; `frame_id` from 0) and
`mmtrack/datasets/parsers/coco_video_parser.py` at 07f4ed4; TAO-Dataset/tao at a925052, `tao/toolkit/tao/tao.py`
(`frame_index`, `track_id`). Rounding: ours, see `frame_boxes.PIXEL_DECIMALS`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gesta.formats.annotations import (
    BOX_COLUMNS,
    LABEL_MAP_COLUMNS,
    VIDEO_COLUMNS,
    Annotations,
    Context,
    shaped,
)
from gesta.formats.frame_boxes import BOX, PIXEL_DECIMALS, at_times, filled_videos, on_frames, with_context
from gesta.formats.json_values import (
    integer_of,
    list_of,
    number_of,
    number_or_none,
    object_of,
    read_json,
    text_of,
    text_or_none,
)
from gesta.schema import BadInput
from gesta.tables import write_text

_MAX_DENOMINATOR = 1001
"""Source: SMPTE rates such as 30000/1001 frames a second have no greater one."""

_SUM_DECIMALS = 9
"""Digits to which left + width is rounded, so that 0.1 + 0.2 is 0.3. Source: ours; far below a pixel's 6."""


def read_coco_vid(path: Path, *, context: Context = Context()) -> Annotations:
    """The videos, boxes and label map of a COCO-VID or TAO file.

    Args:
        path: of the file.
        context: `videos` gives sizes and frame rates that the file does not have.
    Raises:
        BadInput: the file cannot be read, a part of it is missing or not what it must be, an id comes twice or names
            nothing, an image has another size than its video, or a video's size or frame rate is not known.
        BadRow: a line is not UTF-8 or not JSON.
    """
    whole = object_of(read_json(path), where=str(path))
    parts = {name: list_of(whole.get(name), where=f"{path}: {name}") for name in _PARTS}
    categories = _categories(parts["categories"], path=path)
    names, videos = _videos(parts["videos"], path=path)
    images, sizes = _images(parts["images"], names=names, path=path)
    videos = _sized(videos, sizes=sizes, path=path)
    known = with_context(videos, context=context, path=path)
    boxes = _boxes(parts["annotations"], images=images, categories=set(categories["class_id"]), path=path)
    rows = images.join(boxes, on="image", how="left", maintain_order="left_right").drop("image")
    return Annotations(videos=known, boxes=shaped(at_times(rows, known, path=path), BOX_COLUMNS), label_map=categories)


_PARTS = ("videos", "images", "annotations", "categories")


def _new_id(record: dict[str, Any], seen: dict[int, Any], *, where: str) -> int:
    number = integer_of(record.get("id"), where=f"{where}.id")
    if number in seen:
        raise BadInput(f"id {number} comes twice", where=where, mend="Number each part of the file anew")
    return number


def _categories(records: list[Any], *, path: Path) -> pl.DataFrame:
    rows: dict[int, tuple[int, str, str | None]] = {}
    for i, value in enumerate(records):
        where = f"{path}: categories[{i}]"
        record = object_of(value, where=where)
        number = _new_id(record, rows, where=where)
        category = text_or_none(record.get("supercategory"), where=f"{where}.supercategory")
        rows[number] = (number, text_of(record.get("name"), where=f"{where}.name"), category)
    return pl.DataFrame(list(rows.values()), schema=LABEL_MAP_COLUMNS, orient="row")


def _videos(records: list[Any], *, path: Path) -> tuple[dict[int, str], pl.DataFrame]:
    """The video id of each number in the file, and the table of videos."""
    names: dict[int, str] = {}
    rows: list[dict[str, Any]] = []
    for i, value in enumerate(records):
        where = f"{path}: videos[{i}]"
        record = object_of(value, where=where)
        number = _new_id(record, names, where=where)
        names[number] = text_of(record.get("name"), where=f"{where}.name")
        rate = _rate(record, where=where)
        sides = {f"{side}_px": _count(record.get(side), least=1, where=f"{where}.{side}") for side in _SIDES}
        frames = _count(record.get("length"), least=0, where=f"{where}.length")
        rows.append({"video_id": names[number], "num_frames": frames, "fps_num": rate[0], "fps_den": rate[1], **sides})
    columns = {name: VIDEO_COLUMNS[name] for name in ("video_id", "num_frames", *_RATE, "width_px", "height_px")}
    return names, shaped(pl.DataFrame(rows, schema=columns), VIDEO_COLUMNS)


_SIDES, _RATE = ("width", "height"), ("fps_num", "fps_den")


def _count(value: Any, *, least: int, where: str) -> int | None:
    if value is None:
        return None
    number = integer_of(value, where=where)
    if not least <= number <= 10**9:
        raise BadInput(f"{number} is none", where=where, mend=f"Want a whole number from {least}")
    return number


def _rate(record: dict[str, Any], *, where: str) -> tuple[int | None, int | None]:
    num, den = (_count(record.get(name), least=1, where=f"{where}.{name}") for name in _RATE)
    if num is not None and den is not None:
        return num, den
    fps = number_or_none(record.get("fps"), where=f"{where}.fps")
    if fps is None:
        return None, None
    if not 1e-3 <= fps <= 1e6:
        raise BadInput(f"{fps} frames a second is no frame rate", where=f"{where}.fps", mend="Correct it")
    rate = Fraction(fps).limit_denominator(_MAX_DENOMINATOR)
    return rate.numerator, rate.denominator


def _images(
    records: list[Any], *, names: dict[int, str], path: Path
) -> tuple[pl.DataFrame, dict[str, tuple[int, int, str]]]:
    """Columns `image`, `video_id`, `frame` in the file's order; and each video's size with the image that says so."""
    rows: dict[int, tuple[int, str, int]] = {}
    sizes: dict[str, tuple[int, int, str]] = {}
    for i, value in enumerate(records):
        where = f"{path}: images[{i}]"
        record = object_of(value, where=where)
        number = _new_id(record, rows, where=where)
        name = "frame_id" if "frame_id" in record else "frame_index"
        frame = integer_of(record.get(name), where=f"{where}.{name}")
        if frame < 0:
            raise BadInput(f"{frame} is no frame", where=f"{where}.{name}", mend="Frames count from 0")
        video_id = _named(record.get("video_id"), names, what="video", where=f"{where}.video_id")
        rows[number] = (number, video_id, frame)
        width, height = (_count(record.get(side), least=1, where=f"{where}.{side}") for side in _SIDES)
        if width is not None and height is not None:
            first = sizes.setdefault(video_id, (width, height, where))
            if first[:2] != (width, height):
                raise BadInput(
                    f"{width} x {height} pixels, and another image of {video_id!r} has {first[0]} x {first[1]}",
                    where=where,
                    mend="Scale the boxes to one size a video",
                )
    schema = {"image": pl.Int64, "video_id": pl.String, "frame": pl.Int64}
    return pl.DataFrame(list(rows.values()), schema=schema, orient="row"), sizes


def _named(value: Any, known: dict[int, Any], *, what: str, where: str) -> Any:
    number = integer_of(value, where=where)
    if number not in known:
        raise BadInput(f"there is no {what} {number}", where=where, mend=f"Add it to the list of {what}s, or drop this")
    return known[number]


def _sized(videos: pl.DataFrame, *, sizes: dict[str, tuple[int, int, str]], path: Path) -> pl.DataFrame:
    double = videos.filter(pl.col("video_id").is_duplicated())
    if double.height:
        name = double["video_id"][0]
        raise BadInput(f"two videos are called {name!r}", where=path, mend="Give each its own name")
    for video_id, width, height in videos.select("video_id", "width_px", "height_px").iter_rows():
        own = sizes.get(video_id)
        if own is not None and None not in (width, height) and own[:2] != (width, height):
            raise BadInput(
                f"{own[0]} x {own[1]} pixels, and the video {video_id!r} has {width} x {height}",
                where=own[2],
                mend="Scale the boxes to the video's size",
            )
    if not sizes:
        return videos
    rows = [(video_id, *size[:2]) for video_id, size in sizes.items()]
    found = pl.DataFrame(rows, schema=["video_id", "width", "height"], orient="row")
    both = videos.join(found, on="video_id", how="left", maintain_order="left")
    is_whole = pl.col("width_px").is_not_null() & pl.col("height_px").is_not_null()
    return both.with_columns(
        pl.when(is_whole).then(f"{side}_px").otherwise(side).alias(f"{side}_px") for side in _SIDES
    ).select(list(VIDEO_COLUMNS))


def _boxes(records: list[Any], *, images: pl.DataFrame, categories: set[int], path: Path) -> pl.DataFrame:
    """Columns `image`, the corners in pixels, `class_id`, `person_id` and `score`, in the file's order."""
    known = dict.fromkeys(images["image"].to_list(), True)
    plain = _plain_boxes(records, known=known.keys(), categories=categories)
    if plain is not None:
        return _with_far_corners(plain, path=path)
    seen: dict[int, bool] = {}
    rows = []
    for i, value in enumerate(records):
        where = f"{path}: annotations[{i}]"
        record = object_of(value, where=where)
        if record.get("id") is not None:
            seen[_new_id(record, seen, where=where)] = True
        image = record.get("image_id")
        if not isinstance(image, int) or image not in known:
            _named(image, known, what="image", where=f"{where}.image_id")
        class_id = integer_of(record.get("category_id"), where=f"{where}.category_id")
        if class_id not in categories:
            raise BadInput(f"there is no category {class_id}", where=where, mend="Add it to the list of categories")
        person = record.get("instance_id", record.get("track_id"))
        person_id = None if person is None else integer_of(person, where=f"{where}.instance_id")
        bbox = record.get("bbox")
        if not isinstance(bbox, list) or len(bbox) != 4:
            raise BadInput("bbox is no list of four numbers", where=where, mend="Want left, top, width, height")
        box = [side if type(side) is float else number_of(side, where=f"{where}.bbox") for side in bbox]
        score = number_or_none(record.get("score"), where=f"{where}.score")
        rows.append((image, *box, class_id, person_id, score))
    return _with_far_corners(pl.DataFrame(rows, schema=_FOUND, orient="row"), path=path)


_FOUND: dict[str, pl.DataType] = {
    "image": pl.Int64(), **dict.fromkeys(BOX, pl.Float64()), "class_id": pl.Int64(), "person_id": pl.Int64(),
    "score": pl.Float64(),
}  # fmt: skip


def _plain_boxes(records: list[Any], *, known: Collection[int], categories: set[int]) -> pl.DataFrame | None:
    """The boxes where each is just as it should be; None where one is not, to be looked at one by one."""
    if not all(type(record) is dict for record in records):
        return None
    ids = [record.get("id") for record in records]
    image, number = ([record.get(name) for record in records] for name in ("image_id", "category_id"))
    person = [record.get("instance_id", record.get("track_id")) for record in records]
    score, bbox = ([record.get(name) for record in records] for name in ("score", "bbox"))
    if not all(type(box) is list and len(box) == 4 for box in bbox):
        return None
    sides = list(chain.from_iterable(bbox))
    no_number = type(None)
    is_plain = (
        set(map(type, ids)) | set(map(type, image)) | set(map(type, number)) <= {int}
        and set(map(type, person)) <= {int, no_number}
        and set(map(type, score)) <= {int, float, no_number}
        and set(map(type, sides)) <= {int, float}
        and len(set(ids)) == len(ids)
        and set(image) <= set(known)
        and set(number) <= categories
        and all(abs(value) < 2**53 for value in chain(ids, sides, filter(None, chain(person, score))))
    )
    if not is_plain:
        return None
    box_N4 = np.array(sides, dtype=np.float64).reshape(-1, 4)
    columns = {"image": image, **dict(zip(BOX, box_N4.T.copy(), strict=True)), "class_id": number, "person_id": person}
    return pl.DataFrame({**columns, "score": score}, schema=_FOUND, strict=False)


def _with_far_corners(found: pl.DataFrame, *, path: Path) -> pl.DataFrame:
    columns = []
    for near, far in (("x1", "x2"), ("y1", "y2")):
        with np.errstate(over="ignore"):
            total = found[near].to_numpy() + found[far].to_numpy()
        wrong = ~np.isfinite(total)
        if wrong.any():
            where = f"{path}: annotations[{int(wrong.argmax())}].bbox"
            raise BadInput("the box is beyond all frames", where=where, mend="Correct it")
        is_near = np.abs(total) < 1e6
        columns.append(pl.Series(far, np.where(is_near, np.round(np.where(is_near, total, 0), _SUM_DECIMALS), total)))
    return found.with_columns(columns)


def write_coco_vid(path: Path, annotations: Annotations, *, context: Context = Context()) -> None:
    """A COCO-VID file, whole or not at all: frames from 0, `instance_id`, pixels to 6 decimals.

    Args:
        path: of the file.
        annotations: boxes with an action, and key-frames without boxes.
        context: `label_map` gives names, `videos` gives sizes and frame rates that are missing.
    Raises:
        BadInput: there are clips, or boxes without an action; a class has no name or comes twice; a corner or time is
            none; or a video's size or frame rate is not known.
    """
    if annotations.clips.height:
        raise BadInput(
            f"{annotations.clips.height} clips have no place in COCO-VID", where=path, mend="Write boxes only"
        )
    bad = annotations.boxes.filter(pl.col("x1").is_not_null() & pl.col("class_id").is_null())
    if bad.height:
        raise BadInput(
            f"{bad.height} boxes have no action, the first of video {bad['video_id'][0]!r}",
            where=path,
            mend="COCO wants a category for each box: give them a class, or write another format",
        )
    idle = annotations.boxes.filter(pl.col("x1").is_null() & pl.any_horizontal(pl.col(_OF_BOXES).is_not_null()))
    if idle.height:
        raise BadInput(
            f"{idle.height} rows have an action, a person or a score without a box, the first of video "
            f"{idle['video_id'][0]!r}",
            where=path,
            mend="Give the box, or nothing but the key-frame",
        )
    label_map = _label_map(annotations, context=context, path=path)
    videos = filled_videos(annotations, context=context, path=path)
    rows = on_frames(annotations.boxes, videos, path=path, decimals=PIXEL_DECIMALS)
    images = rows.select("video_id", "frame").unique(maintain_order=True).with_row_index("image", offset=1)
    numbered = videos.with_row_index("video", offset=1)
    framed = images.join(numbered, on="video_id", how="left", maintain_order="left")
    boxed = rows.join(framed.select("image", "video", "video_id", "frame"), on=["video_id", "frame"], how="left",
                      maintain_order="left")  # fmt: skip
    parts = {
        "videos": map(_dumped, map(_video_record, numbered.iter_rows(named=True))),
        "images": _image_lines(framed, numbered),
        "annotations": _box_lines(boxed.filter(pl.col("x1").is_not_null())),
        "categories": map(_dumped, map(_category_record, label_map.iter_rows(named=True))),
    }
    lists = [f'"{name}": [\n' + ",\n".join(lines) + "\n]" for name, lines in parts.items()]
    write_text(path, "{\n" + ",\n".join(lists) + "\n}\n")


_OF_BOXES = ("class_id", "person_id", "score")


def _label_map(annotations: Annotations, *, context: Context, path: Path) -> pl.DataFrame:
    known = annotations.label_map
    if context.label_map is not None:
        more = shaped(context.label_map, LABEL_MAP_COLUMNS)
        known = pl.concat([known, more.join(known, on="class_id", how="anti", maintain_order="left")])
    double = known.filter(pl.col("class_id").is_duplicated())
    if double.height:
        raise BadInput(f"class {double['class_id'][0]} comes twice in the label map", where=path, mend="Keep one row")
    used = annotations.boxes.select("class_id").drop_nulls().unique(maintain_order=True)
    named = known.filter(pl.col("name").fill_null("") != "")
    unnamed = used.join(named, on="class_id", how="anti", maintain_order="left")
    if unnamed.height:
        raise BadInput(
            f"class {unnamed['class_id'][0]} has no name",
            where=path,
            mend="Give a label map that names it (--label-map)",
        )
    return named


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _present(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}


def _video_record(row: dict[str, Any]) -> dict[str, Any]:
    num, den = row["fps_num"], row["fps_den"]
    has_rate = num is not None and den is not None and num > 0 and den > 0
    record = {
        "id": row["video"], "name": row["video_id"], "width": row["width_px"], "height": row["height_px"],
        "fps": (num // den if num % den == 0 else num / den) if has_rate else None, "length": row["num_frames"],
    }  # fmt: skip
    if has_rate and Fraction(record["fps"]).limit_denominator(_MAX_DENOMINATOR).as_integer_ratio() != (num, den):
        record |= {"fps_num": num, "fps_den": den}
    return _present(record)


def _image_lines(images: pl.DataFrame, videos: pl.DataFrame) -> Iterable[str]:
    """One JSON object an image; columns, since a file may have a million of them."""
    rows = videos.select("video_id", "width_px", "height_px").iter_rows()
    parts = [
        (video_id, f', "file_name": {_dumped(video_id)[:-1]}/', f'.jpg"{_size_text(width, height)}}}')
        for video_id, width, height in rows
    ]
    names = {"video_id": pl.String(), "head": pl.String(), "tail": pl.String()}
    texts = images.join(pl.DataFrame(parts, schema=names, orient="row"), on="video_id", maintain_order="left")
    frame = pl.col("frame").cast(pl.String)
    line = pl.concat_str(
        pl.lit('{"id": '), pl.col("image"), pl.lit(', "video_id": '), pl.col("video"), pl.lit(', "frame_id": '), frame,
        pl.col("head"), frame.str.zfill(6), pl.col("tail"),
    )  # fmt: skip
    return texts.select(line.alias("line")).to_series()


def _size_text(width: int | None, height: int | None) -> str:
    return "" if width is None or height is None else f', "width": {width}, "height": {height}'


def _category_record(row: dict[str, Any]) -> dict[str, Any]:
    return _present({"id": row["class_id"], "name": row["name"], "supercategory": row["category"]})


def _box_lines(rows: pl.DataFrame) -> Iterable[str]:
    """One JSON object a box."""
    sides = rows.with_row_index("number", offset=1).with_columns(
        (pl.col("x2") - pl.col("x1")).round(PIXEL_DECIMALS).alias("w"),
        (pl.col("y2") - pl.col("y1")).round(PIXEL_DECIMALS).alias("h"),
    )
    texts = sides.with_columns((pl.col("w") * pl.col("h")).round(PIXEL_DECIMALS).alias("area"))
    box = pl.concat_str(*(pl.col(name).cast(pl.String) for name in ("x1", "y1", "w", "h")), separator=", ")
    line = pl.concat_str(
        pl.lit('{"id": '), pl.col("number"), pl.lit(', "image_id": '), pl.col("image"), pl.lit(', "video_id": '),
        pl.col("video"), pl.lit(', "category_id": '), pl.col("class_id"), _optional("instance_id", "person_id"),
        pl.lit(', "bbox": ['), box, pl.lit('], "area": '), pl.col("area").cast(pl.String), pl.lit(', "iscrowd": 0'),
        _optional("score", "score"), pl.lit("}"),
    )  # fmt: skip
    return texts.select(line.alias("line")).to_series()


def _optional(key: str, column: str) -> pl.Expr:
    text = pl.concat_str(pl.lit(f', "{key}": '), pl.col(column).cast(pl.String))
    return pl.when(pl.col(column).is_null()).then(pl.lit("")).otherwise(text)
