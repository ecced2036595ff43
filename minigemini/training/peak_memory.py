"""Peak memory of this process on a device."""

import torch

from ..io.system import peak_resident_bytes, reset_peak_resident


def peak_bytes(device: torch.device) -> int | None:
    """Peak bytes since `reset_peak`: allocated on a GPU, or resident on a CPU, including the interpreter.

    Apple GPUs report no peak, so the value is what the driver has allocated now. None if the system reports nothing.
    """
    if device.type == "cpu":
        return peak_resident_bytes()
    if device.type == "mps":
        return torch.mps.driver_allocated_memory()
    try:
        return torch.accelerator.max_memory_allocated(device)
    except RuntimeError:  # a backend without memory statistics
        return None


def reset_peak(device: torch.device) -> None:
    """Reset the peak, if the system supports it."""
    if device.type == "cpu":
        reset_peak_resident()
    elif device.type != "mps":
        try:
            torch.accelerator.reset_peak_memory_stats(device)
        except RuntimeError:
            return
