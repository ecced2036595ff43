"""Finds and validates adapters, and merges them into the weights of their base.

An adapter is either a folder written by PEFT (LoRA on linear layers and embeddings, and complete connector modules if
they were trained), or a file of connector weights (see `connector`). Merging computes W + s·B·A without PEFT, and no
value of the untrusted adapter_config.json is passed to a library.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import nn

from ..modeling import MiniGeminiForConditionalGeneration
from .checkpoint import PICKLES, Checkpoint, check_loaded, find_checkpoint, open_checkpoint, read_header
from .connector import CONNECTOR_PARTS, connector_parameters
from .errors import CheckpointError, RequestError
from .integrity import check_folder, check_tensor_file
from .quantization import stored_quantization
from .untrusted import check_files, read_json

PEFT_PREFIX = "base_model.model."
"""PEFT's prefix of every tensor name."""

# Fields of adapter_config.json that describe training or origin and do not affect merging.
DESCRIPTIVE_FIELDS = frozenset(
    {"auto_mapping", "exclude_modules", "inference_mode", "layers_pattern", "layers_to_transform", "lora_dropout"}
    | {"megatron_core", "peft_version", "qalora_group_size", "rank_pattern", "revision", "target_modules", "task_type"}
)
READ_FIELDS = frozenset(
    {"base_model_name_or_path", "init_lora_weights", "lora_alpha", "modules_to_save", "peft_type", "r", "use_rslora"}
)
# Initializations that do not change the base; others (PiSSA, OLoRA, CorDA, LoftQ …) do.
PLAIN_INITIALIZATIONS = (True, False, None, "gaussian", "orthogonal", "eva")


@dataclass(frozen=True)
class Lora:
    """The validated LoRA settings of an adapter_config.json."""

    rank: int | None
    """None if it differs between modules."""
    alpha: float
    rank_stabilized: bool
    targets: tuple[str, ...] | None
    """Suffixes of the names of all adapted modules; None if only the weight file determines them."""
    whole: tuple[str, ...]
    """Connector modules that are stored completely."""

    def scale(self, rank: int) -> float:
        """The factor of B·A."""
        return self.alpha / (math.sqrt(rank) if self.rank_stabilized else rank)


