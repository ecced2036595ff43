"""Builds and validates data on a local Ray cluster of two nodes, one of which is killed midway.

    python tests/ray_cluster.py [FOLDER]

Ray is heavy (some 400 MB installed), so `make ray-test` runs this in an environment of its own, and the tests do not.
Each node is a set of processes as on a machine of its own. What comes out is held to a build without Ray.
"""

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")  # on a busy machine
import ray
from damaged_data import fabricate
from ray.cluster_utils import Cluster

from minigemini.data.readers import open_reader
from minigemini.dataprep.export import BuildPart, BuildRecipe, build
from minigemini.dataprep.validate import validate

ROOT = Path(__file__).parent.parent
SHARDS_BEFORE_THE_KILL = 6


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def kill_when(begun: Path, cluster: Cluster, node, killed: list[int]) -> None:
    """Kill a node, its workers with it, once some shards are there."""
    while len(list(begun.glob("shard-*"))) < SHARDS_BEFORE_THE_KILL:
        time.sleep(0.02)
    raylet = node.all_processes["raylet"][0].process.pid
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(raylet)], capture_output=True, text=True, check=False)
    killed.append(len(list(begun.glob("shard-*"))))
    for pid in map(int, children.stdout.split()):
        os.kill(pid, signal.SIGKILL)
    cluster.remove_node(node, allow_graceful=False)


def main(folder: Path) -> None:
    kinds = fabricate(folder, 3000, 200, 0.1)
    lines = (folder / "set.json").read_text()[1:-1].split(",\n")
    (folder / "set.jsonl").write_text("\n".join(lines))
    part = BuildPart(file=str(folder / "set.jsonl"), images=str(folder / "pictures"), licence="CC0-1.0", name="set")
    recipe, how = BuildRecipe("test", (part,), seed=5), {"shard_samples": 50, "quiet": True}
    build(recipe, str(folder / "alone"), **how)

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 10**9})
    second = cluster.add_node(num_cpus=1, object_store_memory=10**9)
    cluster.wait_for_nodes()
    ray.init(cluster.address, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}})
    print(f"{len([node for node in ray.nodes() if node['Alive']])} nodes", flush=True)
    killed: list[int] = []
    killer = threading.Thread(target=kill_when, args=(folder / "cluster", cluster, second, killed), daemon=True)
    killer.start()
    built = build(recipe, str(folder / "cluster"), ray=cluster.address, **how)
    killer.join(60)
    alive = len([node for node in ray.nodes() if node["Alive"]])
    total = len(built.index["shards"])
    assert 0 < sum(killed) < total, f"killed at {killed} of {total} shards: not midway"
    assert alive == 1, f"{alive} nodes are alive"
    for leftover in (folder / "cluster").glob(".*.partial"):  # what the killed worker was writing
        leftover.unlink()
    assert digests(folder / "cluster") == digests(folder / "alone")
    print(
        f"{total} shards, {built.index['rows']} samples; a node killed at {killed[0]} shards: the same bytes",
        flush=True,
    )

    reader = open_reader(folder / "set.json", folder / "pictures", skip_broken=True)
    found = validate(reader, ray=cluster.address, quiet=True)
    assert {issue.row: issue.kind for issue in found.issues} == kinds
    print(f"{len(kinds)} damaged records of {len(reader)}, each found on the cluster", flush=True)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(Path(scratch))
