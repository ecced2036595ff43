"""The task of every pretraining recipe, by its name."""

from collections.abc import Callable

from minigemini.training.settings import RecipeError

from .encoder_pair import encoder_pair
from .pretraining_recipe import Pretraining
from .pretraining_task import PretrainingTask


def _image_generator(recipe: Pretraining) -> PretrainingTask:
    """Return the image generator's task; raises `RecipeError` if diffusers is missing."""
    try:
        from ..image_generator.training import generator_task
    except ModuleNotFoundError as error:
        if error.name != "diffusers":
            raise
        raise RecipeError(f"{recipe.name} needs diffusers: pip install 'minigemini[draw]'") from None
    return generator_task(recipe)


def _language_with_labels(recipe: Pretraining) -> PretrainingTask:
    from ..nano.language_task import language_with_labels

    return language_with_labels(recipe)


def _alignment_with_labels(recipe: Pretraining) -> PretrainingTask:
    from ..nano.alignment_task import alignment_with_labels

    return alignment_with_labels(recipe)


TASKS: dict[str, Callable[[Pretraining], PretrainingTask]] = {
    "encoders": encoder_pair,
    "language-with-labels": _language_with_labels,
    "alignment-with-labels": _alignment_with_labels,
    "painter": _image_generator,
}
"""Functions that build the task of a recipe, by `Pretraining.task`."""
