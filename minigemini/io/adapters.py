"""What is named as a model may be an adapter: found and checked here, and merged into the weights of its base.

Two forms: a folder as PEFT writes it (LoRA over Linears and embeddings, mining and projector whole where they were
trained), and one file of small parts (`model.small_parts`). LoRA is W + s·B·A, so PEFT is not needed for it, and
nothing of an adapter_config.json, which comes from anywhere, is ever handed to a library.
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
"""What PEFT puts before the name of every tensor."""

# Fields of an adapter_config.json that say how it was trained or who wrote it, and nothing about its sum.
DESCRIPTIVE_FIELDS = frozenset(
    {"auto_mapping", "exclude_modules", "inference_mode", "layers_pattern", "layers_to_transform", "lora_dropout"}
    | {"megatron_core", "peft_version", "qalora_group_size", "rank_pattern", "revision", "target_modules", "task_type"}
)
READ_FIELDS = frozenset(
    {"base_model_name_or_path", "init_lora_weights", "lora_alpha", "modules_to_save", "peft_type", "r", "use_rslora"}
)
# Ways to begin that leave the base as it is; others (PiSSA, OLoRA, CorDA, LoftQ …) are sums over a changed base.
PLAIN_INITIALIZATIONS = (True, False, None, "gaussian", "orthogonal", "eva")


@dataclass(frozen=True)
class Lora:
    """What an adapter_config.json says, checked."""

    rank: int | None
    """None: it differs from module to module."""
    alpha: float
    rank_stabilized: bool
    targets: tuple[str, ...] | None
    """Ends of the names of all modules it is over; None: the file alone says which."""
    whole: tuple[str, ...]
    """Which of the small parts are in it, whole."""

    def scale(self, rank: int) -> float:
        """What B·A is multiplied with."""
        return self.alpha / (math.sqrt(rank) if self.rank_stabilized else rank)


@dataclass(frozen=True)
class Adapter:
    """An adapter whose config and header have been checked; its weights have not been read."""

    file: Path
    base: str | None
    """What it says it was trained over."""
    shapes: dict[str, tuple[int, ...]]
    """By the names of checkpoints, to which PEFT adds `.lora_A.weight` and the like."""
    prefix: str = ""
    """What stands before each name in the file."""
    lora: Lora | None = None

    @torch.no_grad()
    def merge_into(self, model: MiniGeminiForConditionalGeneration) -> None:
        """Add it to the weights of its base, in float32 and rounded once.

        Raises:
            CheckpointError: it does not fit them.
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
                        f"{self.file}: brings its own {name}, which is not the base's: it was trained too, or over "
                        "another vocabulary, and is not merged here; merge it with PEFT, or name its base (--base)"
                    )
            for name, parameter in whole.items():
                parameter.copy_(file.get_tensor(self.prefix + name))
            if any(
                module in (model.get_input_embeddings(), model.get_output_embeddings()) for module in targets.values()
            ):
                untie(model)  # the sum is of one of the two alone
            for name, module in targets.items():
                assert self.lora is not None
                down, up = (file.get_tensor(self.prefix + part).float() for part in _pair(name, module))
                weight = module.weight
                delta = (up.to(weight.device) @ down.to(weight.device)) * self.lora.scale(len(down))
                weight.copy_(weight.float() + (delta.T if isinstance(module, nn.Embedding) else delta))

    def _targets(self, model: nn.Module) -> Iterator[tuple[str, nn.Linear | nn.Embedding]]:
        """The modules it is over: all that its config names, and with a pattern there those that the file has."""
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
        """The shapes that A and B must have."""
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
        """The base's embedding and head by the names of the copies of them that PEFT stores when it is over one."""
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
            problem="does not fit its base",
            fix="name the model it was trained over as base (--base)",
        )


def _pair(name: str, module: nn.Module) -> tuple[str, str]:
    """What PEFT calls A and B of a module, without its prefix."""
    if isinstance(module, nn.Embedding):
        return f"{name}.lora_embedding_A", f"{name}.lora_embedding_B"
    return f"{name}.lora_A.weight", f"{name}.lora_B.weight"


def untie(model: MiniGeminiForConditionalGeneration) -> None:
    """Give a head that shares the embedding weights of its own."""
    head: Any = model.get_output_embeddings()
    if head.weight is cast(Any, model.get_input_embeddings()).weight:
        head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=head.weight.requires_grad)
        model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False


@dataclass(frozen=True)
class ModelSource:
    """What a name stands for: a whole checkpoint that has been looked at, and what is to be merged into it."""

    checkpoint: Checkpoint
    adapter: Adapter | None

    @property
    def folder(self) -> Path:
        """Of the whole checkpoint."""
        return self.checkpoint.folder


