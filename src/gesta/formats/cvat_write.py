"""The writing half of `gesta.formats.cvat`: tracks with key frames, tags on frames, and CVAT's label editor."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import polars as pl

from gesta.formats.annotations import VIDEO_COLUMNS, Annotations, Context, frame_numbers
from gesta.formats.clip_labels import filled_videos, known_label_map
from gesta.formats.key_boxes import keys_of
from gesta.schema import BadInput
from gesta.tables import Json, write_json, write_text

TOLERANCE_PX = 0.02
"""How far from the line between key frames an interpolated corner may lie. Source: ours; CVAT writes two decimals, so
that a corner and the line, from corners rounded too, differ by up to 0.01 in its own files."""

_DECIMALS = 6
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MAX_NAME = 200
_MAX_TICKS = 4 * 10**18


def cvat_labels(label_map: pl.DataFrame, *, label: str = "person", has_tags: bool = False) -> Json:
    """The labels that a CVAT task needs before files of `write_cvat` can be imported, for CVAT's raw label editor.

    Args:
        label_map: the actions.
        label: of the boxes.
        has_tags: whether clip labels are written too: each action then is also a label for tags.
    Source: docs.cvat.ai, "Label constructor", Raw.

    >>> cvat_labels(pl.DataFrame({"class_id": [1], "name": ["walk"]}))[0]["attributes"][0]["input_type"]
    'checkbox'
    """
    attributes = [
        {"name": name, "mutable": True, "input_type": "checkbox", "default_value": "false", "values": ["false"]}
        for name in label_map["name"]
    ]
    tags = [{"name": name, "type": "tag", "attributes": []} for name in label_map["name"]] if has_tags else []
    return [{"name": label, "type": "rectangle", "attributes": attributes}, *tags]


def write_cvat(path: Path, annotations: Annotations, *, context: Context = Context(), label: str = "person") -> None:
    """A CVAT XML file of one video, or a folder with one file a video, each whole or not at all.

    Args:
        path: a name that ends in `.xml` is a file and takes one video; any other is a folder, which gets `labels.json`
            (`cvat_labels`) too.
        annotations: boxes need the frame's size and rate, clips its rate, and clips over the whole file the number of
            frames, from here or from `context`.
        label: of the tracks.
    Raises:
        BadInput: something has no place in the format: a second video in one file, a video without size or rate, a
            class without a name or with that of another, two boxes of one person in one frame, a box that is no
            number, a text that XML cannot hold.
    """
    videos = filled_videos(annotations, context=context, path=path)
    names = _class_names(annotations, context=context, path=path)
    if path.suffix.lower() == ".xml":
        if videos.height > 1:
            raise BadInput(
                f"there are {videos.height} videos, and a CVAT file holds one",
                where=path,
                mend="Name a folder: it gets one file a video",
            )
        row = videos.row(0, named=True) if videos.height else dict.fromkeys(VIDEO_COLUMNS)
        write_text(path, _document(row, annotations, names=names, label=label, path=path))
        return
    for row in videos.iter_rows(named=True):
        target = path / f"{_file_name(row['video_id'])}.xml"
        write_text(target, _document(row, annotations, names=names, label=label, path=target))
    write_json(path / "labels.json", cvat_labels(names, label=label, has_tags=annotations.clips.height > 0))
    if not videos.height:
        write_text(path / "annotations.xml", _document(dict.fromkeys(VIDEO_COLUMNS), annotations, names=names,
                                                       label=label, path=path))  # fmt: skip


def _file_name(video_id: str) -> str:
    name = quote(video_id, safe=" ()[]{}+,;=@!'&#")
    short = hashlib.sha256(video_id.encode()).hexdigest()[:16]
    return name if len(name) <= _MAX_NAME else f"{name[:100]}-{short}"


def _class_names(annotations: Annotations, *, context: Context, path: Path) -> pl.DataFrame:
    """Columns `class_id` and `name`: all classes there are; each used one has a name of its own."""
    known = known_label_map(annotations, context=context).select("class_id", "name").drop_nulls()
    used = pl.concat([annotations.boxes["class_id"], annotations.clips["class_id"]]).drop_nulls().unique().sort()
    missing = used.filter(~used.is_in(known["class_id"].implode()))
    if len(missing):
        raise BadInput(
            f"class {missing[0]} has no name, and CVAT tells classes by name",
            where=path,
            mend="Give the label map that names it (--label-map)",
        )
    double = known.filter(pl.col("name").is_duplicated() | (pl.col("name") == ""))
    if double.height:
        raise BadInput(
            f"the class name {double['name'][0]!r} is empty or comes twice, and CVAT tells classes by name",
            where=path,
            mend="Give each class a name of its own",
        )
    return known


def _document(row: dict[str, Any], annotations: Annotations, *, names: pl.DataFrame, label: str, path: Path) -> str:
    is_here = pl.col("video_id") == pl.lit(row["video_id"], dtype=pl.String())
    boxes = annotations.boxes.filter(is_here)
    clips = annotations.clips.filter(is_here).drop_nulls("class_id")
    name_of = dict(names.select("class_id", "name").iter_rows())
    if clips.height and label in name_of.values():
        raise BadInput(
            f"a class is called {label!r} like the boxes' label", where=path, mend="Give the boxes another label"
        )
    body = "".join([*_images(row, clips, name_of=name_of, path=path), *_tracks(row, boxes, name_of=name_of,
                                                                              label=label, path=path)])  # fmt: skip
    tags = sorted({name_of[class_id] for class_id in clips["class_id"]})
    text = (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        f"{_meta(row, list(name_of.values()), tags=tags, label=label)}{body}</annotations>\n"
    )
    wrong = _NO_XML.search(text)
    if wrong is not None:
        raise BadInput(
            f"a text holds the character {wrong.group()!r}, which XML cannot",
            where=path,
            mend="Rename the video or class",
        )
    return text


def _meta(row: dict[str, Any], names: list[str], *, tags: list[str], label: str) -> str:
    num_frames, is_sized = row["num_frames"], row["width_px"] is not None and row["height_px"] is not None
    rate = None if row["fps_num"] is None or row["fps_den"] is None else f"{row['fps_num']}/{row['fps_den']}"
    texts = {
        "name": row["video_id"] or "", "video_id": row["video_id"], "size": num_frames, "mode": "interpolation",
        "overlap": 0, "subset": row["split"],
        "start_frame": None if num_frames is None else 0,
        "stop_frame": None if num_frames is None else num_frames - 1,
        "source": row["path"], "frame_rate": rate, "duration_us": row["duration_us"], "url": row["url"],
    }  # fmt: skip
    lines = [f"      <{name}>{_text(str(value))}</{name}>\n" for name, value in texts.items() if value is not None]
    attributes = "".join(
        f"            <attribute><name>{_text(name)}</name><mutable>True</mutable><input_type>checkbox</input_type>"
        "<default_value>false</default_value><values>false</values></attribute>\n"
        for name in names
    )
    labels = f"        <label><name>{_text(label)}</name><type>rectangle</type><attributes>\n{attributes}"
    labels += "        </attributes></label>\n"
    labels += "".join(
        f"        <label><name>{_text(name)}</name><type>tag</type><attributes></attributes></label>\n" for name in tags
    )
    size = f"<width>{row['width_px']}</width><height>{row['height_px']}</height>"
    sized = f"      <original_size>{size}</original_size>\n" if is_sized else ""
    labels = f"      <labels>\n{labels}      </labels>\n"
    return f"  <meta>\n    <task>\n{''.join(lines)}{labels}{sized}    </task>\n  </meta>\n"


def _text(text: str) -> str:
    return escape(text, {"\r": "&#13;"})


def _rate(row: dict[str, Any], *, path: Path) -> dict[str, pl.Expr]:
    num, den = row["fps_num"], row["fps_den"]
    if num is None or den is None or num < 1 or den < 1:
        raise BadInput(
            f"CVAT counts frames, and nothing says how many a second video {row['video_id']!r} has",
            where=path,
            mend="Give a table of videos with fps_num and fps_den (--videos)",
        )
    return {"fps_num": pl.lit(num), "fps_den": pl.lit(den)}


def _refuse_times(times_us: pl.Series, row: dict[str, Any], *, path: Path) -> None:
    most = _MAX_TICKS // (2 * max(row["fps_num"], row["fps_den"] * 1_000_000))
    wrong = times_us.filter((times_us < 0) | (times_us > most))
    if len(wrong):
        raise BadInput(
            f"video {row['video_id']!r} has a time of {wrong[0]} microseconds, which no frame begins at",
            where=path,
            mend="Times count from the start of the video",
        )


def _tracks(
    row: dict[str, Any], boxes: pl.DataFrame, *, name_of: dict[int, str], label: str, path: Path
) -> Iterator[str]:
    """The text of each track, persons in order of number, those without one after them."""
    corners = ["x1", "y1", "x2", "y2"]
    num_null = boxes.select(pl.sum_horizontal(pl.col(corners).is_null().cast(pl.Int64))).to_series()
    if (~num_null.is_in([0, 4])).any():
        raise BadInput(f"video {row['video_id']!r} has a part of a box", where=path, mend="Give all four corners")
    rows = boxes.filter(num_null == 0)
    if not rows.height:
        return
    persons = _persons(row, rows, path=path)
    names = persons["classes"].to_list()
    frames_N, person_N = persons["frame"].to_numpy(), persons["person_id"].to_numpy()
    boxes_px_N4 = persons.select(corners).to_numpy()
    is_key_N = keys_of(
        frames_N,
        boxes_px_N4,
        track_N=person_N,
        label_N=persons["class_set"].to_numpy(),
        is_interpolated_N=persons["is_interpolated"].to_numpy(),
        tolerance=TOLERANCE_PX,
    )
    starts = [0, *(np.flatnonzero(person_N[1:] != person_N[:-1]) + 1).tolist(), len(person_N)]
    texts = _pixels(boxes_px_N4)
    frames, keys = frames_N.tolist(), is_key_N.tolist()
    for first, stop in itertools.pairwise(starts):
        used = sorted({class_id for classes in names[first:stop] for class_id in classes})
        done = {class_id: f"<attribute name={_quoted(name_of[class_id])}>" for class_id in used}
        yield f'  <track id="{person_N[first]}" label={_quoted(label)} source="file">\n'
        for i in range(first, stop):
            values = "".join(
                f"{opening}{'true' if class_id in names[i] else 'false'}</attribute>"
                for class_id, opening in done.items()
            )
            rest = f'occluded="0"{texts[i]}>{values}</box>\n'
            yield f'    <box frame="{frames[i]}" keyframe="{keys[i]:d}" outside="0" {rest}'
            after = frames[i] + 1
            is_followed = i + 1 < stop and frames[i + 1] == after
            if not is_followed and after != row["num_frames"]:
                yield f'    <box frame="{after}" keyframe="1" outside="1" {rest}'
        yield "  </track>\n"


def _quoted(text: str) -> str:
    return quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _pixels(boxes_px_N4: np.ndarray) -> list[str]:
    """The four attributes of each box [N, 4], with two decimals where that says it and six where not."""
    out = []
    for corners in boxes_px_N4.tolist():
        texts = [f"{value:.{_DECIMALS}f}" for value in corners]
        x1, y1, x2, y2 = (text[:-4] if text.endswith("0000") else text for text in texts)
        out.append(f' xtl="{x1}" ytl="{y1}" xbr="{x2}" ybr="{y2}" z_order="0"')
    return out


def _persons(row: dict[str, Any], rows: pl.DataFrame, *, path: Path) -> pl.DataFrame:
    """One row a person and frame, sorted: corners in pixels, ids of the actions, and a number for each set of them."""
    rate = _rate(row, path=path)
    if row["width_px"] is None or row["height_px"] is None:
        raise BadInput(
            f"CVAT's boxes are in pixels, and nothing says how large video {row['video_id']!r} is",
            where=path,
            mend="Give a table of videos with width_px and height_px (--videos)",
        )
    _refuse_times(rows["timestamp_us"], row, path=path)
    corners = ["x1", "y1", "x2", "y2"]
    if not rows.select(pl.all_horizontal(pl.col(corners).is_finite())).to_series().all():
        raise BadInput(f"video {row['video_id']!r} has a box that is no number", where=path, mend="Remove the box")
    # Rows without a person are one box, and so one person, where they have the same corners.
    frames = rows.with_columns(frame_numbers(pl.col("timestamp_us"), **rate).alias("frame"))
    by_box = frames.group_by("person_id", "frame", *corners, maintain_order=True).agg(
        pl.col("class_id").drop_nulls().unique().sort().alias("classes"),
        pl.col("is_interpolated").fill_null(value=False).all(),
    )
    highest = rows["person_id"].max()
    first = 0 if highest is None else int(str(highest)) + 1
    is_null = pl.col("person_id").is_null()
    numbered = by_box.with_columns(
        pl.when(is_null).then(first + is_null.cum_sum() - 1).otherwise("person_id").alias("person_id")
    ).sort("person_id", "frame")
    double = numbered.filter(pl.struct("person_id", "frame").is_duplicated())
    if double.height:
        raise BadInput(
            f"person {double['person_id'][0]} of video {row['video_id']!r} has two boxes in frame {double['frame'][0]}",
            where=path,
            mend="Number the persons of a frame differently, or leave their numbers out",
        )
    size = {"x1": row["width_px"], "x2": row["width_px"], "y1": row["height_px"], "y2": row["height_px"]}
    key = pl.col("classes").cast(pl.List(pl.String())).list.join(",")
    return numbered.with_columns(
        *((pl.col(name) * px).alias(name) for name, px in size.items()), key.rank("dense").alias("class_set")
    )


def _images(row: dict[str, Any], clips: pl.DataFrame, *, name_of: dict[int, str], path: Path) -> Iterator[str]:
    """The text of each image that has a tag: the frames of all clips."""
    if not clips.height:
        return
    rate = _rate(row, path=path)
    is_whole = clips["start_us"].is_null() & clips["end_us"].is_null()
    if (clips["start_us"].is_null() != clips["end_us"].is_null()).any():
        raise BadInput(f"video {row['video_id']!r} has half a clip", where=path, mend="Give both ends of it, or none")
    if is_whole.any() and not row["num_frames"]:
        raise BadInput(
            f"a label on the whole file is a tag on each frame; nothing says how many video {row['video_id']!r} has",
            where=path,
            mend="Give a table of videos with num_frames (--videos)",
        )
    _refuse_times(pl.concat([clips["start_us"], clips["end_us"]]).drop_nulls(), row, path=path)
    spans = clips.select(
        "class_id",
        frame_numbers(pl.col("start_us"), **rate).fill_null(0).alias("first"),
        frame_numbers(pl.col("end_us"), **rate).fill_null(row["num_frames"] or 0).alias("stop"),
    )
    labels_of: dict[int, set[str]] = {}
    for class_id, first, stop in spans.iter_rows():
        for frame in range(first, max(stop, first + 1)):
            labels_of.setdefault(frame, set()).add(name_of[class_id])
    is_sized = row["width_px"] is not None and row["height_px"] is not None
    size = f' width="{row["width_px"]}" height="{row["height_px"]}"' if is_sized else ""
    for frame in sorted(labels_of):
        tags = "".join(f'<tag label={_quoted(name)} source="file"></tag>' for name in sorted(labels_of[frame]))
        yield f'  <image id="{frame}" name="frame_{frame:06d}"{size}>{tags}</image>\n'
