"""Adapters of PEFT on every Linear: mining uses their effective weights, and all of them train, save and load."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from peft import (
    AutoPeftModel,
    AutoPeftModelForCausalLM,
    LNTuningConfig,
    LoHaConfig,
    LoraConfig,
    get_peft_model,
)
from reference_mining import mine_by_formula
from test_patch_info_mining import random_case
from test_visual_vocabulary import FIELDS

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.inference import Engine
from minigemini.modeling.adapted_linear import effective_bias, effective_weight

KINDS = {
    "LoRA": LoraConfig(r=4, target_modules="all-linear"),
    "LoRA and biases": LoraConfig(r=4, target_modules="all-linear", bias="all"),
    "DoRA": LoraConfig(r=4, target_modules="all-linear", use_dora=True),
    "LoHa": LoHaConfig(r=4, target_modules="all-linear"),
    "connector as a whole": LoraConfig(
        r=4, target_modules=["q_proj", "v_proj"], modules_to_save=["patch_info_mining", "multi_modal_projector"]
    ),
    "projector as a whole": LoraConfig(
        r=4,
        target_modules="all-linear",
        exclude_modules=r".*multi_modal_projector\..*",
        modules_to_save=["multi_modal_projector"],
    ),
}
KEY_BIASES = ("key_proj.0.bias", "key_proj.1.bias", "key_proj.1.base_layer.bias")
PARTS = ("language_model", "vision_tower", "high_res_vision_tower", "patch_info_mining", "multi_modal_projector")


def randomize(model) -> None:
    """Give what trains random values, as training would; LoRA starts with zeros."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter), alpha=0.2)


def adapted(model, config):
    """The model with an adapter of random values."""
    model = get_peft_model(model, deepcopy(config)).eval()  # PEFT writes the names of the layers into the config
    randomize(model)
    return model


@pytest.fixture(scope="module")
def inputs(make_processor, tiny_model, image):
    chat = [
        {"role": "user", "content": [{"type": "image", "image": image(0)}, {"type": "text", "text": "What?"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "That."}]},
    ]
    processor = make_processor(tiny_model.config)
    inputs = processor.apply_chat_template(chat, tokenize=True, return_dict=True, return_tensors="pt")
    inputs["labels"] = inputs["input_ids"].clone()
    return inputs


@torch.no_grad()
def logits(model, inputs) -> torch.Tensor:
    return model(**inputs).logits


@pytest.mark.parametrize("projector", ["mlp", "visual_vocabulary"])
@pytest.mark.parametrize("kind", KINDS)
def test_everything_adapted_learns_and_merged_equals_unmerged(make_model, inputs, kind, projector):
    words = {"projector_type": projector, "visual_vocabulary": FIELDS} if projector != "mlp" else {}
    base = make_model(**words)
    before = logits(base, inputs)
    model = adapted(base, KINDS[kind])
    model(**inputs).loss.backward()
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if "as a whole" not in kind:
        assert {part for part in PARTS for name in trained if f".{part}." in name} == set(PARTS)
    for name, parameter in trained.items():
        assert parameter.grad is not None, name
        assert parameter.grad.any() != name.endswith(KEY_BIASES), name

    unmerged = logits(model, inputs)
    assert (unmerged - before).abs().max() > 0.1, "the adapter does something"
    if kind != "LoRA and biases":  # trained biases are the base's own
        with model.disable_adapter():
            torch.testing.assert_close(logits(model, inputs), before, atol=0, rtol=0)
    # worst measured 1.3e-5, of logits up to 5.2
    torch.testing.assert_close(logits(model.merge_and_unload(), inputs), unmerged, atol=5e-5, rtol=0)


