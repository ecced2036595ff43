"""A new model from parts: any causal language model, any CLIP ViT, any ConvNeXt, and what stage 1 trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig

from ..io.errors import CheckpointError, one_line
from ..io.integrity import check_tensor_file
from ..io.loading import stored_layout
from ..io.untrusted import bounded_build, check_numbers, read_json
from ..modeling import MiniGeminiConfig
from ..modeling.model import MiniGeminiProjector
from ..modeling.patch_info_mining import PatchInfoMining
from .base_encoders import high_res_tensors, locate, low_res_tensors, named_by, vision_fields
from .checkpoint_writer import SHARD_BYTES, refuse_existing, write_checkpoint
from .companion_files import CompanionFiles, load_tokenizer
from .config_fields import convnext_fields
from .conversion_plan import ConversionPlan, ConversionReport, choose_dtype
from .foreign_weights import SourceTensor, list_tensors
from .model_card import card
from .published_models import chat_format_of
from .tensor_names import STAGE_1_KEYS


@dataclass(frozen=True)
class Geometry:
    """How pictures are cut; the defaults are the paper's normal setting, `HD` its high-resolution one."""

    high_res_size: int = 768
    grid_size: int = 1
    use_global_tile: bool = False
    projector_depth: int = 2


HD = Geometry(high_res_size=1536, grid_size=2, use_global_tile=True)


def assemble(
    llm: str,
    low_res_encoder: str,
    high_res_encoder: str,
    folder: Path,
    *,
    stage1: Path | None = None,
    geometry: Geometry = Geometry(),
    dtype: str | None = None,
    chat_format: str | None = None,
    seed: int = 0,
    shard_bytes: int = SHARD_BYTES,
) -> ConversionReport:
    """Put a model together. Mining and the projector come from stage 1, or are initialised.

    Args:
        llm: folder or hub id of a causal language model of Transformers.
        low_res_encoder: folder or hub id of a CLIP model.
        high_res_encoder: folder or hub id of a ConvNeXt of OpenCLIP, timm or Transformers.
        folder: to make; it appears whole or not at all.
        stage1: a published `mm_projector.bin`, or the small parts by our names as safetensors. Encoder weights in it,
            tuned ones, win over the base encoders'.
        geometry: how pictures are cut.
        dtype: of the weights; by itself the language model's.
        chat_format: a name in `CHAT_TEMPLATES`; by itself the one that fits the language model.
        seed: of what is initialised.
        shard_bytes: largest shard; memory holds one.

    Raises:
        CheckpointError: A part is missing, broken, of another kind, or does not fit the others.
    """
    refuse_existing(folder)
    if stage1 is not None and not stage1.is_file():
        raise CheckpointError(f"{stage1}: no such file; name what stage 1 trained, e.g. mm_projector.bin")
    if stage1 is not None and stage1.suffix == ".safetensors":
        check_tensor_file(stage1)
    llm_folder, vit, convnext = locate(llm), locate(low_res_encoder), locate(high_res_encoder)
    text_config, vision = _text_config(llm_folder), vision_fields(vit)
    stored_as = choose_dtype(dtype or str(text_config.dtype or "float32").removeprefix("torch."))
    tensors: dict[str, SourceTensor] = _language_model(llm_folder, text_config)
    unused: dict[str, str] = {}
    parts = [low_res_tensors(vit), high_res_tensors(convnext)]
    parts += [named_by(stage1, STAGE_1_KEYS, "parts that stage 1 trains")] if stage1 is not None else []
    for found, left in parts:
        tensors.update(found)
        unused.update(left)
    tokenizer: Any = load_tokenizer(llm_folder)
    high_res = convnext_fields((name, tensor.shape) for name, tensor in tensors.items())
    config = _config(text_config, vision, high_res, geometry, tokenizer.convert_tokens_to_ids("<image>"))
    stored_layout(config, tensors, "the parts")  # before anything takes memory by what their configs say
    made = {} if stage1 is not None else initial_connector(config, seed)
    plan = ConversionPlan(config, {**tensors, **made}, unused)
    plan.settle()
    chosen = chat_format_of(text_config.model_type, tokenizer, chat_format)
    description = CompanionFiles(
        config,
        tokenizer,
        chosen,
        do_pad=chosen != "plain",
        card=card(
            folder.name, _origin(llm, low_res_encoder, high_res_encoder, stage1), config, {"chat format": chosen}
        ),
    )
    write_checkpoint(plan, folder, stored_as, lambda aside: description.write(aside, stored_as), shard_bytes)
    return ConversionReport.of(plan, folder, chosen, stored_as)


