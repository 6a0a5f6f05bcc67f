"""What a Croissant file is told is read back; any JSON gives a reading or an error with the file's name."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gesta.formats.croissant import RAI_PROPERTIES, DatasetCard, read_croissant, write_croissant
from gesta.schema import GestaError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
FACTS = st.fixed_dictionaries(
    {"sha256": st.text("0123456789abcdef", min_size=64, max_size=64), "size_bytes": st.integers(0)}
)


@settings(max_examples=60)
@given(
    texts=st.tuples(TEXTS, TEXTS, TEXTS, TEXTS),
    files=st.dictionaries(TEXTS, FACTS, max_size=4),
    responsible=st.dictionaries(
        st.sampled_from(sorted(RAI_PROPERTIES)), TEXTS | st.lists(TEXTS, min_size=1).map(tuple)
    ),
)
def test_what_is_written_is_read_back(
    texts: tuple[str, ...], files: dict[str, Any], responsible: dict[str, Any]
) -> None:
    name, version, licence, description = texts
    card = DatasetCard(
        name=name, version=version, licence=licence, citation="c", description=description, responsible=responsible
    )
    with tempfile.TemporaryDirectory() as folder:
        write_croissant(Path(folder, "croissant.json"), card=card, files=files)
        found = read_croissant(Path(folder))
    assert (found.name, found.version, found.licence, found.description) == texts
    assert dict(found.files.select("path", "sha256").iter_rows()) == {
        key: value["sha256"] for key, value in files.items()
    }
    assert found.responsible == {
        key: (text,) if isinstance(text, str) else text for key, text in responsible.items()
    }  # fmt: skip


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["a", "cr:Split", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([
        "@id", "@type", "@value", "name", "distribution", "recordSet", "field", "subField", "source", "extract",
        "column", "dataType", "key", "data", "includes", "contentUrl", "sha256", "rai:x", "license", "version",
        "fileObject", "en",
    ]), inner, max_size=6),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=200)
@given(value=VALUES, has_claim=st.booleans())
def test_any_json_gives_a_reading_or_an_error_with_its_name(*, value: Any, has_claim: bool) -> None:
    if has_claim and isinstance(value, dict):
        value["conformsTo"] = ["http://mlcommons.org/croissant/1.1"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "any.json")
        path.write_text(json.dumps(value))
        try:
            read_croissant(path)
        except GestaError as error:
            assert "any.json" in str(error)  # noqa: PT017 (an error is one of the two good ends)
