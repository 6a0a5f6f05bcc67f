"""Other libraries' models as trunks: shapes, where each cell lies, and the same features as the clip model has."""

import pytest
import torch
from torch import nn

from gesta.models import PersonHead, PersonModel
from gesta.models.token_trunk import library_trunk
from gesta.models.torchvision_video import TORCHVISION_VIDEO, torchvision_video
from gesta.models.transformers_video import TRANSFORMERS_VIDEO, transformers_video
from gesta.models.trunks import TrunkSpec, build_trunk
from gesta.schema import BadInput, UnknownName

TINY = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
TINY_JEPA = {
    "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "num_pooler_layers": 1,
    "pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1,
}  # fmt: skip
FAMILIES = {
    "videomae_base": (TINY, 2), "timesformer_base": (TINY, 1), "vivit_base": (TINY, 2), "vjepa2_large": (TINY_JEPA, 2),
}  # fmt: skip
"""By name: a small configuration, and the frames of a token."""

MAPS = {
    "r3d_18": (512, 2, 14), "mc3_18": (512, 16, 14), "r2plus1d_18": (512, 2, 14), "s3d": (832, 4, 14),
    "mvit_v1_b": (768, 8, 7), "mvit_v2_s": (768, 8, 7), "swin3d_t": (768, 8, 7), "swin3d_s": (768, 8, 7),
    "swin3d_b": (1024, 8, 7),
}  # fmt: skip
"""Features, instants and cells a side of 16 frames of 224 px."""


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(name, *, num_layers=1, num_frames=4, crop_px=48):
    pytest.importorskip("transformers")
    torch.manual_seed(3)
    config = FAMILIES[name][0] | {"num_hidden_layers": num_layers}
    return library_trunk(name, num_frames=num_frames, crop_px=crop_px, config=config).eval()


def a_clip(num=2, frames=4, side=48):
    return torch.rand(num, 3, frames, side, side, generator=torch.Generator().manual_seed(1))


def test_every_model_of_torchvision_is_a_trunk():
    assert set(MAPS) == set(TORCHVISION_VIDEO)


@pytest.mark.parametrize("name", MAPS)
def test_maps_are_as_large_as_path_features_and_stride_say(name):
    with torch.device("meta"):
        trunk = library_trunk(name, num_frames=16, crop_px=224).eval()
    (found,) = trunk(torch.zeros(1, 3, 16, 224, 224, device="meta"))
    num_features, num_frames, side = MAPS[name]
    assert found.shape == (1, num_features, num_frames, side, side)
    assert trunk.path_features == (num_features,)
    assert 224 / trunk.stride_px == side


