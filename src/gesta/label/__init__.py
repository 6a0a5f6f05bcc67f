"""Questions put to people over HTTP: items, leases, the append-only vote log, the page, and a simulated crowd.

Needs the extra `label`.
"""

from gesta.label.answers import Answer, cast_votes
from gesta.label.app import create_app
from gesta.label.crowd import CrowdSummary, SimulatedWorker, default_crowd, simulate_crowd
from gesta.label.export import export_votes
from gesta.label.items import build_items, import_gold, load_items
from gesta.label.line import run_label, run_simulated
from gesta.label.server import RunningServer, running_server
from gesta.label.store import database_url_of, open_store
from gesta.label.supply import next_task, progress_of
from gesta.label.tally import Rules

__all__ = [
    "Answer", "CrowdSummary", "Rules", "RunningServer", "SimulatedWorker", "build_items", "cast_votes", "create_app",
    "database_url_of", "default_crowd", "export_votes", "import_gold", "load_items",
    "next_task", "open_store", "progress_of", "run_label", "run_simulated", "running_server", "simulate_crowd",
]  # fmt: skip
