"""`small` without its language model, as the package ships it, and the whole checkpoint made from it again.

The shipped folder is a checkpoint folder whose `model.safetensors` lacks the language model; its subfolder `adapter` is
a PEFT adapter over it. `unpack` adds the language model and merges the adapter, so the result is a checkpoint folder as
`minigemini merge` writes it.
"""

import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from minigemini.conversion.gguf import read_gguf
from minigemini.io.adapters import open_adapter
from minigemini.io.checkpoint import open_checkpoint, weight_files
from minigemini.io.errors import CheckpointError
from minigemini.io.hashes import SUMS, write_sums
from minigemini.io.loading import load_config, load_model, load_processor
from minigemini.io.placement import Placement

from .smollm2 import smollm2_weights

ADAPTER, WEIGHTS, CARD = "adapter", "model.safetensors", "README.md"
_LANGUAGE_MODEL = "model.language_model."


def pack(base: Path, adapter: Path, gguf: Path, folder: Path) -> None:
    """Write what the package ships.

    Args:
        base: Checkpoint folder that the adapter was trained over, its language model that of the GGUF file.
        adapter: Folder of the adapter.
        gguf: GGUF file of the language model.
        folder: Folder to create.

    Raises:
        CheckpointError: A folder is invalid, or the base has another language model.
    """
    open_checkpoint(base)
    open_adapter(adapter)
    stored = {name: tensor for file in weight_files(base) for name, tensor in load_file(file).items()}
    language = _language_model(gguf)
    for name in sorted(language.keys() | {name for name in stored if name.startswith(_LANGUAGE_MODEL)}):
        if (
            name not in stored
            or name not in language
            or not torch.equal(stored[name].to(torch.bfloat16), language[name])
        ):
            raise CheckpointError(f"{base}: {name} differs from {gguf.name}; train the adapter over smollm2_folder()")
    own = {name: tensor.to(torch.bfloat16) for name, tensor in stored.items() if name not in language}
    shutil.copytree(base, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.index.json", SUMS))
    save_file(own, folder / WEIGHTS, metadata={"format": "pt"})
    shutil.copytree(adapter, folder / ADAPTER, ignore=shutil.ignore_patterns(SUMS, CARD))
    write_sums(folder)


def unpack(shipped: Path, gguf: Path, folder: Path) -> None:
    """Write the whole checkpoint in bfloat16: language model added, adapter merged in float32 and rounded once.

    Args:
        shipped: Folder that `pack` wrote.
        gguf: GGUF file of the language model.
        folder: Folder to create.

    Raises:
        CheckpointError: A file is damaged, or the parts do not fit together.
        OSError: The folder cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=".base.", dir=folder.parent) as temporary:
        base = Path(temporary) / "base"
        shutil.copytree(shipped, base, ignore=shutil.ignore_patterns(ADAPTER, WEIGHTS, SUMS))
        own = load_file(shipped / WEIGHTS)
        save_file({**own, **_language_model(gguf)}, base / WEIGHTS, metadata={"format": "pt"})
        open_checkpoint(base)
        config = load_config(base)
        model = load_model(base, config, Placement(torch.device("cpu"), torch.bfloat16))
        open_adapter(shipped / ADAPTER).merge_into(model)
        model.save_pretrained(folder)
        load_processor(base, config).save_pretrained(folder)
        (base / WEIGHTS).unlink()
        for path in base.iterdir():  # the card, and what else goes with the model
            if not (folder / path.name).exists():
                path.rename(folder / path.name)


def _language_model(gguf: Path) -> dict[str, Tensor]:
    return {f"{_LANGUAGE_MODEL}{name}": weight for name, weight in smollm2_weights(read_gguf(gguf)).items()}
