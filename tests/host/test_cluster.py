"""A sweep on a Ray cluster of two nodes of this machine, one of which is killed while it works."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ditmos.atomic import read_json
from ditmos.study import cluster, sweep, sweepfile
from small_sweep import sweep_text, write_sweep

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
STORE = 80 << 20  # bytes of a node's object store, the least that Ray takes


@pytest.fixture
def nodes() -> Iterator[object]:
    """A head and a second node of one processor each."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": STORE})
    made.add_node(num_cpus=1, object_store_memory=STORE)
    try:
        yield made
    finally:
        made.shutdown()


def works(node: object) -> bool:
    """Whether a worker of a node runs a job: Ray names its process after the task, and the node started it."""
    parent = f"PPid:\t{node.all_processes['raylet'][0].process.pid}\n"
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            title, status = (process / "cmdline").read_bytes(), (process / "status").read_text()
            if title.startswith(b"ray::run_one") and parent in status:
                return True
    return False


@pytest.mark.timeout(280)
def test_a_sweep_outlives_one_of_two_nodes(tmp_path: Path, nodes) -> None:
    file = write_sweep(tmp_path, sweep_text(seeds=5, fit="epochs = 40"))
    content, out, alone = sweepfile.read_sweep(file), tmp_path / "out", tmp_path / "alone"
    (second,) = nodes.worker_nodes
    done: list[str] = []

    def report(key: str, ok: bool) -> None:
        assert ok, sweep.error_file(out, key).read_text()
        done.append(key)
        if len(done) == 1:
            end = time.monotonic() + 60
            while not works(second):
                assert time.monotonic() < end
                time.sleep(0.01)
            nodes.remove_node(second, allow_graceful=False)

    execute = cluster.on_cluster(nodes.address, 1)
    assert sweep.run(content, tmp_path, out, execute=execute, report=report) == 0
    assert sorted(done) == sorted(content.key(job) for job in content.jobs)
    assert len(sweep.results(out)) == len(content.jobs) and sweep.pending(content, out) == []

    alone.mkdir()
    (alone / "work").symlink_to(out / "work")
    key, ok = sweep.run_one(content, content.jobs[-1], tmp_path, alone, 0)
    assert ok and read_json(sweep.result_file(alone, key))["test"] == read_json(sweep.result_file(out, key))["test"]
