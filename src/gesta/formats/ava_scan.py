"""AVA-style csv to arrays at the speed of memory, block by block; odd lines are left to the exact reader.

The loop over bytes takes the lines that programs write: plain ASCII, 2, 7 or 8 cells without quotes or spaces, times
with at most six decimals, numbers with at most 19 digits. Every other line, a wrong one too, is handed to the
reader of cells, which knows all the rules and words the errors. Both give the same numbers.

Shapes: B bytes of text, N lines with cells, V videos.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

from gesta.schema import BadInput

BLOCK_BYTES = 8 << 20
"""Text that one call of the loop takes. Source: ours; small enough to stay near the cache, large enough to amortise."""

NUM_THREADS = 2
"""Blocks that are read at a time. Source: ours; parsing is bound by memory beyond a few cores."""

NO_PERSON = -(1 << 63)
"""`AvaBlock.person_N` of a line without an eighth cell."""

MAX_DECIMALS = 60
_POWERS_K2 = np.array([[float(10**k), float(10**k - int(float(10**k)))] for k in range(MAX_DECIMALS + 1)])
"""Powers of ten as the nearest double and what it lacks; to 10**22 nothing is lacking."""

_NEWLINE, _RETURN, _PRINTED, _QUOTE, _COMMA, _MINUS, _POINT, _ZERO, _EXPONENT = map(ord, '\n\r!",-.0e')
_MAX_EXACT = 1 << 53
_US_OF_DECIMALS = np.array([10 ** (6 - decimals) for decimals in range(7)])

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AvaBlock:
    """The lines with cells of one stretch of a file, in its order; parallel arrays [N], corners [N, 4].

    `video_N` indexes `video_ids`. A line of two cells has NaN corners and `num_cells_N` 2. The eighth cell is in
    `score_N` as a decimal (NaN where there is none) or in `person_N` (`NO_PERSON` where there is none).
    """

    video_ids: list[str]
    video_N: npt.NDArray[np.int32]
    time_us_N: Ints
    corners_N4: Floats
    class_id_N: Ints
    score_N: Floats
    person_N: Ints
    num_cells_N: npt.NDArray[np.uint8]
    line_N: Ints


SlowReader = Callable[[pl.DataFrame], pl.DataFrame]
"""From lines (`line`, `text`) to `AVA_COLUMNS` and `num_cells`, refusing what is wrong."""


def scan_ava_csv(path: Path, *, is_score: bool, read_odd: SlowReader) -> Iterator[AvaBlock]:
    """The file's blocks in order, in memory of a few blocks however long the file is.

    Args:
        path: an AVA, AVA-Kinetics or detections csv.
        is_score: whether the eighth cell is a score; otherwise it numbers a person.
        read_odd: what reads the lines that the loop does not.
    Raises:
        BadInput: the file cannot be read.
        BadRow: a line is wrong; with several wrong ones, one of the first block that has any.
    """
    waiting: deque[Future[AvaBlock]] = deque()
    num_lines = 0
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        try:
            for text in _texts(path):
                num_own = int(_num_lines(np.frombuffer(text, dtype=np.uint8)))
                waiting.append(pool.submit(_scan_block, text, num_own, num_lines, is_score=is_score, read_odd=read_odd))
                num_lines += num_own
                if len(waiting) > NUM_THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _texts(path: Path) -> Iterator[bytes]:
    """The file in stretches of whole lines, each ended by LF, without the byte order mark in front."""
    try:
        with path.open("rb") as stream:
            rest = stream.read(3).removeprefix(b"\xef\xbb\xbf")
            while block := stream.read(BLOCK_BYTES):
                end = block.rfind(b"\n") + 1
                if end:
                    yield rest + block[:end]
                    rest = block[end:]
                else:
                    rest += block
            if rest:
                yield rest if rest.endswith(b"\n") else rest + b"\n"
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", where=path, mend="Name a file that is there") from error


def _scan_block(
    text: bytes, num_lines: int, num_lines_before: int, *, is_score: bool, read_odd: SlowReader
) -> AvaBlock:
    bytes_B = np.frombuffer(text, dtype=np.uint8)
    found = _Rows.of(num_lines)
    num_rows, num_ids = _scan(
        bytes_B, _POWERS_K2, int(is_score), found.span_N2, found.video_N, found.time_us_N, found.corners_N4,
        found.class_id_N, found.score_N, found.person_N, found.num_cells_N, found.line_N, found.id_span_V2,
    )  # fmt: skip
    found.line_N[:num_rows] += num_lines_before
    spans = found.id_span_V2[:num_ids].tolist()
    block = AvaBlock(
        video_ids=[text[start : start + length].decode("ascii") for start, length in spans],
        video_N=found.video_N[:num_rows], time_us_N=found.time_us_N[:num_rows],
        corners_N4=found.corners_N4[:num_rows], class_id_N=found.class_id_N[:num_rows],
        score_N=found.score_N[:num_rows], person_N=found.person_N[:num_rows],
        num_cells_N=found.num_cells_N[:num_rows], line_N=found.line_N[:num_rows],
    )  # fmt: skip
    odd = np.flatnonzero(block.num_cells_N == 0)
    return _with_odd_lines(block, odd, found.span_N2, text, read_odd=read_odd) if len(odd) else block


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Room for a block's rows."""

    span_N2: Ints
    video_N: npt.NDArray[np.int32]
    time_us_N: Ints
    corners_N4: Floats
    class_id_N: Ints
    score_N: Floats
    person_N: Ints
    num_cells_N: npt.NDArray[np.uint8]
    line_N: Ints
    id_span_V2: Ints

    @classmethod
    def of(cls, num_rows: int) -> _Rows:
        whole = np.int64
        return cls(
            np.empty((num_rows, 2), whole), np.empty(num_rows, np.int32),
            np.empty(num_rows, whole), np.empty((num_rows, 4)), np.empty(num_rows, whole), np.empty(num_rows),
            np.empty(num_rows, whole), np.empty(num_rows, np.uint8), np.empty(num_rows, whole),
            np.empty((num_rows, 2), whole),
        )  # fmt: skip


