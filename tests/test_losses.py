"""The loss with the head at labeled positions only equals the loss of all logits, in value and gradients."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

from minigemini.training.build_model import TrainModule

TEXTS = {
    "llama": {},
    "tied": {"tie_word_embeddings": True},
    "gemma-2, capped logits": {
        "model_type": "gemma2",
        "head_dim": 8,
        "final_logit_softcapping": 3.0,
        "sliding_window": 16,
    },
    "cohere, scaled logits": {"model_type": "cohere", "logit_scale": 0.25},
    "mixtral": {"model_type": "mixtral", "num_local_experts": 4},
}


@pytest.fixture(params=TEXTS)
def model(request, make_model):
    return make_model(text_config=TEXTS[request.param])


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(4, 200, (3, 12), generator=generator)
    return {"input_ids": ids, "labels": ids.masked_fill(torch.rand(ids.shape, generator=generator) < 0.6, -100)}


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def reference(model, batch, divisor=None) -> torch.Tensor:
    """As the formula says, from all logits."""
    logits = model(input_ids=batch["input_ids"], use_cache=False).logits[:, :-1]
    total = nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"][:, 1:].flatten(), reduction="sum")
    return total / (divisor or (batch["labels"][:, 1:] != -100).sum())


@pytest.mark.parametrize("divisor", [None, 50, torch.tensor(50)])
@pytest.mark.parametrize("return_logits", [True, False])
def test_value_and_gradients(model, batch, divisor, return_logits):
    expected = reference(model, batch, None if divisor is None else int(divisor))
    expected.backward()
    theirs = gradients(model)
    output = model(**batch, return_logits=return_logits, num_items_in_batch=divisor)
    assert (output.logits is None) is not return_logits
    torch.testing.assert_close(output.loss, expected, atol=0, rtol=1e-6)
    output.loss.backward()
    ours = gradients(model)
    assert ours.keys() == theirs.keys()
    for name, gradient in ours.items():
        worst = (gradient - theirs[name]).abs().max() / theirs[name].abs().max().clamp(min=1e-3)
        assert worst <= 5e-6, f"{name}: off by {worst:.1e}"


def test_head_runs_at_labeled_positions_only(tiny_model, batch):
    rows = []
    hook = tiny_model.lm_head.register_forward_hook(lambda module, inputs, output: rows.append(tuple(output.shape)))
    tiny_model(**batch, return_logits=False)
    hook.remove()
    learnt = int((batch["labels"][:, 1:] != -100).sum())
    assert 0 < learnt < 20
    assert rows == [(learnt, tiny_model.config.text_config.vocab_size)]


@pytest.mark.parametrize("items", [None, torch.tensor(0), torch.tensor(7)])
@pytest.mark.parametrize("text", [{}, {"model_type": "mixtral", "num_local_experts": 4, "output_router_logits": True}])
def test_batch_without_labels_has_zero_loss_and_gradient(make_model, batch, text, items):
    model = make_model(text_config=text)
    labels = torch.full_like(batch["labels"], -100)
    loss = model(input_ids=batch["input_ids"], labels=labels, return_logits=False, num_items_in_batch=items).loss
    loss.backward()
    assert loss.item() == 0
    assert all(not gradient.any() for gradient in gradients(model).values())


def test_loss_of_truncated_logits_is_refused(tiny_model, batch):
    with pytest.raises(ValueError, match="logits_to_keep is 3: leave it at 0"):
        tiny_model(**batch, logits_to_keep=3)


def test_accumulated_loss_equals_the_batch_loss(make_model, batch, tmp_path):
    """Micro-batches with unequal numbers of labels weigh as their tokens do."""
    losses = []

    class Plain(Trainer):
        def get_train_dataloader(self):
            size = 3 // self.args.gradient_accumulation_steps
            rows = [{name: value[row] for name, value in batch.items()} for row in range(3)]
            return DataLoader(rows, batch_size=size)  # type: ignore[arg-type]

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            return super().compute_loss(model, {**inputs, "return_logits": False}, return_outputs, num_items_in_batch)

        def log(self, logs, start_time=None):
            losses.extend(value for name, value in logs.items() if name == "loss")

    for steps in (1, 3):
        arguments = TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=1,
            gradient_accumulation_steps=steps,
            logging_steps=1,
            logging_nan_inf_filter=False,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
        )
        Plain(make_model(), arguments, train_dataset=[None]).train()
    whole, accumulated = losses
    assert whole > 1
    assert accumulated == pytest.approx(whole, rel=1e-6)


def shifted(labels: torch.Tensor) -> torch.Tensor:
    """What each position is to predict."""
    return nn.functional.pad(labels[:, 1:], (0, 1), value=-100)


@pytest.mark.parametrize("return_logits", [True, False])
def test_shifted_labels_of_sequence_parts(model, batch, return_logits):
    """A part does not have the label behind its end; the parts' losses are together that of the whole."""
    ids = batch["input_ids"]
    batch["labels"][:, [5, 8]] = ids[:, [5, 8]]  # the cuts are made before labels
    targets = shifted(batch["labels"])
    learned = (targets != -100).sum()
    whole = model(**batch, return_logits=return_logits)
    alone = model(input_ids=ids, shift_labels=targets, return_logits=return_logits)
    # Trainer gives both: labels are of the part, so shifting them would lose one at each cut.
    both = model(input_ids=ids, labels=batch["labels"].roll(1), shift_labels=targets, return_logits=return_logits)
    assert alone.loss == both.loss == whole.loss
    parts, cache = 0.0, None
    for part in (slice(0, 5), slice(5, 8), slice(8, 12)):
        output = model(
            input_ids=ids[:, part],
            labels=batch["labels"][:, part],
            shift_labels=targets[:, part],
            past_key_values=cache,
            use_cache=True,
            num_items_in_batch=learned,
            return_logits=return_logits,
        )
        cache, parts = output.past_key_values, parts + output.loss
    torch.testing.assert_close(parts, whole.loss, atol=0, rtol=2e-6)


