"""A nano model with random weights: its configuration, tokenizer and processor."""

import torch
from transformers import LlamaConfig, PreTrainedTokenizerBase

from minigemini.modeling import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.modeling.chat_templates import CHAT_TEMPLATES

from .encoders import low_res_config
from .high_res_configs import high_res_config
from .pretraining_recipe import LOW_RES_SIZE_PX, Pretraining
from .tokenizer import IMAGE, build_tokenizer

ANSWER_TOKENS = 64
"""Default maximum number of new tokens."""


def nano_config(recipe: Pretraining, tokenizer: PreTrainedTokenizerBase, with_mining: bool = True) -> MiniGeminiConfig:
    """Return the configuration of a recipe's sizes.

    The defaults keep the paper's ratios: 32 pixels and 8 x 8 high-resolution positions per patch.
    """
    return MiniGeminiConfig(
        vision_config=low_res_config(recipe.low_res_width, recipe.low_res_layers),
        high_res_vision_config=high_res_config(recipe.high_res_width, recipe.high_res_kind) if with_mining else None,
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.text_width,
            # Llama's 2/3 of four times the width (arXiv 2302.13971), rounded up to a multiple of 16.
            intermediate_size=-(-recipe.text_width * 8 // 48) * 16,
            num_hidden_layers=recipe.text_layers,
            num_attention_heads=recipe.text_width // 32,
            num_key_value_heads=recipe.text_width // 32,
            max_position_embeddings=1024,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            tie_word_embeddings=True,
        ),
        high_res_size=recipe.high_res_size,
        vision_image_size=None if recipe.low_res_size == LOW_RES_SIZE_PX else recipe.low_res_size,
        vision_feature_layer=-1,
        image_token_id=tokenizer.get_vocab()[IMAGE],
    )


def init_model(
    recipe: Pretraining, with_mining: bool = True
) -> tuple[MiniGeminiForConditionalGeneration, MiniGeminiProcessor]:
    """Build a model of a recipe's sizes with random weights, and its processor."""
    tokenizer = build_tokenizer()
    config = nano_config(recipe, tokenizer, with_mining)
    torch.manual_seed(recipe.seed)
    model = MiniGeminiForConditionalGeneration(config)
    model.generation_config.max_new_tokens = ANSWER_TOKENS
    return model, MiniGeminiProcessor.from_config(config, tokenizer, chat_template=CHAT_TEMPLATES["nano"])
