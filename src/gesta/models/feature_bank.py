"""A long-term feature bank: what the persons of the minute around a key-frame looked like, for a head to ask.

Shapes: M stored persons, R of a window, D features of one; N boxes, B clips; S seconds of a window, F features a
second at most, L = S F rows of a window, 0 where there is none; d features of the reader.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gesta.models.dropout import SeededDropout
from gesta.schema import BadInput, UnknownName
from gesta.tables import Json, whole_file

FORMAT = "gesta-bank-1"
"""Written into every file of a bank; another text means another kind of file."""

SECOND_US = 1_000_000

OPERATORS = ("non-local", "max", "mean")
"""How a window is read: layers that ask it, or its largest or mean feature over all rows, the empty ones too.

Source: MMAction2, FBONonLocal, FBOMax and FBOAvg.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureBankSpec:
    """The window that is asked, and how: `operator` is one of `OPERATORS`; only "non-local" has layers.

    `num_bank_features` None = as many as the head has for a box: the bank was written by a model of the same make.

    Source: Wu et al., Long-Term Feature Banks (2019), the bank's operator; MMAction2, LFB and FBONonLocal: 60
    seconds, 5 features a second, 2 non-local layers of 512, dropout 0.2.
    """

    window_s: int = 60
    max_per_second: int = 5
    num_hidden: int = 512
    num_layers: int = 2
    dropout: float = 0.2
    num_bank_features: int | None = None
    operator: str = "non-local"

    def __post_init__(self) -> None:
        """Refuse what cannot be built.

        Raises:
            UnknownName: no such operator.
            BadInput: a number outside its range.
        """
        if self.operator not in OPERATORS:
            raise UnknownName(what="operator of a feature bank", name=self.operator, choices=OPERATORS)
        least = min(self.window_s, self.max_per_second, self.num_hidden, self.num_layers, self.num_bank_features or 1)
        if least < 1:
            raise BadInput("a feature bank of no seconds, features or layers", mend="Give numbers from 1 on")
        if not 0 <= self.dropout < 1:
            raise BadInput(f"dropout of a feature bank is {self.dropout}", mend="Give 0 to below 1")

    @property
    def num_rows(self) -> int:
        """L: rows of a window."""
        return self.window_s * self.max_per_second


class AskBank(nn.Module):
    """One non-local layer: a box's features weigh the window's and take their sum.

    Source: MMAction2, NonLocalLayer with `pre_activate`: product over the root of d, softmax, layer norm, ReLU, a last
    layer, dropout.
    """

    def __init__(self, *, num_hidden: int, dropout: float) -> None:
        super().__init__()
        self.query = nn.Linear(num_hidden, num_hidden)
        self.key = nn.Linear(num_hidden, num_hidden)
        self.value = nn.Linear(num_hidden, num_hidden)
        self.norm = nn.LayerNorm(num_hidden)
        self.out = nn.Linear(num_hidden, num_hidden)
        self.dropout = SeededDropout(dropout)

    def forward(self, own_Nd: Tensor, window_BLd: Tensor, clips_N: Tensor) -> Tensor:
        """What each box found, [N, d]: `own_Nd` [N, d] asks the window [B, L, d] of its clip `clips_N` [N]."""
        # With an axis of one head: ONNX's attention knows no input of three axes.
        key, value = (part(window_BLd)[clips_N][:, None] for part in (self.key, self.value))
        found = functional.scaled_dot_product_attention(self.query(own_Nd)[:, None, None], key, value)[:, 0, 0]
        return self.dropout(self.out(functional.relu(self.norm(found))))


class BankReader(nn.Module):
    """What each box found in its clip's window of the bank, [N, d].

    Rows of the window that hold nobody are asked like the others, as in MMAction2: a layer's offset stands for nobody.
    """

    def __init__(self, spec: FeatureBankSpec, *, num_features: int) -> None:
        super().__init__()
        self.num_rows = spec.num_rows
        self.num_bank_features = spec.num_bank_features or num_features
        self.num_out = spec.num_hidden
        self.own = nn.Linear(num_features, spec.num_hidden)
        self.window = nn.Linear(self.num_bank_features, spec.num_hidden)
        self.dropout = SeededDropout(spec.dropout)
        self.layers = nn.ModuleList(
            AskBank(num_hidden=spec.num_hidden, dropout=spec.dropout) for _ in range(spec.num_layers)
        )

    def forward(self, x_ND: Tensor, bank_BLD: Tensor | None, clips_N: Tensor) -> Tensor:
        """Features [N, d] of boxes `x_ND` [N, D] of clips `clips_N` [N]; `bank_BLD` [B, L, D], None = all zeros.

        Raises:
            ValueError: the window has another number of rows or features.
        """
        bank_BLD, clips_N = _windows(bank_BLD, x_ND, clips_N, rows=self.num_rows, features=self.num_bank_features)
        own_Nd = self.dropout(self.own(x_ND))
        window_BLd = self.dropout(self.window(bank_BLD.to(x_ND.dtype)))
        for layer in self.layers:
            own_Nd = own_Nd + layer(own_Nd, window_BLd, clips_N)
        return own_Nd


