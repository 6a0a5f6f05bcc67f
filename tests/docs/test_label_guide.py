"""docs/label-guide.md is the text that the label page shows, kind by kind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gesta.schema import PROTOCOLS

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "src" / "gesta" / "label" / "page" / "guide"
DOC = ROOT / "docs" / "label-guide.md"
HEAD = """# For those who label

What the page shows before the first question of each kind, and on `?` at any time: two screens each, the second saying
the first once more in short (Kinetics-400 paper, 3.3). The words stand in `src/gesta/label/page/guide/`; this page is
made of them.
"""


def guide_document() -> str:
    """The guides of all kinds in the order of `PROTOCOLS`, as one page."""
    parts = [HEAD]
    for kind in PROTOCOLS:
        text = (GUIDE / f"{kind}.md").read_text(encoding="utf-8")
        text = re.sub(r"^# ", "### ", text, flags=re.MULTILINE).replace("](", "](../src/gesta/label/page/guide/")
        parts.append(f"## {kind}\n\n{text}")
    return "\n".join(parts)


def test_the_document_is_what_the_page_shows() -> None:
    assert DOC.read_text(encoding="utf-8") == guide_document(), "write guide_document() to docs/label-guide.md"


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_each_kind_has_two_screens_with_a_picture_each(kind: str) -> None:
    screens = (GUIDE / f"{kind}.md").read_text(encoding="utf-8").split("\n---\n")
    assert len(screens) == 2
    for screen in screens:
        assert screen.strip().startswith("# ")
        (picture,) = re.findall(r"^!\[(.+)\]\(([a-z0-9-]+\.svg)\)$", screen, flags=re.MULTILINE)
        assert len(picture[0]) > 20, "a picture is described for those who do not see it"
        svg = (GUIDE / picture[1]).read_text(encoding="utf-8")
        assert "<script" not in svg
        assert "style=" not in svg
