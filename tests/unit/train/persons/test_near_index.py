"""The frames around an instant, listed without a pass over the film."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from tests.unit.train.persons.person_films import pictures

import gesta.train.persons.near_index as near_index
from gesta.train.persons.near_index import index_near
from gesta.video import index_packets, write_video


@pytest.fixture(autouse=True)
def _short_films_count(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(near_index, "FROM_START_US", 300_000)
    monkeypatch.setattr(near_index, "LONG_US", 0)


@pytest.fixture(scope="module")
def film_of_each_kind(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same 12 s with B-frames in several containers, and one whose frames are unevenly spaced."""
    folder = tmp_path_factory.mktemp("films")
    paths = {}
    shots = pictures(3, num_frames=12 * 24)
    for ending in ("mp4", "mkv", "ts", "avi"):
        paths[ending] = folder / f"film.{ending}"
        with av.open(str(paths[ending]), "w") as container:
            options = {"bf": "0"} if ending == "avi" else {"bf": "2", "g": "40"}
            stream = container.add_stream("mpeg4" if ending == "avi" else "libx264", rate=Fraction(24), options=options)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            for shot in shots:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(shot, format="rgb24")))
            container.mux(stream.encode(None))
    paths["webm"] = write_video(folder / "film.webm", shots, fps=Fraction(24), codec="libvpx-vp9")
    gaps_us = np.random.default_rng(0).integers(20_000, 60_000, size=len(shots) - 1)
    times_us = [0, *np.cumsum(gaps_us).tolist()]
    paths["vfr"] = write_video(folder / "vfr.mp4", shots, fps=Fraction(24), gop=30, times_us=times_us)
    return paths


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "avi", "webm", "vfr"])
def test_what_is_listed_near_is_what_the_whole_list_has(kind: str, film_of_each_kind: dict[str, Path]):
    path = film_of_each_kind[kind]
    whole = index_packets(path)
    rng = np.random.default_rng(1)
    num_told = 0
    for _ in range(25):
        low_us = int(rng.integers(0, whole.end_us))
        high_us = low_us + int(rng.integers(0, 1_500_000))
        near = index_near(path, low_us=low_us, high_us=high_us)
        if near is None:
            continue
        num_told += 1
        wanted_us = rng.integers(low_us, high_us + 1, size=40)
        assert near.pts[near.frames_at(wanted_us)].tolist() == whole.pts[whole.frames_at(wanted_us)].tolist()
        assert (near.width_px, near.height_px, near.rotation_deg) == (96, 64, whole.rotation_deg)
        assert (high_us < near.end_us) == (high_us < whole.end_us)
    assert num_told >= (0 if kind == "avi" else 15)


def test_it_lists_only_what_is_near(film_of_each_kind: dict[str, Path]):
    near = index_near(film_of_each_kind["mp4"], low_us=6_000_000, high_us=6_500_000)
    assert near is not None
    assert len(near.times_us) < 100 < 288


def test_near_the_start_the_whole_list_is_needed(film_of_each_kind: dict[str, Path]):
    assert index_near(film_of_each_kind["mp4"], low_us=200_000, high_us=900_000) is None


def test_a_short_film_is_listed_as_a_whole(film_of_each_kind: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(near_index, "LONG_US", 60_000_000)
    assert index_near(film_of_each_kind["mp4"], low_us=6_000_000, high_us=6_500_000) is None


def test_real_videos_are_listed_alike(shared: Path):
    found = 0
    for name in ("arm_wrestling.mp4", "walking_crowd.mp4", "flipping_a_pancake.mkv", "hard/var_fps_video.mp4"):
        whole = index_packets(shared / "videos" / name)
        for low_us in range(1_000_000, whole.end_us - 1_000_000, 1_700_000):
            near = index_near(shared / "videos" / name, low_us=low_us, high_us=low_us + 900_000)
            if near is not None:
                wanted_us = np.arange(low_us, low_us + 900_000, 11_111)
                assert near.pts[near.frames_at(wanted_us)].tolist() == whole.pts[whole.frames_at(wanted_us)].tolist()
                found += 1
    assert found > 15
