"""Conversion beyond the golden cases: other language models, pickles, and refused checkpoints."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from reference_mining import mine_by_formula
from safetensors.torch import load_file
from tiny_published import ENCODERS, HIGH_RES, LOW_RES, change_config, change_tensors, copy_published, put_in
from transformers import (
    AutoProcessor,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
)
from typer.testing import CliRunner

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.cli.app import app
from minigemini.conversion import convert
from minigemini.conversion.published_models import ENCODERS as ENCODERS_BY_NAME
from minigemini.conversion.published_models import KnownEncoder
from minigemini.conversion.tensor_names import CLIP_KEYS, CONVNEXT_KEYS, PUBLISHED_KEYS, Drop, translate
from minigemini.inference import CheckpointError, Engine

TINY = {
    "vocab_size": 456,  # Yi's toy tokenizer has 450 tokens
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
MIXTRAL = MixtralConfig(**TINY, intermediate_size=24, num_local_experts=3, num_experts_per_tok=2, rms_norm_eps=1e-5)
YI = LlamaConfig(**TINY, intermediate_size=96, rope_parameters={"rope_type": "default", "rope_theta": 5e6})


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """A published checkpoint to modify."""
    return copy_published(tmp_path / "published")


def run(checkpoint: Path, name: str = "converted", **options):
    """Convert with given base encoders into a folder next to the checkpoint."""
    folder = checkpoint.parent / name
    options = {"low_res_encoder": str(LOW_RES), "high_res_encoder": str(HIGH_RES), **options}
    return convert(str(checkpoint), folder, **options)


def load(folder: Path) -> MiniGeminiForConditionalGeneration:
    loaded = MiniGeminiForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    model, report = loaded
    assert not any(report.values()), report
    return model


def state(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load(run(checkpoint).folder).state_dict()


@torch.no_grad()
@pytest.mark.parametrize(
    ("model_type", "language_model", "tokenizer", "chat_format"),
    [
        ("mgm_mixtral", MixtralForCausalLM(MIXTRAL), "tok_llama_fast", "mistral"),
        ("mgm", LlamaForCausalLM(YI), "tok_yi_slow_legacyT", "chatml"),
    ],
    ids=["mixtral", "yi"],
)
def test_against_the_plain_reference(checkpoint, model_type, language_model, tokenizer, chat_format, image):
    """Transformers' language model with the visual tokens of the reference formula in its embeddings."""
    put_in(checkpoint, model_type, language_model, tokenizer)
    report = run(checkpoint)
    assert report.chat_format == chat_format
    model, processor = load(report.folder), AutoProcessor.from_pretrained(report.folder)
    content = [{"type": "image", "image": image(0)}, {"type": "text", "text": "What is in the picture?"}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        add_generation_prompt=True,
    )
    low_res = model.model.get_low_res_features(inputs["pixel_values"])[:, 0]
    maps = model.model.get_high_res_stage_maps(inputs["high_res_pixel_values"])
    mined, _ = mine_by_formula(model.model.patch_info_mining, low_res, maps)
    tokens = model.model.multi_modal_projector(low_res + mined)[0]
    ids = inputs["input_ids"][0]
    embeds = language_model.get_input_embeddings()(ids)
    embeds[ids == processor.image_token_id] = tokens
    language_model = language_model.eval()
    logits = language_model(inputs_embeds=embeds[None]).logits
    ours = model(**inputs).logits
    assert (ours - logits).abs().max() < 1e-6  # worst measured 2.1e-7 (mixtral)
    greedy = language_model.generate(inputs_embeds=embeds[None], max_new_tokens=8, do_sample=False, eos_token_id=-1)
    ours = model.generate(**inputs, max_new_tokens=8, do_sample=False, eos_token_id=-1)
    assert ours[0, len(ids) :].tolist() == greedy[0].tolist()


def test_a_converted_folder_is_complete(checkpoint, image):
    report = run(checkpoint, shard_bytes=300_000)
    names = {file.name for file in report.folder.iterdir()}
    assert {
        "README.md",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "processor_config.json",
    } <= names
    assert {"tokenizer.json", "tokenizer_config.json", "model.safetensors.index.json"} <= names
    assert len([name for name in names if name.startswith("model-")]) > 2
    assert not list(checkpoint.parent.glob(".*"))
    assert report.parameters == load(report.folder).num_parameters()
    engine = Engine.load(report.folder)
    assert engine.ask(image(0), "What is in the picture?").new_tokens


