"""The numbers of a dataset or annotation file: per class, per key-frame, areas and durations; and the papers' own."""

from gesta.formats.papers import PaperTable, paper_table, paper_tables
from gesta.stats.counts import Rows, Stats, count
from gesta.stats.npmi import PairCounts, count_class_pairs, label_pairs, npmi, npmi_tables, top_pairs
from gesta.stats.overlay import Overlay, merged, overlaid
from gesta.stats.run import Asked, Target, named_targets, run_stats, stats_of, stats_of_targets, write_stats
from gesta.stats.sources import Beside, rows_of, rows_of_annotations, rows_of_file, rows_of_folder
from gesta.stats.text import overlay_text, stats_text
from gesta.stats.yields import retention, shares_of, yields_of

__all__ = [
    "Asked", "Beside", "Overlay", "PairCounts", "PaperTable", "Rows", "Stats", "Target", "count", "count_class_pairs",
    "label_pairs", "merged", "named_targets", "npmi", "npmi_tables", "overlaid", "overlay_text", "paper_table",
    "paper_tables", "retention", "rows_of", "rows_of_annotations", "rows_of_file", "rows_of_folder", "run_stats",
    "shares_of", "stats_of", "stats_of_targets", "stats_text", "top_pairs", "write_stats", "yields_of",
]  # fmt: skip