def test_shifted_labels_are_refused_with_truncated_logits(tiny_model, batch):
    with pytest.raises(ValueError, match="logits_to_keep is 1: leave it at 0"):
        tiny_model(input_ids=batch["input_ids"], shift_labels=shifted(batch["labels"]), logits_to_keep=1)


EXPERTS = {
    "mixtral": {"num_local_experts": 4},
    "qwen2_moe": {
        "num_experts": 4,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
        "decoder_sparse_step": 2,
    },
    "qwen3_moe": {"num_experts": 4, "moe_intermediate_size": 16},
    "olmoe": {"num_experts": 4},
    "phimoe": {"num_local_experts": 4},
    "granitemoe": {"num_local_experts": 4},
    "jetmoe": {"num_local_experts": 4, "kv_channels": 8, "aux_loss_coef": 1.0},
}


def with_experts(make_model, model_type: str, **changes):
    balanced = {"output_router_logits": True, "router_aux_loss_coef": 1.0, "num_experts_per_tok": 2}
    return make_model(text_config={"model_type": model_type, **balanced, **EXPERTS[model_type], **changes})


@pytest.fixture
def padded(batch):
    mask = torch.ones_like(batch["input_ids"])
    mask[0, :4] = mask[2, 8:] = 0
    return {**batch, "labels": batch["labels"].masked_fill(mask == 0, -100), "attention_mask": mask}


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("model_type", EXPERTS)
def test_experts_are_balanced_as_in_the_language_model_alone(make_model, padded, model_type, masked):
    """Value and gradients, those of the routers among them."""
    batch = padded if masked else {name: padded[name] for name in ("input_ids", "labels")}
    model = with_experts(make_model, model_type)
    alone = AutoModelForCausalLM.from_config(model.config.text_config).eval()
    weights = {f"model.{name}": tensor for name, tensor in model.model.language_model.state_dict().items()}
    alone.load_state_dict({**weights, "lm_head.weight": model.lm_head.weight})
    theirs = alone(**batch)
    theirs.loss.backward()
    expected = gradients(alone)
    output = model(**batch, return_logits=False)
    torch.testing.assert_close(output.loss, theirs.loss, atol=0, rtol=1e-6)
    torch.testing.assert_close(output.aux_loss, theirs.aux_loss, atol=0, rtol=1e-6)
    assert output.loss > model(**batch, output_router_logits=False).loss + 0.9, "experts in equal use give 1 or more"
    output.loss.backward()
    ours = gradients(model.model.language_model)
    routers = [name for name in ours if "gate.weight" in name or "router" in name]
    assert routers
    for name in routers:
        torch.testing.assert_close(ours[name], expected[f"model.{name}"], atol=1e-6, rtol=1e-4)


def test_experts_are_balanced_if_the_text_config_enables_it(make_model, padded):
    model = with_experts(make_model, "mixtral", output_router_logits=False)
    without = model(**padded)
    assert (without.aux_loss, without.router_logits) == (None, None)
    asked = model(**padded, output_router_logits=True)
    torch.testing.assert_close(asked.loss, without.loss + asked.aux_loss)
    assert [tuple(logits.shape) for logits in asked.router_logits] == [(36, 4)] * 2
    model.config.text_config.output_router_logits = True
    assert model(**padded).loss == asked.loss
    unlearned = model(input_ids=padded["input_ids"])
    assert unlearned.loss is None
    assert len(unlearned.router_logits) == 2
    model.config.text_config.router_aux_loss_coef = 0.5
    torch.testing.assert_close(model(**padded).loss, without.loss + 0.5 * asked.aux_loss)
    generated = model.generate(input_ids=padded["input_ids"], max_new_tokens=3, do_sample=False)
    assert generated.shape == (3, 15)


def test_expert_balancing_does_not_depend_on_micro_batches(make_model, padded):
    """As labels do, batches of a step weigh by how much they have to learn."""
    module = TrainModule(with_experts(make_model, "mixtral"))
    rows = [{name: value[row : row + 1] for name, value in padded.items()} for row in range(3)]
    counts = [int((row["labels"][:, 1:] != -100).sum()) for row in rows]
    whole = [module(**row, num_items_in_batch=sum(counts)) for row in rows]
    by_itself = [module(**row) for row in rows]
    for part, own, count in zip(whole, by_itself, counts, strict=True):
        torch.testing.assert_close(part["loss"], own["loss"] * count / sum(counts))
        assert part["router_loss"] == own["router_loss"] >= 1 - 1e-6
