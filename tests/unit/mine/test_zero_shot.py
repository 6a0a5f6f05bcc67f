"""CLIP-like models as classifiers of frames: a tiny one with random weights, written to a folder as real ones are."""

from __future__ import annotations

import pickle
import string
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer, ViTConfig, ViTModel

from gesta.mine import FrameSearch, run_mine
from gesta.mine.zero_shot import PROMPTS, zero_shot
from gesta.schema import BadInput
from gesta.tables import read_table

ACTIONS = ("waving hand", "bowing", "riding_a_bike")


def tiny_clip(folder: Path, *, seed: int = 0) -> Path:
    """A CLIP of 32 px with a vocabulary of letters."""
    letters = [*string.ascii_lowercase, "."]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    tokenizer = CLIPTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=[])
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config={
            **tower, "vocab_size": len(tokens), "max_position_embeddings": 64, "bos_token_id": 0, "eos_token_id": 1,
            "pad_token_id": 1,
        },
        vision_config={**tower, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )  # fmt: skip
    torch.manual_seed(seed)
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("models") / "tiny-clip")


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 40, 56, 3), dtype=np.uint8)


def test_scores_are_the_models_own_cosines(clip: Path, frames: np.ndarray) -> None:
    classifier = zero_shot(str(clip), prompts=["a photo of a person {}."], device="cpu").open(ACTIONS)
    assert classifier.class_names == ACTIONS
    found = classifier.score(frames)
    model, processor = CLIPModel.from_pretrained(clip), CLIPProcessor.from_pretrained(clip)
    texts = ["a photo of a person waving hand.", "a photo of a person bowing.", "a photo of a person riding a bike."]
    inputs = processor(text=texts, images=[Image.fromarray(one) for one in frames], padding=True, return_tensors="pt")
    with torch.inference_mode():
        wanted = model(**inputs).logits_per_image / model.logit_scale.exp()
    assert found.shape == (5, 3)
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-6)
    assert np.ptp(found, axis=0).min() > 1e-3


def test_prompts_are_averaged_as_directions(clip: Path, frames: np.ndarray) -> None:
    def towers(prompt: str) -> np.ndarray:
        return zero_shot(str(clip), prompts=[prompt], device="cpu").open(ACTIONS).score(frames)

    # The mean of unit vectors has the mean of the cosines as its product, up to its own length.
    both = zero_shot(str(clip), prompts=["a {}.", "the {} ."], device="cpu").open(ACTIONS).score(frames)
    mean = (towers("a {}.") + towers("the {} .")) / 2
    ratio = both / mean
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:1], ratio.shape), rtol=1e-3)
    assert (ratio > 1).all()


def test_a_frame_is_scored_alike_alone_and_among_others(clip: Path, frames: np.ndarray) -> None:
    score = zero_shot(str(clip), device="cpu").open(ACTIONS).score
    np.testing.assert_allclose(np.concatenate([score(one[None]) for one in frames]), score(frames), atol=1e-6)


def test_the_model_and_the_prompts_are_what_is_said(clip: Path, tmp_path: Path) -> None:
    one = zero_shot(str(clip)).said
    assert one["model"] == "tiny-clip"
    assert one["prompts"] == list(PROMPTS)
    assert zero_shot(str(clip)).said == one
    assert pickle.loads(pickle.dumps(zero_shot(str(clip)).open)) == zero_shot(str(clip)).open
    assert zero_shot(str(tiny_clip(tmp_path / "tiny-clip", seed=1))).said != one
    assert zero_shot(str(clip), prompts=["{}"]).said != one


def test_a_folder_positions_the_clips_of_a_work_folder(clip: Path, coloured: Path) -> None:
    search = FrameSearch(classifier=zero_shot(str(clip), device="cpu"), workers=1)
    summary = run_mine(coloured, actions=coloured.parent / "actions.txt", search=search)
    assert summary.numbers["classes_without_positions"] == []
    scores = read_table(coloured, "frame_scores")
    assert scores["class_id"].n_unique() == 3
    assert scores["score"].abs().max() <= 1
    assert run_mine(coloured, actions=coloured.parent / "actions.txt", search=search).was_current


@pytest.fixture(scope="module")
def exported(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as an ONNX file beside its tokenizer and image processor."""
    folder = tmp_path_factory.mktemp("onnx") / "tiny-clip"
    folder.mkdir()
    for path in clip.iterdir():
        if path.suffix == ".json":
            (folder / path.name).write_bytes(path.read_bytes())

    class Joint(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.clip = CLIPModel.from_pretrained(clip, attn_implementation="eager").eval()

        def forward(
            self, pixel_values: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor
        ) -> tuple[torch.Tensor, ...]:
            out = self.clip(pixel_values=pixel_values, input_ids=input_ids, attention_mask=attention_mask)
            return out.text_embeds, out.image_embeds

    inputs = (torch.zeros(2, 3, 32, 32), torch.tensor([[0, 5, 6, 1]] * 3), torch.ones(3, 4, dtype=torch.int64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Joint(), inputs, folder / "model.onnx", input_names=["pixel_values", "input_ids", "attention_mask"],
            output_names=["text_embeds", "image_embeds"], dynamo=True, verbose=False,
            dynamic_shapes=(
                {0: torch.export.Dim("images")}, {0: torch.export.Dim("texts"), 1: torch.export.Dim("words")},
                {0: torch.export.Dim("texts"), 1: torch.export.Dim("words")},
            ),
        )  # fmt: skip
    return folder


@pytest.mark.slow
def test_an_exported_model_scores_as_the_one_in_torch(exported: Path, clip: Path, frames: np.ndarray) -> None:
    source = zero_shot(str(exported), device="cpu")
    assert source.tools == ("transformers", "onnxruntime")
    wanted = zero_shot(str(clip), device="cpu").open(ACTIONS).score(frames)
    np.testing.assert_allclose(source.open(ACTIONS).score(frames), wanted, atol=1e-5)


def test_what_is_no_such_model_is_refused(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"prompt 'a photo'\. Want \{\} where the name goes"):
        zero_shot(str(clip), prompts=["a photo"])
    with pytest.raises(BadInput, match=r"the prompt '\{name\}'"):
        zero_shot(str(clip), prompts=["{name}"])
    with pytest.raises(BadInput, match="no prompt"):
        zero_shot(str(clip), prompts=[])
    with pytest.raises(
        BadInput, match=r"nowhere: transformers cannot load its weights .*\. Name a folder with weights"
    ):
        zero_shot(str(tmp_path / "nowhere"), device="cpu").open(ACTIONS)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    ViTModel(ViTConfig(**tower, image_size=32, patch_size=8)).save_pretrained(tmp_path / "vit")
    with pytest.raises(BadInput, match="ViTModel does not compare pictures with words"):
        zero_shot(str(tmp_path / "vit"), device="cpu").open(ACTIONS)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "model.onnx").write_bytes(b"no onnx")
    with pytest.raises(BadInput, match="cannot be read as an ONNX model"):
        zero_shot(str(tmp_path / "bad"), device="cpu").open(ACTIONS)
