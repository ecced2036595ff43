"""Adapters: merging equals PEFT's sum, a merged folder is a checkpoint, and mismatches are one-line errors."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.inference import CheckpointError, Engine, RequestError, Sampling
from minigemini.io.connector import CONNECTOR_PARTS, connector_parameters, save_connector
from minigemini.io.merging import merge

ROOT = Path(__file__).parent.parent
SHORT = Sampling(max_new_tokens=12)
LANGUAGE = r"model\.language_model\..*(q_proj|v_proj|down_proj)"
KINDS = {
    "names": {"target_modules": ["q_proj", "v_proj"]},
    "pattern": {"target_modules": LANGUAGE, "lora_alpha": 3},
    "rank-stabilised": {"target_modules": ["down_proj"], "use_rslora": True},
    "ranks": {"target_modules": LANGUAGE, "rank_pattern": {"v_proj": 2}},
    "head": {"target_modules": ["q_proj", "lm_head"]},
    "embedding": {"target_modules": ["q_proj", "embed_tokens"]},
    "head and embedding": {"target_modules": r".*(lm_head|embed_tokens|v_proj)"},
    "small parts too": {"target_modules": LANGUAGE, "modules_to_save": list(CONNECTOR_PARTS)},
}


def over(folder: Path) -> MiniGeminiForConditionalGeneration:
    return MiniGeminiForConditionalGeneration.from_pretrained(folder)


def make_adapter(base: Path, folder: Path, **settings) -> PeftModel:
    """What training would leave: an adapter of random numbers, saved by PEFT; gives the model with it."""
    torch.manual_seed(1)
    model = get_peft_model(over(base), LoraConfig(**{"r": 4, "lora_alpha": 8, **settings})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.2)
    model.save_pretrained(folder)
    return model


@pytest.fixture
def adapter(tiny_checkpoint, tmp_path) -> Path:
    make_adapter(tiny_checkpoint, tmp_path / "adapter", **KINDS["small parts too"])
    return tmp_path / "adapter"


@pytest.fixture
def parts(tiny_checkpoint, tmp_path) -> Path:
    """Small parts of other numbers, in a file of their own."""
    model = over(tiny_checkpoint)
    with torch.no_grad():
        for parameter in connector_parameters(model).values():
            parameter.normal_(std=0.2)
    save_connector(model, tmp_path / "parts.safetensors", base=str(tiny_checkpoint))
    return tmp_path / "parts.safetensors"


@torch.no_grad()
def logits(model, engine: Engine, image) -> torch.Tensor:
    content = [{"type": "image", "image": image(0)}, {"type": "text", "text": "What?"}]
    chat = [{"role": "user", "content": content}]
    return model(
        **engine.processor.apply_chat_template(chat, tokenize=True, return_dict=True, return_tensors="pt")
    ).logits


# Merged


@pytest.mark.parametrize("kind", KINDS)
def test_merging_equals_peft(tiny_checkpoint, tmp_path, image, kind):
    trained = make_adapter(tiny_checkpoint, tmp_path / "adapter", **KINDS[kind])
    plain, engine = Engine.load(tiny_checkpoint, device="cpu"), Engine.load(tmp_path / "adapter", device="cpu")
    wanted = logits(trained, engine, image)
    # worst measured 5.8e-6, of logits up to 4.7
    torch.testing.assert_close(logits(engine.model, engine, image), wanted, atol=3e-5, rtol=0)
    assert (logits(plain.model, plain, image) - wanted).abs().max() > 0.1, "the adapter does something"


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens", "tied and large"])
def test_adapter_of_one_tied_weight_leaves_the_other(make_model, make_processor, tmp_path, image, target):
    model = make_model(text_config={"tie_word_embeddings": True, "model_type": "gemma", "head_dim": 8})
    model.save_pretrained(tmp_path / "tied")
    make_processor(model.config).save_pretrained(tmp_path / "tied")
    targets = ["q_proj", "lm_head", "embed_tokens"] if target == "tied and large" else ["q_proj", target]
    trained = make_adapter(tmp_path / "tied", tmp_path / "adapter", target_modules=targets)
    engine = Engine.load(tmp_path / "adapter", device="cpu")
    wanted = logits(trained, engine, image)
    # worst measured 1.5e-5, of logits up to 16
    torch.testing.assert_close(logits(engine.model, engine, image), wanted, atol=1e-4, rtol=0)
    assert (logits(over(tmp_path / "tied"), engine, image) - wanted).abs().max() > 0.1, "the adapter does something"
    merge(tmp_path / "adapter", tmp_path / "merged")
    for again in (over(tmp_path / "merged"), Engine.load(tmp_path / "merged", device="cpu").model):
        for name, parameter in engine.model.named_parameters():
            assert torch.equal(again.get_parameter(name), parameter), name
        torch.testing.assert_close(logits(again, engine, image), wanted, atol=1e-4, rtol=0)


def test_trained_embedding_is_refused_by_name(tiny_checkpoint, tmp_path):
    make_adapter(tiny_checkpoint, tmp_path / "adapter", target_modules=["q_proj", "lm_head"])
    edit_tensors(tmp_path / "adapter", lambda t: t[first(t, "lm_head.base_layer")].add_(1))
    with pytest.raises(CheckpointError, match=r"lm_head\.base_layer\.weight differs from the base's"):
        Engine.load(tmp_path / "adapter", device="cpu")


def test_merged_folder_is_an_ordinary_checkpoint(adapter, tmp_path, image):
    engine = Engine.load(adapter, device="cpu")
    merge(adapter, tmp_path / "merged")
    again = Engine.load(tmp_path / "merged", device="cpu")
    assert torch.equal(logits(again.model, again, image), logits(engine.model, engine, image))
    assert torch.equal(logits(over(tmp_path / "merged"), engine, image), logits(engine.model, engine, image))
    assert again.ask(image(0), "What?", SHORT).text == engine.ask(image(0), "What?", SHORT).text
    names = {path.name for path in (tmp_path / "merged").iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "chat_template.jinja"} <= names
    assert {"tokenizer.json", "processor_config.json", "README.md"} <= names
    assert f"`{adapter}` merged into" in (tmp_path / "merged" / "README.md").read_text()
    assert not list(tmp_path.glob(".*.partial"))


def test_merged_model_keeps_the_dtype_of_the_base(tmp_path):
    save_connector(Engine.load("nano").model, tmp_path / "parts.safetensors", base="nano")
    merge(tmp_path / "parts.safetensors", tmp_path / "as-stored")
    merge(tmp_path / "parts.safetensors", tmp_path / "wide", dtype="float32")
    kinds = [
        {x.dtype for x in load_file(tmp_path / name / "model.safetensors").values()} for name in ("as-stored", "wide")
    ]
    assert kinds == [{torch.bfloat16}, {torch.float32}]


def test_connector_weights_load_on_a_base(parts, tiny_checkpoint):
    merged, plain = Engine.load(parts, device="cpu").model, over(tiny_checkpoint)
    stored = load_file(parts)
    assert stored.keys() == connector_parameters(plain).keys()
    for name, parameter in merged.named_parameters():
        assert torch.equal(parameter, stored[name] if name in stored else plain.get_parameter(name)), name


def test_baseline_connector_is_the_projector(make_model, make_processor, tmp_path):
    model = make_model(high_res_vision_config=None)
    model.save_pretrained(tmp_path / "baseline")
    make_processor(model.config).save_pretrained(tmp_path / "baseline")
    save_connector(model, tmp_path / "parts.safetensors")
    assert all("multi_modal_projector" in name for name in load_file(tmp_path / "parts.safetensors"))
    assert Engine.load(tmp_path / "parts.safetensors", base=tmp_path / "baseline", device="cpu")


def test_base_can_be_overridden(adapter, tiny_checkpoint, tmp_path, image):
    moved = shutil.copytree(tiny_checkpoint, tmp_path / "moved")
    change_json(adapter, base_model_name_or_path="/nowhere/it/was/trained")
    with pytest.raises(CheckpointError, match=r"its base: /nowhere/it/was/trained: no such folder.*--base"):
        Engine.load(adapter)
    change_json(adapter, base_model_name_or_path=None)
    with pytest.raises(CheckpointError, match="does not name its base model"):
        Engine.load(adapter)
    assert Engine.load(adapter, base=moved, device="cpu").ask(image(0), "What?", SHORT).text


def test_base_without_an_adapter_is_refused(tiny_checkpoint):
    with pytest.raises(RequestError, match="has no base"):
        Engine.load(tiny_checkpoint, base="nano")


# What is not loaded


def change_json(folder: Path, **changes) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_tensors(folder: Path, edit) -> None:
    tensors = load_file(folder / "adapter_model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "adapter_model.safetensors")


def first(tensors: dict, part: str) -> str:
    return next(name for name in tensors if part in name)


def cut(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


BROKEN = {
    "cut": (cut, r"adapter_model\.safetensors: corrupt or cut off"),
    "random": (lambda f: (f / "adapter_model.safetensors").write_bytes(os.urandom(4096)), r"corrupt or cut off"),
    "empty": (lambda f: (f / "adapter_model.safetensors").write_bytes(b""), r"corrupt or cut off"),
    "absent": (lambda f: (f / "adapter_model.safetensors").unlink(), r"no adapter_model\.safetensors"),
    "pickle": (
        lambda f: (f / "adapter_model.safetensors").rename(f / "adapter_model.bin"),
        r"adapter_model\.bin is a pickle.*save_pretrained",
    ),
    "no json": (lambda f: (f / "adapter_config.json").write_text("{"), r"adapter_config\.json cannot be read"),
    "another kind": (lambda f: change_json(f, peft_type="IA3"), r"peft_type is 'IA3'"),
    "DoRA": (lambda f: change_json(f, use_dora=True), r"sets use_dora"),
    "code": (lambda f: change_json(f, megatron_config={"a": 1}), r"sets megatron_config"),
    "unknown field": (lambda f: change_json(f, hook="os.system"), r"sets hook"),
    "changed base": (lambda f: change_json(f, init_lora_weights="pissa_niter_4"), r"changes the base"),
    "rank": (lambda f: change_json(f, r="four"), r"has r 'four'"),
    "alpha": (lambda f: change_json(f, lora_alpha=float("nan")), r"has lora_alpha nan"),
    "other rank": (lambda f: change_json(f, r=5), r"mis-shaped: \S+lora_A\.weight is \[4, 48\], not \[5, 48\]"),
    "whole": (lambda f: change_json(f, modules_to_save=["lm_head"]), r"has modules_to_save \['lm_head'\]"),
    "not whole": (lambda f: change_json(f, modules_to_save=None), r"\d+ unknown: model\.multi_modal_projector"),
    "a target more": (
        lambda f: change_json(f, target_modules=["q_proj", "v_proj", "down_proj", "o_proj"]),
        r"\d+ missing: model\.",
    ),
    "a tensor less": (lambda f: edit_tensors(f, lambda t: t.pop(first(t, "lora_B"))), r"1 missing: \S+lora_B\.weight"),
    "a stranger": (
        lambda f: edit_tensors(f, lambda t: t.update({"base_model.model.stray": torch.zeros(2)})),
        r"1 unknown: stray",
    ),
    "not PEFT's": (lambda f: edit_tensors(f, lambda t: t.update(stray=torch.zeros(2))), r"tensor stray is not PEFT's"),
    "mis-shaped": (
        lambda f: edit_tensors(f, lambda t: t.update({first(t, "projector.0.weight"): torch.zeros(2, 3)})),
        r"mis-shaped: \S+ is \[2, 3\], not \[32, 16\]",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_adapters_are_one_line_errors(case, adapter):
    breaks, message = BROKEN[case]
    breaks(adapter)
    with pytest.raises(CheckpointError, match=message) as caught:
        Engine.load(adapter, device="cpu")
    assert "\n" not in str(caught.value)
    assert str(adapter) in str(caught.value)


def test_adapter_of_another_model_is_refused(adapter, tmp_path, make_model, make_processor):
    """Of other widths, and of the same with a layer more, where every shape that is there fits."""
    for text_config, message in [({"hidden_size": 48}, "mis-shaped"), ({"num_hidden_layers": 3}, "missing")]:
        model = make_model(text_config=text_config)
        base = tmp_path / message
        model.save_pretrained(base)
        make_processor(model.config).save_pretrained(base)
        change_json(adapter, target_modules=["q_proj", "v_proj", "down_proj"])
        with pytest.raises(CheckpointError, match=f"does not match its base.*{message}.*--base"):
            Engine.load(adapter, base=base, device="cpu")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("model.multi_modal_projector.0.bias"), "1 missing: model.multi_modal_projector.0.bias"),
        (lambda t: t.update({"model.multi_modal_projector.9.bias": torch.zeros(1)}), "1 unknown"),
        (lambda t: t.update({"model.multi_modal_projector.0.bias": torch.zeros(1)}), r"is \[1\], not \[32\]"),
        (
            lambda t: t.update({"lm_head.weight": torch.zeros(1)}),
            "contains lm_head.weight, but should contain only mining",
        ),
    ],
)
def test_connector_weights_are_checked_by_name_and_shape(parts, tiny_checkpoint, edit, message):
    tensors = load_file(parts)
    edit(tensors)
    save_file(tensors, parts)
    with pytest.raises(CheckpointError, match=message):
        Engine.load(parts, base=tiny_checkpoint, device="cpu")


def test_merging_excludes_quantization_and_device_maps(adapter):
    for asked in ({"quantize": "8bit", "device": "cpu"}, {"device_map": "auto"}):
        with pytest.raises(RequestError, match="minigemini merge"):
            Engine.load(adapter, **asked)


# Written whole or not at all


def test_merge_into_an_invalid_folder_is_refused(adapter, tiny_checkpoint, tmp_path):
    (tmp_path / "there").mkdir()
    for target, message in [
        ("there", "exists already"),
        ("no/where", "no folder"),
        ("adapter/adapter_config.json/x", "no folder"),
    ]:
        with pytest.raises(RequestError, match=message):
            merge(adapter, tmp_path / target)
    with pytest.raises(RequestError, match="nothing to merge"):
        merge(tiny_checkpoint, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_connector_file_is_replaced_atomically(parts, tiny_model, monkeypatch):
    before = parts.read_bytes()
    monkeypatch.setattr("safetensors.torch.save_file", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        save_connector(tiny_model, parts)
    assert parts.read_bytes() == before
    assert not list(parts.parent.glob(".*.partial"))
    with pytest.raises(ValueError, match=r"ends in \.safetensors"):
        save_connector(tiny_model, parts.with_suffix(".bin"))


@pytest.mark.parametrize("moment", ["save_file", "rename"])
def test_killed_merge_leaves_no_loadable_checkpoint(adapter, tmp_path, moment):
    """Killed while the weights are being written, and right before the folder gets its name."""
    code = f"""
import os, signal
import safetensors.torch, transformers.modeling_utils as modeling
from minigemini.io.merging import merge
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
def half(tensors, path, **_):
    open(path, "wb").write(b"half")
    die()
if {moment!r} == "rename":
    os.replace = die
else:
    modeling.safe_save_file = half
merge({str(adapter)!r}, {str(tmp_path / "merged")!r})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "merged").exists()
    (left,) = tmp_path.glob(".merged.*.partial")
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        Engine.load(left)
    merge(adapter, tmp_path / "merged")
    assert Engine.load(tmp_path / "merged", device="cpu")
