"""Where features are written: one Parquet file with a row a window, or a folder with an npz a video.

Both take a video's rows as they come, so that memory holds a few windows at a time; a video counts once it is whole.

Shapes: B windows of a batch, N of a video; a layer's own dimensions are written "...".
"""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.schema import BadInput
from gesta.tables import Json, Provenance, whole_file, write_json

_ROW_GROUP_BYTES = 64 * 2**20
"""Vectors of a row group of the Parquet file. Source: ours; a reader holds one group at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureRows:
    """Some windows of a video: when the frames shown begin and end, and what the layer gave, [B, ...].

    `num_total` is the number of windows of the whole video.
    """

    start_us: tuple[int, ...]
    end_us: tuple[int, ...]
    values: npt.NDArray[np.floating]
    num_total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What lies in place at the end: windows of all videos, the shape of one's values, files, and whether one changed.

    `shape` is empty where there is no window.
    """

    num_windows: int
    shape: tuple[int, ...]
    outputs: tuple[str, ...]
    has_changed: bool


class FeatureFile(Protocol):
    """A place that features are written to, video by video. A video's key is a hash of all that made its features."""

    @property
    def folder(self) -> Path:
        """Where `rejects` go."""

    def has(self, video_id: str, *, key: str) -> bool:
        """Whether this video's features are there, with this key."""

    def add(self, video_id: str, rows: Iterable[FeatureRows], *, key: str) -> None:
        """Write a video's features."""

    def finish(self, keys: Mapping[str, str]) -> Written:
        """Put these videos' features in place, as they were added before; keys by video."""


