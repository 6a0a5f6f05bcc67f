"""What is wrong with annotation files, label maps, lists, work folders and releases: every finding of each."""

from gesta.lint.across import leak_findings
from gesta.lint.against import Against, read_against
from gesta.lint.codes import CODES, SEVERITIES, Code, codes_named, codes_table
from gesta.lint.findings import Example, Finding, Report, report_text, summary_line
from gesta.lint.kinds import KINDS, Kind
from gesta.lint.rows import lint_annotations
from gesta.lint.run import FileLint, Reader, lint_file, lint_targets

__all__ = [
    "CODES", "KINDS", "SEVERITIES", "Against", "Code", "Example", "FileLint", "Finding", "Kind", "Reader", "Report",
    "codes_named", "codes_table", "leak_findings", "lint_annotations", "lint_file", "lint_targets", "read_against",
    "report_text", "summary_line",
]  # fmt: skip
