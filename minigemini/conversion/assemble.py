"""Assemble a model from a causal language model, image encoders and, optionally, a trained connector."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig
from transformers.core_model_loading import revert_weight_conversion

from ..io.errors import CheckpointError, one_line
from ..io.integrity import check_tensor_file
from ..io.loading import empty_model
from ..io.untrusted import bounded_build, check_numbers, read_json
from ..modeling import MiniGeminiConfig
from ..modeling.model import build_projector
from ..modeling.native_shape import DEFAULT_MAX_TILES
from ..modeling.patch_info_mining import PatchInfoMining
from .base_encoders import locate, named_by
from .checkpoint_writer import SHARD_BYTES, refuse_existing, write_checkpoint
from .companion_files import CompanionFiles, load_tokenizer
from .conversion_plan import ConversionPlan, ConversionReport, Source, choose_dtype
from .encoder_sources import CLIP_STATISTICS, EncoderSource, low_res_source, mixture_source
from .foreign_weights import SourceTensor, list_tensors
from .language_models import base_of, refusal
from .model_card import card
from .published_models import chat_format_of
from .tensor_names import STAGE_1_KEYS


@dataclass(frozen=True)
class Tiling:
    """Image size and tiling; the defaults are the paper's normal setting, `HD` its high-resolution setting.

    Args:
        high_res_size: Side of the high-resolution image in pixels.
        tile_size: Side of a low-resolution tile in pixels; None is the size that the encoder was trained with.
        grid_size, use_global_tile, max_tiles, projector_depth, vision_feature_layer: As in `MiniGeminiConfig`.
    """

    high_res_size: int = 768
    tile_size: int | None = None
    grid_size: int = 1
    use_global_tile: bool = False
    max_tiles: int | None = None
    projector_depth: int = 2
    vision_feature_layer: int = -2


HD = Tiling(high_res_size=1536, grid_size=2, use_global_tile=True)
NATIVE = Tiling(use_global_tile=True, max_tiles=DEFAULT_MAX_TILES)


def assemble(
    llm: str,
    low_res_encoder: str,
    high_res_encoder: str | Sequence[str],
    folder: Path,
    *,
    stage1: Path | None = None,
    tiling: Tiling = Tiling(),
    dtype: str | None = None,
    chat_format: str | None = None,
    seed: int = 0,
    shard_bytes: int = SHARD_BYTES,
) -> ConversionReport:
    """Assemble a model. The connector (mining and projector) is loaded from `stage1`, or initialized.

    Args:
        llm: Folder or hub id of a causal language model of Transformers.
        low_res_encoder: Folder or hub id of an encoder of Transformers, or of a model that contains one.
        high_res_encoder: Folder or hub id of an encoder of Transformers, or of a ConvNeXt of OpenCLIP or timm; several
            are mined as one.
        folder: Folder to write; it appears only when it is complete.
        stage1: A published `mm_projector.bin`, or connector weights under our names as safetensors. Tuned encoder
            weights in it replace those of the base encoders.
        tiling: Image size and tiling.
        dtype: Dtype of the weights. Default: the language model's.
        chat_format: A name in `CHAT_TEMPLATES`. Default: the format of the language model.
        seed: Random seed for initialized weights.
        shard_bytes: Maximum size of a shard, bytes; one shard is held in memory.

    Raises:
        CheckpointError: A part is missing, corrupt or unsupported, or does not fit the others.
    """
    refuse_existing(folder)
    if stage1 is not None and not stage1.is_file():
        raise CheckpointError(f"{stage1}: no such file; give the connector weights from stage 1, e.g. mm_projector.bin")
    if stage1 is not None and stage1.suffix == ".safetensors":
        check_tensor_file(stage1)
    high_res_encoders = [high_res_encoder] if isinstance(high_res_encoder, str) else list(high_res_encoder)
    llm_folder, low_res_folder = locate(llm), locate(low_res_encoder)
    high_res_folders = [locate(encoder) for encoder in high_res_encoders]
    text_config = _text_config(llm_folder)
    low_res = low_res_source(low_res_folder, tiling.vision_feature_layer)
    stored_as = choose_dtype(dtype or str(text_config.dtype or "float32").removeprefix("torch."))
    tensors: dict[str, Source] = dict(_language_model(llm_folder, text_config))
    high_res = mixture_source(high_res_folders)
    tensors |= {**low_res.tensors, **high_res.tensors}
    unused = {**low_res.unused, **high_res.unused}
    if stage1 is not None:
        trained, dropped = named_by(stage1, STAGE_1_KEYS, "parts that stage 1 trains")
        tensors |= trained
        unused |= dropped
    tokenizer: Any = load_tokenizer(llm_folder)
    config = _config(text_config, low_res, high_res, tiling, tokenizer.convert_tokens_to_ids("<image>"))
    model = empty_model(config, tensors, "the parts")  # before memory is allocated from the sizes in their configs
    # Transformers stores some encoders under the names of earlier releases.
    in_memory = {name: source for name, source in tensors.items() if isinstance(source, Tensor)}
    tensors = {name: source for name, source in tensors.items() if name not in in_memory}
    tensors |= revert_weight_conversion(model, in_memory)
    initialized = {} if stage1 is not None else initial_connector(config, seed)
    plan = ConversionPlan(config, {**tensors, **initialized}, unused, loaded=set(tensors))
    plan.finalize()
    chosen = chat_format_of(text_config.model_type, tokenizer, chat_format)
    companions = CompanionFiles(
        config,
        tokenizer,
        chosen,
        do_pad=chosen != "plain",
        card=card(
            folder.name, _origin(llm, low_res_encoder, high_res_encoders, stage1), config, {"chat format": chosen}
        ),
    )
    write_checkpoint(plan, folder, stored_as, lambda partial: companions.write(partial, stored_as), shard_bytes)
    return ConversionReport.of(plan, folder, chosen, stored_as)


def initial_connector(config: MiniGeminiConfig, seed: int) -> dict[str, Tensor]:
    """Initialize mining and projector like the original, with torch's defaults: uniform within 1 / sqrt(channels)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = [stage_map.channels for stage_map in config.high_res_maps]
        parts = {
            "patch_info_mining": PatchInfoMining(config.token_map.channels, widths, eps=config.mining_eps),
            "multi_modal_projector": build_projector(config),
        }
    return {f"model.{part}.{name}": x for part, module in parts.items() for name, x in module.state_dict().items()}


