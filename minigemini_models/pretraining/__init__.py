"""The steps before the stages: encoders, language model and mining of a model that is trained from nothing.

Each is a `Task`: a module whose forward gives its loss, what of it trains, its samples by number, and what it leaves.
"""

from collections.abc import Callable

from minigemini.training.settings import RecipeError

from .alignment import mining
from .encoders import high_res_encoder, low_res_encoder
from .language import language
from .pretraining_recipe import Pretraining
from .pretraining_task import PretrainingTask


def _painter(recipe: Pretraining) -> PretrainingTask:
    """The painter's. Raises `RecipeError` without diffusers."""
    try:
        from ..image_generator.training import generator_task
    except ModuleNotFoundError as error:
        if error.name != "diffusers":
            raise
        raise RecipeError(f"{recipe.name} needs diffusers: pip install 'minigemini[draw]'") from None
    return generator_task(recipe)


TASKS: dict[str, Callable[[Pretraining], PretrainingTask]] = {
    "low-res-encoder": low_res_encoder,
    "high-res-encoder": high_res_encoder,
    "language": language,
    "mining": mining,
    "generator_task": _painter,
}
"""What makes a recipe's task, by its name."""

__all__ = ["TASKS", "PretrainingTask"]
