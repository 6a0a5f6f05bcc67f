"""Batches: the same at any number of workers, cut and mirrored as drawn, and never short in silence."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from tests.unit.train.clips.clip_sets import broken

from gesta.schema import BadInput, GestaError, UnknownName
from gesta.train.clips import (
    PLAIN,
    UNTIL_END_US,
    ClipAugment,
    ClipExample,
    ClipFrames,
    ClipSet,
    check_clips,
    clip_batches,
    clip_set,
    footage,
    to_model,
)
from gesta.train.clips.batches import NUM_STAND_INS
from gesta.video import VIDEO_ENDINGS

FRAMES = ClipFrames(num_frames=6, stride=2, rate=12.5, side_px=48, crop_px=24)


def read(clips: ClipSet, numbers: list[list[int]], **others) -> list:
    settings = {"frames": FRAMES, "augment": ClipAugment(), "seed": 3, "epoch": 1, "num_workers": 0} | others
    with clip_batches(clips, numbers=numbers, **settings) as batches:
        return list(batches)


def assert_equal(one: list, other: list) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert (a.numbers, a.shown, a.rejects) == (b.numbers, b.shown, b.rejects)
        for name in ("pixels_BTHWC", "crops_B4", "flips_B", "labels_B"):
            assert torch.equal(getattr(a, name), getattr(b, name)), name


def test_batches_are_bit_equal_at_any_number_of_workers(clips: ClipSet) -> None:
    numbers = [[3, 1, 4, 1, 5], [2], [0, 5]]
    alone = read(clips, numbers)
    assert [batch.pixels_BTHWC.shape for batch in alone] == [(n, 6, 24, 24, 3) for n in (5, 1, 2)]
    assert_equal(alone, read(clips, numbers, num_workers=1))
    assert_equal(alone, read(clips, numbers, num_workers=2, queue_len=1))


def test_a_clip_is_the_same_in_any_batch_and_differs_between_epochs_and_seeds(clips: ClipSet) -> None:
    (pair,), (alone,) = read(clips, [[2, 4]]), read(clips, [[4]])
    assert torch.equal(pair.pixels_BTHWC[1], alone.pixels_BTHWC[0])
    for others in ({"epoch": 2}, {"seed": 4}):
        (other,) = read(clips, [[4]], **others)
        assert not torch.equal(other.pixels_BTHWC, alone.pixels_BTHWC)


def test_cutting_on_the_device_gives_what_cutting_in_the_worker_gives(clips: ClipSet) -> None:
    (cut,), (whole,) = read(clips, [[0, 1, 2, 3]]), read(clips, [[0, 1, 2, 3]], whole_frames=True)
    assert whole.pixels_BTHWC.shape == (4, 6, 36, 48, 3)
    assert torch.equal(to_model(cut, frames=FRAMES, device="cpu"), to_model(whole, frames=FRAMES, device="cpu"))


def test_the_model_gets_channels_last_floats_mirrored_where_drawn(clips: ClipSet) -> None:
    (batch,) = read(clips, [[0, 1, 2, 3, 4, 5]])
    clip_BCTHW = to_model(batch, frames=FRAMES, device="cpu")
    assert clip_BCTHW.shape == (6, 3, 6, 24, 24)
    assert clip_BCTHW.is_contiguous(memory_format=torch.channels_last_3d)
    assert batch.flips_B.any()
    assert not batch.flips_B.all()
    for place, flipped in enumerate(batch.flips_B):
        plain_TCHW = batch.pixels_BTHWC[place].permute(3, 0, 1, 2) / 127.5 - 1
        np.testing.assert_allclose(clip_BCTHW[place], plain_TCHW.flip(3) if flipped else plain_TCHW, atol=1e-6, rtol=0)


def test_a_drawn_scale_changes_the_crop_which_is_resized_on_the_device(clips: ClipSet) -> None:
    augment = ClipAugment(scale_px=(24, 60), flip=False)
    (batch,) = read(clips, [[0, 1, 2, 3, 4, 5]], augment=augment)
    sides = batch.crops_B4[:, 2].tolist()
    assert len(set(sides)) > 2
    assert all(24 * 36 / 60 - 1 < side <= 36 for side in sides)
    assert batch.pixels_BTHWC.shape[2:4] == (max(sides), max(sides)), "the others are filled up"
    clip_BCTHW = to_model(batch, frames=FRAMES, device="cpu")
    assert clip_BCTHW.shape == (6, 3, 6, 24, 24)
    for place, side in enumerate(sides):
        assert (batch.pixels_BTHWC[place, :, side:] == 0).all()
        assert (batch.pixels_BTHWC[place, :, :, side:] == 0).all()
        part = batch.pixels_BTHWC[place, :, :side, :side].float() / 127.5 - 1
        # Resizing keeps the mean: no zeros of the filling came in.
        assert abs(float(part.mean()) - float(clip_BCTHW[place].mean())) < 0.05
    (whole,) = read(clips, [[0, 1, 2, 3, 4, 5]], augment=augment, whole_frames=True)
    assert torch.equal(to_model(whole, frames=FRAMES, device="cpu"), clip_BCTHW)


def test_colors_change_by_their_factors_and_stay_in_range(clips: ClipSet) -> None:
    (batch,) = read(clips, [[0, 1, 2]], augment=ClipAugment(color_frac=0.5, flip=False))
    assert batch.colors_B3 is not None
    plain = dataclasses.replace(batch, colors_B3=None)
    one = dataclasses.replace(batch, colors_B3=torch.ones(3, 3))
    torch.testing.assert_close(
        to_model(one, frames=FRAMES, device="cpu"), to_model(plain, frames=FRAMES, device="cpu"), atol=1e-5, rtol=0
    )
    brighter = dataclasses.replace(batch, colors_B3=torch.tensor([[1.5, 1.0, 1.0]] * 3))
    wanted = (plain.pixels_BTHWC.float() * 1.5).clamp(0, 255) / 127.5 - 1
    torch.testing.assert_close(
        to_model(brighter, frames=FRAMES, device="cpu"), wanted.permute(0, 4, 1, 2, 3), atol=1e-5, rtol=0
    )
    changed = to_model(batch, frames=FRAMES, device="cpu")
    assert changed.min() >= -1
    assert changed.max() <= 1
    assert not torch.equal(changed, to_model(plain, frames=FRAMES, device="cpu"))


def test_a_short_clip_is_looped(clips: ClipSet) -> None:
    frames = dataclasses.replace(FRAMES, num_frames=40, stride=1)
    (batch,) = read(clips, [[0]], frames=frames, augment=PLAIN)
    pixels_THWC = batch.pixels_BTHWC[0]
    assert torch.equal(pixels_THWC[25:], pixels_THWC[:15])


def test_every_real_video_gives_its_clip_or_says_why_not(shared: Path) -> None:
    paths = sorted(path for path in (shared / "videos").rglob("*") if path.suffix in VIDEO_ENDINGS)
    assert len(paths) > 20
    examples = [
        ClipExample(clip_id=path.name, video_id=path.name, path=path, start_us=0, end_us=UNTIL_END_US, label=0)
        for path in paths
    ]
    clips = clip_set(examples, classes={0: "any"})
    checked, rejects = check_clips(clips)
    assert len(checked) + len(rejects) == len(clips)
    numbers = [[n] for n in range(len(checked))]
    batches = read(checked, numbers, augment=ClipAugment(), unreadable="leave-out")
    left_out = [reject.clip_id for batch in batches for reject in batch.rejects]
    assert [len(batch.numbers) for batch in batches].count(0) == len(left_out)
    assert all(batch.pixels_BTHWC.shape == (1, 6, 24, 24, 3) for batch in batches if batch.numbers)
    assert len(rejects) + len(left_out) < len(clips) / 2


def test_segments_spread_from_the_first_to_the_last_that_fits(clips: ClipSet) -> None:
    (batch,) = read(clips, [[0, 3]], augment=None, num_segments=3)
    assert batch.numbers == (0, 0, 0, 3, 3, 3)
    assert batch.pixels_BTHWC.shape[0] == 6
    # The fixture's frames say their number in their grey: 2 s at 12.5/s are 25 frames, of which a clip spans 11.
    levels = batch.pixels_BTHWC[:3, :, :4, :4].float().mean(dim=(2, 3, 4)).round().int().tolist()
    assert levels[0][0] < levels[1][0] < levels[2][0]
    with pytest.raises(BadInput, match="3 segments with jitter_time=True"):
        read(clips, [[0]], num_segments=3)


def test_an_unreadable_clip_is_replaced_by_the_next_of_its_class_and_said(clips: ClipSet, tmp_path: Path) -> None:
    (batch,) = read(broken(clips, [2], tmp_path), [[2, 3]])
    assert (batch.numbers, batch.shown) == ((2, 3), (4, 3))
    assert batch.labels_B.tolist() == [0, 1]
    assert [(reject.reason, reject.clip_id) for reject in batch.rejects] == [("not-video", "clip2")]
    (after,) = read(broken(clips, [2, 4], tmp_path), [[2]])
    assert after.shown == (0,), "round the end of the set, within the class"
    (other,) = read(broken(clips, [0, 2, 4], tmp_path), [[2]])
    assert other.shown == (3,), "another class where the own has none"
    assert other.labels_B.tolist() == [1]


def test_a_test_leaves_unreadable_clips_out_and_says_so(clips: ClipSet, tmp_path: Path) -> None:
    bad = broken(clips, [1, 2], tmp_path)
    one, none = read(bad, [[0, 1], [2]], augment=None, unreadable="leave-out")
    assert (one.numbers, none.numbers) == ((0,), ())
    assert [len(batch.rejects) for batch in (one, none)] == [1, 1]
    assert to_model(none, frames=FRAMES, device="cpu").shape == (0, 3, 6, 24, 24)


def test_what_a_library_fails_at_costs_a_clip_and_not_the_run(clips: ClipSet, monkeypatch: pytest.MonkeyPatch) -> None:
    decode_frames = footage.decode_frames

    def fail(path: Path, *args, **others):
        if path.name == "v0.mp4":
            raise av.InvalidDataError(1094995529, "Invalid data found")
        return decode_frames(path, *args, **others)

    monkeypatch.setattr(footage, "decode_frames", fail)
    (batch,) = read(clips, [[0, 1]])
    assert batch.shown == (2, 1)
    assert [(one.reason, one.clip_id) for one in batch.rejects] == [("decode", "clip0")]
    assert "Invalid data found" in batch.rejects[0].detail


@pytest.mark.parametrize("num_workers", [0, 1])
def test_when_nothing_can_be_read_the_run_stops(clips: ClipSet, tmp_path: Path, num_workers: int) -> None:
    lost = broken(clips, list(range(len(clips))), tmp_path)
    with pytest.raises(GestaError, match=f"{NUM_STAND_INS + 1} clips on end cannot be read.*Look whether"):
        read(lost, [[0]], num_workers=num_workers)


def test_a_killed_worker_gives_a_clear_error(clips: ClipSet) -> None:
    numbers = [[n % 6] for n in range(300)]
    with clip_batches(
        clips, frames=FRAMES, augment=PLAIN, numbers=numbers, seed=0, epoch=0, num_workers=1, queue_len=1
    ) as batches:
        next(batches)
        for child in worker_pids():
            os.kill(child, signal.SIGKILL)
        with pytest.raises(GestaError, match="a process that decodes clips died"):
            list(batches)
    assert worker_pids() == []


def test_an_early_end_leaves_no_worker(clips: ClipSet) -> None:
    with clip_batches(
        clips, frames=FRAMES, augment=PLAIN, numbers=[[0], [1], [2]] * 30, seed=0, epoch=0, num_workers=2
    ) as batches:
        next(batches)
        assert len(worker_pids()) == 2
    assert worker_pids() == []


def test_wrong_wishes_are_refused(clips: ClipSet) -> None:
    with pytest.raises(BadInput, match=r"there is no example 6\. Want 0 to 5"):
        read(clips, [[6]])
    with pytest.raises(UnknownName, match="no way with unreadable clips 'drop'"):
        read(clips, [[0]], unreadable="drop")
    with pytest.raises(BadInput, match="num_workers=-1, queue_len=4"):
        read(clips, [[0]], num_workers=-1)


def worker_pids() -> list[int]:
    import multiprocessing

    return [child.pid for child in multiprocessing.active_children() if child.pid is not None]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_a_gpu_gets_pinned_batches_and_makes_the_same_of_them(clips: ClipSet) -> None:
    (batch,) = read(clips, [[0, 1, 2, 3, 4, 5]], num_workers=1)
    assert batch.pixels_BTHWC.is_pinned()
    on_gpu = to_model(batch, frames=FRAMES, device="cuda")
    assert on_gpu.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(on_gpu.cpu(), to_model(batch, frames=FRAMES, device="cpu"), atol=1e-6, rtol=0)