class BankPool(nn.Module):
    """The largest or the mean feature of each box's window, [N, D]: the same for all boxes of a clip; no weights."""

    def __init__(self, spec: FeatureBankSpec, *, num_features: int) -> None:
        super().__init__()
        self.how = spec.operator
        self.num_rows = spec.num_rows
        self.num_bank_features = spec.num_bank_features or num_features
        self.num_out = self.num_bank_features

    def forward(self, x_ND: Tensor, bank_BLD: Tensor | None, clips_N: Tensor) -> Tensor:
        """Features [N, D] for boxes `x_ND` [N, D] of clips `clips_N` [N]; `bank_BLD` [B, L, D], None = all zeros.

        Raises:
            ValueError: the window has another number of rows or features.
        """
        bank_BLD, clips_N = _windows(bank_BLD, x_ND, clips_N, rows=self.num_rows, features=self.num_bank_features)
        bank_BLD = bank_BLD.to(x_ND.dtype)
        pooled_BD = bank_BLD.amax(dim=1) if self.how == "max" else bank_BLD.mean(dim=1)
        return pooled_BD[clips_N]


def build_bank_reader(spec: FeatureBankSpec, *, num_features: int) -> BankReader | BankPool:
    """The module that reads windows for boxes of `num_features` features."""
    kind = BankReader if spec.operator == "non-local" else BankPool
    return kind(spec, num_features=num_features)


