"""docs/catalogue.md: its commands run, in their order, and do what the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from gesta.cli.main import main
from gesta.mine.catalogue import found_in, phrases_of_queries
from gesta.mine.titles import words_of
from gesta.schema import Query
from gesta.tables import frame_of, made_by, read_table, write_table

PAGE = (Path(__file__).parents[2] / "docs" / "catalogue.md").read_text()
COMMANDS = [line for block in re.findall(r"^```sh\n((?:.*\n)*?)```", PAGE, re.MULTILINE) for line in block.splitlines()]
ROWS = "a,Cómo trenzar el pelo\nb,Braiding hair for beginners\n"


def test_the_commands_run_as_the_page_gives_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    queries = [
        Query(class_id=1, language="es", query="trenzar pelo", form="infinitive", source="table"),
        Query(class_id=1, language="en", query="braid hair", form="infinitive", source="table"),
    ]
    made = made_by("by-hand", arguments={}, inputs={})
    write_table(Path("queries.csv"), "queries", frame_of("queries", queries), made_by=made)
    assert len(COMMANDS) == 6
    for line in COMMANDS:
        named = "VideoID=VideoID" in line.replace("video_id=", "VideoID=")
        folder = Path("other" if named else ".")
        folder.mkdir(exist_ok=True)
        (folder / "videos.csv").write_text(("VideoID,Headline\n" if named else "id,title\n") + ROWS)
        words = shlex.split(line)
        assert words[0] == "gesta"
        with monkeypatch.context() as here:
            here.chdir(folder)
            result = CliRunner().invoke(main, words[1:])
        assert result.exit_code == 0, (line, result.output)
    assert read_table(Path("work"), "matches").select("video_id", "language").rows() == [("a", "es"), ("b", "en")]
    assert Path("yields.csv").is_file()


@pytest.mark.parametrize(
    ("text", "query", "language"),
    [("wave your hands", "waving hand", "en"), ("comment TRESSER les cheveux", "tresse cheveux", "fr")],
)
def test_the_examples_of_the_table_hold(text: str, query: str, language: str) -> None:
    assert f'"{text}" holds "{query}"' in PAGE
    asked = [Query(class_id=1, language=language, query=query, form="name", source="user")]
    assert found_in(words_of(text), phrases=phrases_of_queries(asked))
    assert '"pelo trenzar" does not hold "trenzar pelo"' in PAGE
