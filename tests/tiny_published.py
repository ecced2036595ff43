"""Tiny published checkpoints to modify: copies of a golden one, also with another language model."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel

GOLDEN = Path(__file__).parent / "golden" / "llama_sd"
ENCODERS = GOLDEN / "model_zoo" / "OpenAI"
LOW_RES, HIGH_RES = ENCODERS / "clip-vit-tiny-patch14-56", ENCODERS / "openclip-convnext-large-d-320-tiny"
TOKENIZERS = Path(__file__).parent / "golden" / "prompts"
LANGUAGE_MODEL = ("model.embed_tokens", "model.layers", "model.norm", "lm_head")


def copy_published(folder: Path) -> Path:
    """Copy a golden checkpoint, with its weights in one file."""
    shutil.copytree(next(GOLDEN.glob("MGM-*")), folder)
    tensors = {key: tensor for file in folder.glob("*.safetensors") for key, tensor in load_file(file).items()}
    for file in folder.glob("model*"):
        file.unlink()
    save_file(tensors, folder / "model.safetensors")
    return folder


def change_config(folder: Path, **changes) -> None:
    """Change fields of config.json; None removes one."""
    fields = {**json.loads((folder / "config.json").read_text()), **changes}
    kept = {name: value for name, value in fields.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))


def change_tensors(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    """Change the weights."""
    save_file(change(load_file(folder / "model.safetensors")), folder / "model.safetensors")


def put_in(folder: Path, model_type: str, language_model: PreTrainedModel, tokenizer: str) -> None:
    """Replace the language model and the tokenizer of a published checkpoint."""
    own = {key: tensor.clone() for key, tensor in as_published(language_model.state_dict()).items()}
    change_tensors(folder, lambda old: {k: v for k, v in old.items() if not k.startswith(LANGUAGE_MODEL)} | own)
    fields = language_model.config.to_dict()
    theirs = {name: fields.pop(name) for name in ("rope_parameters",)}
    unsaid = ("model_type", "architectures", "dtype", "transformers_version", "_name_or_path")
    own_fields = {name: value for name, value in fields.items() if name not in unsaid}
    change_config(folder, **own_fields, model_type=model_type, rope_theta=theirs["rope_parameters"]["rope_theta"])
    for file in folder.glob("*token*"):
        file.unlink()
    shutil.copytree(TOKENIZERS / tokenizer, folder, dirs_exist_ok=True)


def as_published(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Split Mixtral's stacked experts, as older Transformers stored them; leave other tensors unchanged."""
    published = {}
    for key, tensor in state.items():
        layer = key.split(".mlp.")[0]
        if key.endswith("mlp.gate.weight"):
            published[f"{layer}.block_sparse_moe.gate.weight"] = tensor
        elif key.endswith("experts.gate_up_proj"):
            for expert, both in enumerate(tensor):
                w1, w3 = both.chunk(2)
                published[f"{layer}.block_sparse_moe.experts.{expert}.w1.weight"] = w1
                published[f"{layer}.block_sparse_moe.experts.{expert}.w3.weight"] = w3
        elif key.endswith("experts.down_proj"):
            for expert, down in enumerate(tensor):
                published[f"{layer}.block_sparse_moe.experts.{expert}.w2.weight"] = down
        else:
            published[key] = tensor
    return published
