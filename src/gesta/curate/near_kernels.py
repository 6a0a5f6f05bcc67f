"""The compiled loops under the search for near vectors: thresholds, cosines in double precision, joining.

Legend: N = vectors, D = their length, P = pairs, I J = rows and columns of a block of products.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int32]

_CHUNK = 64
"""Products that are looked at together: nearly always none of them reaches the limit."""


@numba.njit(cache=True, nogil=True)
def norms_of(vectors_ND: Floats) -> Doubles:
    """Lengths of the vectors, float64 [N], summed in double precision."""
    norm_N = np.empty(len(vectors_ND), np.float64)
    for i in range(len(vectors_ND)):
        norm_N[i] = np.sqrt(_dot(vectors_ND[i], vectors_ND[i]))
    return norm_N


@numba.njit(cache=True, nogil=True)
def _dot(a_D: Floats, b_D: Floats) -> float:
    # Sixteen sums side by side keep the processor's pipes full, and the order of summing is the same everywhere.
    sums = np.zeros(16, np.float64)
    whole = len(a_D) // 16 * 16
    for start in range(0, whole, 16):
        for lane in range(16):
            sums[lane] += np.float64(a_D[start + lane]) * np.float64(b_D[start + lane])
    total = 0.0
    for k in range(whole, len(a_D)):
        total += np.float64(a_D[k]) * np.float64(b_D[k])
    for lane in range(16):
        total += sums[lane]
    return total


@numba.njit(cache=True, nogil=True)
def cosine_of(a_D: Floats, b_D: Floats) -> float:
    """The cosine in double precision; 0 where a vector is 0."""
    lengths = np.sqrt(_dot(a_D, a_D)) * np.sqrt(_dot(b_D, b_D))
    return _dot(a_D, b_D) / lengths if lengths > 0 else 0.0


@numba.njit(cache=True, nogil=True)
def scan_block(
    products_IJ: Floats,
    norm_I: Floats,
    norm_J: Floats,
    low: float,
    diagonal: int,
    hits_2H: Rows,
) -> int:
    """How many products reach `low` times both lengths; their rows and columns are put into `hits_2H`.

    Args:
        diagonal: row i is looked at from column i + `diagonal` on, as in `numpy.triu`.
        hits_2H: int32 [2, H], H >= I x J.
    """
    num = 0
    num_columns = products_IJ.shape[1]
    limit_J = np.empty(num_columns, np.float32)
    for i in range(len(products_IJ)):
        row = products_IJ[i]
        scale = np.float32(low) * norm_I[i]
        for j in range(num_columns):
            limit_J[j] = row[j] - scale * norm_J[j]
        first = max(0, i + diagonal)
        for start in range(first // _CHUNK * _CHUNK, num_columns, _CHUNK):
            stop = min(start + _CHUNK, num_columns)
            highest = np.float32(-1)
            for j in range(start, stop):
                highest = max(highest, limit_J[j])
            if highest < 0:
                continue
            for j in range(max(start, first), stop):
                if limit_J[j] >= 0:
                    hits_2H[0, num] = i
                    hits_2H[1, num] = j
                    num += 1
    return num


@numba.njit(cache=True, nogil=True)
def exact_cosines(rows_ID: Floats, columns_JD: Floats, i_P: Rows, j_P: Rows) -> Doubles:
    """The cosine of each pair of a row and a column, float64 [P], in double precision."""
    cosine_P = np.empty(len(i_P), np.float64)
    for p in range(len(i_P)):
        cosine_P[p] = cosine_of(rows_ID[i_P[p]], columns_JD[j_P[p]])
    return cosine_P


@numba.njit(cache=True, nogil=True)
def root_of(parent_N: Ints, node: int) -> int:
    """The root of the node's tree; the path to it is halved on the way."""
    while parent_N[node] != node:
        parent_N[node] = parent_N[parent_N[node]]
        node = parent_N[node]
    return node


@numba.njit(cache=True, nogil=True)
def join(parent_N: Ints, a_P: Ints, b_P: Ints) -> None:
    """Join the trees of each pair; the smaller number becomes the root."""
    for p in range(len(a_P)):
        a, b = root_of(parent_N, a_P[p]), root_of(parent_N, b_P[p])
        if a < b:
            parent_N[b] = a
        elif b < a:
            parent_N[a] = b


@numba.njit(cache=True, nogil=True)
def apart(parent_N: Ints, a_P: Ints, b_P: Ints) -> npt.NDArray[np.bool_]:
    """Whether the two of each pair are in different trees still, bool [P]."""
    found_P = np.empty(len(a_P), np.bool_)
    for p in range(len(a_P)):
        found_P[p] = root_of(parent_N, a_P[p]) != root_of(parent_N, b_P[p])
    return found_P


@numba.njit(cache=True, nogil=True)
def roots(parent_N: Ints) -> Ints:
    """The root of each node, int64 [N]."""
    root_N = np.empty(len(parent_N), np.int64)
    for node in range(len(parent_N)):
        root_N[node] = root_of(parent_N, node)
    return root_N
