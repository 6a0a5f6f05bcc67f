"""The label service in a process of its own, for `benchmarks.label`: prints its address, and ends with its input.

Run: python -m benchmarks.label_service WORK DATABASE_URL
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from gesta.label.guards import NO_LIMITS
from gesta.label.rules import Rules
from gesta.label.server import running_server
from gesta.schema import TrustRule


def main() -> None:
    """Serve until standard input ends; the last line says how much memory it took."""
    work, database = Path(sys.argv[1]), sys.argv[2]
    # Simulated workers answer gold by chance here; none of them is to be barred in the middle of a measurement.
    rules = Rules(trust=TrustRule(min_gold=10**6), class_after_num_clips=0)
    with running_server(work, database=database, rules=rules, limits=NO_LIMITS) as server:
        print(server.url, flush=True)
        sys.stdin.read()
        health = server.service.desk.health
        memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{memory_mb:.0f} {health.num_batches} {health.num_requests} {health.num_failures}", flush=True)


if __name__ == "__main__":
    main()
