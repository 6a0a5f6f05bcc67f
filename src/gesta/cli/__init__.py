"""The verbs. This package alone catches `GestaError`, draws progress and prints."""

from gesta.cli.main import main

__all__ = ["main"]
