"""Trunks of libraries against the libraries themselves, with weights drawn at random and kept in local files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from gesta.curate.trunks import IMAGENET_MEAN, IMAGENET_STD, trunk_named
from gesta.schema import BadInput

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

FRAMES = np.random.default_rng(0).integers(0, 255, (3, 224, 224, 3), dtype=np.uint8)


def normal(mean=IMAGENET_MEAN, std=IMAGENET_STD):
    frames = torch.from_numpy(FRAMES).permute(0, 3, 1, 2).float() / 255
    return torchvision.transforms.functional.normalize(frames, mean, std)


def test_inception_v1_gives_what_follows_the_last_average_pool(tmp_path: Path) -> None:
    torch.manual_seed(0)
    # As torchvision's own weights: with the two side branches.
    net = torchvision.models.googlenet(init_weights=False, transform_input=True).eval()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    found = trunk_named("inception-v1", weights=tmp_path / "w.pth")
    vectors = found.vectors_of(FRAMES)
    kept = []
    net.avgpool.register_forward_hook(lambda _, inputs, output: kept.append(output))
    with torch.inference_mode():
        net(normal())
    assert vectors.shape == (3, 1024)
    assert np.array_equal(vectors, kept[0].flatten(1).numpy())
    assert len(found.weights_sha256) == 64


def test_a_torchvision_model_without_its_head(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = torchvision.models.resnet18().eval()
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in net.state_dict().items() if not k.startswith("fc.")}},
        tmp_path / "w.pth",
    )
    vectors = trunk_named("torchvision:resnet18", weights=tmp_path / "w.pth").vectors_of(FRAMES)
    net.fc = torch.nn.Identity()
    with torch.inference_mode():
        assert np.array_equal(vectors, net(normal()).numpy())
    with pytest.raises(BadInput, match="of the model's tensors are missing and 0 have another shape"):
        trunk_named("torchvision:resnet34", weights=tmp_path / "w.pth")
    with pytest.raises(BadInput, match="does not end in a linear layer"):
        trunk_named("torchvision:squeezenet1_1", weights=tmp_path / "w.pth")


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_timm_model_gives_its_pooled_features(tmp_path: Path, ending: str) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(2)
    net = timm.create_model("resnet10t", pretrained=False).eval()
    path = tmp_path / f"w.{ending}"
    if ending == "pth":
        torch.save(net.state_dict(), path)
    else:
        pytest.importorskip("safetensors.torch").save_file(net.state_dict(), path)
    vectors = trunk_named("timm:resnet10t", weights=path).vectors_of(FRAMES)
    wants = timm.data.resolve_model_data_config(net)
    with torch.inference_mode():
        wanted = net.forward_head(net.forward_features(normal(wants["mean"], wants["std"])), pre_logits=True)
    assert np.array_equal(vectors, wanted.numpy())


def test_a_folder_of_transformers_gives_image_features(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": 50, "max_position_embeddings": 8},
        vision_config={**small, "image_size": 224, "patch_size": 32},
        projection_dim=12,
    )
    net = transformers.CLIPModel(config).eval()
    net.save_pretrained(tmp_path / "clip")
    mean, std = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
    own = json.dumps({"image_mean": mean, "image_std": std})
    (tmp_path / "clip" / "preprocessor_config.json").write_text(own)
    vectors = trunk_named(f"transformers:{tmp_path / 'clip'}").vectors_of(FRAMES)
    with torch.inference_mode():
        wanted = net.get_image_features(pixel_values=normal(mean, std))
        wanted = wanted if isinstance(wanted, torch.Tensor) else wanted.pooler_output
    assert vectors.shape == (3, 12)
    assert np.allclose(vectors, wanted.numpy(), atol=1e-6)
    vit = transformers.ViTModel(transformers.ViTConfig(**small, image_size=64, patch_size=16)).eval()
    vit.save_pretrained(tmp_path / "vit")
    assert trunk_named(f"transformers:{tmp_path / 'vit'}").vectors_of(FRAMES).shape == (3, 16)
