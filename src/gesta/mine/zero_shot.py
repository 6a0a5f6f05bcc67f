"""Models that compare pictures with words (CLIP and its kind) as classifiers of frames: no training, any actions.

The score of an action in a frame is the cosine between the frame's vector and the mean of its prompts' vectors, which
orders the frames of one action as the model's own logits do, whatever the other actions are.

Shapes: F frames, H and W px; P prompts of a class; K classes; D the dimensions that pictures and words share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gesta.mine.frame_classifiers import ClassifierSource, FrameClassifier, Frames, Scores
from gesta.mine.onnx_sessions import onnx_session
from gesta.schema import BadInput, MissingExtra
from gesta.tables import Json, sha256_of_file

PROMPTS = ("a photo of {}.", "a photo of a person {}.", "a photo of a person doing {}.")
"""What an action's name is put into. Source: openai/CLIP, `data/prompts.md`, three of the templates for Kinetics700."""

ONNX_FILES = ("model.onnx", "onnx/model.onnx")
"""Where an exported model lies in its folder. Source: Hugging Face Optimum and Transformers.js, their layouts."""

_TORCH_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_PADDED = ("siglip", "siglip2")
"""Kinds of models whose words are padded to the full length. Source: `transformers` 5, SigLIP's usage notes."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Towers:
    """Vectors of texts, float32 [N, D], and of frames uint8 [F, H, W, 3], float32 [F, D]; of any length."""

    of_texts: Callable[[Sequence[str]], Floats]
    of_frames: Callable[[Frames], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenZeroShot:
    """Opens a zero-shot model for some actions; a value, so that it travels to workers."""

    model: str
    prompts: tuple[str, ...]
    device: str

    def __call__(self, action_names: Sequence[str]) -> FrameClassifier:
        """The model ready to score those actions.

        Raises:
            BadInput: it cannot be loaded, or does not compare pictures with words.
            MissingExtra: `transformers`, torch or onnxruntime is not installed.
        """
        file = _onnx_file(self.model)
        towers = _torch_towers(self.model, device=self.device) if file is None else _onnx_towers(file, self.model)
        texts_KP = [[prompt.format(name.replace("_", " ")) for prompt in self.prompts] for name in action_names]
        classes_KD = np.stack([_unit(_unit(towers.of_texts(texts_P)).mean(axis=0)) for texts_P in texts_KP])

        def score(frames_FHWC: Frames) -> Scores:
            return _unit(towers.of_frames(frames_FHWC)) @ classes_KD.T

        return FrameClassifier(score=score, class_names=tuple(action_names))


def zero_shot(model: str, *, prompts: Sequence[str] = PROMPTS, device: str = "auto") -> ClassifierSource:
    """A CLIP-like model of `transformers`, or the same as an ONNX file, as a classifier of whatever actions there are.

    Args:
        model: a folder that `save_pretrained` wrote, with the tokenizer and the image processor beside the weights; a
            name that `transformers` downloads where it is not here; or a folder with these two and `model.onnx`.
        prompts: texts with `{}` for the action's name; their vectors are averaged.
        device: auto, cpu or cuda; an ONNX file runs on the CPU.
    Raises:
        BadInput: there is no prompt, or one has no `{}`.
    Source: Radford et al., Learning transferable visual models from natural language supervision (2021), section 3.1.4
        (prompts and their mean).
    """
    given = tuple(prompts)
    for prompt in given:
        try:
            has_name = prompt.format("\0").count("\0") >= 1
        except (IndexError, KeyError, ValueError):
            has_name = False
        if not has_name:
            raise BadInput(f"the prompt {prompt!r}", mend='Want {} where the name goes: "a photo of a person {}."')
    if not given:
        raise BadInput("no prompt", mend="Want one or more")
    said: dict[str, Json] = {"kind": "zero-shot", "model": model, "prompts": list(given)}
    if Path(model).is_dir():
        said |= {"model": Path(model).resolve().name, "sha256": _hash_of_folder(Path(model))}
    tools = ("transformers", "torch") if _onnx_file(model) is None else ("transformers", "onnxruntime")
    return ClassifierSource(open=OpenZeroShot(model=model, prompts=given, device=device), said=said, tools=tools)


def _unit(vectors: npt.NDArray[Any]) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)


def _hash_of_folder(folder: Path) -> str:
    """SHA-256 of the names and contents of the files that the model is made of."""
    endings = (".json", ".txt", ".model", ".safetensors", ".bin", ".onnx", ".onnx_data")
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in endings and path.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()} {sha256_of_file(path)}\n".encode())
    return digest.hexdigest()


def _onnx_file(model: str) -> Path | None:
    """The ONNX file of a folder without torch weights; None where torch is to load it."""
    folder = Path(model)
    if not folder.is_dir() or any(list(folder.glob(pattern)) for pattern in _TORCH_WEIGHTS):
        return None
    return next((folder / name for name in ONNX_FILES if (folder / name).is_file()), None)


def _loaded(load: Callable[[], Any], *, model: str, what: str) -> Any:
    """What `load` gives.

    Raises:
        BadInput: the library cannot load it.
    """
    try:
        return load()
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInput(
            f"transformers cannot load its {what} ({first})",
            where=model,
            mend="Name a folder with weights, tokenizer and image processor, or a name that can be downloaded here",
        ) from error


def _transformers() -> Any:
    try:
        import transformers
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="models", module="transformers") from error
    return transformers


def _tokens(tokenizer: Any, texts: Sequence[str], *, model_type: str, framework: str) -> Any:
    padding = "max_length" if model_type in _PADDED else True
    return tokenizer(list(texts), padding=padding, truncation=True, return_tensors=framework)


def _torch_towers(model: str, *, device: str) -> _Towers:
    transformers = _transformers()
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="models", module="torch") from error

    place = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    net = _loaded(
        lambda: transformers.AutoModel.from_pretrained(model, dtype=torch.float32), model=model, what="weights"
    ).to(place)
    net.eval()
    if not hasattr(net, "get_image_features") or not hasattr(net, "get_text_features"):
        raise BadInput(
            f"{type(net).__name__} does not compare pictures with words", where=model, mend="Name a CLIP-like model"
        )
    tokenizer = _loaded(lambda: transformers.AutoTokenizer.from_pretrained(model), model=model, what="tokenizer")
    images = _loaded(
        lambda: transformers.AutoImageProcessor.from_pretrained(model), model=model, what="image processor"
    )

    def vectors(found: Any) -> Floats:
        # Older models give the tensor itself.
        tensor = found if isinstance(found, torch.Tensor) else found.pooler_output
        return np.asarray(tensor.float().cpu().numpy())

    def of_texts(texts: Sequence[str]) -> Floats:
        with torch.inference_mode():
            tokens = _tokens(tokenizer, texts, model_type=net.config.model_type, framework="pt").to(place)
            return vectors(net.get_text_features(**tokens))

    def of_frames(frames_FHWC: Frames) -> Floats:
        with torch.inference_mode():
            pixels = images(images=list(frames_FHWC), return_tensors="pt", input_data_format="channels_last")
            return vectors(net.get_image_features(pixel_values=pixels["pixel_values"].to(place)))

    return _Towers(of_texts=of_texts, of_frames=of_frames)


def _onnx_towers(file: Path, model: str) -> _Towers:
    """Both towers of one ONNX file, which always wants both inputs: a blank picture, or one text, stands for the other.

    Raises:
        BadInput: its inputs or outputs are not those of an exported CLIP.
    """
    session = onnx_session(file)
    inputs = {each.name for each in session.get_inputs()}
    outputs = {each.name for each in session.get_outputs()}
    if not {"pixel_values", "input_ids"} <= inputs or not {"image_embeds", "text_embeds"} <= outputs:
        raise BadInput(
            f"its inputs are {', '.join(sorted(inputs))} and its outputs {', '.join(sorted(outputs))}",
            where=file,
            mend="Want pixel_values and input_ids in, image_embeds and text_embeds out, as Optimum exports CLIP",
        )
    transformers = _transformers()
    config = _loaded(lambda: transformers.AutoConfig.from_pretrained(model), model=model, what="config.json")
    tokenizer = _loaded(lambda: transformers.AutoTokenizer.from_pretrained(model), model=model, what="tokenizer")
    images = _loaded(
        lambda: transformers.AutoImageProcessor.from_pretrained(model), model=model, what="image processor"
    )

    def pixels_of(frames_FHWC: Frames) -> Floats:
        made = images(images=list(frames_FHWC), return_tensors="pt", input_data_format="channels_last")
        return np.asarray(made["pixel_values"].numpy(), dtype=np.float32)

    def texts_of(texts: Sequence[str]) -> dict[str, npt.NDArray[np.int64]]:
        made = _tokens(tokenizer, texts, model_type=config.model_type, framework="np")
        return {name: made[name].astype(np.int64) for name in made if name in inputs}

    blank, word = np.zeros((1, 64, 64, 3), dtype=np.uint8), ["a"]

    def of_texts(texts: Sequence[str]) -> Floats:
        return np.asarray(session.run(["text_embeds"], {"pixel_values": pixels_of(blank), **texts_of(texts)})[0])

    def of_frames(frames_FHWC: Frames) -> Floats:
        given = {"pixel_values": pixels_of(frames_FHWC), **texts_of(word)}
        return np.asarray(session.run(["image_embeds"], given)[0])

    return _Towers(of_texts=of_texts, of_frames=of_frames)
