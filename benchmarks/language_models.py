"""Tries every causal language model family of the installed Transformers with a tiny random config beside CLIP and
ConvNeXt, and writes the table of what works: `python benchmarks/language_models.py --table docs/language-models.md`.

A family works if, in this order:

- logits: text alone gives the logits of its own `…ForCausalLM` with the same weights,
- backward: a loss on text with an image is finite and reaches the projector,
- generate: greedy answers to an image have the logits that a forward pass over the whole sequence gives,
- load: a saved and loaded model gives the same logits.

A family that does not work must be refused by `minigemini assemble`, with the reason. Families whose config describes
more than a decoder of text (an encoder and a decoder, several modalities) are left out; `assemble` takes a text part.
"""

import argparse
import platform
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration
from minigemini.conversion.language_models import base_of, refusal

VOCABULARY, IMAGE_TOKEN, IMAGE_TOKENS = 320, 3, 4
LIMIT_S = 120
COMMAND = "python benchmarks/language_models.py --table docs/language-models.md"
SMALL: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "dim", "embedding_size", "attention_hidden_size"), 32),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size", "dim_ff", "ffn_embed_dim"), 48),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "n_layers", "num_blocks"), 4),
    **dict.fromkeys(("num_attention_heads", "n_head", "num_heads", "n_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "n_head_kv"), 2),
    **dict.fromkeys(("head_dim", "global_head_dim"), 8),
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), VOCABULARY),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx", "context_length"), 128),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_topk", "moe_k", "num_experts_per_token", "experts_per_token"), 2),
    **dict.fromkeys(
        (
            "moe_intermediate_size",
            "shared_expert_intermediate_size",
            "shared_intermediate_size",
            "expert_ffn_hidden_size",
            "moe_shared_expert_intermediate_size",
            "intermediate_size_mlp",
        ),
        24,
    ),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts", "moe_num_shared_experts"), 1),
    "first_k_dense_replace": 1,
    **dict.fromkeys(("kv_lora_rank", "q_lora_rank"), 16),
    **dict.fromkeys(("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"), 8),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads"), 2),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), 8),
    **dict.fromkeys(("mamba_d_state", "mamba_state_dim", "state_size", "ssm_state_size"), 8),
    **dict.fromkeys(("mamba_n_heads", "mamba_num_heads", "n_mamba_heads"), 8),
    **dict.fromkeys(("mamba_d_head", "mamba_head_dim"), 8),
    **dict.fromkeys(("mamba_n_groups", "n_groups", "mamba_ngroups"), 1),
    **dict.fromkeys(("mamba_chunk_size", "chunk_size"), 16),
    **dict.fromkeys(("mamba_dt_rank", "time_step_rank"), 4),
    **dict.fromkeys(("sliding_window", "attention_window_size"), 64),
    **dict.fromkeys(("pad_token_id",), 0),
    **dict.fromkeys(("bos_token_id",), 1),
    **dict.fromkeys(("eos_token_id",), 2),
    **dict.fromkeys(("hidden_size_per_layer_input",), 8),
    "index_topk": 64,  # all positions: a choice among some would turn rounding into other positions
    "index_n_heads": 2,
    "index_head_dim": 16,
}
"""Values of the fields that families have; what a family needs beside them is in `FAMILIES`."""
FAMILIES: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1]},
    "bailing_hybrid": {"layer_group_size": 2},
    "falcon_h1": {"mamba_d_ssm": 64},
    "gemma3n_text": {"num_kv_shared_layers": 0},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "window_size": 64},
    "granitemoehybrid": {"layer_types": ["mamba", "attention", "mamba", "attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "conv", "full_attention"], "num_dense_layers": 1},
    "longcat_flash": {"head_dim": 8},
    "mamba2": {"num_heads": 8},
    "reformer": {"is_decoder": True},
    "xlnet": {"max_position_embeddings": None, "n_ctx": None},
    "qwen4_exp_text": {"num_key_value_heads": None},
    "zamba2": {"layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"], "attention_hidden_size": 64},
    "zaya": {"num_experts_per_tok": 1},
}
"""Further fields, by family; None leaves one out."""


