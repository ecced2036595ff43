"""Formats a plan: parameters, steps, samples, time, memory, and whether the run fits."""

import math
from dataclasses import dataclass

from ..recipe import Recipe
from ..settings import RunSettings
from .parameter_counts import ParameterCounts
from .probe_steps import ProbeResult


@dataclass(frozen=True)
class RunPlan:
    """The plan of a run, as `--plan` prints it.

    Attributes:
        recipe: the recipe.
        devices: number of devices.
        device: name of this process's device.
        counted: parameters and their memory.
        samples: samples of an epoch; None if every sample is generated once.
        steps: optimizer steps of the run.
        free_bytes: free memory of the device.
        measured: result of the probe steps; None if nothing could be run.
        why_not: the reason why nothing was measured.
    """

    recipe: RunSettings
    devices: int
    device: str
    counted: ParameterCounts
    samples: int | None
    steps: int
    free_bytes: int
    measured: ProbeResult | None = None
    why_not: str = ""

    @property
    def seconds(self) -> float | None:
        """Estimated time of all steps and checkpoints; None without measurements."""
        if self.measured is None:
            return None
        writes = math.ceil(self.steps / self.recipe.save_steps)
        return self.steps * self.measured.seconds_per_step + writes * self.measured.seconds_per_checkpoint

    @property
    def fits(self) -> str:
        """Whether the run fits into the device's memory."""
        peak = None if self.measured is None else self.measured.peak_bytes
        if (self.counted.bytes if peak is None else peak) > self.free_bytes:
            return "no; shard the model over devices (docs/training.md), or train an adapter"
        return "yes" if peak is not None else "weights, gradients and optimizer state do; activations were not measured"

    def text(self) -> str:
        """The plan as text."""
        rows = [(f"trained: {part}", f"{count:,} parameters") for part, count in self.counted.trained.items()]
        rows += [(f"frozen: {part}", f"{count:,} parameters") for part, count in self.counted.frozen.items()]
        passes = self.recipe.accumulation(self.devices)
        each = f"{self.recipe.global_batch} samples, {self.devices} x {passes} micro-batches"
        rows += [("steps", f"{self.steps:,} of {each}")]
        if self.samples is None:
            rows += [("samples", f"{self.steps * self.recipe.global_batch:,}, each generated once")]
        else:
            extent = f"; {self.recipe.extent}" if isinstance(self.recipe, Recipe) else ""
            rows += [("samples per epoch", f"{self.samples:,}{extent}")]
        rows += [*self._measured_rows(), ("fits", f"{self.fits} ({self.free_bytes / 1e9:.1f} GB are free)")]
        width = max(len(name) for name, _ in rows) + 2
        return "\n".join([f"{self.recipe.name}", *(f"  {name:{width}}{value}" for name, value in rows)])

    def _measured_rows(self) -> list[tuple[str, str]]:
        """Rows for tokens, time and memory."""
        memory = f"memory of {self.device}"
        minimum = f"{self.counted.bytes / 1e9:.2f} GB plus activations (not measured)"
        if (found := self.measured) is None or self.seconds is None:
            return [("tokens, time", f"not measured: {self.why_not}"), (memory, minimum)]
        tokens = found.tokens_per_sample * self.steps * self.recipe.global_batch
        rows = [("tokens", f"{tokens:,.0f} ({found.tokens_per_sample:.0f} per sample)")] if tokens else []
        rows += [("time", f"{_duration(self.seconds)} ({found.seconds_per_step:.3g} s per step)")]
        return [*rows, (memory, minimum if found.peak_bytes is None else f"{found.peak_bytes / 1e9:.2f} GB at most")]


def _duration(seconds: float) -> str:
    """Format a duration, e.g. 2 h 05 min."""
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes // 60} h {minutes % 60:02} min"
