"""An exported model with Transformers' `generate`, for `Engine`."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithPast

from ..io.checkpoint_settings import check_generation
from ..io.errors import CheckpointError, one_line
from ..io.exported_files import EMBEDDINGS, VISION
from ..io.untrusted import read_json
from ..modeling import MiniGeminiConfig
from ..modeling.model import MiniGeminiPreTrainedModel
from ..modeling.outputs import CACHE
from ..modeling.token_pooling import pool_tokens
from .exported_runtimes import DecoderCache, Runtime


class ExportedModel(MiniGeminiPreTrainedModel, GenerationMixin):
    """Computes logits with the graphs of an exported model. It has no parameters.

    Args:
        config: The config of the checkpoint.
        generation_config: That of the checkpoint.
        runtime: Runs the graphs.
    """

    def __init__(self, config: MiniGeminiConfig, generation_config: GenerationConfig, runtime: Runtime) -> None:
        super().__init__(config)
        self.generation_config, self.runtime = generation_config, runtime

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of inputs and logits."""
        return torch.float32

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        """`forward` makes the cache."""
        return False

    @torch.no_grad()
    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        high_res_pixel_values: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        image_token_pooling: Tensor | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Compute logits of the next tokens. Arguments and errors are those of `MiniGeminiForConditionalGeneration`.

        What `generate` passes beside them is left out: logits are those of all positions.
        """
        cache: DecoderCache = kwargs.get(CACHE) or self.runtime.start()
        embeds = self.runtime.run(EMBEDDINGS, {"input_ids": input_ids})
        if pixel_values is not None:
            tokens: Any = self._visual_tokens(pixel_values, high_res_pixel_values, image_token_pooling)
            mask = input_ids == self.config.image_token_id
            if int(mask.sum()) != len(tokens):
                raise ValueError(
                    f"the text has {int(mask.sum())} image tokens, but the images have {len(tokens)}: use the model's "
                    "own processor."
                )
            embeds[mask] = tokens
        if attention_mask is None:
            attention_mask = torch.ones(len(embeds), cache.length + embeds.shape[1], dtype=torch.long)
        if position_ids is None:
            position_ids = (attention_mask.cumsum(-1) - 1).clamp(min=0)[:, -embeds.shape[1] :]
        inputs = {"inputs_embeds": embeds, "attention_mask": attention_mask, "position_ids": position_ids}
        logits = cache.decode({name: tensor.contiguous() for name, tensor in inputs.items()})
        outputs: Any = {"logits": logits, CACHE: cache}
        return CausalLMOutputWithPast(**outputs)

    def _visual_tokens(self, low_res: Tensor, high_res: Tensor | None, pooling: Tensor | None) -> Tensor:
        """Encode images (B, 3, …): (tokens, D)."""
        pixels = {"pixel_values": low_res} | ({} if high_res is None else {"high_res_pixel_values": high_res})
        tokens = self.runtime.run(VISION, pixels)
        if pooling is not None:
            return torch.cat(pool_tokens(tokens, pooling, self.config.patches_per_side))
        return tokens.flatten(0, 1)


def load_generation_config(folder: Path, config: MiniGeminiConfig) -> GenerationConfig:
    """Load generation_config.json.

    Raises:
        CheckpointError: It is missing or invalid.
    """
    read_json(folder / "generation_config.json", str(folder))
    try:
        generation = GenerationConfig.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # noqa: BLE001 (values of a wrong type can fail anywhere)
        raise CheckpointError(f"{folder}: generation_config.json is not valid: {one_line(error)}") from None
    check_generation(generation, config, str(folder))
    return generation
