"""The numbers of a dataset or annotation file: per class, per key-frame, areas and durations."""

from gesta.stats.counts import Rows, Stats, count
from gesta.stats.run import run_stats, stats_of, write_stats
from gesta.stats.sources import rows_of_file, rows_of_folder
from gesta.stats.text import stats_text

__all__ = [
    "Rows",
    "Stats",
    "count",
    "rows_of_file",
    "rows_of_folder",
    "run_stats",
    "stats_of",
    "stats_text",
    "write_stats",
]
