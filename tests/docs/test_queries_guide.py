"""The commands of docs/queries.md run as they stand, and what the page shows is what comes out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.mine.relate import MATCHES, related_classes
from gesta.schema import QUERY_FORMS, QUERY_SOURCES
from gesta.tables import read_table

PAGE = (Path(__file__).parents[2] / "docs" / "queries.md").read_text()
KINETICS = "label,youtube_id,time_start,time_end,split\n" + "".join(
    f"{name},{number}{i:010d},0,10,{split}\n"
    for number, name in enumerate(("hammer throw", "putting on sari", "yoga"))
    for i, split in enumerate(("train", "train", "train", "validate"))
)


def block(kind: str) -> str:
    (text,) = re.findall(rf"^```{kind}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    return str(text)


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    for name, text in (
        ("actions.txt", block("text")), ("own.csv", block("csv")), ("my_words.py", block("python")),
        ("kinetics.csv", KINETICS),
    ):  # fmt: skip
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = []
    for text in re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL):
        for line in text.splitlines():
            words = shlex.split(line)
            assert words[0] == "gesta"
            result = CliRunner().invoke(main, words[1:])
            assert result.exit_code == 0, f"{line}\n{result.output}"
            found.append(result.output)
    return found


def test_the_commands_run_and_print_what_the_page_shows(outputs: list[str], tmp_path: Path) -> None:
    first, _, own, translated, weak, chosen, later = outputs
    assert first.startswith(block("console"))
    assert "  it  sgranare i piselli; piselli freschi\n" in own
    assert "  fr  écosser petits pois; écossage; comment écosser petits pois\n" in own
    assert "  es  desgranar guisantes; desgranando guisantes\n" in translated
    assert "throw: hammer throw (4)" in weak
    assert "throw: hammer throw (3)" in chosen
    assert read_table(tmp_path / "selected.csv", "selected_clips").height == 3 + 3 + 2
    assert "select-training: kept 4," in later  # one clip of each related class is left, of split validate, and 2 drawn


def test_the_page_names_every_form_source_and_match() -> None:
    for name in (*QUERY_FORMS, *QUERY_SOURCES, *MATCHES):
        assert f"`{name}`" in PAGE, name


def test_the_page_s_examples_of_matches_are_the_program_s() -> None:
    assert related_classes(["dress/put on clothing"], ["putting wallpaper on wall"]) == []
    assert related_classes(["work on a computer"], ["assembling computer"], matches=["object"])
    assert not related_classes(["swim"], ["scuba diving"], matches=MATCHES)
