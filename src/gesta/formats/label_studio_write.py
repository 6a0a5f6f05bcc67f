"""The writing half of `gesta.formats.label_studio`: tasks with annotations and predictions, and the interface."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import polars as pl

from gesta.formats.annotations import Annotations, Context, frame_numbers
from gesta.formats.clip_labels import filled_videos, known_label_map
from gesta.formats.json_values import dumped
from gesta.formats.key_boxes import keys_of
from gesta.schema import BadInput
from gesta.tables import write_text

TOLERANCE_FRAC = 1e-6
"""How far from the line between entries an interpolated corner may lie. Source: ours; a thousandth of a pixel."""

MAX_FRAME = 1_000_000_000
_FACTS = (
    "video_id",
    "path",
    "split",
    "width_px",
    "height_px",
    "fps_num",
    "fps_den",
    "num_frames",
    "duration_us",
    "url",
)


def label_studio_config(label_map: pl.DataFrame) -> str:
    """The labelling interface (XML) that the tasks of `write_label_studio` belong to: boxes, stretches, whole clips.

    Args:
        label_map: the classes.
    Source: labelstud.io, tags Video, VideoRectangle, Labels, TimelineLabels, Choices.

    >>> print(label_studio_config(pl.DataFrame({"name": ["walk"]})).splitlines()[1])
      <Video name="video" value="$video" frameRate="$fps" timelineHeight="120"/>
    """

    def listed(tag: str) -> str:
        return "".join(f"    <{tag} value={quoteattr(name)}/>\n" for name in label_map["name"])

    return (
        '<View>\n  <Video name="video" value="$video" frameRate="$fps" timelineHeight="120"/>\n'
        '  <VideoRectangle name="box" toName="video"/>\n'
        f'  <Labels name="actions" toName="video" choice="multiple">\n{listed("Label")}  </Labels>\n'
        f'  <TimelineLabels name="timeline" toName="video">\n{listed("Label")}  </TimelineLabels>\n'
        f'  <Choices name="clip" toName="video" choice="multiple">\n{listed("Choice")}  </Choices>\n</View>\n'
    )


def write_label_studio(path: Path, annotations: Annotations, *, context: Context = Context()) -> None:
    """Tasks for Label Studio, one a video, whole or not at all: rows with a score are predictions, others annotations.

    Args:
        path: the JSON file.
        annotations: boxes and clips with times need the video's frame rate, from here or from `context`.
    Raises:
        BadInput: a video has no frame rate, comes twice or is in two splits; a class has no name or that of another;
            a box is no number, a person has two boxes in a frame, half a box or clip, or a time before the start.
    """
    videos = filled_videos(annotations, context=context, path=path)
    name_of = _class_names(annotations, context=context, path=path)
    boxes, clips = annotations.boxes.partition_by("video_id", as_dict=True), _by_video(annotations.clips)
    texts = []
    for number, row in enumerate(videos.iter_rows(named=True)):
        own = boxes.get((row["video_id"],), annotations.boxes[:0])
        spans = clips.get(row["video_id"], annotations.clips[:0])
        texts.append(dumped(_task(row, own, spans, name_of=name_of, number=number, path=path)))
    write_text(path, "[\n" + ",\n".join(texts) + "\n]\n" if texts else "[]\n")


def _by_video(clips: pl.DataFrame) -> dict[str, pl.DataFrame]:
    return {str(key[0]): part for key, part in clips.partition_by("video_id", as_dict=True).items()}


def _class_names(annotations: Annotations, *, context: Context, path: Path) -> dict[int, str]:
    """Names of the classes in use, each one's own."""
    known = known_label_map(annotations, context=context).select("class_id", "name").drop_nulls()
    used = pl.concat([annotations.boxes["class_id"], annotations.clips["class_id"]]).drop_nulls().unique().sort()
    missing = used.filter(~used.is_in(known["class_id"].implode()))
    if len(missing):
        raise BadInput(
            f"class {missing[0]} has no name, and Label Studio tells classes by name",
            where=path,
            mend="Give the label map that names it (--label-map)",
        )
    named = known.filter(pl.col("class_id").is_in(used.implode()))
    double = named.filter(pl.col("name").is_duplicated() | (pl.col("name") == ""))
    if double.height:
        raise BadInput(
            f"the class name {double['name'][0]!r} is empty or comes twice, and Label Studio tells classes by name",
            where=path,
            mend="Give each class a name of its own",
        )
    return dict(named.iter_rows())