@pytest.mark.parametrize("name", FAMILIES)
def test_tokens_become_a_grid(name):
    trunk, tube = tiny(name), FAMILIES[name][1]
    (found,) = trunk(a_clip())
    assert found.shape == (2, 24, 4 // tube, 3, 3)
    assert trunk.path_features == (24,)
    assert trunk.stride_px == 16


@pytest.mark.parametrize("name", FAMILIES)
def test_a_cell_is_where_its_pixels_are(name):
    """Without layers a token knows its own patch only: another patch there changes that cell and no other."""
    trunk, tube = tiny(name, num_layers=0), FAMILIES[name][1]
    for frame, row, column in ((0, 0, 1), (1, 2, 0), (3, 1, 2)):
        changed = a_clip()
        changed[1, :, frame, 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] += 1
        (before,), (after,) = trunk(a_clip()), trunk(changed)
        differs = (before != after).any(dim=1).nonzero().tolist()
        assert differs == [[1, frame // tube, row, column]]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_grid_holds_what_the_classifier_reads(name):
    """A clip model's own weights, by their own names: its head on our map gives its logits."""
    pytest.importorskip("transformers")
    torch.manual_seed(3)
    clip_model = transformers_video(name, num_classes=5, num_frames=4, crop_px=48, config=FAMILIES[name][0]).eval()
    trunk = tiny(name)
    own = {key: value for key, value in clip_model.state_dict().items() if key in trunk.state_dict()}
    assert set(own) == set(trunk.state_dict())
    trunk.load_state_dict(own)
    with torch.no_grad():
        want = clip_model(a_clip())
        (found,) = trunk(a_clip())
        net = clip_model.net
        if name == "videomae_base":
            logits = net.classifier(net.fc_norm(found.mean(dim=(2, 3, 4))))
        elif name == "vjepa2_large":
            logits = net.classifier(net.pooler(found.flatten(2).transpose(1, 2)))
        else:
            # These read the token of the whole clip, which the grid leaves out: all the others must be there.
            hidden = net.base_model(a_clip().transpose(1, 2)).last_hidden_state[:, 1:]
            assert torch.equal(found.flatten(2).sort(dim=2).values, hidden.transpose(1, 2).sort(dim=2).values)
            return
    torch.testing.assert_close(logits, want)


@pytest.mark.parametrize("name", ["r3d_18", "swin3d_t", "mvit_v2_s", pytest.param("s3d", marks=pytest.mark.slow)])
def test_torchvisions_maps_are_what_its_heads_read(name):
    frames, side = (4, 32) if name == "r3d_18" else (4, 64)
    torch.manual_seed(1)
    if name == "s3d":
        frames, side = 13, 209
    clip_model = torchvision_video(name, num_classes=5, num_frames=frames, crop_px=side).eval()
    torch.manual_seed(2)
    trunk = library_trunk(name, num_frames=frames, crop_px=side).eval()
    own = {"net." + key: value for key, value in clip_model.state_dict().items() if "net." + key in trunk.state_dict()}
    assert set(own) == set(trunk.state_dict())
    trunk.load_state_dict(own)
    clip = a_clip(1, frames, side)
    with torch.no_grad():
        (found,) = trunk(clip)
        if name == "s3d":
            found = clip_model.features[13:](found)
            assert torch.allclose(
                clip_model.classifier(clip_model.avgpool(found)).mean(dim=(2, 3, 4)), clip_model(clip)
            )
            return
        if name == "mvit_v2_s":
            # Its head reads the token of the whole clip; the map is all the others of the same last layer.
            seen = []
            clip_model.norm.register_forward_hook(lambda module, args, out: seen.append(out))
            clip_model(clip)
            assert torch.equal(found.flatten(2).transpose(1, 2), seen[0][:, 1:])
            return
        head = clip_model.fc if name == "r3d_18" else clip_model.head
        torch.testing.assert_close(head(found.mean(dim=(2, 3, 4))), clip_model(clip))


@pytest.mark.parametrize("name", [*FAMILIES, "r3d_18"])
def test_persons_are_scored_on_them_and_every_weight_learns(name):
    trunk = tiny(name) if name in FAMILIES else library_trunk(name, num_frames=4, crop_px=48)
    model = PersonModel(trunk, PersonHead(context=True, grid=4, dropout=0.0), num_classes=3).train()
    boxes = torch.tensor([[0, 0.1, 0.2, 0.6, 0.9], [1, 0.3, 0.1, 0.8, 0.7], [1, 0.0, 0.0, 1.0, 1.0]])
    logits = model(a_clip(), boxes)
    assert logits.shape == (3, 3)
    logits.square().sum().backward()
    still = [key for key, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    # The last layer's token of the whole clip is left out, and keys' offsets do nothing to a softmax.
    assert [key for key in still if "key" not in key and "cls" not in key] == []


def test_activations_can_be_computed_again():
    """With the same gradients; a model of torchvision cannot."""
    grads = []
    for is_on in (False, True):
        trunk = tiny("videomae_base").train()
        trunk.checkpoint_activations = is_on
        assert trunk.checkpoint_activations is is_on
        trunk(a_clip())[0].square().sum().backward()
        grads.append([weight.grad for weight in trunk.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))
    trunk.checkpoint_activations = False
    assert not trunk.checkpoint_activations


@pytest.mark.parametrize("name", FAMILIES)
def test_a_clip_of_another_size_is_refused(name):
    with pytest.raises(BadInput, match=f"{name} cannot take a clip of shape"):
        tiny(name)(a_clip(side=64))


def test_what_cannot_be_built_is_named():
    with pytest.raises(UnknownName, match=r"no trunk of a library 'r3d_19'. Did you mean 'r3d_18'"):
        library_trunk("r3d_19", num_frames=8, crop_px=64)
    with pytest.raises(BadInput, match=r"r3d_18 has no config\. Leave it out"):
        library_trunk("r3d_18", num_frames=8, crop_px=64, config={"a": 1})
    with pytest.raises(BadInput, match="an MViT cannot take 3 frames"):
        library_trunk("mvit_v2_s", num_frames=3, crop_px=64)
    trunk = library_trunk("mvit_v2_s", num_frames=4, crop_px=64)
    with pytest.raises(BadInput, match=r"an MViT for a grid of \(2, 16, 16\) cannot take a clip of shape"):
        trunk(a_clip(1, 4, 96))
    with pytest.raises(ValueError, match="r3d_18: a clip of shape"):
        library_trunk("r3d_18", num_frames=8, crop_px=64)(torch.zeros(1, 2, 4, 32, 32))


def test_every_family_of_transformers_has_its_small_one_here():
    pytest.importorskip("transformers")
    kinds = {name.split("_")[0] for name in TRANSFORMERS_VIDEO}
    assert kinds == {name.split("_")[0] for name in FAMILIES}
    assert all(isinstance(tiny(name), nn.Module) for name in FAMILIES)


def test_they_are_trunks_by_name():
    for saves_memory in (False, True):
        spec = TrunkSpec(name="videomae_small", saves_memory=saves_memory)
        with torch.device("meta"):
            trunk = build_trunk(spec, num_frames=4, crop_px=32)
        assert trunk.path_features == (384,)
        assert trunk.checkpoint_activations is saves_memory
    with pytest.raises(BadInput, match="this trunk cannot compute activations again"):
        build_trunk(TrunkSpec(name="r3d_18", saves_memory=True), num_frames=4, crop_px=32)
    with pytest.raises(UnknownName, match=r"no trunk 'videomae'.*slowfast_r50_8x8"):
        build_trunk(TrunkSpec(name="videomae"), num_frames=4, crop_px=32)
