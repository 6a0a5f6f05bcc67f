"""Long-term feature banks as training and scoring show them: files opened together, checked, and a batch's windows.

A window depends on the bank, the key-frame that is shown and, in training, the seed, the epoch and the example's
number: it is the same on any number of workers and processes.

Shapes: M persons of a video, D features of one; B clips; L rows of a window, R of them with somebody.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gesta.models.feature_bank import FeatureBank, FeatureBankSpec, read_bank
from gesta.schema import BadInput
from gesta.tables import Json, sha256_of_file, sha256_of_json
from gesta.train.persons.checkpoints import build_recipe_model
from gesta.train.persons.examples import PersonSet
from gesta.train.persons.recipe import PersonRecipe
from gesta.train.persons.rows import PersonBatch

FILE = "bank.pt"
"""The bank in a folder of `gesta bank`."""

_DRAW = 0xBA
"""Tells the draw of a window's persons from an example's other draws."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenBank:
    """Banks read together.

    Attributes:
        videos: the bank of each video by its id.
        num_features: D.
        sha256: of the files, in whatever order they were named.
        model_sha256: of the checkpoint whose features they are.
    """

    videos: Mapping[str, FeatureBank]
    num_features: int
    sha256: str
    model_sha256: str

    def said(self) -> dict[str, Json]:
        """What a checkpoint keeps of it."""
        return {"sha256": self.sha256, "model_sha256": self.model_sha256, "num_features": self.num_features}


def open_banks(paths: Sequence[Path]) -> OpenBank:
    """The banks of those files, or of those folders of `gesta bank`, as one.

    Raises:
        BadInput: a file is no bank, there is none, they are of several models, or two hold the same key-frame.
    """
    files = [path / FILE if path.is_dir() else path for path in paths]
    if not files:
        raise BadInput("no feature bank is named", mend="Name what `gesta bank` wrote")
    banks = [read_bank(path) for path in files]
    first = banks[0]
    for path, bank in zip(files, banks, strict=True):
        widths = (bank.features_MD.shape[1], first.features_MD.shape[1])
        if widths[0] != widths[1] or bank.origin.get("checkpoint") != first.origin.get("checkpoint"):
            raise BadInput(
                f"this bank ({widths[0]} features) is of another model than {files[0]} ({widths[1]} features)",
                where=path,
                mend="Write all banks of a run with one model",
            )
    videos: dict[str, FeatureBank] = {}
    for path, bank in zip(files, banks, strict=True):
        for video_id, own in _by_video(bank):
            videos[video_id] = _together(videos[video_id], own, where=path) if video_id in videos else own
    return OpenBank(
        videos=videos,
        num_features=first.features_MD.shape[1],
        sha256=sha256_of_json(sorted(sha256_of_file(path) for path in files)),
        model_sha256=str(first.origin.get("checkpoint", "")),
    )


def _by_video(bank: FeatureBank) -> Iterator[tuple[str, FeatureBank]]:
    """Each video's own bank: views, where the rows of a video lie together, as they do in files."""
    order_M = np.argsort(bank.videos_M, kind="stable")
    is_sorted = bool((order_M == np.arange(len(order_M))).all())
    features_MD = bank.features_MD if is_sorted else bank.features_MD[order_M]
    videos_M, times_M = bank.videos_M[order_M], bank.times_M[order_M]
    ends = np.searchsorted(videos_M, np.arange(len(bank.video_ids) + 1))
    for place, video_id in enumerate(bank.video_ids):
        rows = slice(int(ends[place]), int(ends[place + 1]))
        yield video_id, _of_one(video_id, times_M[rows], features_MD[rows])


def _of_one(video_id: str, times_M: np.ndarray, features_MD: np.ndarray) -> FeatureBank:
    videos_M = np.zeros(len(times_M), dtype=np.int64)
    return FeatureBank(video_ids=(video_id,), videos_M=videos_M, times_M=times_M, features_MD=features_MD)


