"""A plan as people read it: what trains, how many steps, how long, in what memory, and whether that fits."""

import math
from dataclasses import dataclass

from ..recipe import Recipe
from ..settings import RunSettings
from .parameter_counts import ParameterCounts
from .probe_steps import ProbeResult


@dataclass(frozen=True)
class RunPlan:
    """What `--plan` prints.

    Attributes:
        recipe, devices, device: of the run, how many of them, and this one by name.
        counted: parameters and what they take.
        samples: of an epoch; None where each is drawn anew.
        steps: of the run.
        free_bytes: of the device.
        measured: None where nothing could be run; `why_not` says why.
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
        """Of all steps and checkpoints; None where nothing was measured."""
        if self.measured is None:
            return None
        writes = math.ceil(self.steps / self.recipe.save_steps)
        return self.steps * self.measured.seconds_per_step + writes * self.measured.seconds_per_checkpoint

    @property
    def fits(self) -> str:
        """Whether a device has the memory: yes, no, or not known."""
        peak = None if self.measured is None else self.measured.peak_bytes
        if (self.counted.bytes if peak is None else peak) > self.free_bytes:
            return "no: shard it over devices (docs/training.md), or train an adapter"
        return "yes" if peak is not None else "weights, gradients and optimiser do; activations not measured"

    def text(self) -> str:
        """The plan as lines for people."""
        rows = [(f"trained: {part}", f"{count:,} parameters") for part, count in self.counted.trained.items()]
        rows += [(f"frozen: {part}", f"{count:,} parameters") for part, count in self.counted.frozen.items()]
        each = f"{self.recipe.global_batch} samples, {self.devices} x {self.recipe.accumulation(self.devices)} passes"
        rows += [("steps", f"{self.steps:,} of {each}")]
        if self.samples is None:
            rows += [("samples", f"{self.steps * self.recipe.global_batch:,}, each drawn once")]
        else:
            said = f"; {self.recipe.extent}" if isinstance(self.recipe, Recipe) else ""
            rows += [("samples of an epoch", f"{self.samples:,}{said}")]
        rows += [*self._measured_rows(), ("fits", f"{self.fits} ({self.free_bytes / 1e9:.1f} GB are free)")]
        width = max(len(name) for name, _ in rows) + 2
        return "\n".join([f"{self.recipe.name}", *(f"  {name:{width}}{value}" for name, value in rows)])

    def _measured_rows(self) -> list[tuple[str, str]]:
        """Tokens, time and memory."""
        memory = f"memory of {self.device}"
        least = f"{self.counted.bytes / 1e9:.2f} GB and activations (not measured)"
        if (found := self.measured) is None or self.seconds is None:
            return [("tokens, time", f"not measured: {self.why_not}"), (memory, least)]
        tokens = found.tokens_per_sample * self.steps * self.recipe.global_batch
        rows = [("tokens", f"{tokens:,.0f} ({found.tokens_per_sample:.0f} per sample)")] if tokens else []
        rows += [("time", f"{_duration(self.seconds)} ({found.seconds_per_step:.3g} s per step)")]
        return [*rows, (memory, least if found.peak_bytes is None else f"{found.peak_bytes / 1e9:.2f} GB at most")]


def _duration(seconds: float) -> str:
    """E.g. 2 h 05 min."""
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes // 60} h {minutes % 60:02} min"
