"""Label maps: the two protobuf-text dialects of AVA, and plain lists of names as Kinetics' and gesta's own.

`label { name: "..." label_id: 1 label_type: PERSON_MOVEMENT }` is AVA's action list (80 classes);
`item { name: "..." id: 1 }` is the one for the ActivityNet challenge (60 of them, ids with gaps).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import polars as pl

from gesta.formats.delimited import BYTE_ORDER_MARK, read_lines, read_text
from gesta.schema import BadInput, BadRow, LabelClass
from gesta.tables import frame_of, rows_of, write_text

Dialect = Literal["label", "item", "txt"]

_BLOCK = re.compile(r"^\s*(label|item)\s*\{", re.MULTILINE)
_TOKEN = re.compile(
    r"""(?P<skip>[ \t\r\f\v,;]+|\#[^\n]*)|(?P<newline>\n)|(?P<brace>[{}])|(?P<colon>:)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<word>[A-Za-z_]\w*)|(?P<number>-?\d{1,18}\b)|(?P<wrong>.)""",
    re.VERBOSE | re.ASCII,
)
_ID_FIELDS = {"label": "label_id", "item": "id"}
_FIELDS = {"name": "string", "label_id": "number", "id": "number", "label_type": "word"}
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


def read_label_map(path: Path) -> pl.DataFrame:
    """The classes of a label map in the file's order, as a `label_map` table.

    A file with a `label {` or `item {` is protobuf text, whatever its ending; ids are taken as published and
    `label_type` becomes the category. Any other file is a list of names, a name a line, whose `class_id` is the
    number of the line, from 1 (a blank line leaves a gap).

    Raises:
        BadInput: there is no such file, it cannot be read, or holds no class.
        BadRow: a line is not protobuf text of this kind, a block lacks its name or id, an id comes
            twice, or a name does in a plain list (published maps may call two ids by one name).
    Source: `ava_action_list_v2.2.pbtxt`, `ava_action_list_v2.2_for_activitynet_2019.pbtxt`, `label_map_k400.txt`.
    """
    text = read_text(path)
    is_protobuf = _BLOCK.search(text) is not None
    if is_protobuf:
        found = list(_blocks(text, path=path))
    else:
        names = ((line, name.strip()) for line, name in read_lines(path).iter_rows())
        found = [(line, LabelClass(class_id=line, name=name)) for line, name in names if name]
    if not found:
        raise BadInput("the label map holds no class", where=path, mend="Write one name a line")
    _refuse_double(((line, row.class_id, f"id {row.class_id}") for line, row in found), path=path)
    if not is_protobuf:
        _refuse_double(((line, row.name, f"name {row.name!r}") for line, row in found), path=path)
    return frame_of("label_map", [row for _, row in found])


def _refuse_double(values: Iterable[tuple[int, object, str]], *, path: Path) -> None:
    line_of: dict[object, int] = {}
    for line, value, what in values:
        if value in line_of:
            problem = f"{what} was given in line {line_of[value]} already"
            raise BadRow(problem, path=path, line=line, mend="Keep one of the two")
        line_of[value] = line


