"""Action tubes of UCF101-24, JHMDB and MultiSports: the pickles UCF101v2-GT.pkl, JHMDB-GT.pkl, multisports_GT.pkl.

One file is one data set with its splits: a dict of six. A tube is what one person does from its first frame to its
last, an array with one box a frame. It is read without running anything in it (`gesta.formats.safe_pickle`) and
written under protocol 3:

    {"labels": ["Basketball", "BasketballDunk", ...],
     "nframes": {"Basketball/v_Basketball_g01_c01": 141, ...},
     "resolution": {"Basketball/v_Basketball_g01_c01": (240, 320), ...},
     "train_videos": [["Basketball/v_Basketball_g08_c01", ...]],
     "test_videos": [["Basketball/v_Basketball_g01_c01", ...]],
     "gttubes": {"Basketball/v_Basketball_g01_c01": {0: [array([[1., 64., 110., 80., 156.], ...])]}}}

| part | unit | what |
|---|---|---|
| `labels` | | names; `class_id` is the place in the list, from 0 as in the file; an empty name is a gap in the ids |
| `nframes` | frames | `num_frames` |
| `resolution` | pixels | height, width |
| `train_videos`, `test_videos` | | one list a split of the data set; `split` is `train` or `test` |
| `gttubes` | | video, then label, then tubes; `person_id` is a tube's place among those of its video, from 0 |
| array, column 1 | frames from 1 | time: when the frame begins, at the frame rate |
| array, columns 2 to 5 | pixels from 0 | x1, y1, x2, y2, divided by the resolution; float32, as published |

MultiSports' `test` is its validation set. The file does not say its frame rate. It is taken from the table of videos,
else from the data set, which its labels tell: UCF101-24 and MultiSports have 25 frames a second, JHMDB has 30. Any
other file needs the rate.

Read too: the corrected annotations of UCF101-24, `pyannot.pkl` and `pyannot_with_class_names.pkl` (see
`gesta.formats.corrected_ucf101`).

Kept: boxes on float32 pixels, tubes, class ids and names, sizes, numbers of frames, one split. Lost when written:
frame rates (reading needs the same table of videos, or the data set's labels), scores, `is_interpolated`, categories,
paths, urls, durations, times between frames (the nearest frame is taken), the numbers of persons (tubes are numbered
anew), and names of splits (val, validate and validation are written as test). A person who does two things has two
tubes, so `person_id` of one class is not that of another. Refused: boxes without a person or an action, key-frames
without a box, clips, one tube twice on a frame.

Source: the layout is that of vkalogeiton/caffe, branch act-detector, a4314616, `act-detector-scripts/Dataset.py`;
MCG-NJU/MOC-Detector 45c3fd0, `src/datasets/dataset/dataset_annotation.py` and `src/ACT_utils/ACT_utils.py` (frame
numbers are 1-indexed, coordinates 0-indexed); MCG-NJU/MultiSports a29e291. Rates: as the papers of UCF101 (2012), HMDB
(2011, whose clips JHMDB takes) and MultiSports (2021) give them, not checked against the videos; the table of videos
goes before them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.formats.annotations import BOX_COLUMNS, LABEL_MAP_COLUMNS, VIDEO_COLUMNS, Annotations, Context, shaped
from gesta.formats.corrected_ucf101 import corrected_as_tubes
from gesta.formats.frame_boxes import BOX, at_times, filled_videos, on_frames, with_context
from gesta.formats.pickle_writer import write_pickle
from gesta.formats.safe_pickle import read_pickle
from gesta.schema import BadInput

_JHMDB = frozenset({
    "brush_hair", "catch", "clap", "climb_stairs", "golf", "jump", "kick_ball", "pick", "pour", "pullup", "push",
    "run", "shoot_ball", "shoot_bow", "shoot_gun", "sit", "stand", "swing_baseball", "throw", "walk", "wave",
})  # fmt: skip
_UCF101_24 = frozenset({
    "Basketball", "BasketballDunk", "Biking", "CliffDiving", "CricketBowling", "Diving", "Fencing",
    "FloorGymnastics", "GolfSwing", "HorseRiding", "IceDancing", "LongJump", "PoleVault", "RopeClimbing",
    "SalsaSpin", "SkateBoarding", "Skiing", "Skijet", "SoccerJuggling", "Surfing", "TennisSwing",
    "TrampolineJumping", "VolleyballSpiking", "WalkingWithDog",
})  # fmt: skip
_MULTISPORTS = ("aerobic ", "volleyball ", "football ", "basketball ")
_TEST_NAMES = ("test", "val", "validate", "validation")
_MAX_CLASSES = 100_000
"""Source: ours. Ids of a class are places in a list; no data set has more classes."""


def read_action_tubes(path: Path, *, context: Context = Context(), split: int | None = None) -> Annotations:
    """The tubes of all videos of a pickle, one row a box.

    Args:
        path: of the pickle.
        context: `videos` gives frame rates, and sizes of videos that the file does not have.
        split: which of the data set's splits fills `split`, from 1 (JHMDB has 3, the others 1);
            None = as `context` says.
    Raises:
        BadInput: the file cannot be read, is no pickle of such a dict or names something to run, a part of it is not
            what it must be, a tube's label, frame or box is none, there is no such split, or a frame rate or size is
            not known.
    """
    split = split or context.split_number
    parts = _parts(read_pickle(path), path=path)
    names = [
        _text(name, where=f"{path}: labels[{i}]") for i, name in enumerate(_listed(parts["labels"], "labels", path))
    ]
    videos = _videos(parts, names=names, split=split, context=context, path=path)
    rows = _rows(parts["gttubes"], num_labels=len(names), path=path)
    label_map = pl.DataFrame(
        {"class_id": range(len(names)), "name": names}, schema={"class_id": pl.Int64, "name": pl.String}
    )
    timed = at_times(rows.with_columns(pl.col("frame") - 1), videos, path=path)
    return Annotations(
        videos=videos,
        boxes=shaped(timed, BOX_COLUMNS),
        label_map=shaped(label_map.filter(pl.col("name") != ""), LABEL_MAP_COLUMNS),
    )


def _parts(value: object, *, path: Path) -> dict[str, object]:
    wanted = ("labels", "gttubes", "nframes", "resolution", "train_videos", "test_videos")
    value = corrected_as_tubes(value, names=sorted(_UCF101_24), where=path) or value
    if not isinstance(value, dict) or "gttubes" not in value or "labels" not in value:
        raise BadInput("holds no action tubes", where=path, mend=f"Want a dict of {', '.join(wanted)}")
    # Evaluation files of MultiSports have no `train_videos`.
    parts = {name: value.get(name, {} if name in ("nframes", "resolution") else []) for name in wanted}
    for name in ("gttubes", "nframes", "resolution"):
        if not isinstance(parts[name], dict):
            raise BadInput(
                f"{name} is a {type(parts[name]).__name__}", where=path, mend="Want a dict with a key a video"
            )
    return parts


def _listed(value: object, name: str, path: Path) -> list[object]:
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return list(value.tolist())
    if not isinstance(value, list | tuple):
        raise BadInput(f"{name} is a {type(value).__name__}", where=path, mend="Want a list")
    return list(value)


def _text(value: object, *, where: str) -> str:
    if not isinstance(value, str | bytes):
        raise BadInput(f"a {type(value).__name__} stands for a name", where=where, mend="Want text")
    try:
        text = value.decode("utf-8") if isinstance(value, bytes) else value
        text.encode()
    except UnicodeError as error:
        raise BadInput("a name is no text", where=where, mend="Write names as UTF-8") from error
    return text


def _whole(value: object, *, what: str, least: int, path: Path) -> int:
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= 10**9:
        raise BadInput(f"{what} is no whole number from {least}", where=path, mend="Correct it")
    return number


def _videos(parts: Mapping[str, object], *, names: list[str], split: int, context: Context, path: Path) -> pl.DataFrame:
    nframes, resolution, gttubes = (_by_video(parts[name], path=path) for name in ("nframes", "resolution", "gttubes"))
    part_of: dict[str, str] = {}
    for part in ("train", "test"):
        for video_id in _videos_of_split(parts[f"{part}_videos"], part=part, split=split, path=path):
            if part_of.setdefault(video_id, part) != part:
                raise BadInput(f"video {video_id!r} is in train and in test", where=path, mend="Keep it in one")
    rate = published_rate(names)
    rows = []
    # The videos of a part come in the order of its list, since files of detections number them so.
    turns = {part: iter([video_id for video_id, own in part_of.items() if own == part]) for part in ("train", "test")}
    for place in dict.fromkeys([*nframes, *resolution, *gttubes, *part_of]):
        video_id = next(turns[part_of[place]]) if place in part_of else place
        num_frames = nframes.get(video_id)
        row: dict[str, object] = {"video_id": video_id, "split": part_of.get(video_id)}
        if num_frames is not None:
            row["num_frames"] = _whole(num_frames, what=f"nframes of {video_id!r}", least=0, path=path)
        if video_id in resolution:
            row |= _size(resolution[video_id], video_id=video_id, path=path)
        rows.append(row)
    schema = {name: VIDEO_COLUMNS[name] for name in ("video_id", "split", "num_frames", "width_px", "height_px")}
    videos = with_context(shaped(pl.DataFrame(rows, schema=schema), VIDEO_COLUMNS), context=context, path=path)
    if rate is None:
        return videos
    return videos.with_columns(pl.col("fps_num").fill_null(rate), pl.col("fps_den").fill_null(1))


def _by_video(value: object, *, path: Path) -> dict[str, object]:
    assert isinstance(value, dict)
    named = {_text(key, where=f"{path}: video {i}"): item for i, (key, item) in enumerate(value.items())}
    if "" in named:
        raise BadInput("a video's name is empty", where=path, mend="Name it")
    return named


def _videos_of_split(value: object, *, part: str, split: int, path: Path) -> list[str]:
    splits = _listed(value, f"{part}_videos", path)
    if not splits:
        return []
    if not 1 <= split <= len(splits):
        raise BadInput(
            f"there is no split {split} of {part}_videos",
            where=path,
            mend=f"Want 1 to {len(splits)}; splits count from 1",
        )
    names = _listed(splits[split - 1], f"{part}_videos[{split - 1}]", path)
    return [_text(name, where=f"{path}: {part}_videos[{split - 1}][{i}]") for i, name in enumerate(names)]


def _size(value: object, *, video_id: str, path: Path) -> dict[str, int]:
    sides = _listed(value, f"the resolution of {video_id!r}", path)
    if len(sides) < 2:
        raise BadInput(f"the resolution of {video_id!r} has {len(sides)} sides", where=path, mend="Want height, width")
    height, width = (_whole(side, what=f"the resolution of {video_id!r}", least=1, path=path) for side in sides[:2])
    return {"width_px": width, "height_px": height}


def published_rate(names: list[str]) -> int | None:
    """Frames a second of the data set that has these labels; None where it is none of the three.

    Source: see the module.

    >>> published_rate(["Biking", "Diving"]), published_rate(["golf", "walk"]), published_rate(["football pass"])
    (25, 30, 25)
    """
    used = {name for name in names if name}
    if not used:
        return None
    if used <= _UCF101_24 or all(name.replace("_", " ").startswith(_MULTISPORTS) for name in used):
        return 25
    return 30 if used <= _JHMDB else None


def _rows(gttubes: object, *, num_labels: int, path: Path) -> pl.DataFrame:
    """Columns `video_id`, `class_id`, `person_id`, `frame` (as in the file) and the corners in pixels."""
    found = list(_tubes(gttubes, num_labels=num_labels, path=path))
    num_rows = sum(len(tube) for *_, tube in found)
    if num_rows > path.stat().st_size:
        raise BadInput(
            f"{num_rows:,} boxes in {path.stat().st_size:,} bytes: many tubes name one array",
            where=path,
            mend="Write each tube once",
        )
    lengths_T = [len(tube) for *_, tube in found]
    values_N5 = np.concatenate([tube for *_, tube in found]) if found else np.empty((0, 5))
    columns = {
        "video_id": pl.Series([found[i][0] for i in range(len(found))], dtype=pl.String),
        "class_id": pl.Series([item[1] for item in found], dtype=pl.Int64),
        "person_id": pl.Series([item[2] for item in found], dtype=pl.Int64),
    }
    index = np.repeat(np.arange(len(found)), lengths_T)
    return pl.DataFrame(columns)[index].with_columns(
        pl.Series("frame", values_N5[:, 0].astype(np.int64)),
        *(pl.Series(name, values_N5[:, 1 + i].copy()) for i, name in enumerate(BOX)),
    )


def _tubes(gttubes: object, *, num_labels: int, path: Path) -> Iterator[tuple[str, int, int, npt.NDArray[np.float64]]]:
    """Each tube's video, label, number within the video, and rows as float64 [K, 5]."""
    for video_id, by_label in _by_video(gttubes, path=path).items():
        if not isinstance(by_label, dict):
            raise BadInput(f"the tubes of {video_id!r} are a {type(by_label).__name__}", where=path, mend="Want a dict")
        number = 0
        for key, tubes in by_label.items():
            label = _whole(key, what=f"a label of {video_id!r}", least=0, path=path)
            if label >= num_labels:
                raise BadInput(
                    f"video {video_id!r} has label {label}, and there are {num_labels} labels",
                    where=path,
                    mend="Labels count from 0",
                )
            for tube in _listed(tubes, f"gttubes[{video_id!r}][{label}]", path):
                yield video_id, label, number, _checked(tube, what=f"tube {number} of video {video_id!r}", path=path)
                number += 1


