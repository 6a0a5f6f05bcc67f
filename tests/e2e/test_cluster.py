"""Shards on a real Ray cluster of two nodes, one of which dies in the middle."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from gesta.schema import Kept
from gesta.shards import map_shards
from gesta.tables import frame_of, made_by

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(240),
    # Ray opens sockets and logs that it leaves to the interpreter's exit to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def slow_keep(rows: pl.DataFrame, *, log: Path) -> dict[str, pl.DataFrame]:
    import socket

    numbers = rows["n"].to_list()
    time.sleep(0.5)
    (log / f"{numbers[0]:03d}").write_text(socket.gethostname())
    return {"kept": frame_of("kept", [Kept(clip_id=f"c{n:02d}", video_id="v", class_id=n) for n in numbers])}


@pytest.fixture
def cluster() -> Iterator[object]:
    ray = pytest.importorskip("ray", reason="the extra 'cluster' is not installed")
    from ray import cloudpickle
    from ray.cluster_utils import Cluster

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    try:
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()


def test_a_node_dies_and_every_row_is_done_once(cluster, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.mkdir()
    killed = []

    def kill_a_node(num_rows: int) -> None:
        if not killed:
            worker = next(node for node in cluster.list_all_nodes() if node is not cluster.head_node)
            cluster.remove_node(worker, allow_graceful=False)
            killed.append(num_rows)

    tables = map_shards(
        partial(slow_keep, log=log), pl.DataFrame({"n": range(24)}), outputs=["kept"], folder=tmp_path / "shards",
        made_by=made_by("test", arguments={}, inputs={}), rows_per_shard=2, cluster=cluster.address,
        on_rows=kill_a_node,
    )  # fmt: skip
    assert killed
    assert tables["kept"]["class_id"].to_list() == list(range(24))
    assert len(list(log.iterdir())) == 12