@pytest.mark.parametrize("kind", ["LoRA", "DoRA", "LoHa"])
def test_mining_with_adapters_equals_the_formula(kind):
    """The formula calls the adapted layers at every position."""
    mining, low_res, maps = random_case(16, {4: 32, 6: 16, 8: 8, 10: 4}, 4)
    mining = adapted(mining, replace(KINDS[kind], target_modules=r".*_proj\.1")).base_model.model.double()
    parameters = {name: parameter for name, parameter in mining.named_parameters() if parameter.requires_grad}
    results = []
    for mine in (lambda: mining(low_res, maps), lambda: mine_by_formula(mining, low_res, maps)[0]):
        mined = mine()
        gradients = torch.autograd.grad(mined.square().sum(), list(parameters.values()))
        results.append((mined, dict(zip(parameters, gradients, strict=True))))
    # worst measured 1.8e-15, of features up to 3.7
    torch.testing.assert_close(results[0][0], results[1][0], atol=1e-12, rtol=0)
    torch.testing.assert_close(results[0][1], results[1][1], atol=1e-10, rtol=1e-10)


def layer(**changes):
    """A Linear of bfloat16 with an adapter, whose bias is large beside its weight."""
    linear = torch.nn.Linear(12, 5).bfloat16()
    with torch.no_grad():
        linear.weight.normal_(std=0.02)
        linear.bias.fill_(3)
    model = get_peft_model(torch.nn.ModuleDict({"it": linear}), LoraConfig(r=2, target_modules=["it"], **changes))
    randomize(model)
    return model, model.base_model.model["it"]


def test_effective_weight_is_computed_in_its_own_dtype():
    _, lora = layer()
    product = lora.lora_B["default"].weight.float() @ lora.lora_A["default"].weight.float() * lora.scaling["default"]
    expected = lora.base_layer.weight.float() + product
    torch.testing.assert_close(effective_weight(lora, torch.float32), expected, atol=1e-6, rtol=0)
    assert torch.equal(effective_bias(lora, torch.float32), lora.base_layer.bias.float())


def test_disabled_adapters_and_dropout():
    model, lora = layer(lora_dropout=0.5)
    base = lora.base_layer.weight.float().clone()
    model.merge_adapter()
    merged = effective_weight(lora, torch.float32)
    assert (merged - base).abs().max() > 0.05
    with model.disable_adapter():
        torch.testing.assert_close(effective_weight(lora, torch.float32), base, atol=1e-2, rtol=0)  # merged in bfloat16
    assert not lora.merged, "as after a call of the layer"
    torch.manual_seed(0)
    change = effective_weight(lora.train(), torch.float32) - lora.base_layer.weight.float()
    dropped = (change == 0).all(dim=0)
    assert dropped.any()
    assert not dropped.all()
    torch.testing.assert_close(change[:, ~dropped], (merged - base)[:, ~dropped] * 2, atol=2e-2, rtol=0)


def test_adapters_of_norms_are_refused_by_name(make_model, inputs):
    model = get_peft_model(make_model(), LNTuningConfig(target_modules=["key_proj.0"]))
    with pytest.raises(TypeError, match="plain LayerNorm, got LNTuningLayer: exclude"):
        model(**inputs)


def test_saved_adapters_are_loaded_by_everyone(tiny_checkpoint, inputs, tmp_path):
    base = MiniGeminiForConditionalGeneration.from_pretrained(tiny_checkpoint)
    trained = adapted(base, replace(KINDS["projector as a whole"], task_type="CAUSAL_LM"))
    trained.save_pretrained(tmp_path)
    expected = logits(trained, inputs)
    loaded = AutoPeftModelForCausalLM.from_pretrained(tmp_path)
    assert type(loaded.get_base_model()) is MiniGeminiForConditionalGeneration
    assert torch.equal(logits(loaded, inputs), expected)
    # worst measured 7.3e-6, of logits up to 5
    torch.testing.assert_close(logits(Engine.load(tmp_path, device="cpu").model, inputs), expected, atol=5e-5, rtol=0)


def test_adapters_without_a_task_name_the_class(tiny_checkpoint, inputs, tmp_path):
    base = MiniGeminiForConditionalGeneration.from_pretrained(tiny_checkpoint)
    trained = adapted(base, KINDS["LoRA"])
    trained.save_pretrained(tmp_path)
    loaded = AutoPeftModel.from_pretrained(tmp_path, import_allowlist=["minigemini"])
    assert torch.equal(logits(loaded, inputs), logits(trained, inputs))
