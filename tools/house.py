"""What is wrong with the shape of the tree: arrows between rooms, lengths, names, docstrings, shortcuts.

Each check takes a folder of sources and gives its findings as lines, so that a test can feed it a tree that breaks it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

LINE_ROOMS = ("import_", "mine", "detect", "label", "consensus", "curate", "release", "stats")
_LOW = ("schema", "tables", "formats", "video", "shards")

ALLOWED: dict[str, tuple[str, ...]] = {
    "schema": (),
    "tables": ("schema",),
    "formats": ("schema", "tables"),
    "video": ("schema", "tables"),
    "shards": ("schema", "tables"),
    "models": ("schema", "tables"),
    **dict.fromkeys(LINE_ROOMS, _LOW),
    "detect": (*_LOW, "models"),
    "world": ("schema", "tables", "video", "shards"),
    "train": (*_LOW, "models"),
    "evaluate": ("schema", "tables", "formats"),
    "lint": ("schema", "tables", "formats"),
    "predict": (*_LOW, "models", "detect", "train"),
    "report": ("schema", "tables", "formats", "video", "stats", "evaluate"),
    "cli": (*_LOW, *LINE_ROOMS, "models", "world", "train", "evaluate", "predict", "report", "lint"),
}
"""Which rooms each room may import. Rooms of the line never import one another; they meet on disk."""

TORCH_FREE = ("schema", "tables", "formats", "consensus", "stats", "evaluate", "label", "lint")
NO_NOUN = ("util", "utils", "helper", "helpers", "common", "core", "base", "engine", "misc", "shared")
MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 100
MAX_TYPICAL_FUNCTION_LINES = 60


def sources(package: Path) -> Iterator[tuple[str, Path, ast.Module]]:
    """Room, path and syntax tree of every Python file of the package; the room of a top-level file is ""."""
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).parts
        yield (parts[0] if len(parts) > 1 else ""), path, ast.parse(path.read_text())


def _imported_modules(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            if node.module == "gesta":
                yield from (f"gesta.{alias.name}" for alias in node.names)


def wrong_arrows(package: Path) -> list[str]:
    """Imports that go up, sideways or out of the plan."""
    found = []
    for room, path, tree in sources(package):
        for module in _imported_modules(tree):
            target = module.split(".")[1] if module.startswith("gesta.") else ""
            if target.startswith("__") or not target or target == room:
                continue
            if room and target not in ALLOWED.get(room, ()):
                found.append(f"{path.relative_to(package)}: room {room!r} imports {module}")
            if not room and path.name != "__main__.py":
                found.append(f"{path.relative_to(package)}: a file outside the rooms imports {module}")
        if room and room not in ALLOWED:
            found.append(f"{path.relative_to(package)}: room {room!r} is not in the plan")
    return found


def torch_where_none_may_be(package: Path) -> list[str]:
    """Imports of torch in rooms that must install without it."""
    return [
        f"{path.relative_to(package)}: imports {module}"
        for room, path, tree in sources(package)
        if room in TORCH_FREE
        for module in _imported_modules(tree)
        if module.split(".")[0] in ("torch", "torchvision")
    ]


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _num_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of code of a function, its docstring left out: documentation must not cost."""
    docstring = ast.get_docstring(node, clean=False)
    return (node.end_lineno or node.lineno) - node.lineno + 1 - (docstring.count("\n") + 1 if docstring else 0)


def too_long(package: Path) -> list[str]:
    """Files over 600 lines, functions over 100, and a 95th percentile of functions over 60 (docstrings left out)."""
    found, lengths = [], []
    for _, path, tree in sources(package):
        num_lines = len(path.read_text().splitlines())
        if num_lines > MAX_FILE_LINES:
            found.append(f"{path.relative_to(package)}: {num_lines} lines")
        for node in _functions(tree):
            lengths.append(_num_lines(node))
            if lengths[-1] > MAX_FUNCTION_LINES:
                found.append(f"{path.relative_to(package)}:{node.lineno}: {node.name} has {lengths[-1]} lines")
    lengths.sort()
    if lengths and lengths[int(len(lengths) * 0.95)] > MAX_TYPICAL_FUNCTION_LINES:
        found.append(f"the 95th percentile of functions has {lengths[int(len(lengths) * 0.95)]} lines")
    return found


def rooms_without_noun(package: Path) -> list[str]:
    """Files and folders whose name says nothing of what they hold."""
    paths = [*package.rglob("*.py"), *(path for path in package.rglob("*") if path.is_dir())]
    return sorted(str(path.relative_to(package)) for path in paths if path.stem in NO_NOUN)


SERVING_LOOPS = ("label/desk.py",)
"""Files whose loop serves everybody, and may not end with one request: they catch everything, log it and go on."""


def shortcuts(package: Path) -> list[str]:
    """`**kwargs` passthrough, `except Exception` outside cli, and marks of unfinished work."""
    found = []
    for room, path, tree in sources(package):
        where = path.relative_to(package)
        for node in _functions(tree):
            if node.args.kwarg is not None:
                found.append(f"{where}:{node.lineno}: {node.name} takes **{node.args.kwarg.arg}")
        for node in ast.walk(tree):
            names = ast.unparse(node.type) if isinstance(node, ast.ExceptHandler) and node.type else ""
            bare = isinstance(node, ast.ExceptHandler) and node.type is None
            if (
                room != "cli"
                and str(where) not in SERVING_LOOPS
                and (bare or re.search(r"\b(Base)?Exception\b", names))
            ):
                found.append(f"{where}:{node.lineno}: catches everything")
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            if re.search(r"\b(TODO|FIXME|XXX|NotImplementedError)\b|pragma: no cover", line):
                found.append(f"{where}:{number}: {line.strip()}")
    return found


_ARRAY_HINT = re.compile(r"NDArray|np\.ndarray|Tensor\b|Floats\b")
_SHAPE = re.compile(r"\[\.\.\.\]|\[[A-Z0-9][\w*+/ -]*(, ?[\w*+/ -]+)*\]|[a-z]_[A-Z0-9]+\b")


def thin_docstrings(package: Path) -> list[str]:
    """Public functions that raise without saying so, or take or give arrays without saying their shape."""
    found = []
    for room, path, tree in sources(package):
        for node in _functions(tree):
            docstring = ast.get_docstring(node)
            if node.name.startswith("_") or docstring is None:
                continue
            where = f"{path.relative_to(package)}:{node.lineno}: {node.name}"
            raises = [n for n in ast.walk(node) if isinstance(n, ast.Raise) and n.exc is not None]
            is_help = room == "cli" and node.name == "command"  # the docstring is what --help prints
            if raises and not is_help and "Raises:" not in docstring:
                found.append(f"{where} raises and has no 'Raises:'")
            arguments = [*node.args.args, *node.args.kwonlyargs]
            hints = [ast.unparse(a.annotation) for a in arguments if a.annotation]
            hints += [ast.unparse(node.returns)] if node.returns else []
            names = " ".join(a.arg for a in arguments)
            has_arrays = any(_ARRAY_HINT.search(h) for h in hints)
            if has_arrays and not _SHAPE.search(docstring) and not _SHAPE.search(names):
                found.append(f"{where} handles arrays and gives no shape such as [N, 4]")
    return found
