"""The plan of the house is kept, and each guard that keeps it can fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tools import house

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "gesta"
CHECKS = [
    house.wrong_arrows,
    house.torch_where_none_may_be,
    house.too_long,
    house.rooms_without_noun,
    house.shortcuts,
    house.thin_docstrings,
]


@pytest.mark.parametrize("check", CHECKS)
def test_the_tree_keeps_the_plan(check: Callable[[Path], list[str]]) -> None:
    assert check(PACKAGE) == []


BREAKS = [
    (house.wrong_arrows, "mine/titles.py", "from gesta.curate import run_curate\n", "room 'mine' imports gesta.curate"),
    (house.wrong_arrows, "schema/x.py", "import gesta.tables\n", "room 'schema' imports gesta.tables"),
    (house.wrong_arrows, "tables/x.py", "from gesta import formats\n", "room 'tables' imports gesta.formats"),
    (house.wrong_arrows, "cellar/x.py", "", "room 'cellar' is not in the plan"),
    (house.wrong_arrows, "loose.py", "import gesta.tables\n", "outside the rooms"),
    (house.torch_where_none_may_be, "stats/x.py", "def f():\n    import torch\n", "imports torch"),
    (house.too_long, "stats/x.py", "x = 1\n" * 601, "601 lines"),
    (house.too_long, "stats/x.py", "def f():\n" + "    x = 1\n" * 100, "f has 101 lines"),
    (house.too_long, "stats/x.py", "def f():\n" + "    x = 1\n" * 70, "95th percentile"),
    (house.rooms_without_noun, "stats/utils.py", "", "stats/utils.py"),
    (house.rooms_without_noun, "common/x.py", "", "common"),
    (house.shortcuts, "stats/x.py", "def f(**kw):\n    pass\n", "takes **kw"),
    (house.shortcuts, "stats/x.py", "try:\n    pass\nexcept Exception:\n    pass\n", "catches everything"),
    (house.shortcuts, "stats/x.py", "try:\n    pass\nexcept:\n    pass\n", "catches everything"),
    (house.shortcuts, "stats/x.py", "x = 1  # TO" + "DO later\n", "later"),
    (house.thin_docstrings, "stats/x.py", 'def f():\n    """A."""\n    raise ValueError("x")\n', "no 'Raises:'"),
    (house.thin_docstrings, "stats/x.py", 'def f(a: np.ndarray):\n    """A."""\n', "no shape"),
]


@pytest.mark.parametrize(("check", "name", "text", "finding"), BREAKS)
def test_each_guard_can_fail(
    check: Callable[[Path], list[str]], name: str, text: str, finding: str, tmp_path: Path
) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    assert any(finding in line for line in check(tmp_path)), check(tmp_path)


def test_a_longer_docstring_does_not_make_a_function_longer(tmp_path: Path) -> None:
    (tmp_path / "stats").mkdir()
    (tmp_path / "stats" / "x.py").write_text('def f():\n    """A.\n' + "\n" * 200 + '    """\n    return 1\n')
    assert house.too_long(tmp_path) == []