@pytest.mark.parametrize(
    ("tokenizer", "chat_format", "ends"),
    [
        ("tok_llama3_fast", "llama-3", {"<|end_of_text|>", "<|eot_id|>"}),
        ("tok_yi_slow_legacyT", "chatml", {"<|im_end|>"}),
        ("tok_llama_slow_legacyF", "vicuna", {"</s>"}),
    ],
)
def test_generation_ends_where_the_format_does(checkpoint, tokenizer, chat_format, ends):
    put_in(checkpoint, "mgm", LlamaForCausalLM(YI), tokenizer)
    ids = AutoProcessor.from_pretrained(_with_tokenizer(checkpoint)).tokenizer.get_vocab()
    change_config(checkpoint, eos_token_id=ids[min(ends)])
    report = run(checkpoint)
    assert report.chat_format == chat_format
    eos = GenerationConfig.from_pretrained(report.folder).eos_token_id
    assert set(eos if isinstance(eos, list) else [eos]) == {ids[end] for end in ends}


def _with_tokenizer(checkpoint: Path) -> Path:
    return run(checkpoint, "for-its-tokenizer").folder


def test_absent_encoders_come_from_their_bases(checkpoint):
    change_tensors(checkpoint, lambda old: {k: v for k, v in old.items() if ".vision_tower" not in k})
    ours = state(checkpoint)
    base = torch.load(LOW_RES / "pytorch_model.bin", weights_only=True)
    name, theirs = "vision_tower.encoder.layers.0.mlp.fc1.weight", "vision_model.encoder.layers.0.mlp.fc1.weight"
    assert torch.equal(ours[f"model.{name}"], base[theirs])
    base = torch.load(HIGH_RES / "open_clip_pytorch_model.bin", weights_only=True)
    name, theirs = "encoder.stages.2.layers.1.layer_scale_parameter", "visual.trunk.stages.2.blocks.1.gamma"
    assert torch.equal(ours[f"model.high_res_vision_tower.{name}"], base[theirs])


def test_encoders_are_found_where_the_config_names_them(tmp_path, monkeypatch):
    checkpoint = copy_published(tmp_path / "published")
    shutil.copytree(ENCODERS, tmp_path / "model_zoo" / "OpenAI")  # beside the checkpoint, as the original expects them
    beside = convert(str(checkpoint), tmp_path / "beside")
    given = run(checkpoint, "given")
    ours, theirs = load(beside.folder).state_dict(), load(given.folder).state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    shutil.rmtree(tmp_path / "model_zoo")
    with pytest.raises(CheckpointError, match=r"names the encoder .*tiny-patch14-56.*--low-res-encoder DIR"):
        convert(str(checkpoint), tmp_path / "lost")


def test_a_linear_projector(checkpoint):
    def linear(tensors):
        weight = tensors["model.mm_projector.0.weight"]
        kept = {key: tensor for key, tensor in tensors.items() if "mm_projector" not in key}
        return kept | {"model.mm_projector.weight": weight, "model.mm_projector.bias": torch.zeros(len(weight))}

    change_tensors(checkpoint, linear)
    change_config(checkpoint, mm_projector_type="linear")
    assert load(run(checkpoint).folder).config.projector_depth == 1


@pytest.mark.parametrize("zipped", [True, False], ids=["zip format", "legacy format"])
def test_pickles_give_the_same_weights(checkpoint, zipped):
    expected = state(checkpoint)
    tensors = load_file(checkpoint / "model.safetensors")
    (checkpoint / "model.safetensors").unlink()
    torch.save(tensors, checkpoint / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    ours = load(run(checkpoint, "again").folder).state_dict()
    assert all(torch.equal(ours[key], tensor) for key, tensor in expected.items())


@pytest.mark.parametrize(("name", "dtype"), [("bf16", torch.bfloat16), ("float16", torch.float16)])
def test_another_dtype(checkpoint, name, dtype):
    model = load(run(checkpoint, dtype=name).folder)
    assert model.config.dtype == dtype
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}
    original = load_file(checkpoint / "model.safetensors")["model.mm_projector.0.weight"]
    assert torch.equal(model.model.multi_modal_projector[0].weight, original.to(dtype))


