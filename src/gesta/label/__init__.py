"""Questions put to people over HTTP: items, leases, the append-only vote log, the pages, and a simulated crowd.

Needs the extra `label`.
"""

from gesta.label.items import build_items, import_gold
from gesta.label.load_items import load_items
from gesta.label.rules import Rules
from gesta.label.store import database_url_of, open_store

__all__ = ["Rules", "build_items", "database_url_of", "import_gold", "load_items", "open_store"]
