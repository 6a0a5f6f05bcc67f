"""ONNX files opened for one core; imported only where one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gesta.schema import BadInput, MissingExtra


def onnx_session(path: Path) -> Any:
    """A session of onnxruntime on the file, on the CPU, in one thread, so that sums keep their order.

    Raises:
        BadInput: there is no such file, or it cannot be read as ONNX.
        MissingExtra: onnxruntime is not installed.
    """
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ModuleNotFoundError as error:
        raise MissingExtra(extra="detect", module="onnxruntime") from error
    if not path.is_file():
        raise BadInput("there is no such ONNX file", where=path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    bad = (errors.InvalidProtobuf, errors.InvalidGraph, errors.InvalidArgument, errors.Fail, errors.NotImplemented)
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except bad as error:
        raise BadInput(f"cannot be read as an ONNX model ({str(error).splitlines()[0]})", where=path) from error
