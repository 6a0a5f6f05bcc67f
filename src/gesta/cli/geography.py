"""`gesta geography`: where the videos of datasets come from, by continent, as table 3 of Kinetics-700-2020."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import polars as pl

from gesta.cli.options import json_option

if TYPE_CHECKING:
    from gesta.stats.geography import Geography, Places

PAPER_TABLE = "kinetics_700_2020_table_3"


@click.command("geography")
@click.argument("targets", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--places", type=click.Path(dir_okay=False, exists=True, path_type=Path), required=True,
    help="csv with video_id and continent, country, or latitude and longitude.",
)  # fmt: skip
@click.option("--name", "names", multiple=True, help="Of a TARGET, once each, in order.  [default: as it is called]")
@click.option("--papers", is_flag=True, help="Set the four columns of Kinetics-700-2020's table 3 beside.")
@click.option("--level", default=0.95, show_default=True, help="Confidence of the intervals.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the tables as csv and JSON.")
@json_option
def command(
    targets: tuple[Path, ...], places: Path, names: tuple[str, ...], papers: bool, level: float, out: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Count the videos of each TARGET by continent; several TARGETs are versions side by side, the earliest first.

    TARGET is a work folder, a release or an annotation file. Shares are of the videos whose place is known; how many
    are not is said below. Countries are on one continent as a whole, points are placed by borders that gesta has.

    \b
    Example:
      gesta geography work --places uploads.csv
      gesta geography work/releases/1.0.0 work/releases/2.0.0 --places uploads.csv --papers --out geography
    """
    from gesta.stats import named_targets, rows_of
    from gesta.stats.geography import geography_of, read_places, side_by_side, write_geography

    known = read_places(places)
    found = []
    for target in named_targets(targets, names):
        rows = rows_of(target.path)
        ids = pl.concat([rows.clips["video_id"].unique(), rows.boxes["video_id"].unique()])
        found.append(geography_of(ids, known, name=target.dataset, level=level))
    table = side_by_side(found, papers=_paper_shares() if papers else None)
    if out is not None:
        write_geography(found, table, known, out)
    if as_json:
        value = {
            "versions": [one.as_json() for one in found], "table": table.to_dicts(),
            "unplaced": known.unplaced.to_dicts(),
        }  # fmt: skip
        click.echo(json.dumps(value, sort_keys=True))
        return
    click.echo("\n".join(_lines(found, table, known)))


def _paper_shares() -> dict[str, dict[str, float]]:
    from gesta.formats.papers import paper_table

    shares: dict[str, dict[str, float]] = {}
    for continent, dataset, percent in paper_table(PAPER_TABLE).frame.iter_rows():
        shares.setdefault(f"{dataset} (paper)", {})[continent] = percent / 100
    return shares


def _lines(found: Sequence[Geography], table: pl.DataFrame, places: Places) -> list[str]:
    columns = [name for name in table.columns if name != "continent"]
    width = max(10, *(len(name) + 2 for name in columns))
    lines = [f"{'continent':<16}" + "".join(f"{name:>{width}}" for name in columns)]
    for row in table.iter_rows(named=True):
        lines.append(f"{row['continent']:<16}" + "".join(f"{_share(row[n], n == 'change'):>{width}}" for n in columns))
    lines.append("")
    for one in found:
        widest = max(((row["high"] - row["low"]) / 2 for row in one.shares.iter_rows(named=True)), default=0.0)
        unknown = f"{one.name}: {one.num_videos:,} videos, {100 * one.unknown_share:.1f}% of unknown place"
        doubt = f"shares are sure to {100 * widest:.1f} points or better"
        lines.append(f"{unknown}; {doubt}; as diverse as {one.num_effective:.2f} equal continents")
    for column, text, num in places.unplaced.head(5).iter_rows():
        lines.append(f"not placed: {column} {text!r}, {num:,} videos")
    if len(places.unplaced) > 5:
        lines.append(f"... and {len(places.unplaced) - 5:,} more that were not placed")
    return lines


def _share(share: float | None, is_change: bool) -> str:
    if share is None:
        return "-"
    return f"{100 * share:+.1f}" if is_change else f"{100 * share:.1f}%"