class Malicious:
    """A pickle that creates a file when it is loaded unsafely."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("place", ["checkpoint", "encoder"])
def test_a_malicious_pickle_never_runs(checkpoint, place, tmp_path):
    made = tmp_path / "made-by-the-pickle"
    options = {}
    if place == "checkpoint":
        (checkpoint / "model.safetensors").unlink()
        file = checkpoint / "pytorch_model.bin"
    else:
        change_config(checkpoint, optimize_vision_tower_aux=False)
        options = {"high_res_encoder": str(tmp_path / "encoder")}
        (tmp_path / "encoder").mkdir()
        file = tmp_path / "encoder" / "open_clip_pytorch_model.bin"
    for write in (
        lambda: torch.save({"x": Malicious(made)}, file),
        lambda: file.write_bytes(pickle.dumps(Malicious(made), protocol=2)),
    ):
        write()
        with pytest.raises(
            CheckpointError, match=rf"{file.name}: a pickle that refers to more than tensors.*safetensors"
        ):
            run(checkpoint, **options)
        assert not made.exists()
    pickle.loads(file.read_bytes())  # it does run when loaded unsafely
    assert made.exists()


CONFIGS = [
    ({"model_type": "llava"}, "model_type 'llava', not one of the published mgm, mgm_gemma"),
    ({"model_type": "minigemini"}, "already in our format"),
    ({"mm_projector_type": "qformer"}, "mm_projector_type is 'qformer'"),
    ({"mm_vision_select_feature": "cls_patch"}, "only 'patch' is supported"),
    ({"mm_use_im_start_end": True}, "no published checkpoint has"),
    ({"mm_hidden_size_aux": 2880}, "mm_hidden_size_aux is 2880, but the given encoder has 120 channels"),
    ({"image_size_aux": 100}, "config.json: high_res_size=100"),
    ({"image_size_aux": None}, "config.json lacks image_size_aux"),
    ({"mm_vision_tower": None}, "config.json lacks mm_vision_tower"),
    ({"num_hidden_layers": 3}, r"9 missing: model\.language_model\.layers\.2"),
    ({"intermediate_size": 65}, r"6 mis-shaped: .*down_proj\.weight is \[64, 64\], not \[64, 65\]"),
    ({"torch_dtype": "float8"}, "dtype 'float8' is unknown; use --dtype with one of"),
]


@pytest.mark.parametrize(("change", "message"), CONFIGS, ids=[next(iter(change)) for change, _ in CONFIGS])
def test_configs_that_are_refused(checkpoint, change, message):
    change_config(checkpoint, **change)
    refused(checkpoint, message)


def refused(checkpoint: Path, message: str, **options) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        run(checkpoint, "refused", **options)
    assert "\n" not in str(caught.value)
    assert not (checkpoint.parent / "refused").exists()
    assert not list(checkpoint.parent.glob(".*"))


def drop(name: str):
    return lambda old: {key: tensor for key, tensor in old.items() if key != name}


def test_tensors_that_are_refused(checkpoint):
    change_tensors(checkpoint, drop("model.norm.weight"))
    refused(checkpoint, r"1 missing: model\.language_model\.norm\.weight")
    change_tensors(
        checkpoint, lambda old: {**old, "model.norm.weight": torch.ones(64), "model.new.weight": torch.ones(1)}
    )
    refused(checkpoint, r"published: 1 tensors do not belong to .*: model\.new\.weight")


def test_files_that_are_refused(checkpoint, tmp_path):
    weights = checkpoint / "model.safetensors"
    whole = weights.read_bytes()
    for content, message in (
        (whole[:-1000], r"model\.safetensors: corrupt or cut off at .* bytes"),
        (b"\x17" * 5000, r"model\.safetensors: corrupt or cut off"),
        (b"", r"model\.safetensors: corrupt or cut off at 0 bytes"),
    ):
        weights.write_bytes(content)
        refused(checkpoint, message)
    weights.rename(checkpoint / "pytorch_model.bin")
    for content in (b"\x17" * 5000, b"", b"PK\x03\x04" + b"\x00" * 500):
        (checkpoint / "pytorch_model.bin").write_bytes(content)
        refused(checkpoint, r"pytorch_model\.bin: .*copy or download it again")
    torch.save([torch.ones(2)], checkpoint / "pytorch_model.bin")
    refused(checkpoint, r"pytorch_model\.bin: contains a list, not tensors by name")
    (checkpoint / "pytorch_model.bin").unlink()
    refused(checkpoint, r"no \.safetensors and no \.bin file")
    weights.write_bytes(whole)
    (checkpoint / "config.json").write_text("{")
    refused(checkpoint, r"config\.json cannot be read")
    (checkpoint / "config.json").unlink()
    refused(checkpoint, r"no config\.json")


def test_an_index_that_is_refused(checkpoint):
    keys = dict.fromkeys(load_file(checkpoint / "model.safetensors"), "model-00001-of-00001.safetensors")
    (checkpoint / "model.safetensors").rename(checkpoint / "model-00001-of-00001.safetensors")
    index = checkpoint / "model.safetensors.index.json"
    for weight_map, message in (
        (
            {**keys, "lm_head.weight": "model-00002-of-00002.safetensors"},
            "00002.safetensors: missing, though .* names it",
        ),
        (
            {**keys, "model.more.weight": "model-00001-of-00001.safetensors"},
            "1 tensors, first model.more.weight",
        ),
        (dict(list(keys.items())[1:]), "does not match the files in 1 tensors"),
        ({**keys, "lm_head.weight": "../elsewhere.safetensors"}, "which is not a file in the same folder"),
        ({}, "no weight_map in it"),
    ):
        index.write_text(json.dumps({"weight_map": weight_map}))
        refused(checkpoint, message)


def test_a_missing_tokenizer_is_refused(checkpoint):
    tokenizer = checkpoint / "tokenizer.model"
    tokenizer.write_bytes(b"\x00" * 100)
    refused(checkpoint, "the tokenizer cannot be loaded")
    tokenizer.unlink()
    refused(checkpoint, r"no tokenizer in it \(tokenizer\.json or tokenizer\.model\)")


def test_encoders_that_are_refused(checkpoint, tmp_path):
    change_config(checkpoint, optimize_vision_tower_aux=False)
    refused(checkpoint, "nowhere: no such folder, and not a hub id", high_res_encoder="nowhere")
    refused(checkpoint, r"tensors do not belong to the high-resolution encoder", high_res_encoder=str(LOW_RES))
    refused(
        checkpoint, "openclip-convnext.* is not a CLIP model's folder: no config.json", low_res_encoder=str(HIGH_RES)
    )
    (tmp_path / "empty").mkdir()
    refused(checkpoint, r"empty: no \.safetensors and no \.bin", high_res_encoder=str(tmp_path / "empty"))


def test_an_existing_folder_is_left_alone(checkpoint):
    (checkpoint.parent / "converted").mkdir()
    with pytest.raises(CheckpointError, match=r"converted: already exists; remove it, or choose another"):
        run(checkpoint)
    with pytest.raises(CheckpointError, match=r"parent folder .*nowhere does not exist; create it first"):
        run(checkpoint, "nowhere/converted")


def test_conversion_drops_weights_beyond_the_encoder():
    assert isinstance(translate("text_model.final_layer_norm.weight", CLIP_KEYS), Drop)
    assert isinstance(translate("vision_model.post_layernorm.weight", CLIP_KEYS), Drop)
    assert isinstance(translate("visual.head.mlp.fc1.weight", CONVNEXT_KEYS), Drop)
    assert isinstance(translate("visual.trunk.head.norm.weight", CONVNEXT_KEYS), Drop)
    assert isinstance(translate("positional_embedding", CONVNEXT_KEYS), Drop)
    with pytest.raises(ValueError, match=r"no rule for the tensor 'model.something.weight'"):
        translate("model.something.weight", PUBLISHED_KEYS)


def test_a_known_vit_inside_needs_no_base(checkpoint, monkeypatch):
    """The path of the ViT does not exist, but its config is known, so nothing is downloaded."""
    config = json.loads((LOW_RES / "config.json").read_text())["vision_config"]
    monkeypatch.setitem(ENCODERS_BY_NAME, "clip-vit-tiny", KnownEncoder("nobody/nothing", config))
    change_config(checkpoint, mm_vision_tower="somewhere/clip-vit-tiny")
    expected = state(checkpoint)
    ours = load(run(checkpoint, "again", low_res_encoder=None).folder).state_dict()
    assert all(torch.equal(ours[key], tensor) for key, tensor in expected.items())
    change_tensors(checkpoint, lambda old: {k: v for k, v in old.items() if ".vision_tower." not in k})
    refused(checkpoint, "nobody/nothing: .*; or give the encoder's folder with --low-res-encoder", low_res_encoder=None)


def test_the_command_line(checkpoint, tmp_path):
    encoders = ["--low-res-encoder", str(LOW_RES), "--high-res-encoder", str(HIGH_RES)]
    command = ["convert", str(checkpoint), str(tmp_path / "new"), *encoders, "--dtype", "bf16", "--shard-size", "300KB"]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "minigemini: invalid shard size '300KB'; write it as 2GB or 500MB\n"
    done = CliRunner().invoke(app, command[:-2], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"{tmp_path / 'new'}: 247,624 parameters in bfloat16, chat format vicuna",
        "     151 tensors converted, all that the model has",
        "      16 not used: after the last ViT layer in use",
        "       2 not used: belongs to pooling, which is not used",
    ]
    done = CliRunner().invoke(app, command[:-2], catch_exceptions=False)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
