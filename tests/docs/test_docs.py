"""The documents say what the program does."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tools import make_docs

from gesta.cli.main import LINE, OTHERS, main

ROOT = Path(__file__).resolve().parents[2]
VERBS = (*LINE, *OTHERS)


def test_the_made_pages_are_up_to_date() -> None:
    stale = [path.name for path, text in make_docs.pages().items() if path.read_text() != text]
    assert stale == [], "run `make docs` and commit"


def test_a_changed_page_would_be_noticed() -> None:
    page = (ROOT / "docs" / "formats.md").read_text()
    assert make_docs.with_section(page, "something else") != page
    with pytest.raises(ValueError, match="lacks the marks"):
        make_docs.with_section("no marks", "x")


@pytest.mark.parametrize("page", ["README.md", "docs/index.md", "docs/tour.md"])
def test_the_line_is_the_verbs_in_their_order(page: str) -> None:
    text = (ROOT / page).read_text()
    assert " → ".join(LINE) in text, f"{page} does not show the line"


def test_help_lists_the_line_first_and_in_order() -> None:
    text = CliRunner().invoke(main, ["--help"]).output
    places = [re.search(rf"^  {name}\s", text, re.MULTILINE) for name in VERBS]
    assert all(places)
    starts = [place.start() for place in places if place]
    assert starts == sorted(starts)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example_and_json(verb: str) -> None:
    result = CliRunner().invoke(main, [verb, "--help"])
    assert result.exit_code == 0
    assert re.search(rf"^  Example:\n(    .*\n)*    gesta {verb}\b", result.output, re.MULTILINE)
    assert "--json" in result.output


@pytest.mark.parametrize(
    "verb", ["import", "mine", "detect", "release", "prepare", "train", "predict", "run", "demo", "world"]
)
def test_verbs_that_write_much_have_a_dry_run(verb: str) -> None:
    assert "--dry-run" in CliRunner().invoke(main, [verb, "--help"]).output


def test_every_option_is_documented() -> None:
    context = click.Context(main)
    for verb in VERBS:
        command = main.get_command(context, verb)
        assert command is not None
        bare = [p.name for p in command.params if isinstance(p, click.Option) and not p.help]
        assert bare == [], f"{verb} has options without help"


def test_links_between_the_documents_lead_somewhere() -> None:
    broken = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)} -> {target}")
    assert broken == []


def test_every_runtime_dependency_has_earned_its_place() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for deps in project["optional-dependencies"].values() for d in deps)]
    names = {re.split(r"[<>=\[; ]", dependency)[0] for dependency in wanted} - {"gesta"}
    page = (ROOT / "docs" / "decisions" / "dependencies.md").read_text()
    assert sorted(name for name in names if f"`{name}`" not in page) == []


def test_every_format_is_described_with_what_is_kept_and_where_that_is_from() -> None:
    from gesta.formats import FORMATS

    page = (ROOT / "docs" / "annotation-formats.md").read_text()
    for name, one in FORMATS.items():
        assert f"| `{name}` |" in page
        text = importlib.import_module(one.read.__module__).__doc__ or ""
        if one.read.__module__ != "gesta.formats.flat_files":
            assert "Source:" in text, name
            if one.write is not None:
                assert re.search(r"\b(kept|lost|Kept|Lost)\b", text), name


def commands_of_the_readme() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.split(" # ")[0].split("   #")[0] for block in blocks for line in block.splitlines()]
    pieces = [piece.strip() for line in lines for piece in line.split("&&")]
    return [piece.removeprefix(".venv/bin/gesta ") for piece in pieces if piece.startswith(".venv/bin/gesta ")]


def lacking(line: str) -> list[str]:
    """Parameters that the command wants and the line does not give; an unknown option raises click's own error."""
    words, command = shlex.split(line), main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None, line
        command = found
    given, _, _ = command.make_parser(click.Context(command)).parse_args(words)
    absent = (None, click.core.UNSET) if hasattr(click.core, "UNSET") else (None,)
    return [str(one.name) for one in command.params if one.required and given.get(str(one.name)) in (*absent, ())]


@pytest.mark.parametrize("line", commands_of_the_readme())
def test_a_command_of_the_readme_gives_all_that_its_verb_wants(line: str) -> None:
    assert lacking(line) == []


def test_a_readme_command_that_lacks_something_would_be_noticed() -> None:
    assert len(commands_of_the_readme()) > 20
    assert lacking("actions merge all.csv") == ["out"]
    with pytest.raises(click.UsageError, match="No such option"):
        lacking("mine work --no-such-option")
