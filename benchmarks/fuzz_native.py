"""Which modules a fuzzer sees from outside only."""

from __future__ import annotations

from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"


def native_modules() -> list[str]:
    """The modules with kernels that numba compiles: it cannot compile instrumented bytecode, so they stay as is."""
    found = []
    for file in sorted((SOURCE / "gesta").rglob("*.py")):
        if "numba.njit" in file.read_text(encoding="utf-8"):
            found.append(".".join(file.relative_to(SOURCE).with_suffix("").parts))
    return found
