"""The command line's edges: errors, exit codes, unknown verbs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from gesta.cli import main
from gesta.schema import Kept, WrongSchema
from gesta.tables import frame_of, made_by, read_table, write_table


def write_kept(path: Path) -> Path:
    frame = frame_of("kept", [Kept(clip_id="c", video_id="v", class_id=1)])
    return write_table(path, "kept", frame, made_by=made_by("curate", arguments={}, inputs={}))


def test_something_to_mend_is_one_line_on_standard_error_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / "kept.parquet").write_bytes(b"broken")
    result = CliRunner().invoke(main, ["tables", str(tmp_path / "kept.parquet")])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"gesta: error: {tmp_path / 'kept.parquet'}: cannot be read as a table")


def test_the_debug_variable_lets_the_traceback_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESTA_DEBUG", "1")
    path = write_kept(tmp_path / "kept.parquet")
    result = CliRunner().invoke(main, ["tables", str(path), "--kind", "clips"])
    assert isinstance(result.exception, WrongSchema)


def test_an_unknown_verb_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["detcet"])
    assert result.exit_code == 2
    assert "No such command 'detcet'" in result.stderr


def test_tables_are_converted_and_come_back(tmp_path: Path) -> None:
    source = write_kept(tmp_path / "kept.parquet")
    result = CliRunner().invoke(main, ["tables", str(source), "--to", str(tmp_path / "kept.csv"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"table": "kept", "num_rows": 1, "written": str(tmp_path / "kept.csv")}
    assert read_table(tmp_path / "kept.csv", "kept").equals(read_table(source, "kept"))


def test_tables_without_a_source_lists_every_kind() -> None:
    result = CliRunner().invoke(main, ["tables"])
    assert "videos (gesta import): video_id, path, sha256" in result.stdout
