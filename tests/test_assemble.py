"""Assembled models: any language model, three formats of ConvNeXt, with and without stage 1."""

import json
import shutil
from pathlib import Path

import pytest
import sparse_checkpoints
import torch
from safetensors.torch import load_file, save_file
from tiny_published import HIGH_RES, LOW_RES, TOKENIZERS, copy_published
from transformers import (
    AutoModelForCausalLM,
    CLIPVisionConfig,
    CLIPVisionModel,
    ConvNextConfig,
    ConvNextModel,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    MixtralConfig,
    PhiConfig,
    PreTrainedConfig,
    Qwen2Config,
    Qwen2MoeConfig,
)

from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration
from minigemini.conversion import Tiling, assemble
from minigemini.conversion.assemble import initial_connector
from minigemini.conversion.base_encoders import high_res_tensors
from minigemini.conversion.config_fields import convnext_fields
from minigemini.conversion.tensor_names import PUBLISHED_KEYS, translate
from minigemini.inference import CheckpointError, Engine
from minigemini.io.loading import stored_layout

TINY = {
    "vocab_size": 456,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
GPT2 = GPT2Config(vocab_size=448, n_embd=32, n_layer=2, n_head=4, n_positions=128, bos_token_id=1, eos_token_id=2)
MOE = {"moe_intermediate_size": 24, "shared_expert_intermediate_size": 24, "num_experts": 4}
FAR = {"rope_type": "default", "rope_theta": 5e6}
LANGUAGE_MODELS: dict[str, tuple[PreTrainedConfig, str, str]] = {
    "llama": (LlamaConfig(**TINY), "tok_llama_fast", "vicuna"),
    "yi": (LlamaConfig(**TINY, rope_parameters=FAR), "tok_yi_slow_legacyT", "chatml"),
    "llama-3": (LlamaConfig(**TINY), "tok_llama3_fast", "llama-3"),
    "smollm": (LlamaConfig(**TINY, tie_word_embeddings=True), "tok_yi_slow_legacyF", "chatml"),
    "gemma": (GemmaConfig(**TINY, head_dim=8), "tok_gemma_fast", "gemma"),
    "mixtral": (MixtralConfig(**TINY, num_local_experts=3), "tok_llama_fast", "mistral"),
    "qwen2": (Qwen2Config(**TINY), "tok_yi_slow_legacyT", "chatml"),
    "qwen2-moe": (Qwen2MoeConfig(**TINY, **MOE), "tok_yi_slow_legacyT", "chatml"),
}
TILING = Tiling(high_res_size=128)


def save_language_model(folder: Path, config: PreTrainedConfig, tokenizer: str) -> AutoModelForCausalLM:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    model.save_pretrained(folder)
    shutil.copytree(TOKENIZERS / tokenizer, folder, dirs_exist_ok=True)
    return model


@pytest.fixture
def llm(tmp_path) -> str:
    save_language_model(tmp_path / "llm", LANGUAGE_MODELS["llama"][0], "tok_llama_fast")
    return str(tmp_path / "llm")


def load(folder: Path) -> MiniGeminiForConditionalGeneration:
    loaded = MiniGeminiForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    model, report = loaded
    assert not any(report.values()), report
    return model


@torch.no_grad()
@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_any_language_model(name, tmp_path, image):
    config, tokenizer, chat_format = LANGUAGE_MODELS[name]
    language_model = save_language_model(tmp_path / "llm", config, tokenizer)
    report = assemble(
        str(tmp_path / "llm"), str(LOW_RES), str(HIGH_RES), tmp_path / "new", tiling=TILING, chat_format=None
    )
    assert report.chat_format == chat_format
    assert len(report.initialized) == 16  # three LayerNorms and Linears, two Linears
    model = load(report.folder)
    ids = torch.arange(10, 40)[None]
    assert torch.equal(model(input_ids=ids).logits, language_model(input_ids=ids).logits)
    base = torch.load(LOW_RES / "pytorch_model.bin", weights_only=True)["vision_model.encoder.layers.0.mlp.fc1.weight"]
    assert torch.equal(model.model.vision_tower.encoder.layers[0].mlp.fc1.weight, base)
    engine = Engine.load(report.folder)
    assert engine.ask(image(0), "What is in the picture?").new_tokens


def test_the_connector_is_initialized_by_the_seed(llm, tmp_path):
    parts = []
    for seed in (0, 0, 1):
        folder = tmp_path / f"new{len(parts)}"
        model = load(assemble(llm, str(LOW_RES), str(HIGH_RES), folder, tiling=TILING, seed=seed).folder)
        parts.append(model.model.patch_info_mining.state_dict())
        initial, state = initial_connector(model.config, seed), model.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in initial.items())
    assert all(torch.equal(parts[0][name], parts[1][name]) for name in parts[0])
    assert not torch.equal(parts[0]["key_proj.1.weight"], parts[2]["key_proj.1.weight"])


