"""The published models as data; every difference between them is in these tables."""

from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedTokenizerBase

from ..inference.model_report import ModelReport, describe
from ..io.checkpoint import StoredTensor
from ..io.errors import CheckpointError
from ..io.loading import stored_layout
from ..modeling import MiniGeminiConfig
from ..modeling.chat_templates import CHAT_TEMPLATES
from ..modeling.configuration import CLIP_VIT_L_14_336, CONVNEXT_L
from .config_fields import published_config


@dataclass(frozen=True)
class KnownEncoder:
    """An encoder that published configs identify by the last part of a path."""

    hub_id: str
    fields: dict[str, Any]
    """Config, used when the checkpoint itself contains the weights."""


ENCODERS = {
    "clip-vit-large-patch14-336": KnownEncoder("openai/clip-vit-large-patch14-336", CLIP_VIT_L_14_336),
    "openclip-convnext-large-d-320-laion2B-s29B-b131K-ft-soup": KnownEncoder(
        "laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup", CONVNEXT_L
    ),
}


@dataclass(frozen=True)
class LanguageModel:
    """A base language model of the paper, with its fields in the published config."""

    hub_id: str
    chat_format: str
    fields: dict[str, Any]


_LLAMA_2 = {
    "model_type": "mgm",
    "hidden_act": "silu",
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "vocab_size": 32000,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
LANGUAGE_MODELS = {
    "2B": LanguageModel(
        "google/gemma-2b-it",
        "gemma",
        {
            "model_type": "mgm_gemma",
            "hidden_act": "gelu",
            "hidden_size": 2048,
            "intermediate_size": 16384,
            "num_hidden_layers": 18,
            "num_attention_heads": 8,
            "num_key_value_heads": 1,
            "head_dim": 256,
            "max_position_embeddings": 8192,
            "rms_norm_eps": 1e-6,
            "vocab_size": 256000,
            "bos_token_id": 2,
            "eos_token_id": 1,
            "pad_token_id": 0,
        },
    ),
    "7B": LanguageModel(
        "lmsys/vicuna-7b-v1.5",
        "vicuna",
        {
            **_LLAMA_2,
            "hidden_size": 4096,
            "intermediate_size": 11008,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
        },
    ),
    "13B": LanguageModel(
        "lmsys/vicuna-13b-v1.5",
        "vicuna",
        {
            **_LLAMA_2,
            "hidden_size": 5120,
            "intermediate_size": 13824,
            "num_hidden_layers": 40,
            "num_attention_heads": 40,
            "num_key_value_heads": 40,
        },
    ),
    "8B": LanguageModel(
        "meta-llama/Meta-Llama-3-8B-Instruct",
        "llama-3",
        {
            **_LLAMA_2,
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "max_position_embeddings": 8192,
            "rope_theta": 500000.0,
            "vocab_size": 128256,
            "bos_token_id": 128000,
            "eos_token_id": 128001,
            "pad_token_id": None,
        },
    ),
    "8x7B": LanguageModel(
        "mistralai/Mixtral-8x7B-Instruct-v0.1",
        "mistral",
        {
            **_LLAMA_2,
            "model_type": "mgm_mixtral",
            "hidden_size": 4096,
            "intermediate_size": 14336,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "num_local_experts": 8,
            "num_experts_per_tok": 2,
            "max_position_embeddings": 32768,
            "rope_theta": 1000000.0,
            "sliding_window": None,
            "pad_token_id": None,
        },
    ),
    "34B": LanguageModel(
        "NousResearch/Nous-Hermes-2-Yi-34B",
        "chatml",
        {
            **_LLAMA_2,
            "hidden_size": 7168,
            "intermediate_size": 20480,
            "num_hidden_layers": 60,
            "num_attention_heads": 56,
            "num_key_value_heads": 8,
            "rope_theta": 5000000.0,
            "vocab_size": 64000,
            "eos_token_id": 7,
        },
    ),
}
_VISION_FIELDS = {
    "mm_hidden_size": 1024,
    "mm_hidden_size_aux": 2880,
    "mm_projector_type": "mlp2x_gelu",
    "mm_use_im_patch_token": False,
    "mm_use_im_start_end": False,
    "mm_vision_select_feature": "patch",
    "mm_vision_select_layer": -2,
    "mm_vision_tower": "model_zoo/OpenAI/clip-vit-large-patch14-336",
    "mm_vision_tower_aux": "model_zoo/OpenAI/openclip-convnext-large-d-320-laion2B-s29B-b131K-ft-soup",
    "optimize_vision_tower": False,
    "optimize_vision_tower_aux": False,
    "image_aspect_ratio": "pad",
    "torch_dtype": "bfloat16",
}
_NORMAL = {"image_size_aux": 768, "image_grid": 1, "image_global": False, "tokenizer_model_max_length": 2048}
_HD = {"image_size_aux": 1536, "image_grid": 2, "image_global": True, "tokenizer_model_max_length": 4096}


@dataclass(frozen=True)
class Published:
    """A published model: the fields of its `config.json` that affect computation."""

    language_model: LanguageModel
    tiling: dict[str, Any] = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, Any]:
        """Fields of the published config."""
        return {**self.language_model.fields, **_VISION_FIELDS, **self.tiling}

    def config(self) -> MiniGeminiConfig:
        """Return the config in our format."""
        convnext = {name: CONVNEXT_L[name] for name in ("hidden_sizes", "depths")}
        return published_config(self.fields, CLIP_VIT_L_14_336, convnext)

    def report(self, name: str) -> ModelReport:
        """Return the report that `minigemini info` prints, without reading weights."""
        config = self.config()
        tensors = {key: StoredTensor("BF16", shape) for key, shape in stored_layout(config).items()}
        return describe(name, config, tensors)


PUBLISHED = {f"MGM-{size}": Published(model, _NORMAL) for size, model in LANGUAGE_MODELS.items()} | {
    f"MGM-{size}-HD": Published(model, _HD) for size, model in LANGUAGE_MODELS.items() if size != "2B"
}
"""The eleven published models by name; their hub ids are `YanweiLi/NAME`."""


# Model type, a token that only the format has (None matches any), chat format. The first match wins.
_FORMATS: list[tuple[str | None, str | None, str]] = [
    ("gemma", None, "gemma"),
    ("mixtral", None, "mistral"),
    ("mistral", None, "mistral"),
    (None, "<|start_header_id|>", "llama-3"),
    (None, "<|im_start|>", "chatml"),
    ("llama", None, "vicuna"),
]


def chat_format_of(text_model_type: str, tokenizer: PreTrainedTokenizerBase, chosen: str | None = None) -> str:
    """Return the chosen chat format, or detect it from the language model's type and tokens.

    Raises:
        CheckpointError: The chosen format does not exist, or none was detected.
    """
    known = ", ".join(CHAT_TEMPLATES)
    if chosen is not None:
        if chosen not in CHAT_TEMPLATES:
            raise CheckpointError(f"chat format {chosen!r} is unknown; use {known}")
        return chosen
    vocabulary = tokenizer.get_vocab()
    for model_type, token, name in _FORMATS:
        if model_type in (None, text_model_type) and (token is None or token in vocabulary):
            return name
    raise CheckpointError(
        f"no chat format is known for a {text_model_type!r} language model; choose with --chat-format: {known}"
    )
