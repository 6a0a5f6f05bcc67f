"""Errors say what, where and how to mend, and survive the way back from a worker process."""

from __future__ import annotations

import pickle

import pytest

from gesta.schema import BadRow, BadVideo, GestaError, MissingExtra, MissingTable, UnknownName


def test_a_bad_row_names_file_and_line() -> None:
    error = BadRow("3 columns, want 2", path="val.csv", line=2, mend="Quote a comma inside a field")
    assert str(error) == "val.csv:2: 3 columns, want 2. Quote a comma inside a field"


def test_an_unknown_name_lists_the_choices_and_guesses() -> None:
    error = UnknownName(what="detector", name="hogg", choices=["onnx", "hog"])
    assert str(error) == "no detector 'hogg'. Did you mean 'hog'? There are: hog, onnx"


def test_a_missing_table_names_the_verb() -> None:
    assert str(MissingTable(table="clips", where="work", verb="mine")) == (
        "work: there is no table 'clips' here. Run `gesta mine` first"
    )


@pytest.mark.parametrize(
    "error",
    [
        GestaError("p", where="w", mend="m"),
        BadRow("p", path="a.csv", line=3, mend="m"),
        BadVideo("p", where="v.mp4", reason="no-frames", mend="m"),
        UnknownName(what="model", name="x", choices=["y"]),
        MissingTable(table="clips", where="w", verb="mine"),
        MissingExtra(extra="train", module="torch"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_pickling(error: GestaError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
