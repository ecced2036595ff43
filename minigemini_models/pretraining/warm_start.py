"""Parts that begin with those of a checkpoint, which has learnt something already, and not with random weights."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from minigemini.io.adapters import find_model_source
from minigemini.io.errors import CheckpointError, RequestError
from minigemini.io.loading import load_config, load_model, load_processor
from minigemini.io.placement import Placement
from minigemini.modeling import MiniGeminiForConditionalGeneration
from minigemini.training.settings import RecipeError

from .pretraining_recipe import Pretraining

_ROWS = "embed_tokens.weight"


def warm_start(
    parts: dict[str, nn.Module], recipe: Pretraining, tokenizer: PreTrainedTokenizerBase | None = None
) -> None:
    """Load the parts of the checkpoint that a recipe begins with; without one they stay as they are.

    Args:
        parts: modules by their names in `MiniGeminiModel`.
        recipe: names the checkpoint.
        tokenizer: of a language model among them. Its tokens begin as the checkpoint's own do, and those that are new
            to it as the mean of what its tokenizer makes of them.

    Raises:
        RecipeError: There is no such checkpoint, or it is of another size.
    """
    if recipe.init_from is None:
        return
    try:
        source = find_model_source(recipe.init_from)
        config = load_config(source.folder)
        learnt = load_model(source.folder, config, Placement(torch.device("cpu"), torch.float32))
        theirs: Any = load_processor(source.folder, config)
    except (CheckpointError, RequestError) as error:
        raise RecipeError(f"{recipe.name}: init_from {error}") from None
    for name, module in parts.items():
        weights = _weights(learnt, name, recipe)
        if tokenizer is not None and _ROWS in weights:
            weights[_ROWS] = spelt(weights[_ROWS], theirs.tokenizer, tokenizer)
        try:
            module.load_state_dict(weights)
        except RuntimeError:
            raise RecipeError(
                f"{recipe.name}: {name} of {recipe.init_from} is of another size; give its own (low_res_width, "
                "high_res_width, text_layers, …), or init_from=none"
            ) from None


def _weights(learnt: MiniGeminiForConditionalGeneration, part: str, recipe: Pretraining) -> dict[str, Tensor]:
    module = getattr(learnt.model, part)
    if module is None:
        raise RecipeError(f"{recipe.name}: {recipe.init_from} has no {part}; give another init_from")
    return dict(module.state_dict())


def spelt(rows: Tensor, theirs: PreTrainedTokenizerBase, ours: PreTrainedTokenizerBase) -> Tensor:
    """Embeddings (V, C) of our tokens: the row of theirs that is the same, else the mean of those that spell it."""
    known = theirs.get_vocab()

    def row(token: str) -> Tensor:
        if token in known:
            return rows[known[token]]
        return rows[theirs(ours.convert_tokens_to_string([token]), add_special_tokens=False).input_ids].mean(0)

    return torch.stack([row(token) for token in ours.convert_ids_to_tokens(list(range(len(ours))))])
