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
Places = npt.NDArray[np.int32] | npt.NDArray[np.int64]

_CHUNK = 64
"""Products that are looked at together: nearly always none of them reaches the limit."""


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def norms_of(vectors_ND: Floats) -> Doubles:
    """Lengths of the vectors, float64 [N], summed in double precision."""
    norm_N = np.empty(len(vectors_ND), np.float64)
    for i in range(len(vectors_ND)):
        total = 0.0
        for k in range(vectors_ND.shape[1]):
            total += np.float64(vectors_ND[i, k]) * np.float64(vectors_ND[i, k])
        norm_N[i] = np.sqrt(total)
    return norm_N


# Summing in another order is let through: it is what makes the loop fast, and in double precision it changes the last
# digits only.
@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def cosine_of(a_D: Floats, b_D: Floats) -> float:
    """The cosine in double precision; 0 where a vector is 0."""
    both = one = other = 0.0
    for k in range(len(a_D)):
        a, b = np.float64(a_D[k]), np.float64(b_D[k])
        both += a * b
        one += a * a
        other += b * b
    lengths = np.sqrt(one) * np.sqrt(other)
    return both / lengths if lengths > 0 else 0.0


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
    for i in range(len(products_IJ)):
        row = products_IJ[i]
        scale = np.float32(low) * norm_I[i]
        first = max(0, i + diagonal)
        for start in range(first // _CHUNK * _CHUNK, num_columns, _CHUNK):
            stop = min(start + _CHUNK, num_columns)
            # Counting is what the compiler does for many at once; a running maximum it does one by one.
            num_above = 0
            for j in range(start, stop):
                num_above += row[j] >= scale * norm_J[j]
            if num_above == 0:
                continue
            for j in range(max(start, first), stop):
                if row[j] >= scale * norm_J[j]:
                    hits_2H[0, num] = i
                    hits_2H[1, num] = j
                    num += 1
    return num


@numba.njit(cache=True, nogil=True)
def exact_cosines(rows_ID: Floats, columns_JD: Floats, i_P: Places, j_P: Places) -> Doubles:
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
