"""The steps before the stages: encoders, language model and mining of a model that is trained from nothing.

Each is a `Task`: a module whose forward gives its loss, what of it trains, its samples by number, and what it leaves.
"""

from collections.abc import Callable

from ..recipe import Pretraining
from .encoders import high_res_encoder, low_res_encoder
from .language import language
from .mining import mining
from .task import Task

TASKS: dict[str, Callable[[Pretraining], Task]] = {
    "low-res-encoder": low_res_encoder,
    "high-res-encoder": high_res_encoder,
    "language": language,
    "mining": mining,
}
"""What makes a recipe's task, by its name."""

__all__ = ["TASKS", "Task"]