class Unfinished(Exception):  # noqa: N818 (not an error of the family)
    """No tiny config of the family can be built."""


@dataclass
class Trial:
    """What became of a family; `failed` names the first step that did not hold."""

    family: str
    failed: str
    reason: str
    refused: str
    has_experts: bool
    seconds: float

    @property
    def outcome(self) -> str:
        if not self.failed:
            return "works"
        if self.failed == "config":
            return "not tried"
        return "refused" if self.refused else "fails"


def tiny_config(family: str, config_class: Any) -> PreTrainedConfig:
    """Build a tiny config of a family."""
    default = config_class()
    fields = {name: value for name, value in SMALL.items() if name in default.__dict__ or name in default.attribute_map}
    if "qk_rope_head_dim" in fields:  # latent attention: the size of a head is a sum, and every head has its own keys
        fields.pop("head_dim", None)
        fields["num_key_value_heads"] = fields["num_attention_heads"]
    fields |= FAMILIES.get(family, {})
    return config_class(**{name: value for name, value in fields.items() if value is not None})


def build(family: str, config_class: Any) -> tuple[Any, Any]:
    """Build a family's own model and ours, with the same random weights."""
    config = tiny_config(family, config_class)
    torch.manual_seed(0)
    own = AutoModelForCausalLM.from_config(config).eval()
    if sum(parameter.numel() for parameter in own.parameters()) > 3_000_000:
        raise Unfinished(f"{sum(parameter.numel() for parameter in own.parameters()):,} parameters")
    return config, own


def model_of(config: PreTrainedConfig, own: Any) -> MiniGeminiForConditionalGeneration:
    """Our model with the weights of a language model."""
    torch.manual_seed(1)
    model = MiniGeminiForConditionalGeneration(
        MiniGeminiConfig(
            vision_config={
                "hidden_size": 16,
                "intermediate_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 16,
                "patch_size": 8,
            },
            high_res_vision_config={"model_type": "convnext", "hidden_sizes": [4, 8, 8, 16], "depths": [1, 1, 1, 1]},
            text_config=config,
            high_res_size=32,
            image_token_id=IMAGE_TOKEN,
        )
    ).eval()
    model.model.language_model.load_state_dict(base_of(own)[1].state_dict(), strict=True)
    model.lm_head.load_state_dict(own.get_output_embeddings().state_dict(), strict=True)
    return model


def close(found: torch.Tensor, expected: torch.Tensor, what: str) -> None:
    difference = float((found - expected).abs().max())
    if not difference <= 1e-4 * max(1.0, float(expected.abs().max())):
        raise ValueError(f"{what} differ by {difference:.1e}")


def try_logits(own: Any, model: Any) -> None:
    ids = torch.randint(4, VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        close(model(input_ids=ids).logits, own(input_ids=ids).logits, "logits of text")


def inputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(4, VOCABULARY, (1, 10), generator=generator)
    ids[:, 1 : 1 + IMAGE_TOKENS] = IMAGE_TOKEN
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "pixel_values": torch.rand(1, 3, 16, 16, generator=generator),
        "high_res_pixel_values": torch.rand(1, 3, 32, 32, generator=generator),
    }


def try_backward(model: Any) -> None:
    given = inputs()
    labels = given["input_ids"].masked_fill(given["input_ids"] == IMAGE_TOKEN, -100)
    experts = {"output_router_logits": True} if has_router_loss(model.config.text_config) else {}
    output = model.train()(**given, labels=labels, **experts)
    if experts and (not output.router_logits or not output.aux_loss.isfinite()):
        raise ValueError("no router logits, or no auxiliary loss")
    output.loss.backward()
    model.eval()
    gradient = model.model.multi_modal_projector[0].weight.grad
    if not output.loss.isfinite() or gradient is None or not gradient.abs().sum() > 0:
        raise ValueError("the loss does not reach the projector")
    model.zero_grad(set_to_none=True)


