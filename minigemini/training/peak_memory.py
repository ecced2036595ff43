"""The most memory that this process held on a device, and where the count begins."""

import torch

from ..io.system import peak_resident_bytes, reset_peak_resident


def peak_bytes(device: torch.device) -> int | None:
    """Most bytes at one time since `begin_count`: allocated on a GPU, resident on a CPU, the program included.

    On Apple's GPUs, which keep no peak, it is what the driver has allocated now. None if the system does not say.
    """
    if device.type == "cpu":
        return peak_resident_bytes()
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    try:
        return torch.accelerator.max_memory_allocated(device)
    except RuntimeError:  # a backend that does not count
        return None


def reset_peak(device: torch.device) -> None:
    """Forget what was held before, where that can be forgotten."""
    if device.type == "cpu":
        reset_peak_resident()
    elif device.type != "mps":
        try:
            torch.accelerator.reset_peak_memory_stats(device)
        except RuntimeError:
            return
