"""Nothing is tracked that must not be: registry hosts, machine paths, lock files, media, big files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_HOSTS = re.compile(
    "|".join(["pypi" + r"\.org", "python" + r"hosted\.org", "npmjs" + r"\.(org|com)", "deb" + r"\.debian\.org"])
)
_MACHINE = re.compile("|".join(["/" + "work/", "/" + "root/", "/" + "home/[a-z]"]))
_LOCKS = {"uv.lock", "poetry.lock", "package-lock.json", "yarn.lock", "pnpm-lock.yaml"}
_MEDIA = {".mp4", ".mkv", ".avi", ".mov", ".webm", ".pt", ".pth", ".onnx", ".safetensors", ".parquet"}
_MAX_BYTES = 1_000_000


def findings(root: Path, names: list[str]) -> list[str]:
    """What is wrong with the named files, a line each."""
    found = []
    for name in names:
        path = root / name
        if path.name in _LOCKS:
            found.append(f"{name}: a lock file holds registry addresses")
        if path.suffix in _MEDIA:
            found.append(f"{name}: media, weights and datasets stay out")
        if not path.is_file():
            continue
        if path.stat().st_size > _MAX_BYTES:
            found.append(f"{name}: {path.stat().st_size} bytes")
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for pattern, what in ((_HOSTS, "a registry host"), (_MACHINE, "a path of one machine")):
            if match := pattern.search(text):
                found.append(f"{name}: names {what}: {match.group()}")
    return found


def tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    return [name for name in listing.stdout.split("\0") if name]


def test_tracked_files_are_fit_to_publish() -> None:
    names = tracked()
    assert "README.md" in names
    assert findings(ROOT, names) == []


@pytest.mark.parametrize(
    ("name", "text", "finding"),
    [
        ("uv.lock", "", "lock file"),
        ("a.mp4", "", "media"),
        ("a.txt", "x" * 1_000_001, "bytes"),
        ("a.txt", "see pypi" + ".org", "registry host"),
        ("a.txt", "in /wo" + "rk/main", "one machine"),
    ],
)
def test_each_guard_can_fail(name: str, text: str, finding: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert any(finding in line for line in findings(tmp_path, [name]))


def test_constraints_name_versions_and_no_addresses() -> None:
    lines = (ROOT / "constraints.txt").read_text().split("\n")
    assert len(lines) > 50
    bad = [line for line in lines if line and not re.match(r"[a-z0-9._-]+==[A-Za-z0-9.!]+( ; .+)?\Z", line)]
    assert bad == []


def test_the_demo_and_test_commands_stand_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make demo" in readme
    assert "make test" in readme


def test_constraints_resolve_with_every_extra() -> None:
    command = [sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--python", sys.executable]
    result = subprocess.run(
        [*command, "-c", "constraints.txt", "-e", ".[dev]"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "conflict" not in result.stderr