def _together(one: FeatureBank, other: FeatureBank, *, where: Path) -> FeatureBank:
    video_id = one.video_ids[0]
    both = np.intersect1d(one.times_M, other.times_M)
    if len(both):
        raise BadInput(
            f"key-frame {video_id} at {both[0]} us is in another of the banks too", where=where,
            mend="Name each bank once, and banks of other key-frames",
        )  # fmt: skip
    times_M = np.concatenate((one.times_M, other.times_M))
    return _of_one(video_id, times_M, np.concatenate((one.features_MD, other.features_MD)))


def check_bank(recipe: PersonRecipe, bank: OpenBank | None, sets: Sequence[PersonSet]) -> None:
    """Nothing, once the recipe's head reads a bank and has this one, or neither.

    Args:
        recipe: of the model.
        bank: what is to be shown.
        sets: key-frames that windows are wanted of.
    Raises:
        BadInput: a bank is wanted and there is none, or the other way about; it has another number of features, or a
            video was never looked at when it was written.
    """
    spec = recipe.head.bank
    if spec is None and bank is None:
        return
    if bank is None:
        raise BadInput(
            f"the model of recipe {recipe.name!r} reads a feature bank, and none is given",
            mend="Write one with `gesta bank`, and name it with --bank",
        )
    if spec is None:
        raise BadInput(
            f"the model of recipe {recipe.name!r} reads no feature bank, and one is given",
            mend="Leave out --bank, or take a recipe whose head has a bank",
        )
    wanted = bank_width(recipe, spec)
    if bank.num_features != wanted:
        raise BadInput(
            f"the feature bank has {bank.num_features} features a person, and recipe {recipe.name!r} reads {wanted}",
            mend="Write it with a model of the same trunk and head, or want head.bank.num_bank_features of its width",
        )
    wanted_ids = dict.fromkeys(example.video_id for persons in sets for example in persons.examples)
    missing = [video_id for video_id in wanted_ids if video_id not in bank.videos]
    if missing:
        raise BadInput(
            f"{len(missing)} of {len(wanted_ids)} videos are not in the feature bank, the first is {missing[0]!r}",
            mend="Write a bank of each set of key-frames (training and validation), and name them all",
        )


def bank_width(recipe: PersonRecipe, spec: FeatureBankSpec) -> int:
    """How many features a person of the bank has that the recipe's model reads by `spec`."""
    if spec.num_bank_features is not None:
        return spec.num_bank_features
    with torch.device("meta"):
        return build_recipe_model(recipe, num_classes=1).head.num_box_features


def with_windows(
    batch: PersonBatch,
    persons: PersonSet,
    *,
    bank: OpenBank,
    spec: FeatureBankSpec,
    seed: int | None = None,
    epoch: int = 0,
) -> PersonBatch:
    """The batch with the window of each clip's key-frame, `bank_BLD`, float16 [B, L, D] as the bank stores them.

    Args:
        batch: of examples of `persons`.
        persons: what its numbers count.
        bank: where the windows come from.
        spec: which rows there are.
        seed: of the draw of the persons of a second that has too many, as in training; None = the first ones.
        epoch: of the draw.
    Source: MMAction2 draws in tests too, so that its scores differ from run to run.
    """
    if not batch.numbers:
        return batch
    # Zeros that nobody touches cost nothing here, which a window at a time would.
    bank_BLD = np.zeros((len(batch.numbers), spec.num_rows, bank.num_features), dtype=np.float16)
    for place, (number, shown) in enumerate(zip(batch.numbers, batch.shown, strict=True)):
        example = persons.examples[shown]
        draw = None if seed is None else np.random.default_rng((seed, epoch, number, _DRAW))
        own = bank.videos[example.video_id]
        rows_R, stored_R = own.places(example.video_id, timestamp_us=example.timestamp_us, spec=spec, draw=draw)
        bank_BLD[place, rows_R] = own.features_MD[stored_R]
    return dataclasses.replace(batch, bank_BLD=torch.from_numpy(bank_BLD))