def stage1_file(folder: Path, kind: str) -> Path:
    """Connector weights from stage 1 in each file format, for a language model of 64 channels."""
    published = load_file(copy_published(folder / "published") / "model.safetensors")
    small = {key: tensor for key, tensor in published.items() if "vlm_uni" in key or "mm_projector" in key}
    if kind == "published":
        torch.save(small, folder / "mm_projector.bin")
        return folder / "mm_projector.bin"
    if kind == "wrapped":
        torch.save({f"base_model.model.{key}": tensor for key, tensor in small.items()}, folder / "mm_projector.bin")
        return folder / "mm_projector.bin"
    if kind == "bare":
        save_file({key.removeprefix("model."): tensor for key, tensor in small.items()}, folder / "small.safetensors")
        return folder / "small.safetensors"
    if kind == "tuned":
        tuned = {key: tensor + 1 for key, tensor in published.items() if ".vision_tower" in key}
        torch.save(small | tuned, folder / "mm_projector.bin")
        return folder / "mm_projector.bin"
    ours = {str(translate(key, PUBLISHED_KEYS)): tensor for key, tensor in small.items()}
    save_file(ours, folder / "ours.safetensors")
    return folder / "ours.safetensors"


@pytest.mark.parametrize("kind", ["published", "wrapped", "bare", "ours", "tuned"])
def test_stage_1(kind, tmp_path):
    save_language_model(tmp_path / "llm", LlamaConfig(**{**TINY, "hidden_size": 64}), "tok_llama_fast")
    stage1 = stage1_file(tmp_path, kind)
    report = assemble(
        str(tmp_path / "llm"), str(LOW_RES), str(HIGH_RES), tmp_path / "new", stage1=stage1, tiling=TILING
    )
    assert not report.initialized
    model = load(report.folder)
    published = load_file(tmp_path / "published" / "model.safetensors")
    assert torch.equal(
        model.model.patch_info_mining.key_proj[1].weight, published["model.vlm_uni_aux_projector.1.weight"]
    )
    assert torch.equal(model.model.multi_modal_projector[2].bias, published["model.mm_projector.2.bias"])
    fc1 = model.model.vision_tower.encoder.layers[0].mlp.fc1.weight
    name = "vision_model.encoder.layers.0.mlp.fc1.weight"
    expected = torch.load(LOW_RES / "pytorch_model.bin", weights_only=True)[name]
    if kind == "tuned":
        expected = published[f"model.vision_tower.vision_tower.{name}"] + 1
    assert torch.equal(fc1, expected)


CONVNEXT = ConvNextConfig(hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 2, 1])


@pytest.mark.parametrize("layout", ["openclip", "timm", "transformers", "transformers with a head"])
def test_any_convnext_format(layout, llm, tmp_path):
    torch.manual_seed(0)
    original = ConvNextModel(CONVNEXT)
    folder = tmp_path / "convnext"
    prefix = {"openclip": "visual.trunk.", "transformers with a head": "convnext."}.get(layout, "")
    folder.mkdir()
    if "transformers" in layout:
        save_file({prefix + key: tensor for key, tensor in original.state_dict().items()}, folder / "model.safetensors")
    else:
        timm = {prefix + as_timm(key): tensor for key, tensor in original.state_dict().items() if key.count(".") > 1}
        if layout == "openclip":
            timm["logit_scale"] = torch.ones(())
            timm["transformer.resblocks.0.ln_1.weight"] = torch.ones(8)
        save_file(timm, folder / "open_clip_model.safetensors")
    model = load(assemble(llm, str(LOW_RES), str(folder), tmp_path / "new", tiling=TILING).folder)
    for key, tensor in model.model.high_res_vision_tower.state_dict().items():
        assert torch.equal(tensor, original.state_dict()[key]), key


def as_timm(key: str) -> str:
    """Return the timm name of a tensor of Transformers' ConvNeXt."""
    for ours, theirs in (
        ("embeddings.patch_embeddings.", "stem.0."),
        ("embeddings.layernorm.", "stem.1."),
        ("encoder.stages.", "stages."),
        (".downsampling_layer.", ".downsample."),
        (".layers.", ".blocks."),
        (".dwconv.", ".conv_dw."),
        (".layernorm.", ".norm."),
        (".pwconv1.", ".mlp.fc1."),
        (".pwconv2.", ".mlp.fc2."),
        (".layer_scale_parameter", ".gamma"),
    ):
        key = key.replace(ours, theirs)
    return key


