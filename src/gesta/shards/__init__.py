"""A function run over shards of a table, on this machine's cores or a Ray cluster; finished shards are skipped."""

from gesta.shards.run import map_shards, worker_count

__all__ = ["map_shards", "worker_count"]