def _with_odd_lines(block: AvaBlock, odd: Ints, span_N2: Ints, text: bytes, *, read_odd: SlowReader) -> AvaBlock:
    """The block with its odd lines read by the exact reader; those that turn out blank are left out."""
    code_of = {video_id: code for code, video_id in enumerate(block.video_ids)}
    spans = span_N2[odd].tolist()
    lines = [
        (line, text[a:b].removesuffix(b"\r")) for line, (a, b) in zip(block.line_N[odd].tolist(), spans, strict=True)
    ]
    frame = read_odd(pl.DataFrame(lines, schema={"line": pl.Int64, "bytes": pl.Binary}, orient="row"))
    row_of = dict(zip(block.line_N[odd].tolist(), odd.tolist(), strict=True))
    is_kept = np.ones(len(block.line_N), dtype=bool)
    is_kept[odd] = False
    rows = np.array([row_of[line] for line in frame["line"]], dtype=np.int64)
    is_kept[rows] = True
    if len(rows):
        codes = [code_of.setdefault(video_id, len(code_of)) for video_id in frame["video_id"]]
        block.video_N[rows] = codes
        block.time_us_N[rows] = frame["timestamp_us"].to_numpy()
        block.corners_N4[rows] = frame.select(pl.col("x1", "y1", "x2", "y2").fill_null(np.nan)).to_numpy()
        block.class_id_N[rows] = frame["class_id"].fill_null(0).to_numpy()
        block.score_N[rows] = frame["score"].fill_null(np.nan).to_numpy()
        block.person_N[rows] = frame["person_id"].fill_null(NO_PERSON).to_numpy()
        block.num_cells_N[rows] = frame["num_cells"].to_numpy()
    return AvaBlock(
        video_ids=list(code_of), video_N=block.video_N[is_kept], time_us_N=block.time_us_N[is_kept],
        corners_N4=block.corners_N4[is_kept], class_id_N=block.class_id_N[is_kept], score_N=block.score_N[is_kept],
        person_N=block.person_N[is_kept], num_cells_N=block.num_cells_N[is_kept], line_N=block.line_N[is_kept],
    )  # fmt: skip


@numba.njit(cache=True, nogil=True)
def _num_lines(text: Bytes) -> int:
    count = 0
    for i in range(len(text)):
        count += 1 if text[i] == _NEWLINE else 0
    return count


# An array that is handed to a function is counted, and the threads' counts wait for each other: what is done for every
# cell stands in one function, and what that calls takes numbers.


