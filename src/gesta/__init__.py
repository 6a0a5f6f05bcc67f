"""gesta: raw video into labelled, versioned human-action datasets, and datasets into scored models."""

__version__ = "0.1.0"