@pytest.mark.parametrize("whole", [True, False], ids=["saved whole", "saved by its vision half"])
def test_any_clip_vit(whole, llm, tmp_path):
    config = CLIPVisionConfig(
        hidden_size=24, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2, image_size=64, patch_size=16
    )
    torch.manual_seed(0)
    original = CLIPVisionModel(config)
    folder = tmp_path / "vit"
    if whole:
        folder.mkdir()
        state = {f"vision_model.{key}": tensor for key, tensor in original.state_dict().items()}
        save_file({**state, "logit_scale": torch.ones(())}, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": config.to_dict()}))
    else:
        original.save_pretrained(folder)
    model = load(assemble(llm, str(folder), str(HIGH_RES), tmp_path / "new", tiling=TILING).folder)
    assert model.config.patches_per_side == 4
    for key, tensor in model.model.vision_tower.state_dict().items():
        assert torch.equal(tensor, original.state_dict()[key]), key


@pytest.mark.parametrize("size", sparse_checkpoints.CONVNEXT_WIDTHS)
def test_every_size_of_convnext(size, tmp_path):
    sparse_checkpoints.write_sparse(tmp_path / "convnext", sparse_checkpoints.convnext("visual.trunk.", size), "F32")
    found, unused = high_res_tensors(tmp_path / "convnext")
    fields = convnext_fields((name, tensor.shape) for name, tensor in found.items())
    config = MiniGeminiConfig(high_res_vision_config={**fields, "model_type": "convnext"})
    wanted = {name: shape for name, shape in stored_layout(config).items() if "high_res" in name}
    assert {name: tensor.shape for name, tensor in found.items()} == wanted
    assert not unused


def refused(message: str, *parts: str, **options) -> None:
    folder = Path(parts[0]).parent / "new"
    with pytest.raises(CheckpointError, match=message) as caught:
        assemble(*parts, folder, **{"tiling": TILING, **options})
    assert "\n" not in str(caught.value)
    assert not folder.exists()


def test_parts_that_are_refused(llm, tmp_path):
    vit, convnext, layers = str(LOW_RES), str(HIGH_RES), tmp_path / "layers.safetensors"
    refused("not a language model of Transformers", convnext, vit, convnext)
    refused("a 'clip' is not a causal language model", vit, vit, convnext)
    refused("a 'llama' is not an image encoder of a known kind", llm, llm, convnext)
    refused("a .llama. is not an image encoder of a known kind", llm, vit, llm)
    refused("the parts do not fit together: high_res_size=100", llm, vit, convnext, tiling=Tiling(100))
    refused("chat format 'klingon' is unknown; use nano, ", llm, vit, convnext, chat_format="klingon")
    refused("dtype 'int3' is unknown", llm, vit, convnext, dtype="int3")
    refused("4 mis-shaped: model.multi_modal_projector", llm, vit, convnext, stage1=stage1_file(tmp_path, "published"))
    save_file({"model.layers.0.weight": torch.ones(1)}, layers)
    refused("1 tensors do not belong to the parts that stage 1 trains", llm, vit, convnext, stage1=layers)
    refused("nowhere.bin: no such file", llm, vit, convnext, stage1=tmp_path / "nowhere.bin")
    (tmp_path / "llm" / "model.safetensors").write_bytes(b"\x17" * 99)
    refused("model.safetensors: corrupt or cut off", llm, vit, convnext)


def test_a_head_with_a_bias_is_refused(tmp_path):
    save_language_model(tmp_path / "phi", PhiConfig(**TINY), "tok_llama_fast")
    parts = (str(tmp_path / "phi"), str(LOW_RES), str(HIGH_RES))
    refused("'phi' is not supported, because its head has a bias; give another model", *parts, chat_format="vicuna")


def test_an_unknown_language_model_needs_a_chat_format(tmp_path):
    save_language_model(tmp_path / "gpt2", GPT2, "tok_llama_fast")
    parts = (str(tmp_path / "gpt2"), str(LOW_RES), str(HIGH_RES))
    refused("no chat format is known for a 'gpt2' language model; choose with --chat-format: nano, ", *parts)
    report = assemble(*parts, tmp_path / "new", tiling=TILING, chat_format="vicuna")
    assert load(report.folder).config.text_config.model_type == "gpt2"