@dataclass(frozen=True)
class Adapter:
    """An adapter with validated config and header, whose weights have not been read."""

    file: Path
    base: str | None
    """The base model that it names."""
    shapes: dict[str, tuple[int, ...]]
    """Shapes by checkpoint tensor name, to which PEFT adds `.lora_A.weight` and similar."""
    prefix: str = ""
    """Prefix of the names in the file."""
    lora: Lora | None = None

    @torch.no_grad()
    def merge_into(self, model: MiniGeminiForConditionalGeneration) -> None:
        """Merge into the weights of the base, in float32 with a single rounding.

        Raises:
            CheckpointError: The adapter does not match the base.
        """
        targets = dict(self._targets(model))
        whole = {
            name: parameter
            for name, parameter in connector_parameters(model).items()
            if self.lora is None or name.split(".")[1] in self.lora.whole
        }
        copies = self._copies(model)
        self._check(
            {name: tuple(parameter.shape) for name, parameter in (whole | copies).items()} | self._pairs(targets)
        )
        with safe_open(self.file, framework="pt") as file:
            for name, base in copies.items():
                if not torch.equal(file.get_tensor(self.prefix + name).to(base), base):
                    raise CheckpointError(
                        f"{self.file}: {name} differs from the base's: it was trained too, or belongs to another "
                        "vocabulary, and cannot be merged here; merge it with PEFT, or name its base (--base)"
                    )
            for name, parameter in whole.items():
                parameter.copy_(file.get_tensor(self.prefix + name))
            if any(
                module in (model.get_input_embeddings(), model.get_output_embeddings()) for module in targets.values()
            ):
                untie(model)  # only one of the two is adapted
            for name, module in targets.items():
                assert self.lora is not None
                down, up = (file.get_tensor(self.prefix + part).float() for part in _pair(name, module))
                weight = module.weight
                delta = (up.to(weight.device) @ down.to(weight.device)) * self.lora.scale(len(down))
                weight.copy_(weight.float() + (delta.T if isinstance(module, nn.Embedding) else delta))

    def _targets(self, model: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Embedding]]:
        """Yield the adapted modules: those that the config lists, or, if it has a pattern, those in the file."""
        if self.lora is None:
            return
        for name, module in model.named_modules():
            if not isinstance(module, nn.Linear | nn.Embedding):
                continue
            if any(part in name.split(".") for part in self.lora.whole):
                continue
            if self.lora.targets is None:
                named = _pair(name, module)[0] in self.shapes
            else:
                named = any(name == end or name.endswith(f".{end}") for end in self.lora.targets)
            if named:
                yield name, module

    def _pairs(self, targets: dict[str, nn.Linear | nn.Embedding]) -> dict[str, tuple[int, ...]]:
        """The expected shapes of A and B."""
        assert self.lora is not None or not targets
        shapes: dict[str, tuple[int, ...]] = {}
        for name, module in targets.items():
            down, up = _pair(name, module)
            rank = self.lora.rank if self.lora and self.lora.rank else self.shapes.get(down, (0,))[0]
            rows, columns = module.weight.shape
            inputs, outputs = (rows, columns) if isinstance(module, nn.Embedding) else (columns, rows)
            shapes |= {down: (rank, inputs), up: (outputs, rank)}
        return shapes

    def _copies(self, model: MiniGeminiForConditionalGeneration) -> dict[str, nn.Parameter]:
        """The base's embedding and head, by the names of the copies that PEFT stores if one of them is adapted."""
        if self.lora is None:
            return {}
        ends = {model.get_input_embeddings(), model.get_output_embeddings()}
        modules = {name: module for name, module in model.named_modules() if module in ends}
        return {
            stored: cast(nn.Parameter, module.weight)
            for name, module in modules.items()
            for stored in (f"{name}.base_layer.weight", f"{name}.weight")
            if stored in self.shapes
        }

    def _check(self, wanted: dict[str, tuple[int, ...]]) -> None:
        check_loaded(
            self.file,
            missing=wanted.keys() - self.shapes.keys(),
            unexpected=self.shapes.keys() - wanted.keys(),
            mismatched=[(k, self.shapes[k], wanted[k]) for k in wanted if self.shapes.get(k, wanted[k]) != wanted[k]],
            problem="does not match its base",
            fix="name the model that it was trained on (--base)",
        )


def _pair(name: str, module: nn.Module) -> tuple[str, str]:
    """PEFT's names of A and B of a module, without prefix."""
    if isinstance(module, nn.Embedding):
        return f"{name}.lora_embedding_A", f"{name}.lora_embedding_B"
    return f"{name}.lora_A.weight", f"{name}.lora_B.weight"


def untie(model: MiniGeminiForConditionalGeneration) -> None:
    """Give a head that shares the embedding's weights its own copy."""
    head: Any = model.get_output_embeddings()
    if head.weight is cast(Any, model.get_input_embeddings()).weight:
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=head.weight.requires_grad)
        model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False


@dataclass(frozen=True)
class ModelSource:
    """A validated checkpoint, and the adapter to merge into it, if any."""

    checkpoint: Checkpoint
    adapter: Adapter | None

    @property
    def folder(self) -> Path:
        """The folder of the checkpoint."""
        return self.checkpoint.folder


def find_model_source(model: str | os.PathLike[str], base: str | os.PathLike[str] | None = None) -> ModelSource:
    """Resolve a model name to a checkpoint, and to an adapter if it names one.

    Args:
        model: `nano`, a folder, a hub id, the folder of an adapter, or a file of connector weights.
        base: The base of an adapter; by default the one that it names.

    Raises:
        CheckpointError: The checkpoint or adapter is missing or invalid.
        RequestError: `base` is given, but `model` is not an adapter.
    """
    path = Path(model).expanduser()
    if path.is_file() and path.suffix == ".safetensors":
        adapter = open_connector(path)
    elif (path / "adapter_config.json").exists() and not (path / "config.json").exists():
        adapter = open_adapter(path)
    else:
        if base is not None:
            raise RequestError(f"{model}: not an adapter, so it has no base; omit --base")
        return ModelSource(open_checkpoint(find_checkpoint(model)), None)
    named = base or adapter.base
    if named is None:
        raise CheckpointError(f"{model}: does not name its base model; give it as base (--base)")
    try:
        checkpoint = open_checkpoint(find_checkpoint(named))
    except CheckpointError as error:
        raise CheckpointError(f"{model}: its base: {error}; or name another as base (--base)") from None
    if way := stored_quantization(checkpoint.config, str(named)):
        raise CheckpointError(
            f"{model}: its base {named} has {way} weights, which take no adapter; name an unquantized base"
        )
    return ModelSource(checkpoint, adapter)


