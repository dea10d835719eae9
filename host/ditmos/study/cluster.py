"""A sweep's jobs on a Ray cluster. A job whose node dies is run again on another one.

Every node needs this package with the same extras, and sees the data and the folder of results under the same paths.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import ray
import ray.exceptions

from ditmos.errors import DitmosError
from ditmos.study.sweep import Call, Execute, error_file, run_one

RETRIES = 3  # of a job, when its node or its process dies


def on_cluster(address: str, processes: int) -> Execute:
    """Runs jobs on the cluster at ``address``; "local": on one that is started here, with so many ``processes``.

    Jobs raise DitmosError where no cluster answers there.
    """

    def execute(calls: list[Call]) -> Iterator[tuple[str, bool]]:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # tells nobody of it
        if address == "local":
            ray.init(num_cpus=processes, include_dashboard=False, log_to_driver=False)
        else:
            try:
                ray.init(address=address, log_to_driver=False)
            except (OSError, ValueError, RuntimeError) as error:
                reason = str(error).strip().splitlines()[:1] or [type(error).__name__]
                raise DitmosError(f"no Ray cluster at {address!r} ({reason[0]})") from None
        try:
            remote = ray.remote(num_cpus=1, max_retries=RETRIES)(run_one)
            waiting = {remote.remote(*call): call for call in calls}
            while waiting:
                (done, *_), _ = ray.wait(list(waiting), num_returns=1)
                sweep, job, _, out, _ = waiting.pop(done)
                try:
                    yield ray.get(done)
                except ray.exceptions.RayError as error:
                    key = sweep.key(job)
                    error_file(out, key).write_text(str(error))
                    yield key, False
        finally:
            ray.shutdown()

    return execute
