"""Near pairs on a real Ray cluster of two nodes, one of which dies in the middle: the same pairs as on one machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gesta.curate.near_shards import pairs_in_shards
from gesta.curate.nearest import Pairs, pairs_within

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # Ray opens sockets and logs that it leaves to the interpreter's exit to close.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def cluster() -> Iterator[object]:
    ray = pytest.importorskip("ray", reason="the extra 'cluster' is not installed")
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    nodes.add_node(num_cpus=1)
    try:
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()


def test_two_nodes_find_what_one_machine_does_though_one_dies(cluster, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors_ND = rng.standard_normal((9000, 128)).astype(np.float32)
    vectors_ND[5000:6000] = vectors_ND[:1000] + 0.3 * rng.random((1000, 1)) * rng.standard_normal((1000, 128))
    np.save(tmp_path / "v.npy", vectors_ND)
    done: list[int] = []

    def kill_a_node(num: int) -> None:
        if not done:
            worker = next(node for node in cluster.list_all_nodes() if node is not cluster.head_node)
            cluster.remove_node(worker, allow_graceful=False)
        done.append(num)

    found = pairs_in_shards(
        tmp_path / "v.npy", min_cosine=0.97, folder=tmp_path / "parts", num_shards=8, cluster=cluster.address,
        on_rows=kill_a_node,
    )  # fmt: skip
    whole = pairs_within(vectors_ND, min_cosine=0.97)
    assert len(done) == 8
    assert len(whole.a_P) > 400
    assert all(np.array_equal(getattr(found, name), getattr(whole, name)) for name in Pairs.__slots__)