def _text_config(folder: Path) -> PreTrainedConfig:
    check_numbers(read_json(folder / "config.json", f"{folder}: not a language model of Transformers"), str(folder))
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 (a value of the wrong type fails wherever it is first used)
        raise CheckpointError(f"{folder}: not a language model of Transformers ({one_line(error)})") from None
    if getattr(config, "quantization_config", None) is not None:
        raise CheckpointError(
            f"{folder}: quantized weights are not supported; use the original weights, and quantize when loading"
        )
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise CheckpointError(f"{folder}: a {config.model_type!r} is not a causal language model; give one")
    return config


def _language_model(folder: Path, config: PreTrainedConfig) -> dict[str, SourceTensor]:
    """List a language model's tensors under our names.

    Raises:
        CheckpointError: The config does not describe a model, or one that is not supported, or a file is corrupt.
    """
    stored = list_tensors(folder)
    try:
        with torch.device("meta"), bounded_build(stored, str(folder)):
            model: Any = AutoModelForCausalLM.from_config(config)
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 (a value of the wrong type fails wherever it is first used)
        raise CheckpointError(
            f"{folder}: config.json does not describe a model ({one_line(error)}); copy it again"
        ) from None
    if (reason := refusal(model)) is not None:
        raise CheckpointError(f"{folder}: {config.model_type!r} is not supported, because {reason}; give another model")
    head = next((name for name, part in model.named_modules() if part is model.get_output_embeddings()), None)
    base = f"{base_of(model)[0]}."
    ours: dict[str, SourceTensor] = {}
    for key, tensor in stored.items():
        if key == f"{head}.weight":
            ours["lm_head.weight"] = tensor
        elif key.startswith(base):
            ours[f"model.language_model.{key.removeprefix(base)}"] = tensor
        elif not key.endswith(".rotary_emb.inv_freq"):
            ours[f"model.language_model.{key}"] = tensor  # saved as a base model without a head
    return ours


def _config(
    text_config: PreTrainedConfig,
    low_res: EncoderSource,
    high_res: EncoderSource,
    tiling: Tiling,
    image_token_id: int,
) -> MiniGeminiConfig:
    mean, std = (None, None) if high_res.statistics == CLIP_STATISTICS else map(list, high_res.statistics)
    low_mean, low_std = (None, None) if low_res.statistics == high_res.statistics else map(list, low_res.statistics)
    try:
        return MiniGeminiConfig(
            vision_config=low_res.config,
            high_res_vision_config=high_res.config,
            high_res_image_mean=mean,
            high_res_image_std=std,
            low_res_image_mean=low_mean,
            low_res_image_std=low_std,
            vision_image_size=tiling.tile_size,
            vision_feature_layer=tiling.vision_feature_layer,
            text_config=text_config,
            high_res_size=tiling.high_res_size,
            grid_size=tiling.grid_size,
            use_global_tile=tiling.use_global_tile,
            max_tiles=tiling.max_tiles,
            projector_depth=tiling.projector_depth,
            image_token_id=image_token_id,
        )
    except Exception as error:  # noqa: BLE001 (a value of the wrong type fails wherever it is first used)
        raise CheckpointError(f"the parts do not fit together: {one_line(error)}") from None


def _origin(llm: str, low_res_encoder: str, high_res_encoders: Sequence[str], stage1: Path | None) -> str:
    connector = f"loaded from `{stage1.name}`" if stage1 is not None else "initialized, and must be trained"
    encoders = " and ".join(f"`{encoder}`" for encoder in high_res_encoders)
    return (
        f"Assembled from the language model `{llm}`, the low-resolution encoder `{low_res_encoder}` and the "
        f"high-resolution encoder {encoders}; the connector (mining and projector) is {connector}."
    )
