"""Load a diffusers pipeline from its name. All files are checked before any weights are loaded."""

import importlib
import math
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..io.checkpoint import CODE_LOADING_FIELDS, PICKLES, StoredTensor, check_loaded, read_header
from ..io.errors import CheckpointError, RequestError, one_line
from ..io.hashes import SUMS
from ..io.hub import fetch, is_hub_id
from ..io.integrity import check_descriptions, weights_checked
from ..io.untrusted import bounded_build, check_files, check_numbers, read_json
from .presets import PipelineKind, Preset, pipeline_class, pipeline_kinds

INDEX = "model_index.json"
LORA_FILE = "pytorch_lora_weights.safetensors"
_WEIGHTS = {"diffusers": "diffusion_pytorch_model", "transformers": "model", "stable_diffusion": "model"}
"""Stem of the weight files of a part, by library."""
_WITHOUT_WEIGHTS = ("scheduler", "tokenizer", "feature_extractor")


@dataclass(frozen=True)
class FoundPipeline:
    """A pipeline whose files have been checked, but whose weights have not been read.

    Attributes:
        folder: Folder of the pipeline.
        class_name: Class of the pipeline.
        parts: Class of each part by name, as `library.Class`.
        tensors: Headers of the tensors of each part that has weights.
        variant: Variant of the weight files, e.g. `fp16`.
    """

    folder: Path
    class_name: str
    parts: Mapping[str, str]
    tensors: Mapping[str, Mapping[str, StoredTensor]]
    variant: str | None

    @property
    def weights(self) -> dict[str, int]:
        """Number of parameters of each part that has weights."""
        return {part: sum(math.prod(x.shape) for x in tensors.values()) for part, tensors in self.tensors.items()}

    @property
    def kind(self) -> PipelineKind:
        return pipeline_kinds()[self.class_name]


def find_pipeline(name: str, variant: str | None = None) -> FoundPipeline:
    """Find a pipeline in a folder, or download it from the hub (weights and JSON files only), and check its files.

    Raises:
        CheckpointError: The pipeline does not exist, or is not supported.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if folder.exists():
            raise CheckpointError(f"{name}: a file, not a pipeline's folder; name the folder that contains {INDEX}")
        if not is_hub_id(name):
            raise CheckpointError(f"{name}: no such folder, and not a hub id (owner/name); name a folder or an id")
        # Check the index first, so that an unsupported pipeline is not downloaded.
        _, parts = read_index(fetch(name, (INDEX,)), name)
        folder = fetch(name, _patterns(parts, variant))
    check_files(folder)
    check_descriptions(folder)
    class_name, parts = read_index(folder, name)
    tensors = {part: _check_part(folder / part, parts[part], variant) for part in parts if _has_weights(part)}
    return FoundPipeline(folder, class_name, parts, tensors, variant)


def read_index(folder: Path, name: str) -> tuple[str, dict[str, str]]:
    """Read the class of a pipeline and of each of its parts.

    Raises:
        CheckpointError: A class is not in the tables of `presets`.
    """
    index = read_json(folder / INDEX, f"{name} is not a pipeline")
    class_name = index.get("_class_name")
    if not isinstance(class_name, str) or class_name not in pipeline_kinds():
        raise CheckpointError(
            f"{name}: {INDEX} names the class {class_name!r}, which is not supported; use {', '.join(pipeline_kinds())}"
        )
    kind, parts = pipeline_kinds()[class_name], dict[str, str]()
    for part, given in index.items():
        if not isinstance(given, list) or given == [None, None]:
            continue  # a setting, or an absent part
        wanted = ".".join(str(word) for word in given)
        if wanted not in kind.parts.get(part, ()):
            raise CheckpointError(
                f"{name}: {INDEX} names {wanted!r} as {part!r}, which is not supported; use "
                f"{' or '.join(kind.parts.get(part, ())) or 'a pipeline without it'}"
            )
        parts[part] = wanted
    if missing := kind.parts.keys() - kind.optional - parts.keys():
        raise CheckpointError(f"{name}: {INDEX} has no {min(missing)}; copy or download the pipeline again")
    return class_name, parts


def load_pipeline(found: FoundPipeline, dtype: torch.dtype) -> Any:
    """Load a pipeline onto the CPU, from safetensors only. Every tensor that the configs need must be present.

    Raises:
        CheckpointError: Tensors are missing, or a part is corrupt.
    """
    absent = dict.fromkeys(found.kind.optional - found.parts.keys())
    try:
        with weights_checked(found.folder), _progress_on_terminal(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            modules = {part: _load_part(found, part, dtype) for part in found.weights}
            pipeline = pipeline_class(found.class_name).from_pretrained(
                found.folder,
                **modules,
                **absent,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                dtype=dtype,
            )
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 (tokenizers raises plain Exception on a broken file)
        raise CheckpointError(f"{found.folder}: the pipeline cannot be loaded ({one_line(error)})") from None
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def apply_preset(pipeline: Any, preset: Preset) -> None:
    """Set a preset's scheduler, and merge its LoRA into the pipeline.

    Raises:
        CheckpointError: The LoRA cannot be downloaded, or does not fit.
        RequestError: PEFT is not installed.
    """
    import diffusers

    if preset.scheduler is not None:
        pipeline.scheduler = getattr(diffusers, preset.scheduler).from_config(pipeline.scheduler.config)
    if preset.lora is None:
        return
    from safetensors.torch import load_file

    path = fetch(preset.lora, (LORA_FILE,)) / LORA_FILE
    list(read_header(path))
    try:
        pipeline.load_lora_weights(load_file(path))
    except ImportError:
        raise RequestError("a LoRA needs PEFT: pip install 'minigemini[draw]'") from None
    except (RuntimeError, ValueError, KeyError) as error:
        raise CheckpointError(f"{preset.lora}: does not fit {preset.hub_id} ({one_line(error)})") from None
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()


@contextmanager
def _progress_on_terminal() -> Iterator[None]:
    """Show diffusers' progress bars only on a terminal."""
    from diffusers.utils import logging

    shown = logging.is_progress_bar_enabled()
    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _has_weights(part: str) -> bool:
    return not part.startswith(_WITHOUT_WEIGHTS)


