"""The numbers of a dataset or annotation file: per class, per key-frame, areas and durations."""

from gesta.stats.counts import Rows, Stats, count
from gesta.stats.papers import PaperTable, paper_table, paper_tables
from gesta.stats.run import run_stats, stats_of, write_stats
from gesta.stats.sources import rows_of_file, rows_of_folder
from gesta.stats.text import stats_text

__all__ = [
    "PaperTable",
    "Rows",
    "Stats",
    "count",
    "paper_table",
    "paper_tables",
    "rows_of_file",
    "rows_of_folder",
    "run_stats",
    "stats_of",
    "stats_text",
    "write_stats",
]
