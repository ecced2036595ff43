"""Published checkpoints, where the golden cases do not reach: Mixtral, absent encoders, pickles, what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import MixtralConfig, MixtralForCausalLM

from minigemini.model.conversion import CLIP_KEYS, MODEL_KEYS, OPEN_CLIP_KEYS, load_published, translate

GOLDEN = Path(__file__).parent / "golden" / "llama_sd"
ENCODERS = GOLDEN / "model_zoo" / "OpenAI"
LOW_RES, HIGH_RES = ENCODERS / "clip-vit-tiny-patch14-56", ENCODERS / "openclip-convnext-large-d-320-tiny"


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """A copy of a published checkpoint, to change."""
    return Path(shutil.copytree(next(GOLDEN.glob("MGM-*")), tmp_path / "published"))


def change_config(folder: Path, **changes) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def change_tensors(folder: Path, change) -> None:
    tensors = {}
    for file in folder.glob("*.safetensors"):
        tensors.update(load_file(file))
        file.unlink()
    save_file(change(tensors), folder / "model.safetensors")


def load(folder: Path):
    return load_published(folder, low_res_encoder=LOW_RES, high_res_encoder=HIGH_RES).eval()


@torch.no_grad()
def test_mixtral(checkpoint):
    config = MixtralConfig(
        vocab_size=448,
        hidden_size=64,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=3,
        num_experts_per_tok=2,
    )
    torch.manual_seed(0)
    language_model = MixtralForCausalLM(config).eval()
    single = {}  # in the published layout: w1, w2, w3 of every expert by themselves
    for key, tensor in language_model.state_dict().items():
        layer = key.split(".mlp.")[0]
        if key.endswith("mlp.gate.weight"):
            single[f"{layer}.block_sparse_moe.gate.weight"] = tensor
        elif key.endswith("gate_up_proj"):
            for expert, both in enumerate(tensor):
                w1, w3 = both.chunk(2)
                single[f"{layer}.block_sparse_moe.experts.{expert}.w1.weight"] = w1.clone()
                single[f"{layer}.block_sparse_moe.experts.{expert}.w3.weight"] = w3.clone()
        elif key.endswith("down_proj"):
            for expert, down in enumerate(tensor):
                single[f"{layer}.block_sparse_moe.experts.{expert}.w2.weight"] = down.clone()
        else:
            single[key] = tensor
    own = ("model.embed_tokens", "model.layers", "model.norm", "lm_head")
    change_tensors(checkpoint, lambda old: {k: v for k, v in old.items() if not k.startswith(own)} | single)
    fields = config.to_dict()
    names = ("intermediate_size", "num_key_value_heads", "num_local_experts", "num_experts_per_tok")
    change_config(checkpoint, model_type="mgm_mixtral", **{name: fields[name] for name in names})
    change_config(checkpoint, rms_norm_eps=config.rms_norm_eps, rope_theta=config.rope_parameters["rope_theta"])
    ids = torch.arange(3, 20)[None]
    assert torch.equal(load(checkpoint)(input_ids=ids).logits, language_model(input_ids=ids).logits)


def test_absent_encoders_come_from_their_bases(checkpoint):
    change_tensors(checkpoint, lambda old: {k: v for k, v in old.items() if ".vision_tower" not in k})
    state = load(checkpoint).state_dict()
    base = torch.load(LOW_RES / "pytorch_model.bin", weights_only=True)
    ours, theirs = "vision_tower.encoder.layers.0.mlp.fc1.weight", "vision_model.encoder.layers.0.mlp.fc1.weight"
    assert torch.equal(state[f"model.{ours}"], base[theirs])
    base = torch.load(HIGH_RES / "open_clip_pytorch_model.bin", weights_only=True)
    ours, theirs = "encoder.stages.2.layers.1.layer_scale_parameter", "visual.trunk.stages.2.blocks.1.gamma"
    assert torch.equal(state[f"model.high_res_vision_tower.{ours}"], base[theirs])


def test_a_linear_projector(checkpoint):
    def linear(tensors):
        weight = tensors["model.mm_projector.0.weight"]
        kept = {key: tensor for key, tensor in tensors.items() if "mm_projector" not in key}
        return kept | {"model.mm_projector.weight": weight, "model.mm_projector.bias": torch.zeros(len(weight))}

    change_tensors(checkpoint, linear)
    change_config(checkpoint, mm_projector_type="linear")
    assert load(checkpoint).config.projector_depth == 1


def test_pickles_are_read_too(checkpoint):
    expected = load(checkpoint).state_dict()
    tensors = {}
    for file in checkpoint.glob("*.safetensors"):
        tensors.update(load_file(file))
        file.unlink()
    torch.save(tensors, checkpoint / "pytorch_model.bin")
    ours = load(checkpoint).state_dict()
    assert all(torch.equal(ours[key], tensor) for key, tensor in expected.items())


def test_what_was_never_published_is_refused(checkpoint):
    with pytest.raises(ValueError, match=r"no rule for the tensor 'model.something.weight'"):
        translate("model.something.weight", MODEL_KEYS)
    for change, message in (
        ({"model_type": "llava"}, "model_type is 'llava'; published are mgm, mgm_gemma"),
        ({"mm_projector_type": "qformer"}, "mm_projector_type is 'qformer'"),
        ({"mm_vision_select_feature": "cls_patch"}, "only 'patch' is known"),
        ({"mm_use_im_start_end": True}, "no published checkpoint has those"),
        ({"mm_hidden_size_aux": 2880}, "mm_hidden_size_aux is 2880, but the given encoder has 120 channels"),
    ):
        original = (checkpoint / "config.json").read_text()
        change_config(checkpoint, **change)
        with pytest.raises(ValueError, match=message):
            load(checkpoint)
        (checkpoint / "config.json").write_text(original)
    change_tensors(checkpoint, lambda old: {k: v for k, v in old.items() if k != "model.norm.weight"})
    with pytest.raises(ValueError, match=r"does not fit its config.*model\.language_model\.norm\.weight"):
        load(checkpoint)
    with pytest.raises(FileNotFoundError, match=r"no \.safetensors and no \.bin file"):
        load_published(checkpoint, low_res_encoder=LOW_RES, high_res_encoder=ENCODERS)


def test_each_base_drops_what_it_has_beyond_the_encoder():
    assert translate("text_model.final_layer_norm.weight", CLIP_KEYS) is None
    assert translate("vision_model.post_layernorm.weight", CLIP_KEYS) is None
    assert translate("visual.head.mlp.fc1.weight", OPEN_CLIP_KEYS) is None
    assert translate("visual.trunk.head.norm.weight", OPEN_CLIP_KEYS) is None
    assert translate("positional_embedding", OPEN_CLIP_KEYS) is None