def _patterns(parts: Mapping[str, str], variant: str | None) -> list[str]:
    """Return the file patterns to download: JSON and text files and one set of weights, sharded or not. Never code."""
    patterns = [INDEX, SUMS]
    for part, wanted in parts.items():
        patterns += [f"{part}/{ending}" for ending in ("*.json", "*.jinja", "*.txt", "*.model")]
        if _has_weights(part):
            stem = _stem(wanted, variant)
            patterns += [f"{part}/{stem}.safetensors", f"{part}/{stem}-*.safetensors"]
    return patterns


def _stem(wanted: str, variant: str | None) -> str:
    """Return the name of a part's weight file without the suffix and the shard number."""
    stem = _WEIGHTS[wanted.partition(".")[0]]
    return f"{stem}.{variant}" if variant else stem


def _check_part(folder: Path, wanted: str, variant: str | None) -> dict[str, StoredTensor]:
    """Check the config and the weight headers of a part, and return the headers.

    Raises:
        CheckpointError: The part is missing or corrupt, or its config refers to code or files elsewhere.
    """
    config = read_json(folder / "config.json", f"{folder} is not a part of a pipeline")
    check_numbers(config, str(folder))
    if reaching := (CODE_LOADING_FIELDS | {"auto_map", "quantization_config"}) & config.keys():
        raise CheckpointError(
            f"{folder}: config.json sets {min(reaching)}, which may load code or files from elsewhere; remove it"
        )
    stem = _stem(wanted, variant)
    files = sorted({*folder.glob(f"{stem}.safetensors"), *folder.glob(f"{stem}-*.safetensors")})
    if not files:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        reason = f"{pickles[0]} is a pickle, which can run code when loaded" if pickles else "no weight file found"
        raise CheckpointError(f"{folder}: no {stem}.safetensors ({reason}); use a pipeline saved as safetensors")
    return {name: tensor for file in files for name, tensor in read_header(file)}


def _load_part(found: FoundPipeline, part: str, dtype: torch.dtype) -> Any:
    """Load one part; all of its tensors must be present. Unused tensors, which published parts have, are ignored.

    Raises:
        CheckpointError: Tensors are missing or have the wrong shape.
    """
    library, _, class_name = found.parts[part].partition(".")
    module = importlib.import_module(
        "diffusers.pipelines.stable_diffusion" if library == "stable_diffusion" else library
    )
    folder = found.folder / part
    try:
        with bounded_build(found.tensors[part], str(folder)):
            loaded, report = getattr(module, class_name).from_pretrained(
                folder,
                dtype=dtype,
                variant=found.variant,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # so that `check_loaded` can list them all in one line
            )
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 (each library raises its own types)
        raise CheckpointError(f"{folder}: cannot be loaded ({one_line(error)})") from None
    check_loaded(folder, report["missing_keys"], (), report["mismatched_keys"])
    return loaded.eval()