def _checked(tube: object, *, what: str, path: Path) -> npt.NDArray[np.float64]:
    """The tube's rows as float64 [K, 5]."""
    want = "Want an array of K x 5 finite numbers: frame from 1, x1, y1, x2, y2"
    if not isinstance(tube, np.ndarray) or tube.dtype.kind not in "iuf" or tube.ndim != 2 or tube.shape[1] < 5:
        shape = f"an array of shape {tube.shape}" if isinstance(tube, np.ndarray) else f"a {type(tube).__name__}"
        raise BadInput(f"{what} is {shape}", where=path, mend=want)
    with np.errstate(invalid="ignore"):  # widening a signalling NaN warns; it is refused below
        rows_K5 = tube[:, :5].astype(np.float64)
    frames_K = rows_K5[:, 0]
    if not len(rows_K5) or not np.isfinite(rows_K5).all():
        raise BadInput(f"{what} is empty or holds a number that is not finite", where=path, mend=want)
    if (frames_K != np.round(frames_K)).any() or not 1 <= frames_K[0] <= frames_K[-1] <= 10**9:
        raise BadInput(f"{what} has a frame that is none", where=path, mend=want)
    if (np.diff(frames_K) <= 0).any():
        raise BadInput(f"{what} has its frames not in order", where=path, mend="Sort them; one box a frame")
    return rows_K5


