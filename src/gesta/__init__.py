"""gesta: raw video into labelled, versioned human-action datasets, and datasets into scored models.

`gesta.predict("party.mp4", model="model.pt")` says who does what in a video, a camera or a stream (docs/predict.md).
"""

import importlib

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """The room `predict`, loaded when it is first asked for: it needs the extra `train`.

    Raises:
        AttributeError: any other name.
        MissingExtra: what it needs is not installed.
    """
    if name == "predict":
        try:
            return importlib.import_module("gesta.predict")
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing in ("", "gesta"):
                raise
            raise importlib.import_module("gesta.schema").MissingExtra(extra="train", module=missing) from error
    raise AttributeError(f"module 'gesta' has no attribute {name!r}")
