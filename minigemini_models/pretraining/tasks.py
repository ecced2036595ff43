"""The task of every pretraining recipe, by its name."""

from collections.abc import Callable

from minigemini.training.settings import RecipeError

from .alignment import mining
from .encoder_pair import encoder_pair
from .encoders import high_res_encoder, low_res_encoder
from .language import language
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
    "low-res-encoder": low_res_encoder,
    "high-res-encoder": high_res_encoder,
    "language": language,
    "language-with-labels": _language_with_labels,
    "alignment-with-labels": _alignment_with_labels,
    "mining": mining,
    "painter": _image_generator,
}
"""Functions that build the task of a recipe, by `Pretraining.task`."""
