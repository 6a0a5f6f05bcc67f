"""Questions put to people over HTTP: items, leases, the append-only vote log, the pages, and a simulated crowd.

Needs the extra `label`.
"""

from gesta.label.crowd import CrowdSummary, SimulatedWorker, default_crowd, simulate_crowd
from gesta.label.export import export_votes
from gesta.label.items import build_items, import_gold
from gesta.label.line import run_label, run_simulated
from gesta.label.load_items import load_items
from gesta.label.rules import Rules
from gesta.label.server import RunningServer, running_server
from gesta.label.store import database_url_of, open_store

__all__ = [
    "CrowdSummary", "Rules", "RunningServer", "SimulatedWorker", "build_items", "database_url_of", "default_crowd",
    "export_votes", "import_gold", "load_items", "open_store", "run_label", "run_simulated", "running_server",
    "simulate_crowd",
]  # fmt: skip
