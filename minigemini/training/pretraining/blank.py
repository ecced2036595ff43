"""Nano before it has learnt anything: its sizes, its tokenizer, random weights."""

import copy

import torch
from transformers import LlamaConfig, PreTrainedTokenizerBase

from ...model import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from ...model.chat_templates import CHAT_TEMPLATES
from .encoders import HIGH_RES_CONFIG, LOW_RES_CONFIG
from .tokenizer import IMAGE, build_tokenizer

ANSWER_TOKENS = 64
"""Most tokens of an answer, unless asked for otherwise."""


def nano_config(tokenizer: PreTrainedTokenizerBase, with_mining: bool = True) -> MiniGeminiConfig:
    """Nano's geometry keeps the paper's ratios: 32 pixels and 8 x 8 high-resolution positions per patch."""
    return MiniGeminiConfig(
        vision_config=copy.deepcopy(LOW_RES_CONFIG),
        high_res_vision_config=copy.deepcopy(HIGH_RES_CONFIG) if with_mining else None,
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=256,
            intermediate_size=704,
            num_hidden_layers=8,
            num_attention_heads=8,
            num_key_value_heads=8,
            max_position_embeddings=1024,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            tie_word_embeddings=True,
        ),
        high_res_size=256,
        vision_feature_layer=-1,
        image_token_id=tokenizer.get_vocab()[IMAGE],
    )


def blank_model(seed: int, with_mining: bool = True) -> tuple[MiniGeminiForConditionalGeneration, MiniGeminiProcessor]:
    """Nano with random weights, and its processor."""
    tokenizer = build_tokenizer()
    config = nano_config(tokenizer, with_mining)
    torch.manual_seed(seed)
    model = MiniGeminiForConditionalGeneration(config)
    model.generation_config.max_new_tokens = ANSWER_TOKENS
    return model, MiniGeminiProcessor.from_config(config, tokenizer, chat_template=CHAT_TEMPLATES["nano"])
