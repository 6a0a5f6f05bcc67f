"""Optical flow: nothing where nothing moves, the shift where all does, and its bytes."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.schema import GestaError, UnknownName
from gesta.train.clips import PLAIN, ClipBatch, ClipFrames, ClipSet, clip_batches, to_model
from gesta.train.clips.augment import Window
from gesta.train.clips.flow import METHODS, ZERO, FlowFootage, coded, decoded, flow_between

METHODS_HERE = [name for name in METHODS if name != "tvl1" or hasattr(cv2, "optflow")]
FRAMES = ClipFrames(num_frames=4, stride=2, rate=25, side_px=64, crop_px=32, modality="flow")


def texture(seed: int, *, side_px: int = 96) -> np.ndarray:
    """A smooth random picture, uint8 [H, W], larger than what is cut from it."""
    noise = np.random.default_rng(seed).integers(0, 256, size=(side_px, side_px)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    return ((smooth - smooth.min()) * (255 / (smooth.max() - smooth.min()))).astype(np.uint8)


def shifted_pair(seed: int, *, dx: int, dy: int) -> np.ndarray:
    """Two pictures, uint8 [2, 64, 64, 3], of which the second shows the first's content (dx, dy) px further on."""
    whole = texture(seed)
    pair = [whole[16 : 16 + 64, 16 : 16 + 64], whole[16 - dy : 16 - dy + 64, 16 - dx : 16 - dx + 64]]
    return np.repeat(np.stack(pair)[..., None], 3, axis=3)


@pytest.mark.parametrize("method", METHODS_HERE)
@settings(max_examples=15)
@given(seed=st.integers(0, 50), dx=st.integers(-4, 4), dy=st.integers(-4, 4))
def test_a_shifted_texture_gives_that_shift(method: str, seed: int, dx: int, dy: int) -> None:
    flow_HW2 = flow_between(shifted_pair(seed, dx=dx, dy=dy), method=method)[0]
    middle = np.median(flow_HW2[16:48, 16:48].reshape(-1, 2), axis=0)
    np.testing.assert_allclose(middle, (dx, dy), atol=0.35)


@pytest.mark.parametrize("method", METHODS_HERE)
def test_a_still_pair_has_no_flow_at_all(method: str) -> None:
    still = shifted_pair(1, dx=0, dy=0)
    assert (flow_between(still, method=method) == 0).all()
    assert (coded(flow_between(still, method=method)) == ZERO).all()


@given(st.lists(st.floats(-30, 30, width=32), min_size=1))
def test_bytes_keep_displacements_and_their_opposites(values: list[float]) -> None:
    flow = np.array(values, dtype=np.float32)
    np.testing.assert_allclose(decoded(coded(flow)), np.clip(flow, -20, 20), atol=10 / 127 + 1e-4)
    assert (coded(-flow).astype(int) == 256 - coded(flow).astype(int)).all()
    assert (coded(decoded(coded(flow))) == coded(flow)).all()


def flow_batch(pixels: np.ndarray, *, flip: bool) -> ClipBatch:
    return ClipBatch(
        numbers=(0,), shown=(0,), pixels_BTHWC=torch.from_numpy(pixels), flips_B=torch.tensor([flip]), colors_B3=None,
        crops_B4=torch.tensor([[0, 0, *pixels.shape[2:4]]]), labels_B=torch.tensor([0]),
    )  # fmt: skip


@given(st.integers(0, 2**32 - 1))
def test_mirroring_turns_dx_round_and_not_dy_and_twice_gives_it_back(seed: int) -> None:
    frames = ClipFrames(num_frames=3, side_px=8, crop_px=8, modality="flow")
    pixels = np.random.default_rng(seed).integers(1, 256, size=(1, 3, 8, 8, 2)).astype(np.uint8)
    plain = to_model(flow_batch(pixels, flip=False), frames=frames, device="cpu")
    mirrored = to_model(flow_batch(pixels, flip=True), frames=frames, device="cpu")
    assert torch.equal(mirrored[:, 0], -plain[:, 0].flip(3))
    assert torch.equal(mirrored[:, 1], plain[:, 1].flip(3))
    assert plain.abs().max() <= 1
    coded_again = np.rint(mirrored.permute(0, 2, 3, 4, 1).numpy() * 127 + 128).astype(np.uint8)
    assert torch.equal(to_model(flow_batch(coded_again, flip=True), frames=frames, device="cpu"), plain)


def test_the_flow_of_a_mirrored_clip_is_the_mirrored_flow_of_the_clip() -> None:
    pair = shifted_pair(3, dx=3, dy=-2)
    plain, mirrored = flow_between(pair)[0], flow_between(np.ascontiguousarray(pair[:, :, ::-1]))[0]
    difference = np.abs(mirrored - plain[:, ::-1] * np.array([-1, 1]))[16:48, 16:48]
    assert difference.mean() < 0.1


def test_flow_batches_say_which_way_the_texture_moves(clips: ClipSet) -> None:
    with clip_batches(clips, frames=FRAMES, augment=PLAIN, numbers=[[0, 1]], seed=0, epoch=0, num_workers=0) as batches:
        (batch,) = batches
    clip_BCTHW = to_model(batch, frames=FRAMES, device="cpu")
    assert clip_BCTHW.shape == (2, 2, 4, 32, 32)
    dx_B = clip_BCTHW[:, 0].median(dim=-1).values.median(dim=-1).values.mean(dim=1) * 20
    assert dx_B[0] > 0.5
    assert dx_B[1] < -0.5


@dataclasses.dataclass
class Pictures:
    """Pictures in memory as footage, which counts what is read."""

    pictures_NHWC: np.ndarray
    num_read: int = 0

    @property
    def num_frames(self) -> int:
        return len(self.pictures_NHWC)

    @property
    def size_px(self) -> tuple[int, int]:
        return self.pictures_NHWC.shape[2], self.pictures_NHWC.shape[1]

    source_size_px = size_px

    def read(self, numbers_T: np.ndarray, *, window: Window) -> np.ndarray:
        self.num_read += len(numbers_T)
        return self.pictures_NHWC[numbers_T]


def test_flow_is_found_on_whole_frames_once_each_and_a_single_frame_has_none() -> None:
    pair = shifted_pair(5, dx=2, dy=0)
    pictures = Pictures(np.concatenate((pair, pair)))
    footage = FlowFootage(pictures=pictures, method="dis")
    assert footage.num_frames == 3
    window = Window(top_px=3, left_px=5, height_px=20, width_px=30)
    part = footage.read(np.array([2, 0, 2]), window=window)
    whole = coded(flow_between(pair))[0]
    assert (part == whole[3:23, 5:35]).all()
    assert pictures.num_read == 4
    alone = FlowFootage(pictures=Pictures(pair[:1]), method="dis")
    assert alone.num_frames == 1
    assert (alone.read(np.array([0]), window=window) == ZERO).all()


def test_what_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="no flow 'raft'"):
        flow_between(shifted_pair(0, dx=0, dy=0), method="raft")
    monkeypatch.delattr(cv2, "optflow", raising=False)
    with pytest.raises(GestaError, match=r"'tvl1' is not in this OpenCV.*opencv-contrib-python-headless"):
        flow_between(shifted_pair(0, dx=0, dy=0), method="tvl1")
