"""The loss with the head run only where labels are, against the loss of all logits: values and gradients."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

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


def test_the_head_sees_labelled_positions_only(tiny_model, batch):
    rows = []
    hook = tiny_model.lm_head.register_forward_hook(lambda module, inputs, output: rows.append(tuple(output.shape)))
    tiny_model(**batch, return_logits=False)
    hook.remove()
    learnt = int((batch["labels"][:, 1:] != -100).sum())
    assert 0 < learnt < 20
    assert rows == [(learnt, tiny_model.config.text_config.vocab_size)]


@pytest.mark.parametrize("items", [None, torch.tensor(0), torch.tensor(7)])
def test_nothing_to_learn_is_no_loss_and_no_gradient(make_model, batch, items):
    model = make_model()
    labels = torch.full_like(batch["labels"], -100)
    loss = model(input_ids=batch["input_ids"], labels=labels, return_logits=False, num_items_in_batch=items).loss
    loss.backward()
    assert loss.item() == 0
    assert all(not gradient.any() for gradient in gradients(model).values())


def test_a_loss_of_cut_logits_is_refused(tiny_model, batch):
    with pytest.raises(ValueError, match="logits_to_keep is 3: leave it at 0"):
        tiny_model(**batch, logits_to_keep=3)


def test_trainer_accumulates_to_the_loss_of_the_whole(make_model, batch, tmp_path):
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