@numba.njit(cache=True, nogil=True)
def _near(mantissa: np.int64, power: float, lack: float) -> tuple[float, bool]:
    """The double nearest to mantissa / (power + lack), and whether that is certain.

    One division of exact numbers rounds right. Beyond them, both numbers are a double and what it lacks: the
    quotient's remainder is taken exactly (Dekker's product) and divided once more. That second quotient is known to
    some 14 digits, so the sum is certain where a billionth more or less of it rounds alike.
    """
    high = float(mantissa)
    low = float(np.int64(mantissa) - np.int64(high))
    quotient = high / power
    split_q, split_p = quotient * 134217729.0, power * 134217729.0
    q_high = split_q - (split_q - quotient)
    p_high = split_p - (split_p - power)
    q_low, p_low = quotient - q_high, power - p_high
    product = quotient * power
    error = ((q_high * p_high - product) + q_high * p_low + q_low * p_high) + q_low * p_low
    rest = ((high - product) - error + low - quotient * lack) / power
    total = quotient + rest
    return total, quotient + rest * (1 + 1e-9) == total and quotient + rest * (1 - 1e-9) == total


@numba.njit(cache=True, nogil=True)
def _after_line(text: Bytes, at: int) -> int:
    """Where the next line begins if a line ends at `at`, else -1."""
    if text[at] == _NEWLINE:
        return at + 1
    return at + 2 if text[at] == _RETURN and text[at + 1] == _NEWLINE else -1


@numba.njit(cache=True, nogil=True)
def _read_rest(  # noqa: C901, PLR0915 one function, because a call with an array costs as much as a cell
    text: Bytes, start: int, row: int, powers_K2: Floats, is_score: int, time_us_N: Ints, corners_N4: Floats,
    class_id_N: Ints, score_N: Floats, person_N: Ints, num_cells_N: Bytes,
) -> int:  # fmt: skip
    """Where the next line begins, once the cells after the id are read; -1 where the loop cannot read one."""
    class_id_N[row], score_N[row], person_N[row] = 0, np.nan, NO_PERSON
    at, cell = start, 0
    while True:
        is_minus = text[at] == _MINUS
        at += 1 if is_minus else 0
        mantissa, first, num_zeros = np.int64(0), at, 0
        digit = np.int64(text[at]) - _ZERO
        while 0 <= digit <= 9:
            mantissa = mantissa * 10 + digit
            at += 1
            digit = np.int64(text[at]) - _ZERO
        num_whole, num_decimals, has_point = at - first, np.int64(0), text[at] == _POINT
        if has_point:
            at += 1
            first = at
            digit = np.int64(text[at]) - _ZERO
            while 0 <= digit <= 9:
                mantissa = mantissa * 10 + digit
                num_zeros += 1 if mantissa == 0 else 0
                at += 1
                digit = np.int64(text[at]) - _ZERO
            num_decimals = np.int64(at - first)
        # Zeros in front of the first digit count as none, however many there are.
        num_digits = num_whole + num_decimals - num_zeros
        if num_digits > 18 or num_whole + num_decimals == 0:
            return -1
        if cell == 0:
            if is_minus or num_whole == 0 or num_whole > 12 or num_decimals > 6:
                return -1
            time_us_N[row] = mantissa * _US_OF_DECIMALS[num_decimals]
        elif cell == 5 or (cell == 6 and not is_score):
            if has_point:
                return -1
            (class_id_N if cell == 5 else person_N)[row] = -mantissa if is_minus else mantissa
        else:
            if text[at] == _EXPONENT and text[at + 1] == _MINUS:
                at += 2
                first, exponent = at, np.int64(0)
                digit = np.int64(text[at]) - _ZERO
                while 0 <= digit <= 9 and exponent <= MAX_DECIMALS:
                    exponent = exponent * 10 + digit
                    at += 1
                    digit = np.int64(text[at]) - _ZERO
                num_decimals += exponent if at > first else MAX_DECIMALS + 1
            if num_decimals > MAX_DECIMALS:
                return -1
            if mantissa < _MAX_EXACT and num_decimals <= 22:
                value = float(mantissa) / powers_K2[num_decimals, 0]
            else:
                value, is_certain = _near(mantissa, powers_K2[num_decimals, 0], powers_K2[num_decimals, 1])
                if not is_certain:
                    return -1
            value = -value if is_minus else value
            if cell < 5:
                corners_N4[row, cell - 1] = value
            else:
                score_N[row] = value
        cell += 1
        if text[at] != _COMMA or cell == 7:
            break
        at += 1
    if cell == 1:
        corners_N4[row, :] = np.nan
    num_cells_N[row] = cell + 1
    return _after_line(text, at) if cell == 1 or cell >= 6 else -1


