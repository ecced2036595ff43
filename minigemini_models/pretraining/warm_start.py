"""Initialize parts of a model from a checkpoint instead of random weights."""

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
    """Load parts from the recipe's `init_from` checkpoint; without one they stay unchanged.

    Args:
        parts: modules by their names in `MiniGeminiModel`.
        recipe: has the checkpoint in `init_from`.
        tokenizer: tokenizer of the language model, if that is among the parts. Embeddings of tokens that the checkpoint
            lacks are the mean of those that spell them.

    Raises:
        RecipeError: the checkpoint is missing or has other sizes.
    """
    if recipe.init_from is None:
        return
    try:
        source = find_model_source(recipe.init_from)
        config = load_config(source.folder)
        source_model = load_model(source.folder, config, Placement(torch.device("cpu"), torch.float32))
        theirs: Any = load_processor(source.folder, config)
    except (CheckpointError, RequestError) as error:
        raise RecipeError(f"{recipe.name}: init_from {error}") from None
    for name, module in parts.items():
        weights = _weights(source_model, name, recipe)
        if tokenizer is not None and _ROWS in weights:
            weights[_ROWS] = initialize_embeddings(weights[_ROWS], theirs.tokenizer, tokenizer)
        try:
            module.load_state_dict(weights)
        except RuntimeError:
            raise RecipeError(
                f"{recipe.name}: {name} of {recipe.init_from} has another size; set its own (low_res_width, "
                "high_res_width, text_layers, …) or init_from=none"
            ) from None


def _weights(source_model: MiniGeminiForConditionalGeneration, part: str, recipe: Pretraining) -> dict[str, Tensor]:
    module = getattr(source_model.model, part)
    if module is None:
        raise RecipeError(f"{recipe.name}: {recipe.init_from} has no {part}; set another init_from")
    return dict(module.state_dict())


def initialize_embeddings(rows: Tensor, theirs: PreTrainedTokenizerBase, ours: PreTrainedTokenizerBase) -> Tensor:
    """Return embeddings (V, C) for `ours`: rows of equal tokens in `theirs`, or means of those that spell a token."""
    known = theirs.get_vocab()

    def row(token: str) -> Tensor:
        if token in known:
            return rows[known[token]]
        return rows[theirs(ours.convert_tokens_to_string([token]), add_special_tokens=False).input_ids].mean(0)

    return torch.stack([row(token) for token in ours.convert_ids_to_tokens(list(range(len(ours))))])
