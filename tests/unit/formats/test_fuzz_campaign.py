"""What `benchmarks.fuzz` makes of its processes; the readers themselves are held to their law in tests/property."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from benchmarks import fuzz
from benchmarks.fuzz_native import native_modules

from gesta.schema import MissingExtra, UnknownName


def test_without_atheris_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"needs the Python module 'atheris'.*pip install 'gesta\[fuzz\]'"):
        fuzz.reader_names([])


def test_readers_are_known_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert fuzz.reader_names(["cvat"]) == ["cvat"]
    assert {"ava", "pickle", "lint-as-names"} < set(fuzz.reader_names([]))
    with pytest.raises(UnknownName, match=r"no reader 'cvta'\. Did you mean 'cvat'"):
        fuzz.reader_names(["cvta"])


def test_real_files_name_readers_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert {name for names in fuzz.REAL_FILES.values() for name in names} <= set(fuzz.reader_names([]))


def test_a_dead_process_is_told_with_the_bytes_that_killed_it(tmp_path: Path) -> None:
    (tmp_path / "timeout-abc").write_bytes(b"\x00bad")
    log = "INFO: Seed: 7\n==12== ERROR: libFuzzer: timeout after 31 seconds\nSUMMARY: libFuzzer: timeout\n"
    assert fuzz.died(tmp_path, log) == {
        "what": "the process died: libFuzzer: timeout after 31 seconds", "input_hex": "00626164",
    }  # fmt: skip
    assert not list(tmp_path.iterdir())
    assert fuzz.died(tmp_path, "a\nb\nc\nKilled") == {"what": "the process died: b\nc\nKilled", "input_hex": ""}


def test_outcomes_add_up() -> None:
    one = {"inputs": 3, "outcomes": {"rows": 1, "BadRow": 2}, "defects": [], "fuzzing_s": 1.0}
    two = {"inputs": 2, "outcomes": {"rows": 1, "defect": 1}, "defects": [{"what": "x"}], "fuzzing_s": 2.5}
    assert fuzz.totals([one, two]) == {
        "readers": 2, "inputs": 5, "outcomes": {"BadRow": 2, "defect": 1, "rows": 2}, "defects": 1, "fuzzing_s": 3.5,
    }  # fmt: skip


def test_what_libfuzzer_prints_is_read() -> None:
    log = "#2 INITED cov: 3 ft: 4 corp: 1/1b\n#9 DONE   cov: 116 ft: 274 corp: 55/31Kb\nstat::peak_rss_mb:       194\n"
    assert fuzz.last_number(r"cov: (\d+)", log) == 116
    assert fuzz.last_number(r"corp: (\d+)", log) == 55
    assert fuzz.last_number(r"peak_rss_mb: +(\d+)", log) == 194
    assert fuzz.last_number(r"cov: (\d+)", "") is None


def test_modules_of_kernels_are_left_as_they_are() -> None:
    assert {"gesta.formats.ava_scan", "gesta.evaluate.claims"} <= set(native_modules())
    assert "gesta.formats.ava" not in native_modules()
