"""Published weights as clip models: which network, which classes, what it is shown."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tests.unit.predict.clip_stand_in import save_small, write_levels

from gesta.models import MODELS, transformers_video
from gesta.models.weights import kinetics_400_names
from gesta.predict.clip_models import is_clip_model, load_clip_model
from gesta.predict.clips import label_video
from gesta.predict.published_inputs import PUBLISHED_INPUTS
from gesta.predict.windows import whole_video
from gesta.schema import BadInput, GestaError, UnknownName
from gesta.train.clips import ClipAugment, ClipFrames, clip_set
from gesta.train.clips.loop import run_train_clips
from gesta.train.clips.recipe import ClipRecipe

TINY = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture(scope="module")
def s3d_file(tmp_path_factory):
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "s3d.pth"
    torch.save(MODELS["s3d"](num_classes=400).state_dict(), path)
    return path


def test_every_input_is_of_a_model_that_is_there():
    assert set(PUBLISHED_INPUTS) <= set(MODELS)


def test_a_file_of_torchvision_is_shown_what_torchvision_says(s3d_file):
    model = load_clip_model(f"s3d:{s3d_file}", device="cpu")
    assert model.class_names == kinetics_400_names()
    assert (model.frames.num_frames, model.frames.rate, model.frames.crop_px) == (128, 15.0, 224)
    assert model.class_ids == tuple(range(400))
    assert model.origin["weights"] == str(s3d_file)
    state = torch.load(s3d_file, weights_only=True)
    assert all(torch.equal(value, state[key]) for key, value in model.net.state_dict().items())


def test_names_of_classes_can_be_given_and_change_the_hash(s3d_file):
    names = [f"action {number}" for number in range(400)]
    given = load_clip_model(f"s3d:{s3d_file}", device="cpu", class_names=names)
    assert given.class_names == tuple(names)
    assert given.sha256 != load_clip_model(f"s3d:{s3d_file}", device="cpu").sha256


def test_weights_of_transformers_bring_their_classes_and_sizes(tmp_path):
    pytest.importorskip("transformers")
    net = transformers_video("videomae_base", num_classes=2, num_frames=4, crop_px=32, config=TINY).net
    net.config.id2label = {0: "sit", 1: "stand"}
    net.save_pretrained(tmp_path)
    model = load_clip_model(f"videomae_base:{tmp_path}", device="cpu")
    assert model.class_names == ("sit", "stand")
    assert (model.frames.num_frames, model.frames.crop_px, model.frames.side_px) == (4, 32, 32)
    with torch.inference_mode():
        assert model.net(torch.rand(1, 3, 4, 32, 32)).shape == (1, 2)
    with pytest.raises(BadInput, match=r"3 names of classes for 2 logits"):
        load_clip_model(f"videomae_base:{tmp_path}", device="cpu", class_names=["a", "b", "c"])


def test_classes_that_nobody_knows_must_be_given(tmp_path):
    torch.manual_seed(2)
    torch.save(MODELS["i3d"](num_classes=2).state_dict(), tmp_path / "i3d.pt")
    model = load_clip_model(f"i3d:{tmp_path / 'i3d.pt'}", device="cpu", class_names=["sit", "stand"])
    assert (model.class_ids, model.class_names) == ((0, 1), ("sit", "stand"))
    torch.save(MODELS["i3d"](num_classes=400).state_dict(), tmp_path / "i3d.pt")
    with pytest.raises(BadInput, match=r"names of the classes of these weights are not known. Give them"):
        load_clip_model(f"i3d:{tmp_path / 'i3d.pt'}", device="cpu")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("resnet50-imagenet-v1", BadInput, r"of pictures, and label no clips"),
        ("nothing", BadInput, r"no such checkpoint, and no published weights.*i3d-rgb-k400"),
        ("i3d_small:x.pt", BadInput, r"not known what published weights of i3d_small want to see"),
        ("i3q:x.pt", UnknownName, r"no model 'i3q'"),
        ("s3d:KINETICS7", UnknownName, r"no published weights of s3d 'KINETICS7'"),
        ("i3d:/no/such/file.pt", GestaError, r"file\.pt"),
    ],
)
def test_what_cannot_be_loaded_says_why(name, error, message):
    with pytest.raises(error, match=message):
        load_clip_model(name, device="cpu")


def test_files_are_told_apart_by_what_they_hold(tmp_path, checkpoint):
    assert is_clip_model(save_small(tmp_path / "model.pt"))
    assert not is_clip_model(checkpoint)
    assert not is_clip_model(tmp_path / "none.pt")
    assert is_clip_model("i3d-rgb-k400")
    assert is_clip_model("i3d:weights/i3d.pt")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r3d_18", "mvit_v2_s", "videomae_small"])
def test_a_named_model_is_trained_for_its_recipe_s_clips_and_labels_videos(name, tmp_path):
    if name.startswith("videomae"):
        pytest.importorskip("transformers")
    frames = ClipFrames(num_frames=4, rate=10.0, side="short", side_px=32, crop_px=32)
    recipe = ClipRecipe(
        name="named", model=name, frames=frames, augment=ClipAugment(flip=False), epochs=1, clips_per_batch=2,
        max_steps=1, optimiser="adamw", base_lr=1e-3, precision="float32", compile="off",
    )  # fmt: skip
    videos = [write_levels(tmp_path / f"{level}.mp4", [level], size=(48, 32)) for level in (0, 200)]
    examples = [dataclasses.replace(whole_video(video), label=label) for label, video in enumerate(videos)]
    clips = clip_set(examples, classes={3: "dark", 5: "bright"})
    run_train_clips(clips, out=tmp_path / "out", recipe=recipe, val=None, seed=1, device="cpu", num_workers=0)
    model = load_clip_model(tmp_path / "out" / "model.pt", device="cpu")
    assert (model.name, model.class_names, model.frames) == (name, ("dark", "bright"), frames)
    labels = label_video(model, videos[0], precision="float32")
    assert labels.scores_BK.shape == (1, 2)
    assert float(labels.scores_K.sum()) == pytest.approx(1, abs=1e-5)