def _tokens(text: str, *, path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, kind and text of each token; ends with an `end` token."""
    line = 1
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup)
        if kind == "newline":
            line += 1
        elif kind == "wrong":
            raise BadRow(
                f"unexpected {match.group()!r}",
                path=path,
                line=line,
                mend='Want blocks like: item { name: "wave" id: 1 }',
            )
        elif kind != "skip":
            yield line, kind, match.group()
    yield line, "end", "the end of the file"


def _blocks(text: str, *, path: Path) -> Iterator[tuple[int, LabelClass]]:
    tokens = _tokens(text, path=path)

    def take(kind: str, wanted: str) -> tuple[int, str]:
        line, found, token = next(tokens)
        if found != kind:
            raise BadRow(
                f"found {token}, want {wanted}",
                path=path,
                line=line,
                mend='Want blocks like: item { name: "wave" id: 1 }',
            )
        return line, token

    for line, kind, word in tokens:
        if kind == "end":
            return
        if kind != "word" or word not in _ID_FIELDS:
            raise BadRow(f"found {word}, want label or item", path=path, line=line, mend="Remove it")
        take("brace", "{")
        fields: dict[str, str] = {}
        for field_line, field_kind, field in tokens:
            if (field_kind, field) == ("brace", "}"):
                break
            if field_kind == "end":
                raise BadRow(f"this {word} is not closed", path=path, line=line, mend="Put a } after its last field")
            if field not in _FIELDS or field in fields:
                what = "a second" if field in fields else "an unknown"
                known = ", ".join(_FIELDS)
                raise BadRow(f"{what} field {field}", path=path, line=field_line, mend=f"There are: {known}")
            take("colon", f": after {field}")
            fields[field] = take(_FIELDS[field], f"a {_FIELDS[field]} for {field}")[1]
        yield line, _class_of(word, fields, path=path, line=line)


def _class_of(block: str, fields: dict[str, str], *, path: Path, line: int) -> LabelClass:
    id_text = fields.get(_ID_FIELDS[block])
    name = _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), fields.get("name", "''")[1:-1])
    if id_text is None or not name.strip():
        lacking = _ID_FIELDS[block] if id_text is None else "name"
        raise BadRow(f"this {block} has no {lacking}", path=path, line=line, mend="Each needs a name and an id")
    return LabelClass(class_id=int(id_text), name=name, category=fields.get("label_type"))


def merge_label_maps(label_map: pl.DataFrame, more: pl.DataFrame, *, where: str | Path) -> pl.DataFrame:
    """The classes of both `label_map` tables, by id; what both have is taken from the first.

    Raises:
        BadInput: an id stands for one name in the one and for another in the other.
    """
    both = label_map.join(more, on="class_id", suffix="_more").filter(pl.col("name") != pl.col("name_more"))
    if len(both):
        class_id, name, other = both.select("class_id", "name", "name_more").row(0)
        raise BadInput(
            f"class {class_id} is {name!r} here and {other!r} in this work folder already",
            where=where,
            mend="Use one label map for everything in a work folder, or another folder",
        )
    return pl.concat([label_map, more.join(label_map, on="class_id", how="anti")]).sort("class_id")


def write_label_map(path: Path, label_map: pl.DataFrame, *, dialect: Dialect = "label") -> None:
    """A label map, whole or not at all, in the layout of the published files.

    Both protobuf dialects are indented by two spaces, the name before the id: the official evaluator's parser reads
    nothing else. `item` and `txt` have no place for categories.

    Args:
        label_map: a `label_map` table; its order is kept.
        dialect: `label`, `item` or `txt`.
    Raises:
        BadInput: a name is empty or breaks a line, a category is no single word, or `txt` was asked for and
            cannot say it: the ids are not 1, 2, 3 ..., a name comes twice or looks like protobuf text
    """
    rows: list[LabelClass] = rows_of("label_map", label_map)
    for row in rows:
        if not row.name.strip() or row.name != row.name.strip() or "\n" in row.name or "\r" in row.name:
            raise BadInput(f"the class name {row.name!r} cannot be written", where=path, mend="Want one line of text")
        if row.category is not None and not re.fullmatch(r"[A-Za-z_]\w*", row.category, re.ASCII):
            raise BadInput(f"the category {row.category!r} cannot be written", where=path, mend="Want a single word")
    if dialect == "txt":
        if [row.class_id for row in rows] != list(range(1, len(rows) + 1)):
            raise BadInput(
                "the class ids are not 1, 2, 3 ..., so a plain list cannot say them",
                where=path,
                mend="Use the dialect 'label' or 'item'",
            )
        text = "".join(f"{row.name}\n" for row in rows)
        is_twice = len({row.name for row in rows}) < len(rows)
        if is_twice or _BLOCK.search(text) or text.startswith(BYTE_ORDER_MARK):
            raise BadInput(
                "a class name would not be read back from a plain list",
                where=path,
                mend="Use the dialect 'label' or 'item'",
            )
        write_text(path, text)
    else:
        write_text(path, "".join(_block(row, dialect) for row in rows))


def _block(row: LabelClass, dialect: str) -> str:
    name = row.name.replace("\\", "\\\\").replace('"', '\\"')
    kind = f"  label_type: {row.category}\n" if dialect == "label" and row.category is not None else ""
    return f'{dialect} {{\n  name: "{name}"\n  {_ID_FIELDS[dialect]}: {row.class_id}\n{kind}}}\n'
