"""The wheel alone, without any extra: what needs no extra works, what needs one names it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIGHT_ROOMS = ("schema", "tables", "formats", "consensus", "stats", "evaluate")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a fresh environment that holds the built wheel and its core dependencies only."""
    folder = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("*.whl")
    made = run(sys.executable, "-m", "venv", folder / "env", cwd=folder)
    assert made.returncode == 0, made.stderr
    python = folder / "env" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    installed = run(
        sys.executable, "-m", "uv", "pip", "install", "--python", python, "-c", constraints, wheel, cwd=folder
    )
    assert installed.returncode == 0, installed.stderr
    return folder / "env" / "bin"


def test_the_light_rooms_import_without_extras(bare: Path, tmp_path: Path) -> None:
    code = "; ".join(f"import gesta.{room}" for room in LIGHT_ROOMS) + "; import sys; print('torch' in sys.modules)"
    result = run(bare / "python", "-W", "error", "-c", code, cwd=tmp_path)
    assert (result.stdout, result.stderr) == ("False\n", "")


def test_help_works_without_extras(bare: Path, tmp_path: Path) -> None:
    result = run(bare / "gesta", "--help", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "detect" in result.stdout


def test_a_missing_extra_is_one_line_that_names_it(bare: Path, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    result = run(bare / "gesta", "import", "work", "--videos", "videos", cwd=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("gesta: error: this needs the Python module")
    assert "pip install 'gesta[video]'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_wheel_holds_the_page_and_its_licence(bare: Path) -> None:
    site = next((bare.parent / "lib").glob("python*/site-packages"))
    assert list((site / "gesta" / "label").rglob("*.html"))
    assert list((site / "gesta" / "report").rglob("*.html*")) or list((site / "gesta" / "report").rglob("*.j2"))
    assert list(site.glob("gesta-*.dist-info/licenses/LICENSE"))


def test_the_wheel_holds_the_printed_tables(bare: Path, tmp_path: Path) -> None:
    code = "from gesta.formats.papers import paper_table, paper_tables; print(sum(paper_table(t).frame.height > 0"
    result = run(bare / "python", "-W", "error", "-c", f"{code} for t in paper_tables()))", cwd=tmp_path)
    assert (result.stdout, result.stderr) == ("20\n", "")
