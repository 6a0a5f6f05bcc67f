"""A page of HTML with the animations of all clusters, the loosest first; it opens from the folder, without a server."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from gesta.schema import CopyPage
from gesta.tables import read_table, write_text

_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Clusters of copies</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #1b1b1b; }
figure { margin: 0 0 2.5rem; }
img { max-width: 100%; background: #181818; border-radius: 6px; }
b.chain { color: #a02020; }
code { overflow-wrap: anywhere; }
</style>
<h1>Clusters of copies</h1>
"""


def write_animations_page(work: Path, pages: Sequence[CopyPage], *, kind: str) -> Path:
    """`animations/index.html` under the work folder: what people have not settled, the loosest component first.

    Args:
        work: a work folder in which copies were looked for.
        pages: of copies, whose animations lie in `animations/`.
        kind: gif or webp.
    Raises:
        MissingTable: there is no table of components.
    """
    components = read_table(work, "components").sort("component")
    order = {cluster: place for place, cluster in reversed(list(enumerate(components["cluster"].to_list())))}
    parts = [_HEAD, f"<p>{len(pages):,} to look at, those first whose clips are least alike.</p>\n"]
    for page in sorted(pages, key=lambda page: order.get(page.cluster, len(order))):
        of_cluster = components.filter(cluster=page.cluster)
        name = page.item_id.replace(":", "-")
        named = [f"{n} <code>{html.escape(clip_id)}</code>" for n, clip_id in enumerate(page.clip_ids, start=1)]
        what = f"The clips of cluster {page.cluster}, side by side"
        parts.append(
            f'<figure><img src="{name}.{kind}" loading="lazy" alt="{what}">\n'
            f"<figcaption>Cluster {page.cluster}: {_facts(of_cluster)}<br>{', '.join(named)}</figcaption></figure>\n"
        )
    path = work / "animations" / "index.html"
    write_text(path, "".join([*parts, "</html>\n"]))
    return path


def _facts(components: pl.DataFrame) -> str:
    told = []
    for row in components.iter_rows(named=True):
        where = "" if row["class_id"] is None else f"class {row['class_id']}: "
        is_chain = row["least_cosine"] < row["min_cosine"]
        chain = f' <b class="chain">a chain: below {row["min_cosine"]:g}</b>' if is_chain else ""
        told.append(
            f"{where}{row['num_clips']} clips, {row['num_pairs']} pairs, least cosine {row['least_cosine']:.3f}{chain}"
        )
    return "; ".join(told)
