"""Tiny ONNX models written byte by byte, since the `onnx` package is no dependency of ours.

Source of the field numbers: onnx.proto of ONNX 1.16, messages ModelProto, GraphProto, NodeProto, TensorProto,
AttributeProto, ValueInfoProto.
"""

from __future__ import annotations

import numpy as np

FLOAT, INT64 = 1, 7


def _varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    """A varint field."""
    return _varint(field << 3) + _varint(value)


def part(field, value):
    """A field of bytes, text or a message."""
    data = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def tensor(name, values):
    """TensorProto of a float32 or int64 array."""
    kind = {np.dtype(np.float32): FLOAT, np.dtype(np.int64): INT64}[values.dtype]
    dims = b"".join(number(1, side) for side in values.shape)
    return dims + number(2, kind) + part(8, name) + part(9, values.tobytes())


def value_info(name, kind, shape):
    """ValueInfoProto; a text in `shape` is a free dimension."""
    dims = b"".join(part(1, part(2, side) if isinstance(side, str) else number(1, side)) for side in shape)
    return part(1, name) + part(2, part(1, number(1, kind) + part(2, dims)))


def node(operator, inputs, output, *attributes):
    """NodeProto with one output."""
    names = b"".join(part(1, name) for name in inputs) + part(2, output)
    return names + part(4, operator) + b"".join(part(5, attribute) for attribute in attributes)


def model(nodes, inputs, outputs, constants=()):
    """ModelProto of IR version 8 and operator set 13."""
    graph = b"".join(part(1, each) for each in nodes) + part(2, "g")
    graph += b"".join(part(5, each) for each in constants)
    graph += b"".join(part(11, each) for each in inputs) + b"".join(part(12, each) for each in outputs)
    return number(1, 8) + part(8, part(1, "") + number(2, 13)) + part(7, graph)


def listed_detector(boxes, labels, scores, *, free_sides=True):
    """A model whose outputs are boxes, labels and scores, each score times the mean of the image."""
    sides = ("H", "W") if free_sides else (32, 48)
    ints = part(1, "axes") + b"".join(number(8, axis) for axis in (0, 1, 2)) + number(20, 7)
    keep = part(1, "keepdims") + number(3, 0) + number(20, 2)
    nodes = [
        node("ReduceMean", ["image"], "mean", ints, keep),
        node("Mul", ["s", "mean"], "scores"),
        node("Identity", ["b"], "boxes"),
        node("Identity", ["l"], "labels"),
    ]
    constants = [
        tensor("b", np.asarray(boxes, np.float32)),
        tensor("l", np.asarray(labels, np.int64)),
        tensor("s", np.asarray(scores, np.float32)),
    ]
    outputs = [
        value_info("boxes", FLOAT, ("K", 4)),
        value_info("labels", INT64, ("K",)),
        value_info("scores", FLOAT, ("K",)),
    ]
    return model(nodes, [value_info("image", FLOAT, (3, *sides))], outputs, constants)
