"""Estimates the steps, time and memory of a run before it starts.

`parameter_counts` counts parameters without reading weights, `probe_steps` runs a few steps, `plan` combines both, and
`plan_text` formats the result.
"""

from .plan import make_plan
from .plan_text import RunPlan

__all__ = ["RunPlan", "make_plan"]
