"""Which language models can be part of a model; `benchmarks/language_models.py` tries every family."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.conversion.language_models import refusal
from minigemini.modeling.outputs import CACHE

SIZES = {"hidden_size": 32, "num_hidden_layers": 1, "vocab_size": 260}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 48}
FALCON_H1 = {
    **SIZES,
    **HEADS,
    "model_type": "falcon_h1",
    "mamba_d_ssm": 64,
    "mamba_n_heads": 8,
    "mamba_d_head": 8,
    "mamba_n_groups": 1,
    "mamba_d_state": 8,
    "ssm_multipliers": [0.5, 0.25, 2.0, 1.0, 3.0],
}


def build(**fields):
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(AutoConfig.for_model(**fields))


@pytest.mark.parametrize(("fields", "reason"), [
    ({**SIZES, **HEADS, "model_type": "phi"}, "its head has a bias"),
    ({**SIZES, "model_type": "rwkv", "attention_hidden_size": 32}, "it takes no key-value cache"),
    ({**SIZES, "model_type": "cpmant", "num_attention_heads": 4, "dim_head": 8}, "it takes no input embeddings"),
    ({**SIZES, **HEADS, "model_type": "doge", "is_moe": True, "num_experts": 4}, "its experts are chosen for a token"),
    ({**SIZES, **HEADS, "model_type": "gemma4_text", "hidden_size_per_layer_input": 8}, "its layers embed token ids"),
])  # fmt: skip
def test_refusals_have_reasons(fields, reason):
    assert refusal(build(**fields)).startswith(reason)


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "gemma2", "doge"])
def test_supported_families(model_type):
    assert refusal(build(**SIZES, **HEADS, model_type=model_type)) is None


def test_buffers_without_values_in_files_are_loaded(make_model, tmp_path):
    model = make_model(text_config=FALCON_H1)
    model.save_pretrained(tmp_path)
    loaded = MiniGeminiForConditionalGeneration.from_pretrained(tmp_path)
    mixer = loaded.model.language_model.layers[0].mamba
    assert torch.equal(mixer.mup_vector, model.model.language_model.layers[0].mamba.mup_vector)
    assert set(mixer.mup_vector.unique().tolist()) > {1.0}


@pytest.mark.skipif(CACHE != "cache", reason="before 5.24, Transformers' Mamba takes no cache under the common name")
def test_mamba_continues_from_its_state(make_model):
    model = make_model(text_config={**SIZES, "model_type": "mamba", "state_size": 8, "time_step_rank": 4})
    ids = torch.tensor([[5, 6, 7, 8]])
    steps = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}
    answer = model.generate(input_ids=ids, **steps)
    assert torch.equal(answer, model.generate(input_ids=ids, use_cache=False, **steps))
    with pytest.raises(ValueError, match="2 image tokens, but 0 images"):
        model.generate(input_ids=torch.full((1, 2), model.config.image_token_id), max_new_tokens=1)


def test_a_hybrid_refuses_a_draft_model(make_model):
    model = make_model(text_config=FALCON_H1)
    assert model._is_stateful
    with pytest.raises(ValueError, match="stateful"):
        model.generate(input_ids=torch.tensor([[5, 6]]), max_new_tokens=2, assistant_model=model)
