"""How the processes of a data loader react to signals."""

import signal
from typing import Any


def outlive_first_signal(worker: int) -> None:
    """Let a loader's process ignore the first Ctrl-C or SIGTERM; pass it as `worker_init_fn`.

    Terminals, `timeout` and schedulers such as Slurm signal all processes of a job at once. The run then saves a
    checkpoint, for which it may need another batch, and ends its loader itself: at exit PyTorch sends SIGTERM, and
    multiprocessing another one.

    Args:
        worker: number of the process, which is not used.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _ignore_once)


def _ignore_once(number: int, frame: Any) -> None:
    signal.signal(number, signal.SIG_DFL)