def find_model_source(model: str | os.PathLike[str], base: str | os.PathLike[str] | None = None) -> ModelSource:
    """The checkpoint of a name, and the adapter where the name is one's.

    Args:
        model: `nano`, a folder, a hub id, the folder of an adapter, or a file of small parts.
        base: of an adapter, in place of the one that it names.

    Raises:
        CheckpointError: one of the two is not there, or not whole.
        RequestError: a base, but no adapter.
    """
    path = Path(model).expanduser()
    if path.is_file() and path.suffix == ".safetensors":
        adapter = open_connector(path)
    elif (path / "adapter_config.json").exists() and not (path / "config.json").exists():
        adapter = open_adapter(path)
    else:
        if base is not None:
            raise RequestError(f"{model}: not an adapter, so it takes no base; leave base (--base) out")
        return ModelSource(open_checkpoint(find_checkpoint(model)), None)
    named = base or adapter.base
    if named is None:
        raise CheckpointError(f"{model}: does not say what it was trained over; name it as base (--base)")
    try:
        checkpoint = open_checkpoint(find_checkpoint(named))
    except CheckpointError as error:
        raise CheckpointError(f"{model}: its base: {error}; or name another as base (--base)") from None
    if way := stored_quantization(checkpoint.config, str(named)):
        raise CheckpointError(f"{model}: its base {named} holds {way} weights, which take no adapter; name a whole one")
    return ModelSource(checkpoint, adapter)


def open_connector(file: Path) -> Adapter:
    """Check the header of a file of small parts.

    Raises:
        CheckpointError: it is broken, or holds something else.
    """
    shapes = {name: tensor.shape for name, tensor in read_header(file)}
    check_tensor_file(file)
    strange = [name for name in shapes if not name.startswith(tuple(f"model.{part}." for part in CONNECTOR_PARTS))]
    if strange or not shapes:
        raise CheckpointError(
            f"{file}: holds {min(strange, default='nothing')}, not mining and projector alone; name a folder"
        )
    with safe_open(file, framework="pt") as opened:
        base = (opened.metadata() or {}).get("base")
    return Adapter(file, base, shapes)


def open_adapter(folder: Path) -> Adapter:
    """Check a folder as PEFT writes it.

    Raises:
        CheckpointError: another kind of adapter, a pickle, or broken files.
    """
    check_files(folder)
    check_folder(folder)
    config = read_json(folder / "adapter_config.json", f"{folder} is no adapter")
    lora = _check_config(config, folder)
    file = folder / "adapter_model.safetensors"
    if not file.exists():
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        what = f"{pickles[0]} is a pickle, which can run code while it loads" if pickles else f"no {file.name} in it"
        raise CheckpointError(f"{folder}: {what}; save the adapter again with PEFT's save_pretrained (safetensors)")
    shapes = {name: tensor.shape for name, tensor in read_header(file)}
    if strange := [name for name in shapes if not name.startswith(PEFT_PREFIX)]:
        raise CheckpointError(f"{file}: tensor {min(strange)} is not PEFT's; save the adapter with its save_pretrained")
    names = {name.removeprefix(PEFT_PREFIX): shape for name, shape in shapes.items()}
    return Adapter(file, config.get("base_model_name_or_path") or None, names, PEFT_PREFIX, lora)


def _check_config(config: dict[str, Any], folder: Path) -> Lora:
    """Read an adapter_config.json strictly: what is not known to be harmless must not be set."""
    if config.get("peft_type") != "LORA":
        raise CheckpointError(f"{folder}: peft_type is {config.get('peft_type')!r}, and only LORA is merged; use PEFT")
    for name, value in config.items():
        if name not in READ_FIELDS | DESCRIPTIVE_FIELDS and value not in (None, False, "none", [], {}):
            raise CheckpointError(f"{folder}: adapter_config.json sets {name}, which is not merged here; use PEFT")
    if (beginning := config.get("init_lora_weights")) not in PLAIN_INITIALIZATIONS:
        raise CheckpointError(f"{folder}: began as {beginning!r} over a changed base; make it plain LoRA with PEFT")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    whole, targets = config.get("modules_to_save") or [], config.get("target_modules")
    stabilised, base = config.get("use_rslora", False), config.get("base_model_name_or_path")
    partial = any(config.get(name) for name in ("exclude_modules", "layers_to_transform", "layers_pattern"))
    issues = {
        "r": not isinstance(rank, int) or rank < 1,
        "lora_alpha": not isinstance(alpha, int | float) or not math.isfinite(alpha),
        "use_rslora": not isinstance(stabilised, bool),
        "base_model_name_or_path": not isinstance(base, str | None),
        "target_modules": not isinstance(targets, str) and not _are_names(targets or []),
        "modules_to_save": not _are_names(whole) or not set(whole) <= set(CONNECTOR_PARTS),
    }
    for name, is_invalid in issues.items():
        if is_invalid:
            raise CheckpointError(f"{folder}: adapter_config.json has {name} {config.get(name)!r}, which is not valid")
    listed = None if partial or not targets or isinstance(targets, str) else tuple(targets)
    return Lora(None if config.get("rank_pattern") else rank, float(alpha or 0), stabilised, listed, tuple(whole))


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)