def write_action_tubes(path: Path, annotations: Annotations, *, context: Context = Context()) -> None:
    """A pickle of action tubes with one split, whole or not at all: protocol 3, float32 tubes.

    Args:
        path: of the pickle.
        annotations: boxes with a person and an action, each on a frame of its own within a tube.
        context: `label_map` gives names, `videos` gives sizes, rates, numbers of frames and splits that are missing.
    Raises:
        BadInput: there are clips, key-frames without a box, boxes without a person or an action or two of a tube on
            one frame; a class has no name or an id that is no place in a list; or a video's size, rate or number of
            frames is not known, or its split is none that this format has.
    """
    boxes = annotations.boxes
    if annotations.clips.height:
        raise BadInput(
            f"{annotations.clips.height} clips have no place among tubes", where=path, mend="Write boxes only"
        )
    lacking = boxes.filter(pl.any_horizontal(pl.col("class_id", "person_id", "x1").is_null()))
    if lacking.height:
        row = lacking.row(0, named=True)
        what = next(what for what, name in _LACKING.items() if row[name] is None)
        raise BadInput(
            f"{lacking.height} rows have no {what}, the first of video {row['video_id']!r}",
            where=path,
            mend="A tube is one person's boxes of one action; leave such rows out",
        )
    names = _names(annotations, context=context, path=path)
    rate = published_rate(names)
    videos = filled_videos(annotations, context=context, path=path)
    if rate is not None:
        videos = videos.with_columns(pl.col("fps_num").fill_null(rate), pl.col("fps_den").fill_null(1))
    rows = on_frames(boxes, videos, path=path, decimals=None).with_columns(frame=pl.col("frame") + 1)
    write_pickle(
        path,
        {
            "labels": names,
            "gttubes": _tubes_by_video(rows, videos["video_id"].to_list(), path=path),
            **_parts_of_videos(videos, path=path),
        },
    )