def _windows(
    bank_BLD: Tensor | None, x_ND: Tensor, clips_N: Tensor, *, rows: int, features: int
) -> tuple[Tensor, Tensor]:
    """The windows [B, L, D], one of zeros where there are none, and the window of each box [N]."""
    if bank_BLD is None:
        bank_BLD = x_ND.new_zeros(1, rows, features)
        clips_N = torch.zeros_like(clips_N)
    if tuple(bank_BLD.shape[1:]) != (rows, features):
        raise ValueError(f"a bank's windows of shape {tuple(bank_BLD.shape)}: want [B, {rows}, {features}]")
    return bank_BLD, clips_N


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureBank:
    """Features [M, D] of persons by video and time; those of one key-frame in the order of their worth, best first.

    `times_M` are microseconds from the start of the video, `videos_M` numbers of `video_ids`: all videos that were
    looked at, those in which nobody was found too. `origin` says what made it.
    """

    video_ids: tuple[str, ...]
    videos_M: np.ndarray
    times_M: np.ndarray
    features_MD: np.ndarray
    origin: Mapping[str, Json] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse tables that do not fit each other.

        Raises:
            BadInput: the three arrays have other lengths, or a number names no video.
        """
        num = len(self.features_MD)
        if self.features_MD.ndim != 2 or self.videos_M.shape != (num,) or self.times_M.shape != (num,):
            shapes = [list(x.shape) for x in (self.videos_M, self.times_M, self.features_MD)]
            raise BadInput(f"a feature bank of shapes {shapes}", mend="Give [M], [M] and [M, D]")
        if num and not 0 <= self.videos_M.min() <= self.videos_M.max() < len(self.video_ids):
            raise BadInput("a feature bank names a video that it does not list", mend="Give numbers of video_ids")

    def window(
        self,
        video_id: str,
        *,
        timestamp_us: int,
        spec: FeatureBankSpec,
        draw: np.random.Generator | None = None,
    ) -> np.ndarray:
        """The rows around an instant, float32 [L, D]: F a second, second by second, 0 where there is nobody.

        The window holds the seconds from half of it before the instant to half after; second i has the persons from i
        to i + 1 s after its start. Of more than F the first F are taken or, with `draw`, F at random. A video that the
        bank does not have gives zeros.

        Source: MMAction2, LFB.sample_long_term_features.
        """
        rows_LD = np.zeros((spec.num_rows, self.features_MD.shape[1]), np.float32)
        rows_R, stored_R = self.places(video_id, timestamp_us=timestamp_us, spec=spec, draw=draw)
        rows_LD[rows_R] = self.features_MD[stored_R]
        return rows_LD

    def places(
        self,
        video_id: str,
        *,
        timestamp_us: int,
        spec: FeatureBankSpec,
        draw: np.random.Generator | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which rows of `window` hold somebody, and where that person stands in the bank, int64 [R] each."""
        if video_id not in self.video_ids:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        own = np.flatnonzero(self.videos_M == self.video_ids.index(video_id))
        seconds = (self.times_M[own] - timestamp_us + spec.window_s // 2 * SECOND_US) // SECOND_US
        is_near = (seconds >= 0) & (seconds < spec.window_s)
        own, seconds = own[is_near], seconds[is_near]
        rows, stored = [], []
        for second in np.unique(seconds).tolist():
            found = own[seconds == second]
            if draw is not None and len(found) > spec.max_per_second:
                found = draw.permutation(found)
            found = found[: spec.max_per_second]
            rows.append(second * spec.max_per_second + np.arange(len(found)))
            stored.append(found)
        none = np.zeros(0, np.int64)
        return np.concatenate([none, *rows]), np.concatenate([none, *stored])


def bank_of(
    features: Mapping[tuple[str, int], np.ndarray],
    *,
    video_ids: Sequence[str] = (),
    origin: Mapping[str, Json] | None = None,
) -> FeatureBank:
    """A bank of features [P, D] of the persons of each key-frame, (video id, microseconds); stored in half precision.

    `video_ids` are further videos that were looked at; `origin` says what made it.

    Raises:
        BadInput: there is no key-frame, they have other numbers of features, or half precision does not hold them.
    """
    if not features or len({x.shape[1:] for x in features.values()}) != 1:
        raise BadInput("a feature bank needs key-frames with equally many features a person")
    keys = sorted(features)
    known = tuple(sorted({video_id for video_id, _ in keys} | set(video_ids)))
    number = {video_id: i for i, video_id in enumerate(known)}
    lengths = [len(features[key]) for key in keys]
    with np.errstate(over="ignore"):
        features_MD = np.concatenate([features[key] for key in keys]).astype(np.float16)
    if not np.isfinite(features_MD).all():
        raise BadInput("features that half precision does not hold", mend="Look at the model: its features explode")
    return FeatureBank(
        video_ids=known,
        videos_M=np.repeat(np.array([number[video_id] for video_id, _ in keys], np.int64), lengths),
        times_M=np.repeat(np.array([time for _, time in keys], np.int64), lengths),
        features_MD=features_MD,
        origin=dict(origin or {}),
    )


def windows_of(
    bank: FeatureBank,
    key_frames: Sequence[tuple[str, int]],
    *,
    spec: FeatureBankSpec,
    draw: np.random.Generator | None = None,
) -> Tensor:
    """The windows of a batch's key-frames (video id, microseconds), float32 [B, L, D], for `PersonModel.forward`."""
    rows = [bank.window(video_id, timestamp_us=time, spec=spec, draw=draw) for video_id, time in key_frames]
    return torch.from_numpy(np.stack(rows))


def write_bank(path: Path, bank: FeatureBank) -> Path:
    """The path written, whole or not at all: tensors and texts only."""
    value = {
        "format": FORMAT,
        "video_ids": list(bank.video_ids),
        "videos": torch.from_numpy(bank.videos_M),
        "times_us": torch.from_numpy(bank.times_M),
        "features": torch.from_numpy(bank.features_MD),
        "origin": json.dumps(dict(bank.origin), sort_keys=True),
    }
    # Through a stream: given a path, torch writes the temporary file's name into the file.
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        torch.save(value, stream)
    return path


def read_bank(path: Path) -> FeatureBank:
    """The bank that `write_bank` wrote; its features stay in the file until they are looked at.

    Raises:
        BadInput: there is no such file, or it is no feature bank.
    """
    if not path.is_file():
        raise BadInput("there is no such feature bank", where=path)
    try:
        value = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, zipfile.BadZipFile, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise BadInput(f"this is no feature bank ({type(error).__name__})", where=path) from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        found = value.get("format") if isinstance(value, dict) else type(value).__name__
        raise BadInput(f"this is no feature bank: format {found!r}, want {FORMAT!r}", where=path)
    return FeatureBank(
        video_ids=tuple(value["video_ids"]),
        videos_M=value["videos"].numpy(),
        times_M=value["times_us"].numpy(),
        features_MD=value["features"].numpy(),
        origin=json.loads(value.get("origin", "{}")),
    )
