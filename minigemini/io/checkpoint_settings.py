"""Validates the processor and generation config of a checkpoint."""

import math
from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from transformers import GenerationConfig

from ..modeling import MiniGeminiConfig, MiniGeminiProcessor
from .errors import CheckpointError, RequestError, one_line
from .untrusted import panics_as_errors

_MAX_TOKENS = 2**31


def check_processor(processor: MiniGeminiProcessor, config: MiniGeminiConfig, name: str) -> None:
    """Check that a processor matches the model, and that it can prepare a question about a small image.

    Raises:
        CheckpointError: The processor does not match, or fails.
    """
    if not isinstance(processor.chat_template, str):
        raise CheckpointError(f"{name}: several chat templates, or none; keep one chat_template.jinja")
    tiling = (processor.patch_size, processor.grid_size, processor.use_global_tile)
    if [type(value) for value in tiling] != [int, int, bool] or min(tiling[:2]) < 1:
        raise CheckpointError(
            f"{name}: processor_config.json has patch_size, grid_size and use_global_tile {tiling}, which are "
            "not valid; copy the file again"
        )
    if processor.image_processor.max_tiles != config.max_tiles:
        raise CheckpointError(
            f"{name}: the image processor has max_tiles {processor.image_processor.max_tiles}, but config.json "
            f"{config.max_tiles}; use files that were saved together"
        )
    theirs = (processor.num_image_tokens, processor.image_token_id)
    ours = (config.num_image_tokens, config.image_token_id)
    if theirs != ours:
        raise CheckpointError(
            f"{name}: the processor makes {theirs[0]} tokens of id {theirs[1]} per image, but config.json expects "
            f"{ours[0]} of id {ours[1]}; use files that were saved together"
        )
    image_processor = processor.image_processor
    for field, wanted in {
        "size": {"height": config.low_res_size, "width": config.low_res_size},
        "high_res_size": {"height": config.high_res_size, "width": config.high_res_size},
    }.items():
        found = getattr(image_processor, field)
        if {side: found[side] for side in wanted} != wanted:
            raise CheckpointError(
                f"{name}: the image processor's {field} is {dict(found)}, but config.json expects {wanted}; use "
                "files that were saved together"
            )
    for field, wanted_values in {
        "image_mean": config.high_res_image_mean,
        "image_std": config.high_res_image_std,
        "low_res_image_mean": config.low_res_image_mean,
        "low_res_image_std": config.low_res_image_std,
    }.items():
        values = getattr(image_processor, field)
        if wanted_values is not None and (values is None or list(values) != list(wanted_values)):
            raise CheckpointError(
                f"{name}: the image processor's {field} is {values}, but config.json takes {list(wanted_values)}; use "
                "the files that were saved together"
            )
    _try(processor, config, name)


def _try(processor: MiniGeminiProcessor, config: MiniGeminiConfig, name: str) -> None:
    """Prepare a question about a small non-square image."""
    content = [{"type": "image", "image": Image.new("RGB", (3, 2))}, {"type": "text", "text": "a"}]
    try:
        with panics_as_errors():
            inputs: Any = processor.apply_chat_template(
                [{"role": "user", "content": content}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        for key, side in (("pixel_values", config.low_res_size), ("high_res_pixel_values", config.high_res_size)):
            if inputs[key].shape != (1, 3, side, side) or not torch.isfinite(inputs[key]).all():
                raise ValueError(f"{key} are {list(inputs[key].shape)}, or not finite")
        # So small an image has a single tile in its native shape.
        tokens = config.num_image_tokens if config.max_tiles is None else config.patches_per_side**2
        if int((inputs["input_ids"] == config.image_token_id).sum()) != tokens:
            raise ValueError("the chat template omits the image, or repeats it")
        check_tokens(inputs["input_ids"], config)
    except Exception as error:  # noqa: BLE001 (values of a wrong type can fail anywhere)
        raise CheckpointError(
            f"{name}: cannot process a question about an image ({type(error).__name__}: {one_line(error)}); copy "
            "tokenizer, processor and chat template to the folder again"
        ) from None


def check_tokens(ids: torch.Tensor, config: MiniGeminiConfig) -> None:
    """Check that all tokens except the image token are in the language model's vocabulary.

    Raises:
        RequestError: A token is outside the vocabulary.
    """
    highest, vocabulary = int(ids.masked_fill(ids == config.image_token_id, 0).max()), config.text_config.vocab_size
    if highest >= vocabulary:
        raise RequestError(f"the text contains token {highest}, but the language model has {vocabulary}; remove it")


def check_generation(generation: GenerationConfig, config: MiniGeminiConfig, name: str) -> None:
    """Check a generation config. Only fields that are known to be safe may be set.

    Raises:
        CheckpointError: A field is not allowed, or its value is invalid.
    """
    vocabulary = config.text_config.vocab_size

    def is_token(value: Any) -> bool:
        return _is_count(value) and value < vocabulary

    checks = _CHECKS | dict.fromkeys(("bos_token_id", "pad_token_id", "eos_token_id"), is_token)
    checks["eos_token_id"] = lambda value: is_token(value) or _is_list(value, is_token)
    checks |= dict.fromkeys(("suppress_tokens", "begin_suppress_tokens"), lambda value: _is_list(value, is_token))
    checks["bad_words_ids"] = lambda value: _is_list(value, lambda words: bool(words) and _is_list(words, is_token))
    for field, value in generation.to_diff_dict().items():
        if value is None or field in _METADATA_FIELDS:
            continue
        if field not in checks:
            raise CheckpointError(f"{name}: generation_config.json sets {field}, which is not used here; remove it")
        if not checks[field](value):
            raise CheckpointError(
                f"{name}: generation_config.json has {field} {str(value)[:80]!r}, which is not valid; correct it, or "
                "copy the file again"
            )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_TOKENS


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_list(value: Any, is_one: Callable[[Any], bool]) -> bool:
    return isinstance(value, list | tuple) and len(value) <= 2**20 and all(map(is_one, value))


_METADATA_FIELDS = frozenset(("_from_model_config", "_commit_hash", "transformers_version"))
_CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("max_new_tokens", "max_length", "min_length", "min_new_tokens", "top_k"), _is_count),
    **dict.fromkeys(("no_repeat_ngram_size", "encoder_no_repeat_ngram_size"), _is_count),
    **dict.fromkeys(("temperature", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff"), _is_number),
    **dict.fromkeys(("length_penalty", "max_time"), _is_number),
    **dict.fromkeys(("repetition_penalty",), lambda value: _is_number(value) and value > 0),
    **dict.fromkeys(("do_sample", "use_cache", "renormalize_logits", "early_stopping"), lambda x: isinstance(x, bool)),
    **dict.fromkeys(("remove_invalid_values",), lambda value: isinstance(value, bool)),
    # These would change the return value of `generate`.
    **dict.fromkeys(("output_attentions", "output_hidden_states", "output_scores"), lambda value: value is False),
    **dict.fromkeys(("output_logits", "return_dict_in_generate", "is_assistant"), lambda value: value is False),
    **dict.fromkeys(("num_beams", "num_return_sequences", "num_beam_groups"), lambda value: value == 1),
    # Set by Gemma and others; these caches need no other code.
    "cache_implementation": lambda value: value in ("dynamic", "hybrid", "static", "sliding_window"),
}