_LACKING = {"box": "x1", "person": "person_id", "action": "class_id"}


def _names(annotations: Annotations, *, context: Context, path: Path) -> list[str]:
    known = dict(annotations.label_map.select("class_id", "name").iter_rows())
    if context.label_map is not None:
        known = dict(context.label_map.select("class_id", "name").iter_rows()) | known
    unnamed = [number for number in annotations.boxes["class_id"].unique().sort().to_list() if not known.get(number)]
    if unnamed:
        raise BadInput(
            f"class {unnamed[0]} has no name", where=path, mend="Give a label map that names it (--label-map)"
        )
    out = [number for number in known if not 0 <= number < _MAX_CLASSES]
    if out:
        raise BadInput(
            f"class {out[0]} is no place in a list of labels", where=path, mend=f"Want ids of 0 to {_MAX_CLASSES - 1}"
        )
    return [known.get(number) or "" for number in range(max(known, default=-1) + 1)]


def _tubes_by_video(rows: pl.DataFrame, video_ids: list[str], *, path: Path) -> dict[str, dict[int, list[object]]]:
    """Tubes in the order of the first row of their video and class, then of their own."""
    key = ["video_id", "class_id", "person_id"]
    double = rows.filter(pl.struct(*key, "frame").is_duplicated())
    if double.height:
        row = double.row(0, named=True)
        raise BadInput(
            f"person {row['person_id']} of video {row['video_id']!r} has two boxes of class {row['class_id']} on frame "
            f"{row['frame']}",
            where=path,
            mend="Keep one; times between frames go to the nearest frame",
        )
    tubes: dict[str, dict[int, list[object]]] = {video_id: {} for video_id in video_ids}
    for (video_id, label, _), tube in rows.group_by(key, maintain_order=True):
        values_K5 = tube.sort("frame").select(pl.col("frame").cast(pl.Float64), *BOX).to_numpy()
        tubes[str(video_id)].setdefault(int(str(label)), []).append(values_K5.astype(np.float32))
    return tubes


def _parts_of_videos(videos: pl.DataFrame, *, path: Path) -> dict[str, object]:
    for columns, what in ((["num_frames"], "number of frames"), (["width_px", "height_px"], "frame size")):
        bad = videos.filter(pl.any_horizontal(pl.col(columns).is_null()))
        if bad.height:
            raise BadInput(
                f"the {what} of video {bad['video_id'][0]!r} is not known",
                where=path,
                mend=f"Give a table of videos with {' and '.join(columns)} (--videos)",
            )
    other = videos.filter(~pl.col("split").is_in(["train", *_TEST_NAMES]).fill_null(value=True))
    if other.height:
        raise BadInput(
            f"video {other['video_id'][0]!r} is in the split {other['split'][0]!r}",
            where=path,
            mend="Want train or test",
        )
    rows = videos.select("video_id", "num_frames", "height_px", "width_px", "split").rows()
    return {
        "nframes": {video_id: num for video_id, num, *_ in rows},
        "resolution": {video_id: (height, width) for video_id, _, height, width, _ in rows},
        "train_videos": [[row[0] for row in rows if row[-1] == "train"]],
        "test_videos": [[row[0] for row in rows if row[-1] in _TEST_NAMES]],
    }
