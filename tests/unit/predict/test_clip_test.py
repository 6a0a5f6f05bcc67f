"""Views of clips and the mean of their scores, against sums by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from gesta.predict.clip_test import frames_of_test, score_clips, view_windows
from gesta.schema import BadInput, GestaError
from gesta.train.clips.augment import Window
from gesta.train.clips.footage import open_footage
from gesta.train.clips.frames import ClipFrames, first_frames
from gesta.train.clips.recipe import ClipTest
from gesta.train.clips.sets import ClipExample, clip_set

FRAMES = ClipFrames(num_frames=4, side_px=20, side="short", crop_px=12)
CLASSES = {3: "sit", 5: "stand", 9: "wave"}


class Small(nn.Module):
    """Looks at the order of frames and at where things are, so that every view has other logits."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.weight = nn.Parameter(torch.randn(3, 3, 2, 5, 5, generator=generator))

    def forward(self, clip_BCTHW):
        return nn.functional.conv3d(clip_BCTHW, self.weight, stride=(1, 3, 3)).relu().mean(dim=(2, 3, 4)) * 9


def write_pictures(folder, pictures):
    folder.mkdir()
    for number, picture in enumerate(pictures):
        cv2.imwrite(str(folder / f"img_{number:05d}.png"), picture[..., ::-1])
    return folder