@numba.njit(cache=True, nogil=True)
def _is_same(text: Bytes, one: int, other: int, length: int) -> bool:
    for i in range(length):  # noqa: SIM110 the compiler knows no generator
        if text[one + i] != text[other + i]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _slot_of(text: Bytes, start: int, length: int, table: Ints, id_span_V2: Ints) -> np.int64:
    """The slot of `table` that holds the id of that length at `start`, or the free one where it belongs."""
    hashed = np.uint64(14695981039346656037)
    for i in range(length):
        hashed = (hashed ^ np.uint64(text[start + i])) * np.uint64(1099511628211)
    mask = np.int64(len(table) - 1)
    slot = np.int64((hashed ^ (hashed >> np.uint64(32))) & np.uint64(mask))
    while table[slot] >= 0:
        code = table[slot]
        if id_span_V2[code, 1] == length and _is_same(text, id_span_V2[code, 0], start, length):
            return slot
        slot = (slot + 1) & mask
    return slot


@numba.njit(cache=True, nogil=True)
def _larger(text: Bytes, table: Ints, id_span_V2: Ints, num_ids: int) -> Ints:
    """A table four times as large with the same ids."""
    larger = np.full(4 * len(table), -1, np.int64)
    for code in range(num_ids):
        larger[_slot_of(text, id_span_V2[code, 0], id_span_V2[code, 1], larger, id_span_V2)] = code
    return larger


@numba.njit(cache=True, nogil=True)
def _id_length(text: Bytes, start: int, last_start: int, last_length: int) -> int:
    """Length of the id at `start`; 0 where it is empty or not for the loop."""
    if last_length > 0 and text[start + last_length] == _COMMA and _is_same(text, start, last_start, last_length):
        return last_length
    at = start
    while _PRINTED <= text[at] < 127 and text[at] != _COMMA and text[at] != _QUOTE:
        at += 1
    return at - start if text[at] == _COMMA else 0


@numba.njit(cache=True, nogil=True)
def _scan(
    text: Bytes, powers_K2: Floats, is_score: int, span_N2: Ints, video_N: npt.NDArray[np.int32], time_us_N: Ints,
    corners_N4: Floats, class_id_N: Ints, score_N: Floats, person_N: Ints, num_cells_N: Bytes, line_N: Ints,
    id_span_V2: Ints,
) -> tuple[int, int]:  # fmt: skip
    """Fill the rows' arrays (`num_cells_N` 0: an odd line); how many rows and how many distinct ids there are."""
    # Few videos are the rule: the table starts small, and within the run of one id nobody looks at it.
    table = np.full(1 << 12, -1, np.int64)
    row, num_ids, start, line = 0, 0, 0, 0
    last_start, last_length, code = 0, 0, 0
    while start < len(text):
        line += 1
        after = _after_line(text, start)
        if after > 0:
            start = after
            continue
        # A run of one id could look past the last line's end.
        known = last_length if start + last_length < len(text) else 0
        length = _id_length(text, start, last_start, known)
        after = -1
        if length > 0:
            after = _read_rest(
                text, start + length + 1, row, powers_K2, is_score, time_us_N, corners_N4, class_id_N, score_N,
                person_N, num_cells_N,
            )  # fmt: skip
        line_N[row] = line
        if after < 0:
            end = start
            while text[end] != _NEWLINE:
                end += 1
            span_N2[row, 0], span_N2[row, 1], num_cells_N[row] = start, end, 0
            after = end + 1
        else:
            if length != last_length or not _is_same(text, start, last_start, length):
                if 2 * num_ids >= len(table):
                    table = _larger(text, table, id_span_V2, num_ids)
                slot = _slot_of(text, start, length, table, id_span_V2)
                if table[slot] < 0:
                    table[slot] = num_ids
                    id_span_V2[num_ids, 0], id_span_V2[num_ids, 1] = start, length
                    num_ids += 1
                code = table[slot]
            last_start, last_length = start, length
            video_N[row] = code
        row += 1
        start = after
    return row, num_ids