def _task(
    row: dict[str, Any], boxes: pl.DataFrame, clips: pl.DataFrame, *, name_of: dict[int, str], number: int, path: Path
) -> dict[str, Any]:
    data: dict[str, Any] = {"video": row["url"] or row["path"] or row["video_id"]}
    if row["fps_num"] is not None and row["fps_den"]:
        data["fps"] = row["fps_num"] / row["fps_den"]
    data.update({name: row[name] for name in _FACTS if row[name] is not None})
    task: dict[str, Any] = {"id": number + 1, "data": data}
    corners = ["x1", "y1", "x2", "y2"]
    num_null = boxes.select(pl.sum_horizontal(pl.col(corners).is_null().cast(pl.Int64))).to_series()
    if (~num_null.is_in([0, 4])).any():
        raise BadInput(f"video {row['video_id']!r} has a part of a box", where=path, mend="Give all four corners")
    boxes, clips = boxes.filter(num_null == 0), clips.drop_nulls("class_id")
    for is_guess, key in ((False, "annotations"), (True, "predictions")):
        of_kind = pl.col("score").is_not_null() if is_guess else pl.col("score").is_null()
        results = [
            *_regions(row, boxes.filter(of_kind), name_of=name_of, path=path),
            *_spans(row, clips.filter(of_kind), name_of=name_of, path=path),
        ]
        if results:
            task[key] = [{"result": results, **({"model_version": "gesta"} if is_guess else {})}]
    return task


def _rate(row: dict[str, Any], *, path: Path) -> dict[str, pl.Expr]:
    num, den = row["fps_num"], row["fps_den"]
    if num is None or den is None or not 0 < num < 10**9 or not 0 < den < 4000:
        raise BadInput(
            f"Label Studio counts frames, and nothing says how many a second video {row['video_id']!r} has",
            where=path,
            mend="Give a table of videos with fps_num and fps_den (--videos)",
        )
    return {"fps_num": pl.lit(num), "fps_den": pl.lit(den)}