def open_connector(file: Path) -> Adapter:
    """Validate the header of a file of connector weights.

    Raises:
        CheckpointError: The file is corrupt, or has other tensors.
    """
    shapes = {name: tensor.shape for name, tensor in read_header(file)}
    check_tensor_file(file)
    strange = [name for name in shapes if not name.startswith(tuple(f"model.{part}." for part in CONNECTOR_PARTS))]
    if strange or not shapes:
        raise CheckpointError(
            f"{file}: contains {min(strange, default='no tensors')}, but should contain only mining and projector; "
            "name a folder"
        )
    with safe_open(file, framework="pt") as opened:
        base = (opened.metadata() or {}).get("base")
    return Adapter(file, base, shapes)


def open_adapter(folder: Path) -> Adapter:
    """Validate the folder of a PEFT adapter.

    Raises:
        CheckpointError: The adapter is of another type, a pickle, or corrupt.
    """
    check_files(folder)
    check_folder(folder)
    config = read_json(folder / "adapter_config.json", f"{folder} is not an adapter")
    lora = _check_config(config, folder)
    file = folder / "adapter_model.safetensors"
    if not file.exists():
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        what = f"{pickles[0]} is a pickle, which can run code while it loads" if pickles else f"contains no {file.name}"
        raise CheckpointError(f"{folder}: {what}; save the adapter again with PEFT's save_pretrained (safetensors)")
    shapes = {name: tensor.shape for name, tensor in read_header(file)}
    if strange := [name for name in shapes if not name.startswith(PEFT_PREFIX)]:
        raise CheckpointError(f"{file}: tensor {min(strange)} is not PEFT's; save it with PEFT's save_pretrained")
    names = {name.removeprefix(PEFT_PREFIX): shape for name, shape in shapes.items()}
    return Adapter(file, config.get("base_model_name_or_path") or None, names, PEFT_PREFIX, lora)


def _check_config(config: dict[str, Any], folder: Path) -> Lora:
    """Parse an adapter_config.json; only fields that are known to be safe may be set."""
    if config.get("peft_type") != "LORA":
        raise CheckpointError(f"{folder}: peft_type is {config.get('peft_type')!r}, and only LORA is merged; use PEFT")
    for name, value in config.items():
        if name not in READ_FIELDS | DESCRIPTIVE_FIELDS and value not in (None, False, "none", [], {}):
            raise CheckpointError(f"{folder}: adapter_config.json sets {name}, which is not merged here; use PEFT")
    if (initialization := config.get("init_lora_weights")) not in PLAIN_INITIALIZATIONS:
        raise CheckpointError(f"{folder}: {initialization!r} changes the base; convert it to plain LoRA with PEFT")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    whole, targets = config.get("modules_to_save") or [], config.get("target_modules")
    rank_stabilized, base = config.get("use_rslora", False), config.get("base_model_name_or_path")
    partial = any(config.get(name) for name in ("exclude_modules", "layers_to_transform", "layers_pattern"))
    issues = {
        "r": not isinstance(rank, int) or rank < 1,
        "lora_alpha": not isinstance(alpha, int | float) or not math.isfinite(alpha),
        "use_rslora": not isinstance(rank_stabilized, bool),
        "base_model_name_or_path": not isinstance(base, str | None),
        "target_modules": not isinstance(targets, str) and not _are_names(targets or []),
        "modules_to_save": not _are_names(whole) or not set(whole) <= set(CONNECTOR_PARTS),
    }
    for name, is_invalid in issues.items():
        if is_invalid:
            raise CheckpointError(f"{folder}: adapter_config.json has {name} {config.get(name)!r}, which is not valid")
    listed = None if partial or not targets or isinstance(targets, str) else tuple(targets)
    return Lora(None if config.get("rank_pattern") else rank, float(alpha or 0), rank_stabilized, listed, tuple(whole))


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)