def has_router_loss(config: PreTrainedConfig) -> bool:
    """Whether a family can return router logits, and has a weight for their auxiliary loss."""
    has_experts = getattr(config, "is_moe", True)  # Doge's default has none
    return has_experts and any(hasattr(config, name) for name in ("router_aux_loss_coef", "aux_loss_coef"))


@torch.no_grad()
def try_generate(model: Any) -> None:
    given = inputs()
    chosen = {"max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False, "return_dict_in_generate": True}
    chosen["suppress_tokens"] = [IMAGE_TOKEN]
    answer = model.generate(**given, **chosen, output_logits=True)
    given["input_ids"], given["attention_mask"] = answer.sequences, torch.ones_like(answer.sequences)
    whole = model(**given, use_cache=False).logits[:, -5:-1]
    close(torch.stack(answer.logits, dim=1), whole, "logits with a cache")


@torch.no_grad()
def try_loading(model: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        loaded = MiniGeminiForConditionalGeneration.from_pretrained(folder)
        close(loaded(**inputs()).logits, model(**inputs()).logits, "logits after loading")


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TimeoutError(f"more than {seconds} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def try_family(family: str, config_class: Any) -> Trial:
    """Try one family."""
    start, step, refused, has_experts = time.perf_counter(), "config", "", False
    try:
        with time_limit(LIMIT_S):
            config, own = build(family, config_class)
            refused = refusal(own) or ""
            has_experts = has_router_loss(config)
            step = "build"
            model = model_of(config, own)
            for step, attempt in (  # noqa: B007 (read where an attempt fails)
                ("logits", lambda: try_logits(own, model)),
                ("backward", lambda: try_backward(model)),
                ("generate", lambda: try_generate(model)),
                ("load", lambda: try_loading(model)),
            ):
                attempt()
        step, reason = "", ""
    except Exception as error:  # noqa: BLE001 (whatever a family's code raises is its reason)
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return Trial(family, step, reason, refused, has_experts, time.perf_counter() - start)


def families() -> dict[str, Any]:
    """The config class of every family that is a decoder of text, by its `model_type`."""
    found = {}
    for config_class in MODEL_FOR_CAUSAL_LM_MAPPING:
        name = config_class.model_type
        if not config_class.sub_configs and not getattr(config_class, "is_encoder_decoder", False):
            found[name] = config_class
    return dict(sorted(found.items()))


def table(trials: list[Trial]) -> list[str]:
    """The trials in Markdown."""
    rows = ["| family | outcome | router logits | why |", "|---|---|---|---|"]
    for trial in trials:
        reason = trial.refused if trial.outcome == "refused" else f"{trial.failed}: {trial.reason}" * bool(trial.failed)
        experts = "yes" if trial.has_experts and trial.outcome == "works" else ""
        rows.append(f"| `{trial.family}` | {trial.outcome} | {experts} | {reason.replace('|', '/')} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", help="default: all")
    parser.add_argument("--table", type=Path, help="write the table to this file, below its heading")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    trials = []
    for family, config_class in families().items():
        if not arguments.families or family in arguments.families:
            trials.append(try_family(family, config_class))
            last = trials[-1]
            print(f"{family:24} {last.outcome:9} {last.seconds:5.1f} s  {last.failed} {last.reason}", flush=True)
    found = Counter(trial.outcome for trial in trials)
    tried = len(trials) - found["not tried"]
    summary = f"{tried} families tried: {found['works']} work, {found['refused']} are refused, {found['fails']} fail."
    if found["not tried"]:
        summary += f" {found['not tried']} have no tiny config here, and are not tried."
    print(summary)
    if arguments.table:
        versions = f"torch {torch.__version__}, Transformers {transformers.__version__}, {platform.machine()}"
        heading = arguments.table.read_text(encoding="utf-8").split("\n## Table")[0].rstrip()
        text = [heading, "", "## Table", "", summary, f"({versions}; `{COMMAND}`)", "", *table(trials)]
        arguments.table.write_text("\n".join(text) + "\n", encoding="utf-8")
    sys.exit(found["fails"] > 0.05 * tried)


if __name__ == "__main__":
    main()