def pictures_of(seed, num, *, height_px=20, width_px=30):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (num, height_px, width_px, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Clips of 25 pictures a second: long ones, one that must be looped, one of another shape."""
    home = tmp_path_factory.mktemp("pictures")
    lengths = [40, 25, 3, 31, 33]
    folders = [
        write_pictures(home / f"v{n}", pictures_of(n, num, width_px=36 if n == 3 else 30))
        for n, num in enumerate(lengths)
    ]
    return clip_set(
        [
            ClipExample(clip_id=f"c{n}", video_id=f"v{n}", path=folder, start_us=0, end_us=60_000_000, label=n % 3)
            for n, folder in enumerate(folders)
        ],
        classes=CLASSES,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return Small().eval()


def scores_by_hand(model, example, *, frames, num_segments, windows, average="probabilities"):
    """Mean probability (or softmax of the mean logits) over segments and windows, one view at a time."""
    footage = open_footage(example, frames=frames)
    width_px, height_px = footage.size_px
    whole = Window(top_px=0, left_px=0, height_px=height_px, width_px=width_px)
    pixels = footage.read(np.arange(footage.num_frames), window=whole)
    found = []
    for first in first_frames(len(pixels), frames=frames, num_segments=num_segments):
        shown = pixels[(first + np.arange(frames.num_frames) * frames.stride) % len(pixels)]
        for top, left, is_flipped in windows(width_px, height_px):
            view = shown[:, top : top + 12, left : left + 12]
            view = view[:, :, ::-1] if is_flipped else view
            clip = torch.from_numpy(view.copy()).permute(3, 0, 1, 2)[None].float() / 255 * 2 - 1
            with torch.inference_mode():
                found.append(model(clip)[0].double())
    logits_VK = torch.stack(found)
    if average == "logits":
        return logits_VK.mean(dim=0).softmax(dim=0).numpy()
    return logits_VK.softmax(dim=1).mean(dim=0).numpy()


def center(width_px, height_px):
    return [((height_px - 12) // 2, (width_px - 12) // 2, False)]


def three(width_px, height_px):
    return [((height_px - 12) // 2, left, False) for left in (0, (width_px - 12) // 2, width_px - 12)]


def ten(width_px, height_px):
    places = [(top, left) for top in (0, height_px - 12) for left in (0, width_px - 12)]
    places += [((height_px - 12) // 2, (width_px - 12) // 2)]
    return [(*place, is_flipped) for place in places for is_flipped in (False, True)]


@pytest.mark.parametrize(
    ("test", "windows"),
    [
        (ClipTest(), center),
        (ClipTest(num_segments=8), center),
        (ClipTest(num_segments=2, crops=3), three),
        (ClipTest(num_segments=3, crops=10), ten),
        (ClipTest(num_segments=8, average="logits"), center),
    ],
)
def test_scores_are_the_mean_over_views(clips, model, test, windows):
    scores = score_clips(model, clips, frames=FRAMES, test=test, device="cpu", num_workers=0, precision="float32")
    assert scores.dtype == np.float32
    for example, ours in zip(clips.examples, scores, strict=True):
        wanted = scores_by_hand(
            model, example, frames=FRAMES, num_segments=test.num_segments, windows=windows, average=test.average
        )
        np.testing.assert_allclose(ours, wanted, atol=2e-6)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)
    assert np.ptp(scores, axis=0).max() > 0.05, "the clips are not told apart, and anything would pass"


@pytest.mark.parametrize("test", [ClipTest(num_segments=3), ClipTest(num_segments=2, crops=10)])
def test_the_size_of_batches_changes_nothing(clips, model, test):
    def scores(views_per_batch):
        return score_clips(
            model, clips, frames=FRAMES, test=test, device="cpu", num_workers=0, precision="float32",
            views_per_batch=views_per_batch,
        )  # fmt: skip

    plain = scores(32)
    for views_per_batch in (1, 2, 7):
        np.testing.assert_allclose(scores(views_per_batch), plain, atol=2e-6)


@pytest.mark.slow
def test_workers_change_nothing(clips, model):
    test = ClipTest(num_segments=2)
    here, there = (
        score_clips(model, clips, frames=FRAMES, test=test, device="cpu", num_workers=num, precision="float32")
        for num in (0, 1)
    )
    assert here.tobytes() == there.tobytes()


def test_the_mean_of_logits_is_another_mean(clips, model):
    logits, probabilities = (
        score_clips(
            model, clips, frames=FRAMES, test=ClipTest(num_segments=8, average=average), device="cpu", num_workers=0,
            precision="float32",
        )
        for average in ("logits", "probabilities")
    )  # fmt: skip
    np.testing.assert_allclose(logits.sum(axis=1), 1, atol=1e-6)
    assert np.abs(logits - probabilities).max() > 1e-4


def test_a_mirrored_clip_has_the_scores_of_ten_crops(tmp_path, model):
    pictures = pictures_of(7, 10)
    folders = [
        write_pictures(tmp_path / "plain", pictures), write_pictures(tmp_path / "mirrored", pictures[:, :, ::-1])
    ]  # fmt: skip
    examples = [
        ClipExample(clip_id=f.name, video_id=f.name, path=f, start_us=0, end_us=400_000, label=0) for f in folders
    ]
    clips = clip_set(examples, classes=CLASSES)
    for crops, is_equal in ((1, False), (10, True)):
        test = ClipTest(crops=crops)
        one, other = score_clips(
            model, clips, frames=FRAMES, test=test, device="cpu", num_workers=0, precision="float32"
        )
        assert np.allclose(one, other, atol=1e-6) == is_equal


def test_a_test_may_show_more_frames_than_training(clips, model):
    seen = []

    class Counting(nn.Module):
        def forward(self, clip_BCTHW):
            seen.append(tuple(clip_BCTHW.shape))
            return model(clip_BCTHW)

    test = ClipTest(num_frames=9)
    score_clips(Counting(), clips, frames=FRAMES, test=test, device="cpu", num_workers=0)
    assert {shape[1:] for shape in seen} == {(3, 9, 12, 12)}
    assert frames_of_test(FRAMES, test=ClipTest()) is FRAMES


def test_a_clip_that_cannot_be_read_is_a_reject_and_a_row_without_numbers(clips, model, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    bad = ClipExample(
        clip_id="bad", video_id="bad", path=tmp_path / "broken.mp4", start_us=0, end_us=1_000_000, label=0
    )
    mixed = clip_set([clips.examples[0], bad, clips.examples[1]], classes=CLASSES)
    rejects, counts = [], []
    scores = score_clips(
        model, mixed, frames=FRAMES, test=ClipTest(), device="cpu", num_workers=0, on_reject=rejects.append,
        on_clips=counts.append,
    )  # fmt: skip
    assert np.isnan(scores).all(axis=1).tolist() == [False, True, False]
    assert [(one.stage, one.clip_id) for one in rejects] == [("score", "bad")]
    assert sum(counts) == 3
    alone = clip_set([bad], classes=CLASSES)
    scores = score_clips(model, alone, frames=FRAMES, test=ClipTest(crops=10), device="cpu", num_workers=0)
    assert scores.shape == (1, 3)
    assert np.isnan(scores).all()


def test_flow_is_scored_too(clips):
    flow = ClipFrames(num_frames=4, side_px=20, side="short", crop_px=12, modality="flow", flow="farneback")

    class Mean(nn.Module):
        def forward(self, clip_BCTHW):
            return torch.cat((clip_BCTHW.mean(dim=(2, 3, 4)), clip_BCTHW.amax(dim=(2, 3, 4))), dim=1)

    scores = score_clips(Mean(), clips, frames=flow, test=ClipTest(num_segments=2), device="cpu", num_workers=0)
    assert scores.shape == (5, 4)
    assert np.isfinite(scores).all()


def test_a_model_that_gives_no_number_is_said(clips):
    class Broken(nn.Module):
        def forward(self, clip_BCTHW):
            return clip_BCTHW.mean(dim=(2, 3, 4)) * float("nan")

    with pytest.raises(GestaError, match="no finite number for clip number 0"):
        score_clips(Broken(), clips, frames=FRAMES, test=ClipTest(), device="cpu", num_workers=0)
    with pytest.raises(BadInput, match="views_per_batch=0"):
        score_clips(
            Broken(), clips, frames=FRAMES, test=ClipTest(), device="cpu", num_workers=0, views_per_batch=0
        )  # fmt: skip


def test_crops_that_do_not_fit_are_refused():
    with pytest.raises(BadInput, match="a crop of 13 px in a frame of 12 x 20 px"):
        view_windows(width_px=12, height_px=20, crop_px=13, crops=1)
    with pytest.raises(BadInput, match="5 crops"):
        view_windows(width_px=12, height_px=20, crop_px=3, crops=5)


@pytest.mark.parametrize(
    ("num_segments", "num_frames", "stride", "num_seen", "first", "last"),
    [
        (1, 50, 5, 50, 2, 247),  # ConvNet+LSTM: 50 rgb over 10 s
        (25, 1, 1, 25, 0, 249),  # Two-Stream: 25 rgb
        (25, 10, 1, 250, 0, 249),  # Two-Stream: 250 flow
        (15, 16, 1, 240, 0, 249),  # C3D: 240 rgb, no frame twice
        (8, 32, 1, 250, 0, 249),  # I3D: 8 clips of 32 of 250 frames
    ],
)
def test_the_papers_frames(num_segments, num_frames, stride, num_seen, first, last):
    """Table 3 of the Kinetics-400 paper, and section 3 of the Kinetics-700-2020 paper, for 10 s at 25 a second."""
    frames = ClipFrames(num_frames=num_frames, stride=stride)
    numbers = [
        start + stride * np.arange(num_frames) for start in first_frames(250, frames=frames, num_segments=num_segments)
    ]
    seen = np.unique(np.concatenate(numbers))
    assert (len(seen), seen[0], seen[-1]) == (num_seen, first, last)
