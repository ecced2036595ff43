"""From the name of a painter to a diffusers pipeline in memory. What it consists of is checked before any is loaded."""

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

from ..io.checkpoint import PICKLES, REACHING_OUT, StoredTensor, check_loaded, read_header
from ..io.errors import CheckpointError, RequestError, one_line
from ..io.hashes import SUMS
from ..io.hub import fetch, is_hub_id
from ..io.integrity import check_descriptions, weights_checked
from ..io.untrusted import bounded_build, check_files, check_numbers, read_json
from .presets import PipelineKind, Preset, pipeline_class, pipeline_kinds

INDEX = "model_index.json"
LORA_FILE = "pytorch_lora_weights.safetensors"
_WEIGHTS = {"diffusers": "diffusion_pytorch_model", "transformers": "model", "stable_diffusion": "model"}
"""How each library names the weights of a part."""
_WITHOUT_WEIGHTS = ("scheduler", "tokenizer", "feature_extractor")


@dataclass(frozen=True)
class FoundPipeline:
    """A pipeline's folder that has been looked at, but whose weights have not been read.

    Attributes:
        folder: where it lies.
        class_name: of the pipeline.
        parts: by name, the class of each as `library.Class`.
        tensors: by name, those of each that has any, as they are stored.
        variant: which of its weight files are meant.
    """

    folder: Path
    class_name: str
    parts: Mapping[str, str]
    tensors: Mapping[str, Mapping[str, StoredTensor]]
    variant: str | None

    @property
    def weights(self) -> dict[str, int]:
        """By name, the number of parameters of each part that has any."""
        return {part: sum(math.prod(x.shape) for x in tensors.values()) for part, tensors in self.tensors.items()}

    @property
    def kind(self) -> PipelineKind:
        return pipeline_kinds()[self.class_name]


def find_pipeline(name: str, variant: str | None = None) -> FoundPipeline:
    """The pipeline of a folder, or of a hub id: fetched into Hugging Face's cache, weights and descriptions only.

    Raises:
        CheckpointError: there is no such thing, or it is none that may be loaded.
    """
    folder = Path(name).expanduser()
    if not folder.is_dir():
        if folder.exists():
            raise CheckpointError(f"{name}: a file, not a pipeline's folder; name the folder that holds {INDEX}")
        if not is_hub_id(name):
            raise CheckpointError(f"{name}: no such folder, and not a hub id (owner/name); name a folder or an id")
        # The index first, so that the gigabytes of what may not be loaded stay where they are.
        _, parts = read_index(fetch(name, (INDEX,)), name)
        folder = fetch(name, _patterns(parts, variant))
    check_files(folder)
    check_descriptions(folder)
    class_name, parts = read_index(folder, name)
    tensors = {part: _check_part(folder / part, parts[part], variant) for part in parts if _has_weights(part)}
    return FoundPipeline(folder, class_name, parts, tensors, variant)


def read_index(folder: Path, name: str) -> tuple[str, dict[str, str]]:
    """The pipeline's class, and the class of each of its parts.

    Raises:
        CheckpointError: one of them is not in the tables of `pipelines`.
    """
    index = read_json(folder / INDEX, f"{name} is no pipeline")
    class_name = index.get("_class_name")
    if not isinstance(class_name, str) or class_name not in pipeline_kinds():
        raise CheckpointError(
            f"{name}: {INDEX} asks for {class_name!r}, which is not loaded; use {', '.join(pipeline_kinds())}"
        )
    kind, parts = pipeline_kinds()[class_name], dict[str, str]()
    for part, given in index.items():
        if not isinstance(given, list) or given == [None, None]:
            continue  # a setting, or a part that is not there
        wanted = ".".join(str(word) for word in given)
        if wanted not in kind.parts.get(part, ()):
            raise CheckpointError(
                f"{name}: {INDEX} asks for {wanted!r} as {part!r}, which is not loaded; use "
                f"{' or '.join(kind.parts.get(part, ())) or 'a pipeline without it'}"
            )
        parts[part] = wanted
    if missing := kind.parts.keys() - kind.optional - parts.keys():
        raise CheckpointError(f"{name}: {INDEX} has no {min(missing)}; copy or fetch the pipeline again")
    return class_name, parts


def load_pipeline(found: FoundPipeline, dtype: torch.dtype) -> Any:
    """The pipeline in memory, on the CPU. Safetensors only, and all that the config asks for.

    Raises:
        CheckpointError: they do not, or a part is broken.
    """
    absent = dict.fromkeys(found.kind.optional - found.parts.keys())
    try:
        with weights_checked(found.folder), _bars_for_watchers(), warnings.catch_warnings():
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


def add_to(pipeline: Any, preset: Preset) -> None:
    """Merge a preset's LoRA into the pipeline, and give it the preset's scheduler.

    Raises:
        CheckpointError: the LoRA cannot be fetched, or does not fit.
        RequestError: PEFT, which reads it, is missing.
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
def _bars_for_watchers() -> Iterator[None]:
    """Show diffusers' bars where somebody watches, and nowhere else."""
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
    """What is fetched: descriptions, and one set of weights, whole or in shards. Never code."""
    patterns = [INDEX, SUMS]
    for part, wanted in parts.items():
        patterns += [f"{part}/{ending}" for ending in ("*.json", "*.jinja", "*.txt", "*.model")]
        if _has_weights(part):
            stem = _stem(wanted, variant)
            patterns += [f"{part}/{stem}.safetensors", f"{part}/{stem}-*.safetensors"]
    return patterns


def _stem(wanted: str, variant: str | None) -> str:
    """The name of a part's weight file up to its ending or the number of its shard."""
    stem = _WEIGHTS[wanted.partition(".")[0]]
    return f"{stem}.{variant}" if variant else stem


def _check_part(folder: Path, wanted: str, variant: str | None) -> dict[str, StoredTensor]:
    """Check the config and the headers of a part; gives its tensors.

    Raises:
        CheckpointError: it is missing or broken, or reaches out for something from elsewhere.
    """
    config = read_json(folder / "config.json", f"{folder} is no part of a pipeline")
    check_numbers(config, str(folder))
    if reaching := (REACHING_OUT | {"auto_map", "quantization_config"}) & config.keys():
        raise CheckpointError(
            f"{folder}: config.json sets {min(reaching)}, which may load code or files from elsewhere; remove it"
        )
    stem = _stem(wanted, variant)
    files = sorted({*folder.glob(f"{stem}.safetensors"), *folder.glob(f"{stem}-*.safetensors")})
    if not files:
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        what = f"{pickles[0]} is a pickle, which can run code while it loads" if pickles else "it is not there"
        raise CheckpointError(f"{folder}: no {stem}.safetensors ({what}); take a pipeline saved as safetensors")
    return {name: tensor for file in files for name, tensor in read_header(file)}


def _load_part(found: FoundPipeline, part: str, dtype: torch.dtype) -> Any:
    """One network, whole or not at all. Published ones bring tensors along that they do not need; those are left.

    Raises:
        CheckpointError: tensors are missing or mis-shaped.
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
                ignore_mismatched_sizes=True,  # so that `check_loaded` names them all, and says it in one line
            )
    except CheckpointError:
        raise
    except Exception as error:  # noqa: BLE001 (each library has its own)
        raise CheckpointError(f"{folder}: cannot be loaded ({one_line(error)})") from None
    check_loaded(folder, report["missing_keys"], (), report["mismatched_keys"])
    return loaded.eval()
