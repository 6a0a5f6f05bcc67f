"""Linear classifiers over clip vectors, for cross-validation.

Legend: N = clips learned from, M = clips held out, D = length of a vector, K = classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from gesta.curate.clip_features import ClipVectors
from gesta.curate.noise.folds import Fold, FoldScorer
from gesta.schema import MissingExtra, Reject, UnknownName

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

Kind = Literal["logistic", "discriminant"]

PENALTY = 1.0
"""Of the logistic regression's weights, as scikit-learn's C; vectors have a mean square of 1 a dimension divided by D.
Source: scikit-learn's default."""

_MAX_STEPS = 1000


def linear_scorer(vectors: ClipVectors, *, kind: Kind = "logistic") -> FoldScorer:
    """A classifier over the clips' vectors, as `run_folds` wants it; clips without a vector are rejected (no-vector).

    Args:
        vectors: of the clips, from any trunk.
        kind: logistic = multinomial regression (scikit-learn), the better for thousands of clips; discriminant =
            linear discriminant analysis of ours, whose cost does not grow with the number of steps or classes.
    Raises:
        UnknownName: there is no such kind.
    """
    if kind not in CLASSIFIERS:
        raise UnknownName(what="classifier", name=kind, choices=CLASSIFIERS)
    probabilities = CLASSIFIERS[kind]
    row_of = {clip_id: row for row, clip_id in enumerate(vectors.clip_ids)}

    def score(fold: Fold) -> tuple[Floats, Sequence[Reject]]:
        train = fold.train.filter(fold.train["clip_id"].is_in(list(row_of)))
        train_ND = _unit(vectors.vectors_ND[[row_of[clip_id] for clip_id in train["clip_id"]]])
        labels_N = np.searchsorted(np.array(fold.class_ids), train["class_id"].to_numpy())
        has_M = np.array([clip_id in row_of for clip_id in fold.held])
        held_MD = _unit(vectors.vectors_ND[[row_of[clip_id] for clip_id in fold.held if clip_id in row_of]])
        scores_MK = np.full((len(fold.held), len(fold.class_ids)), np.nan)
        mean_D = train_ND.mean(axis=0)
        spread = float(np.sqrt(((train_ND - mean_D) ** 2).mean())) or 1.0
        known = np.unique(labels_N)
        found_MK = probabilities((train_ND - mean_D) / spread, labels_N, (held_MD - mean_D) / spread)
        whole_MK = np.zeros((len(held_MD), len(fold.class_ids)))
        whole_MK[:, known] = found_MK
        scores_MK[has_M] = whole_MK
        rejects = [
            Reject(stage="noise-folds", reason="no-vector", clip_id=clip_id, detail="the features lack the clip")
            for clip_id in fold.held
            if clip_id not in row_of
        ]
        return scores_MK, rejects

    return score


def logistic_probabilities(train_ND: Floats, labels_N: Ints, held_MD: Floats) -> Floats:
    """Probabilities of the classes there are in `labels_N`, rising, for the held vectors: float64 [M, K].

    Raises:
        MissingExtra: scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="curate", module="sklearn") from error
    num_dims = train_ND.shape[1]
    model = LogisticRegression(C=PENALTY, max_iter=_MAX_STEPS)
    model.fit(train_ND / np.sqrt(num_dims), labels_N)
    found_MK: Floats = model.predict_proba(held_MD / np.sqrt(num_dims))
    return found_MK


def discriminant_probabilities(train_ND: Floats, labels_N: Ints, held_MD: Floats) -> Floats:
    """Probabilities of the classes there are in `labels_N`, rising, for the held vectors: float64 [M, K].

    Classes are Gaussians of one covariance, which is drawn towards a multiple of the identity.

    Source: Fisher's linear discriminant as in Hastie, Tibshirani & Friedman, The elements of statistical learning
        (2009), section 4.3; the shrinkage: Ledoit & Wolf, A well-conditioned estimator for large-dimensional
        covariance matrices (2004).
    """
    known, places_N = np.unique(labels_N, return_inverse=True)
    counts_K = np.bincount(places_N)
    means_KD = np.zeros((len(known), train_ND.shape[1]))
    np.add.at(means_KD, places_N, train_ND)
    means_KD /= counts_K[:, None]
    within_ND = train_ND - means_KD[places_N]
    covariance_DD = shrunk_covariance(within_ND, num_lost=len(known))
    weights_DK = np.linalg.solve(covariance_DD, means_KD.T)
    offsets_K = np.log(counts_K / counts_K.sum()) - 0.5 * np.einsum("kd,dk->k", means_KD, weights_DK)
    logits_MK = held_MD @ weights_DK + offsets_K
    logits_MK -= logits_MK.max(axis=1, keepdims=True)
    odds_MK = np.exp(logits_MK)
    return np.asarray(odds_MK / odds_MK.sum(axis=1, keepdims=True), dtype=np.float64)


def shrunk_covariance(centered_ND: Floats, *, num_lost: int = 1) -> Floats:
    """The covariance of centred rows, drawn towards its mean variance as far as sampling noise says, float64 [D, D].

    Args:
        centered_ND: rows less their mean, or each less that of its class.
        num_lost: means that were taken away; the variance is corrected for them.
    Source: Ledoit & Wolf (2004), lemma 3.2 to 3.4.
    """
    num_rows, num_dims = centered_ND.shape
    sample_DD = (centered_ND.T @ centered_ND).astype(np.float64) / num_rows
    level = float(np.trace(sample_DD)) / num_dims
    distance = float((sample_DD**2).sum()) / num_dims - level**2
    # The mean over rows of |x x' - S|^2, without making the outer products.
    fourth = float((np.einsum("nd,nd->n", centered_ND, centered_ND).astype(np.float64) ** 2).mean())
    noise = (fourth - float((sample_DD**2).sum())) / num_rows / num_dims
    share = min(1.0, max(0.0, noise / distance)) if distance > 0 else 1.0
    shrunk_DD = (1 - share) * sample_DD
    shrunk_DD[np.diag_indices(num_dims)] += share * level + 1e-9 * (level or 1.0)
    return np.asarray(shrunk_DD * (num_rows / max(1, num_rows - num_lost)), dtype=np.float64)


def _unit(vectors_ND: Floats) -> Floats:
    lengths_N = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return np.asarray(vectors_ND / np.maximum(lengths_N, 1e-9), dtype=np.float32)


CLASSIFIERS: Mapping[str, Callable[[Floats, Ints, Floats], Floats]] = {
    "logistic": logistic_probabilities, "discriminant": discriminant_probabilities,
}  # fmt: skip
"""Linear classifiers by name."""
