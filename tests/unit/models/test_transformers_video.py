import builtins

import pytest
import torch

from gesta.models.transformers_video import TRANSFORMERS_VIDEO, transformers_video
from gesta.schema import BadInput, MissingExtra, UnknownName

transformers = pytest.importorskip("transformers")

TINY = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
TINY_JEPA = TINY | {
    "num_pooler_layers": 1, "pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1,
}  # fmt: skip
FAMILIES = {
    "videomae_base": ("VideoMAE", TINY | {"intermediate_size": 32}, "pixel_values"),
    "timesformer_base": ("Timesformer", TINY | {"intermediate_size": 32}, "pixel_values"),
    "vivit_base": ("Vivit", TINY | {"intermediate_size": 32}, "pixel_values"),
    "vjepa2_large": ("VJEPA2", TINY_JEPA, "pixel_values_videos"),
}
COUNTS = {
    "videomae_small": 22_033_936, "videomae_base": 86_534_800, "videomae_large": 304_270_736,
    "videomae_huge": 632_119_440, "timesformer_base": 121_566_352, "timesformer_hr": 122_024_080,
    "timesformer_long": 121_633_936, "vivit_base": 88_954_000, "vjepa2_large": 375_717_648,
    "vjepa2_huge": 731_514_640, "vjepa2_giant": 1_128_367_888,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(name, *, num_classes=5, num_frames=4, crop_px=32):
    torch.manual_seed(3)
    model = transformers_video(
        name, num_classes=num_classes, num_frames=num_frames, crop_px=crop_px, config=FAMILIES[name][1]
    )
    return model.eval()


def a_clip(frames=4, side=32):
    return torch.rand(2, 3, frames, side, side, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("published")
    for name in FAMILIES:
        tiny(name).net.save_pretrained(root / name)
    return root


def test_the_counts_are_of_every_name():
    assert set(COUNTS) == set(TRANSFORMERS_VIDEO)


@pytest.mark.parametrize(
    "name", ["timesformer_base", "timesformer_hr", "vivit_base", "vjepa2_large", "vjepa2_huge", "vjepa2_giant"]
)
def test_parameters_are_as_many_as_the_docstring_says(name):
    assert count_on_meta(name) == COUNTS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(COUNTS))
def test_parameters_of_the_slower_ones_too(name):
    assert count_on_meta(name) == COUNTS[name]


def count_on_meta(name):
    with torch.device("meta"):
        model = TRANSFORMERS_VIDEO[name](num_classes=400)
    return sum(weight.numel() for weight in model.parameters())


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_are_those_of_the_library_with_time_before_colour(name):
    model = tiny(name)
    _, _, word = FAMILIES[name]
    with torch.inference_mode():
        logits_BK = model(a_clip())
        theirs_BK = model.net(**{word: a_clip().permute(0, 2, 1, 3, 4)}).logits
    assert logits_BK.shape == (2, 5)
    assert torch.equal(logits_BK, theirs_BK)


@pytest.mark.parametrize("name", FAMILIES)
def test_fresh_weights_come_from_torch_s_global_generator(name):
    one, other = tiny(name).state_dict(), tiny(name).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_clip_of_another_shape_is_refused_with_what_is_wanted(name):
    with pytest.raises(BadInput, match=rf"{name} cannot take a clip of shape \[2, 3, 4, 48, 48\]: .*H = 32, W = 32.*"):
        tiny(name)(a_clip(side=48))
    with pytest.raises(BadInput, match=r"cannot take a clip of shape \[2, 3, 3, 32, 32\]"):
        tiny(name)(a_clip(frames=3))


def test_v_jepa_takes_clips_of_any_even_length():
    with torch.inference_mode():
        assert tiny("vjepa2_large")(a_clip(frames=10)).shape == (2, 5)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_saved_folder_gives_the_same_logits(name, folders):
    again = transformers_video(name, num_classes=5, weights=folders / name).eval()
    with torch.inference_mode():
        assert torch.equal(again(a_clip()), tiny(name)(a_clip()))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_head_of_other_classes_stays_fresh_and_the_rest_is_loaded(name, folders):
    state = tiny(name).state_dict()
    other = transformers_video(name, num_classes=3, weights=str(folders / name))
    assert all(torch.equal(value, state[key]) for key, value in other.state_dict().items() if "classifier" not in key)
    assert other(a_clip()).shape == (2, 3)


@pytest.mark.parametrize("name", ["videomae_base", "timesformer_base", "vjepa2_large"])
def test_weights_serve_longer_and_larger_clips_where_the_library_places_them(name, folders):
    model = transformers_video(name, num_classes=5, weights=folders / name, num_frames=6, crop_px=48).eval()
    with torch.inference_mode():
        assert model(a_clip(frames=6, side=48)).shape == (2, 5)


def test_positions_of_vivit_are_of_one_size_only(folders):
    with pytest.raises(BadInput, match=r"positions were learned at num_frames=4, not 6. Leave num_frames"):
        transformers_video("vivit_base", num_classes=5, weights=folders / "vivit_base", num_frames=6)


def test_weights_of_another_model_are_refused(folders):
    with pytest.raises(BadInput, match=r"these weights are of a vivit of width 24, not of 'videomae_base'"):
        transformers_video("videomae_base", num_classes=5, weights=folders / "vivit_base")
    with pytest.raises(BadInput, match=r"are of a videomae of width 24, not of 'videomae_large'"):
        transformers_video("videomae_large", num_classes=5, weights=folders / "videomae_base")


def test_weights_that_lack_a_layer_are_refused(folders, tmp_path):
    model = tiny("videomae_base").net
    state = {key: value for key, value in model.state_dict().items() if "patch_embeddings" not in key}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(BadInput, match=r"they lack 'videomae.embeddings.patch_embeddings.projection.bias'"):
        transformers_video("videomae_base", num_classes=5, weights=tmp_path)


def test_a_name_that_was_never_downloaded_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    name = "MCG-NJU/videomae-base-finetuned-kinetics"
    with pytest.raises(BadInput, match=rf"{name}: no weights are here.*hf download {name} --local-dir FOLDER"):
        transformers_video("videomae_base", num_classes=400, weights=name)


def test_folders_that_hold_no_weights_are_named(tmp_path):
    with pytest.raises(BadInput, match=r"no weights are here.*config.json and model.safetensors"):
        transformers_video("videomae_base", num_classes=4, weights=tmp_path)
    with pytest.raises(BadInput, match=r"there is no such folder of weights"):
        transformers_video("videomae_base", num_classes=4, weights=tmp_path / "none")


def test_names_that_are_not_there_are_answered_with_those_that_are():
    with pytest.raises(UnknownName, match=r"no video model of transformers 'videomae'.*videomae_base"):
        transformers_video("videomae", num_classes=2)
    with pytest.raises(UnknownName, match=r"no setting of VideoMAEConfig 'hidden'.*hidden_size"):
        transformers_video("videomae_base", num_classes=2, config={"hidden": 3})


def test_weights_and_a_config_at_once_are_refused(folders):
    with pytest.raises(BadInput, match=r"weights bring their own config"):
        transformers_video("vivit_base", num_classes=2, weights=folders / "vivit_base", config=TINY)


def test_without_the_library_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name == "transformers":
            raise ModuleNotFoundError("No module named 'transformers'", name="transformers")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(
        MissingExtra, match=r"'transformers', which is not installed. Run: pip install 'gesta\[models\]'"
    ):
        transformers_video("videomae_base", num_classes=2)
