"""Pictures in folders of their classes, learnt from as clips of one frame."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from gesta.predict.clip_test import score_clips
from gesta.predict.frame_scoring import frame_scorer
from gesta.schema import BadInput, UnknownName
from gesta.train.clips import (
    ClipFrames,
    check_clips,
    clip_model_of,
    find_clip_recipe,
    load_clip_checkpoint,
    open_clips,
    open_footage,
    run_train_clips,
    splits_of,
)
from gesta.train.clips.augment import Window
from gesta.train.clips.image_sets import image_splits, is_image_set

RED, BLUE = (200, 30, 30), (30, 30, 200)
ONE = ClipFrames(num_frames=1, rate=1.0, side_px=40, side="short", crop_px=32)
RECIPE = find_clip_recipe("frame_r18_images")
SMALL = dataclasses.replace(
    RECIPE, frames=ONE, epochs=3, clips_per_batch=8, augment=dataclasses.replace(RECIPE.augment, scale_px=(34, 44))
)


def picture(path: Path, colour: tuple[int, int, int], *, seed: int, size: tuple[int, int] = (60, 48)) -> None:
    rng = np.random.default_rng(seed)
    pixels = np.clip(np.array(colour) + rng.normal(0, 25, (size[1], size[0], 3)), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    for number in range(8):
        picture(root / "waving_hand" / f"{number}.png", BLUE, seed=number, size=(60 + number, 48))
        picture(root / "bowing" / f"{number}.jpg", RED, seed=100 + number)
    return root


def test_class_folders_of_pictures_are_a_set(images: Path) -> None:
    assert is_image_set(images)
    assert splits_of(images) == ()
    clips, rejects = open_clips(images, frames=ONE)
    assert (clips.class_ids, clips.class_names, rejects) == ((0, 1), ("bowing", "waving_hand"), [])
    assert [example.label for example in clips.examples] == [0] * 8 + [1] * 8
    assert clips.examples[0].clip_id == "bowing/0"
    footage = open_footage(clips.examples[0], frames=ONE)
    assert (footage.num_frames, footage.size_px, footage.source_size_px) == (1, (50, 40), (60, 48))
    shown = footage.read(np.array([0, 0]), window=Window(top_px=0, left_px=0, height_px=40, width_px=50))
    assert shown.shape == (2, 40, 50, 3)
    assert shown[0, :, :, 0].mean() > 150 > 60 > shown[0, :, :, 2].mean()


def test_splits_share_their_classes(images: Path, tmp_path: Path) -> None:
    root = tmp_path / "split"
    root.mkdir()
    images.rename(root / "Train")
    picture(root / "validation" / "bowing" / "v.png", RED, seed=1)
    picture(root / "validation" / "juggling" / "v.png", RED, seed=2)
    assert image_splits(root) == splits_of(root) == ("train", "val")
    val, _ = open_clips(root, split="val", frames=ONE)
    train, _ = open_clips(root, split="train", frames=ONE)
    assert val.class_names == train.class_names == ("bowing", "juggling", "waving_hand")
    assert [example.label for example in val.examples] == [0, 1]
    with pytest.raises(BadInput, match=r"it has the splits train, val\. Name one of them"):
        open_clips(root, frames=ONE)
    with pytest.raises(UnknownName, match="no split 'test'"):
        open_clips(root, split="test", frames=ONE)


def test_a_label_map_gives_ids_and_leaves_others_out(images: Path, tmp_path: Path) -> None:
    (tmp_path / "map.pbtxt").write_text('item { id: 4 name: "waving hand" } item { id: 9 name: "kicking" }')
    clips, rejects = open_clips(images, label_map=tmp_path / "map.pbtxt", frames=ONE)
    assert (clips.class_ids, len(clips), {example.label for example in clips.examples}) == ((4, 9), 8, {0})
    assert {(reject.reason, reject.detail) for reject in rejects} == {
        ("no-label", "the class 'bowing' is not in the label map")
    }


def test_what_is_no_set_of_pictures(images: Path, tmp_path: Path) -> None:
    (images / "bowing" / "film.mp4").write_bytes(b"")
    assert not is_image_set(images)
    (tmp_path / "deep" / "class" / "clip").mkdir(parents=True)
    picture(tmp_path / "deep" / "class" / "clip" / "img_1.jpg", RED, seed=1)
    assert not is_image_set(tmp_path / "deep")
    assert not is_image_set(tmp_path / "nothing")
    assert not is_image_set(images / "bowing" / "0.jpg")


def test_a_model_of_many_frames_is_refused_pictures(images: Path) -> None:
    with pytest.raises(
        BadInput, match=r"single pictures, and the recipe shows a model 16 frames\. Use a recipe of one"
    ):
        open_clips(images, frames=ClipFrames(num_frames=16))


def test_a_picture_that_cannot_be_read_is_rejected(images: Path) -> None:
    (images / "bowing" / "3.jpg").write_bytes(b"no picture")
    clips, rejects = check_clips(open_clips(images, frames=ONE)[0])
    assert len(clips) == 15
    assert [(reject.clip_id, reject.reason) for reject in rejects] == [("bowing/3", "decode")]


def test_a_classifier_of_frames_is_trained_and_scores_frames(images: Path, tmp_path: Path) -> None:
    clips, _ = open_clips(images, frames=ONE)
    summary = run_train_clips(clips, out=tmp_path / "model", recipe=SMALL, device="cpu", threads=1)
    assert summary.kept == 16
    path = tmp_path / "model" / "model.pt"
    scorer = frame_scorer(path, device="cpu")
    assert (scorer.class_names, scorer.short_side_px) == (("bowing", "waving_hand"), 40)
    pixels = np.stack([cv2.imread(str(images / "bowing" / f"{k}.jpg"))[:, :, ::-1] for k in range(8)])
    scores = scorer.score(np.ascontiguousarray(pixels))
    assert scores.shape == (8, 2)
    # With two classes the odds of one are the other's upside down.
    np.testing.assert_allclose(scores[:, 0], -scores[:, 1], atol=1e-5)
    # The same pictures through the test that clips go through give the same probabilities.
    checkpoint = load_clip_checkpoint(path)
    wanted = score_clips(
        clip_model_of(checkpoint), clips, frames=ONE, test=SMALL.test, device="cpu", num_workers=0, precision="float32"
    )
    np.testing.assert_allclose(1 / (1 + np.exp(-scores)), wanted[:8], atol=1e-5)


def test_log_odds_tell_certain_frames_apart(images: Path, tmp_path: Path) -> None:
    clips, _ = open_clips(images, frames=ONE)
    run_train_clips(clips, out=tmp_path / "model", recipe=SMALL, device="cpu", threads=1)
    path = tmp_path / "model" / "model.pt"
    stored = torch.load(path, weights_only=True)
    weights = next(value for value in stored.values() if isinstance(value, dict) and "logits.weight" in value)
    weights["logits.weight"] *= 1000
    torch.save(stored, path)
    rng = np.random.default_rng(0)
    frames = np.concatenate([np.full((6, 40, 40, 3), RED), np.full((6, 40, 40, 3), BLUE)])
    frames = np.clip(frames + rng.normal(0, 9, frames.shape), 0, 255).astype(np.uint8)
    scores = frame_scorer(path, device="cpu").score(frames)
    assert np.isfinite(scores).all()
    assert (np.abs(scores) > 40).all()
    assert len(np.unique(scores[:, 0])) == 12


def test_a_model_of_clips_is_refused(tmp_path: Path, images: Path) -> None:
    clips, _ = open_clips(images, frames=ONE)
    two = dataclasses.replace(SMALL, frames=dataclasses.replace(ONE, num_frames=2), epochs=1)
    run_train_clips(clips, out=tmp_path / "model", recipe=two, device="cpu", threads=1)
    with pytest.raises(BadInput, match=r"wants 2 frames of rgb at once\. Train a classifier of single frames"):
        frame_scorer(tmp_path / "model" / "model.pt", device="cpu")