def feature_file_of(out: Path, *, made_by: Provenance) -> FeatureFile:
    """A Parquet file where the name ends so, else a folder of npz files.

    Raises:
        BadInput: the name has another ending of a file, or is a file and should be a folder.
    """
    if out.suffix == ".parquet":
        if out.is_dir():
            raise BadInput("this is a folder", where=out, mend="Name a file, or a folder that does not end in .parquet")
        return ParquetFile(path=out, made_by=made_by)
    if out.is_file() or out.suffix in (".npz", ".npy", ".csv", ".json"):
        raise BadInput("features go to a .parquet file or to a folder", where=out, mend="Name one of the two")
    return NpzFolder(path=out, made_by=made_by)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParquetFile:
    """One file with the columns video_id, start_us, end_us and vector (a list of floats, in C order).

    While a run lasts, finished videos lie in `<name>.parts`; `<name>.json` says what made the file.
    """

    path: Path
    made_by: Provenance

    @property
    def folder(self) -> Path:
        """The folder of the file."""
        return self.path.parent

    def has(self, video_id: str, *, key: str) -> bool:
        """Whether this video's rows are in the file, or among its parts."""
        return self._in_file(video_id, key) or self._note_path(key).is_file()

    def add(self, video_id: str, rows: Iterable[FeatureRows], *, key: str) -> None:
        """Write a video's rows as parts."""
        place = self._parts / key
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        shape: tuple[int, ...] = ()
        num_windows = 0
        for number, some in enumerate(rows):
            _frame_of(video_id, some).write_parquet(place / f"{number:06}.parquet")
            shape, num_windows = some.values.shape[1:], num_windows + len(some.values)
        # The note comes last: a part without it is not whole.
        write_json(self._note_path(key), {"key": key, "num_windows": num_windows, "shape": list(shape)})

    def finish(self, keys: Mapping[str, str]) -> Written:
        """Join old rows and parts into the file: videos that were there first, then new ones in the order given."""
        before = self._videos()
        old = [video_id for video_id, key in keys.items() if self._in_file(video_id, key)]
        new = [video_id for video_id in keys if video_id not in set(old)]
        notes = {video_id: before[video_id] for video_id in old}
        notes |= {video_id: json.loads(self._note_path(keys[video_id]).read_bytes()) for video_id in new}
        shape = next((tuple(note["shape"]) for note in notes.values()), ())
        has_changed = not self.path.is_file() or notes != before
        if has_changed:
            parts = [path for video_id in new for path in sorted((self._parts / keys[video_id]).glob("*.parquet"))]
            self._join(old, parts, shape=shape)
            about = {**self.made_by.as_json(), "fingerprint": self.made_by.fingerprint}
            write_json(self._sidecar, {**about, "shape": list(shape), "videos": notes})
        shutil.rmtree(self._parts, ignore_errors=True)
        return Written(
            num_windows=sum(note["num_windows"] for note in notes.values()),
            shape=shape,
            outputs=(self.path.name, self._sidecar.name),
            has_changed=has_changed,
        )

    def _join(self, old: Sequence[str], parts: list[Path], *, shape: Sequence[int]) -> None:
        frames = [pl.scan_parquet(self.path).filter(pl.col("video_id").is_in(old))] if old else []
        if parts:
            frames.append(pl.scan_parquet(parts))
        with whole_file(self.path) as temporary:
            if not frames:
                _empty().write_parquet(temporary)
                return
            rows = max(1, _ROW_GROUP_BYTES // (4 * math.prod(shape)))
            pl.concat(frames).sink_parquet(temporary, row_group_size=rows)

    @property
    def _sidecar(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def _parts(self) -> Path:
        return self.path.with_name(f"{self.path.name}.parts")

    def _note_path(self, key: str) -> Path:
        return self._parts / key / "note.json"

    def _in_file(self, video_id: str, key: str) -> bool:
        return self.path.is_file() and self._videos().get(video_id, {}).get("key") == key

    def _videos(self) -> dict[str, dict[str, Any]]:
        return json.loads(self._sidecar.read_bytes())["videos"] if self._sidecar.is_file() else {}


def _frame_of(video_id: str, rows: FeatureRows) -> pl.DataFrame:
    flat = np.ascontiguousarray(rows.values.reshape(len(rows.values), -1))
    return pl.DataFrame(
        {
            "video_id": [video_id] * len(flat),
            "start_us": pl.Series(rows.start_us, dtype=pl.Int64),
            "end_us": pl.Series(rows.end_us, dtype=pl.Int64),
            "vector": pl.Series(flat).arr.to_list(),
        }
    )


def _empty() -> pl.DataFrame:
    types = [
        ("video_id", pl.String()),
        ("start_us", pl.Int64()),
        ("end_us", pl.Int64()),
        ("vector", pl.List(pl.Float32)),
    ]
    return pl.DataFrame(schema=types)


@dataclass(frozen=True, slots=True, kw_only=True)
class NpzFolder:
    """A folder with `<video_id>.npz` each: `values` [N, ...], `start_us` and `end_us` int64 [N], and `key`.

    `features.json` says what made them.
    """

    path: Path
    made_by: Provenance

    @property
    def folder(self) -> Path:
        """The folder itself."""
        return self.path

    def has(self, video_id: str, *, key: str) -> bool:
        """Whether the video's file is there and says so."""
        try:
            with np.load(self._file(video_id)) as found:
                return str(found["key"]) == key
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            return False

    def add(self, video_id: str, rows: Iterable[FeatureRows], *, key: str) -> None:
        """Write the video's file, its values as they come."""
        starts: list[int] = []
        ends: list[int] = []
        with whole_file(self._file(video_id)) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            parts = iter(rows)
            first = next(parts)
            with archive.open(zipfile.ZipInfo("values.npy"), "w", force_zip64=True) as stream:
                header = {
                    "descr": np.lib.format.dtype_to_descr(first.values.dtype),
                    "fortran_order": False,
                    "shape": (first.num_total, *first.values.shape[1:]),
                }
                np.lib.format.write_array_header_2_0(stream, header)
                for some in _chained(first, parts):
                    stream.write(np.ascontiguousarray(some.values).tobytes())
                    starts += some.start_us
                    ends += some.end_us
            for name, values in (("start_us", starts), ("end_us", ends)):
                _write_array(archive, name, np.array(values, dtype=np.int64))
            _write_array(archive, "key", np.array(key))

    def finish(self, keys: Mapping[str, str]) -> Written:
        """Write what says what made the files."""
        num_windows = 0
        shape: tuple[int, ...] = ()
        for video_id in keys:
            num_here, *rest = _shape_in(self._file(video_id))
            num_windows, shape = num_windows + num_here, tuple(rest)
        about: dict[str, Json] = {**self.made_by.as_json(), "fingerprint": self.made_by.fingerprint}
        write_json(self.path / "features.json", about | {"shape": list(shape)})
        return Written(
            num_windows=num_windows,
            shape=shape,
            outputs=(*(f"{video_id}.npz" for video_id in keys), "features.json"),
            has_changed=False,
        )

    def _file(self, video_id: str) -> Path:
        return self.path / f"{video_id}.npz"


def _chained(first: FeatureRows, rest: Iterator[FeatureRows]) -> Iterator[FeatureRows]:
    yield first
    yield from rest


def _write_array(archive: zipfile.ZipFile, name: str, values: npt.NDArray[Any]) -> None:
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as stream:
        np.lib.format.write_array(stream, values, allow_pickle=False)


def _shape_in(path: Path) -> tuple[int, ...]:
    """The shape of `values` from its header alone."""
    with zipfile.ZipFile(path) as archive, archive.open("values.npy") as stream:
        np.lib.format.read_magic(stream)
        shape, _, _ = np.lib.format.read_array_header_2_0(stream)
        return shape
