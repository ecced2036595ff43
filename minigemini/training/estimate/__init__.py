"""What a run will take, said before it begins: read off headers where that is enough, measured on a few steps.

`counting` weighs parameters without their values, `measuring` runs a few steps, `making` puts both into the plan that
`showing` has people read.
"""

from .plan import make_plan
from .plan_text import RunPlan

__all__ = ["RunPlan", "make_plan"]