def _numbered(times_us: pl.Series, row: dict[str, Any], *, path: Path) -> pl.Series:
    """Numbers (from 0) of the frames nearest to times."""
    rate = _rate(row, path=path)
    most = MAX_FRAME * 1_000_000 * row["fps_den"] // row["fps_num"] - 1
    wrong = times_us.filter((times_us < 0) | (times_us > min(most, 10**18 // row["fps_num"])))
    if len(wrong):
        raise BadInput(
            f"video {row['video_id']!r} has a time of {wrong[0]} microseconds, which no frame begins at",
            where=path,
            mend="Times count from the start of the video",
        )
    return pl.DataFrame({"t": times_us}).select(frame_numbers(pl.col("t"), **rate)).to_series()


def _regions(
    row: dict[str, Any], boxes: pl.DataFrame, *, name_of: dict[int, str], path: Path
) -> Iterator[dict[str, Any]]:
    """One result for each stretch of a person's boxes with one set of classes."""
    if not boxes.height:
        return
    corners = ["x1", "y1", "x2", "y2"]
    if not boxes.select(pl.all_horizontal(pl.col(*corners, "score").fill_null(0).is_finite())).to_series().all():
        raise BadInput(f"video {row['video_id']!r} has a box that is no number", where=path, mend="Remove the box")
    frames = boxes.with_columns(_numbered(boxes["timestamp_us"], row, path=path).alias("frame"))
    keys = ["person_id", "frame", *corners, "score"]
    rows = frames.group_by(keys, maintain_order=True).agg(
        pl.col("class_id").drop_nulls().unique().sort().alias("classes"),
        pl.col("is_interpolated").fill_null(value=False).all(),
    )
    class_set = pl.col("classes").cast(pl.List(pl.String())).list.join(",")
    is_null = pl.col("person_id").is_null()
    rows = rows.with_columns(class_set.alias("class_set")).with_columns(
        # A box without a person is a region of its own.
        pl.when(is_null).then(pl.lit("box:") + (is_null.cum_sum() - 1).cast(pl.String()))
        .otherwise(pl.lit("person:") + pl.col("person_id").cast(pl.String()))
        .alias("region")
    )  # fmt: skip
    order = pl.col("region").rank("dense"), pl.col("class_set").rank("dense")
    rows = rows.with_columns(order[0].alias("region_rank"), order[1].alias("set_rank"))
    rows = rows.sort(is_null, "person_id", "region_rank", "set_rank", "frame", nulls_last=True)
    _refuse_two_boxes(rows, row, path=path)
    yield from _region_values(rows, row, name_of=name_of)


def _refuse_two_boxes(rows: pl.DataFrame, row: dict[str, Any], *, path: Path) -> None:
    double = rows.drop_nulls("person_id").filter(pl.struct("person_id", "set_rank", "frame").is_duplicated())
    if double.height:
        raise BadInput(
            f"person {double['person_id'][0]} of video {row['video_id']!r} has two boxes in frame {double['frame'][0]}",
            where=path,
            mend="Number the persons of a frame differently, or leave their numbers out",
        )


def _region_values(rows: pl.DataFrame, row: dict[str, Any], *, name_of: dict[int, str]) -> Iterator[dict[str, Any]]:
    frames_N, corners_N4 = rows["frame"].to_numpy(), rows.select("x1", "y1", "x2", "y2").to_numpy()
    track_N = rows.select(pl.struct("region_rank", "set_rank").rank("dense")).to_series().to_numpy()
    is_scored = rows["score"].null_count() == 0
    is_interpolated_N = rows["is_interpolated"].to_numpy()
    is_key_N = keys_of(
        frames_N, corners_N4, track_N=track_N, label_N=np.zeros(len(rows), dtype=np.int64),
        is_interpolated_N=is_interpolated_N & (not is_scored), tolerance=TOLERANCE_FRAC,
    )  # fmt: skip
    # Twelve decimals of a fraction are ten of a percent: the reader's rounding gives the same decimals back.
    percent_N4 = np.round(corners_N4 * 100, 10)
    size_N2 = np.round(percent_N4[:, 2:] - percent_N4[:, :2], 10)
    columns = np.concatenate([percent_N4[:, :2], size_N2], axis=1).tolist()
    frames, scores, regions = frames_N.tolist(), rows["score"].to_list(), rows["region"].to_list()
    classes = rows["classes"].to_list()
    starts = [0, *(np.flatnonzero(track_N[1:] != track_N[:-1]) + 1).tolist(), len(rows)]
    part_of: dict[str, int] = {}
    for first, stop in itertools.pairwise(starts):
        sequence = []
        for i in range(first, stop):
            if not is_key_N[i]:
                continue
            x, y, width, height = columns[i]
            entry = {
                "frame": frames[i] + 1, "enabled": i + 1 < stop and frames[i + 1] == frames[i] + 1, "rotation": 0,
                "x": x, "y": y, "width": width, "height": height,
                "time": (frames[i] + 1) * row["fps_den"] / row["fps_num"],
            }  # fmt: skip
            entry.update({"auto": True} if is_interpolated_N[i] else {})
            entry.update({"score": scores[i]} if is_scored else {})
            sequence.append(entry)
        value: dict[str, Any] = {"sequence": sequence}
        if row["num_frames"] is not None:
            value["framesCount"] = row["num_frames"]
            value["duration"] = row["num_frames"] * row["fps_den"] / row["fps_num"]
        if classes[first]:
            value["labels"] = [name_of[class_id] for class_id in classes[first]]
        region = regions[first]
        part = part_of[region] = part_of.get(region, -1) + 1
        result = {
            "id": f"{region}:{part}" if part else region, "type": "videorectangle", "from_name": "box",
            "to_name": "video", "value": value,
        }  # fmt: skip
        yield {**result, "score": max(scores[first:stop])} if is_scored else result


def _spans(
    row: dict[str, Any], clips: pl.DataFrame, *, name_of: dict[int, str], path: Path
) -> Iterator[dict[str, Any]]:
    """One result for each clip: a stretch of the timeline, or a choice for the whole file."""
    if (clips["start_us"].is_null() != clips["end_us"].is_null()).any():
        raise BadInput(f"video {row['video_id']!r} has half a clip", where=path, mend="Give both ends of it, or none")
    if not clips["score"].drop_nulls().is_finite().all():
        raise BadInput(f"video {row['video_id']!r} has a score that is no number", where=path, mend="Remove the row")
    timed = clips.drop_nulls("start_us").height > 0
    frames = (
        pl.DataFrame({name: _numbered(clips[name], row, path=path) for name in ("start_us", "end_us")})
        if timed
        else clips
    )
    columns = zip(frames["start_us"], frames["end_us"], clips["class_id"], clips["score"], strict=True)
    for number, (first, stop, class_id, score) in enumerate(columns):
        result: dict[str, Any] = {"id": f"clip:{number}", "to_name": "video"}
        if score is not None:
            result["score"] = score
        if first is None:
            choice = {"choices": [name_of[class_id]]}
            yield {**result, "type": "choices", "from_name": "clip", "value": choice}
        else:
            span = {"start": first + 1, "end": max(stop, first + 1)}
            value = {"ranges": [span], "timelinelabels": [name_of[class_id]]}
            yield {**result, "type": "timelinelabels", "from_name": "timeline", "value": value}
