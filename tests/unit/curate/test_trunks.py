"""Trunks by name, the vectors they give, and clips' vectors on rendered videos."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from gesta.curate.clip_features import (
    center_crops,
    clip_vector,
    picture_edges,
    read_clip_vectors,
    whole_pictures,
    write_clip_vectors,
)
from gesta.curate.trunks import TRUNKS, FrameTrunk, hashes_of_frames, trunk_named
from gesta.schema import BadInput, UnknownName
from gesta.video import write_video


def picture(seed: int, *, height_px: int = 224, width_px: int = 300) -> np.ndarray:
    """A smooth picture of random blobs, as photographs have more low frequencies than high ones."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (7, 9, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_CUBIC)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def of_whole(trunk: FrameTrunk, frame: np.ndarray) -> np.ndarray:
    return trunk.vectors_of(whole_pictures(frame[None]))[0]


@pytest.mark.parametrize("name", ["perceptual-hash", "sketch"])
def test_a_trunk_without_weights_knows_copies_from_others(name: str) -> None:
    import cv2

    trunk = trunk_named(name)
    frame = picture(0)
    others = [of_whole(trunk, picture(seed)) for seed in range(1, 12)]
    mean = np.mean(others, axis=0)
    own = of_whole(trunk, frame) - mean
    apart = max(cosine(own, other - mean) for other in others)
    boxed = np.zeros((280, 300, 3), np.uint8)
    boxed[28:252] = frame
    for copy in (frame[:, ::-1], cv2.resize(frame, (160, 120), interpolation=cv2.INTER_AREA), boxed):
        assert cosine(own, of_whole(trunk, np.ascontiguousarray(copy)) - mean) > apart + 0.4


def test_the_hash_is_of_signs_and_the_same_for_a_mirror_image() -> None:
    frames = np.stack([picture(seed, width_px=224) for seed in range(4)])
    found = hashes_of_frames(frames)
    assert found.shape == (4, 255)
    assert set(np.unique(found)) == {-1.0, 1.0}
    assert np.mean(found == hashes_of_frames(frames[:, :, ::-1])) > 0.97


def test_bars_are_taken_away_and_dark_pictures_are_not() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (4, 40, 60, 3), dtype=np.uint8)
    frames[:, :5] = 3
    frames[:, 36:] = 3
    frames[:, :, 55:] = 9
    assert picture_edges(frames) == (5, 36, 0, 55)
    assert picture_edges(np.zeros_like(frames)) == (0, 40, 0, 60)
    frames[:, :30] = 0
    assert picture_edges(frames)[:2] == (0, 40)


def test_the_crop_is_the_middle() -> None:
    frames = np.zeros((1, 224, 300, 3), np.uint8)
    frames[:, :, 38:262] = 7
    assert (center_crops(frames) == 7).all()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "v.mp4"
    write_video(path, [picture(k // 10) for k in range(50)], fps=Fraction(25))
    return path


def test_a_clips_vector_is_the_mean_over_25_frames(video: Path) -> None:
    seen: list[np.ndarray] = []

    def means(frames: np.ndarray) -> np.ndarray:
        seen.append(frames)
        return frames.mean(axis=(1, 2)).astype(np.float32)

    found = clip_vector(video, 0, 2_000_000, trunk=FrameTrunk(name="means", vectors_of=means))
    assert seen[0].shape == (25, 224, 224, 3)
    assert np.allclose(found, means(seen[0]).mean(axis=0), atol=1e-3)
    # Another stretch shows other pictures.
    assert not np.allclose(found, clip_vector(video, 0, 400_000, trunk=FrameTrunk(name="m", vectors_of=means)), atol=1)


def test_a_trunk_that_gives_no_vector_a_frame_is_refused(video: Path) -> None:
    with pytest.raises(BadInput, match=r"the trunk odd gave \[3\] for 25 frames\. Want \[F, D\]"):
        clip_vector(video, 0, 10**6, trunk=FrameTrunk(name="odd", vectors_of=lambda _: np.zeros(3, np.float32)))


def test_vectors_survive_their_file(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).standard_normal((3, 5)).astype(np.float32)
    write_clip_vectors(tmp_path / "v.npy", ["a", "b", "c"], vectors)
    found = read_clip_vectors(tmp_path / "v.npy")
    assert found.clip_ids == ("a", "b", "c")
    assert isinstance(found.vectors_ND, np.memmap)
    assert (found.vectors_ND == vectors).all()
    with pytest.raises(BadInput, match="2 names for vectors"):
        write_clip_vectors(tmp_path / "w.npy", ["a", "b"], vectors)
    with pytest.raises(BadInput, match="a clip stands twice"):
        write_clip_vectors(tmp_path / "w.npy", ["a", "b", "a"], vectors)
    write_clip_vectors(tmp_path / "w.npy", ["a", "b"], vectors[:2])
    (tmp_path / "w.npy").replace(tmp_path / "v.npy")
    with pytest.raises(BadInput, match="3 names for float32"):
        read_clip_vectors(tmp_path / "v.npy")
    with pytest.raises(BadInput, match="no file of clip vectors"):
        read_clip_vectors(tmp_path / "nothing.npy")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("timm", "names no model. Write timm:MODEL"),
        ("perceptual-hash:x", "has no models to choose from"),
    ],
)
def test_a_name_that_is_not_whole_is_named(name: str, text: str) -> None:
    with pytest.raises(BadInput, match=text):
        trunk_named(name)


def test_wrong_names_and_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"no trunk 'inception'\. Did you mean 'inception-v1'"):
        trunk_named("inception")
    with pytest.raises(BadInput, match="there is no such file of weights"):
        trunk_named("timm:resnet18", weights=tmp_path / "none.pth")
    (tmp_path / "w.pth").write_bytes(b"no weights")
    with pytest.raises(BadInput, match="takes no file of weights"):
        trunk_named("sketch", weights=tmp_path / "w.pth")
    pytest.importorskip("torchvision")
    with pytest.raises(BadInput, match="no torch file of tensors by name"):
        trunk_named("torchvision:resnet18", weights=tmp_path / "w.pth")
    with pytest.raises(UnknownName, match=r"no torchvision model 'resnet19'\. Did you mean 'resnet18'"):
        trunk_named("torchvision:resnet19")
    pytest.importorskip("timm")
    with pytest.raises(UnknownName, match=r"no timm model 'resnet19'\. Did you mean 'resnet18'"):
        trunk_named("timm:resnet19")


def test_every_trunk_can_be_made() -> None:
    assert set(TRUNKS) == {"perceptual-hash", "sketch", "inception-v1", "torchvision", "timm", "transformers"}