def initial_connector(config: MiniGeminiConfig, seed: int) -> dict[str, Tensor]:
    """Initialise mining and the projector as torch does, like the original: uniform, bound by 1 / sqrt(channels)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = config.high_res_vision_config.hidden_sizes
        parts = {
            "patch_info_mining": PatchInfoMining(config.vision_config.hidden_size, widths, eps=config.mining_eps),
            "multi_modal_projector": MiniGeminiProjector(config),
        }
    return {f"model.{part}.{name}": x for part, module in parts.items() for name, x in module.state_dict().items()}


def _text_config(folder: Path) -> PreTrainedConfig:
    check_numbers(read_json(folder / "config.json", f"{folder}: not a language model of Transformers"), str(folder))
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 (a value of a wrong type fails wherever it is first used)
        raise CheckpointError(f"{folder}: not a language model of Transformers ({one_line(error)})") from None
    if getattr(config, "quantization_config", None) is not None:
        raise CheckpointError(f"{folder}: quantised; give the original weights, and quantise when loading")
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise CheckpointError(f"{folder}: a {config.model_type!r} is no causal language model; give one")
    return config


def _language_model(folder: Path, config: PreTrainedConfig) -> dict[str, SourceTensor]:
    """List a language model's tensors by our names.

    Raises:
        CheckpointError: It has tensors outside its base model and head.
    """
    stored = list_tensors(folder)
    try:
        with torch.device("meta"), bounded_build(stored, str(folder)):
            model: Any = AutoModelForCausalLM.from_config(config)
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 (a value of a wrong type fails wherever it is first used)
        raise CheckpointError(f"{folder}: config.json describes no model ({one_line(error)}); copy it again") from None
    head = next((name for name, part in model.named_modules() if part is model.get_output_embeddings()), None)
    base = f"{model.base_model_prefix}."
    ours: dict[str, SourceTensor] = {}
    for key, tensor in stored.items():
        if key == f"{head}.weight":
            ours["lm_head.weight"] = tensor
        elif key.startswith(base):
            ours[f"model.language_model.{key.removeprefix(base)}"] = tensor
        elif not key.endswith(".rotary_emb.inv_freq"):
            ours[f"model.language_model.{key}"] = tensor  # stored without the head, as a base model
    return ours


def _config(
    text_config: PreTrainedConfig,
    vision: Mapping[str, Any],
    high_res: Mapping[str, Any],
    geometry: Geometry,
    image_token_id: int,
) -> MiniGeminiConfig:
    try:
        return MiniGeminiConfig(
            vision_config=dict(vision),
            high_res_vision_config={**high_res, "model_type": "convnext", "drop_path_rate": 0.1},
            text_config=text_config,
            high_res_size=geometry.high_res_size,
            grid_size=geometry.grid_size,
            use_global_tile=geometry.use_global_tile,
            projector_depth=geometry.projector_depth,
            image_token_id=image_token_id,
        )
    except Exception as error:  # noqa: BLE001 (a value of a wrong type fails wherever it is first used)
        raise CheckpointError(f"the parts do not fit together: {one_line(error)}") from None


def _origin(llm: str, low_res_encoder: str, high_res_encoder: str, stage1: Path | None) -> str:
    small = f"come from `{stage1.name}`" if stage1 is not None else "are initialised and have to be trained"
    return (
        f"Put together from the language model `{llm}`, the low-resolution encoder `{low_res_encoder}` and the "
        f"high-resolution encoder `{high_res_encoder}`; mining and the projector {small}."
    )
