"""The loss of chunks equals the loss of all logits, in value and gradients, and holds the logits of one chunk."""

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from minigemini.modeling import head_loss as module
from minigemini.modeling.head_loss import head_loss
from minigemini.modeling.losses import mean_loss

ROWS, WIDTH, VOCABULARY = 37, 24, 150
FINISHES = {"plain": lambda logits: logits, "scaled and capped": lambda logits: 3 * torch.tanh(logits * 0.5 / 3)}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Five rows: seven chunks and a part of one."""
    monkeypatch.setattr(module, "LOGITS_PER_CHUNK", {"cpu": 5 * VOCABULARY + 7})


@pytest.fixture
def case():
    torch.manual_seed(0)
    head = nn.Linear(WIDTH, VOCABULARY, bias=False)
    return torch.randn(ROWS, WIDTH, requires_grad=True), head, torch.randint(VOCABULARY, (ROWS,))


def of_all_logits(hidden, head, targets, divisor=None, finish=FINISHES["plain"]):
    return mean_loss(finish(head(hidden)), targets, divisor)


def gradients(loss, *tensors):
    return torch.autograd.grad(3 * loss, tensors)


@pytest.mark.parametrize("divisor", [None, 50, torch.tensor(50)])
@pytest.mark.parametrize("finish", FINISHES.values(), ids=FINISHES)
def test_value_and_gradients(case, divisor, finish):
    hidden, head, targets = case
    expected = of_all_logits(hidden, head, targets, divisor, finish)
    loss = head_loss(hidden, head, targets, divisor, finish)
    torch.testing.assert_close(loss, expected, atol=0, rtol=1e-6)
    of_loss = gradients(loss, hidden, head.weight)
    for ours, theirs in zip(of_loss, gradients(expected, hidden, head.weight), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6 * float(theirs.abs().max()), rtol=0)  # worst: 2.9e-7
    with torch.no_grad():
        assert head_loss(hidden, head, targets, divisor, finish) == loss


@pytest.mark.parametrize("frozen", ["hidden", "head"])
def test_frozen_parts_get_no_gradient(case, frozen):
    hidden, head, targets = case
    expected = gradients(of_all_logits(hidden, head, targets), hidden, head.weight)
    part, other, theirs = (
        (hidden, head.weight, expected[1]) if frozen == "hidden" else (head.weight, hidden, expected[0])
    )
    part.requires_grad_(False)
    (ours,) = gradients(head_loss(hidden, head, targets), other)
    torch.testing.assert_close(ours, theirs)


def test_tied_weights_sum_their_gradients(case):
    _, head, targets = case
    found = []
    for loss_of in (head_loss, of_all_logits):
        loss_of(nn.functional.embedding(targets, head.weight), head, targets).backward()
        found.append(head.weight.grad.clone())
        head.weight.grad = None
    torch.testing.assert_close(*found, atol=1e-7, rtol=1e-5)


def test_mixed_precision_is_as_near_to_float32_as_with_all_logits(case):
    hidden, head, targets = case
    exact = gradients(of_all_logits(hidden, head, targets), hidden, head.weight)
    errors = []
    for loss_of in (head_loss, of_all_logits):
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(hidden, head, targets)
        found = gradients(loss, hidden, head.weight)
        assert [gradient.dtype for gradient in found] == [torch.float32] * 2
        errors.append([(ours - theirs).norm() / theirs.norm() for ours, theirs in zip(found, exact, strict=True)])
    for ours, whole in zip(*errors, strict=True):
        assert ours < 1.2 * whole < 0.012  # 0.6 % either way


def test_bfloat16_weights_get_bfloat16_gradients(case):
    hidden, head, targets = case
    head.bfloat16()
    hidden = hidden.detach().bfloat16().requires_grad_()
    loss = head_loss(hidden, head, targets)
    torch.testing.assert_close(loss, of_all_logits(hidden, head, targets), atol=0, rtol=1e-3)
    assert [gradient.dtype for gradient in gradients(loss, hidden, head.weight)] == [torch.bfloat16] * 2


def test_a_second_backward_is_an_error_rather_than_wrong(case):
    loss = head_loss(*case)
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("kind", ["hook", "replaced forward", "subclass"])
def test_other_heads_run_as_they_are(case, kind):
    hidden, head, targets = case
    calls = []

    class Doubled(nn.Linear):
        def forward(self, inputs):
            calls.append(len(inputs))
            return 2 * super().forward(inputs)

    if kind == "hook":
        head.register_forward_hook(lambda head, inputs, logits: calls.append(len(logits)))
    elif kind == "subclass":
        head.__class__ = Doubled
    else:
        head.forward = lambda inputs: calls.append(len(inputs)) or nn.functional.linear(inputs, head.weight)
    loss = head_loss(hidden, head, targets)
    assert calls == [ROWS]
    assert loss == of_all_logits(hidden, head, targets)


def test_memory_does_not_grow_with_rows(monkeypatch):
    """All logits of 400 rows are 3.2 MB. A chunk of 20 rows is 0.16 MB, and three to four tensors of it are held."""
    monkeypatch.setattr(module, "LOGITS_PER_CHUNK", {"cpu": 20 * 2000})
    head = nn.Linear(8, 2000, bias=False)
    hidden, targets = torch.randn(400, 8, requires_grad=True), torch.randint(2000, (400,))

    def peak_mb(loss_of) -> float:
        loss_of(hidden, head, targets).backward()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            loss_of(hidden, head, targets).backward()
        events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
        live = peak = 0
        for event in sorted(events, key=lambda event: event.start_ns()):
            live += event.nbytes()
            peak = max(peak, live)
        return peak / 1e6

    assert peak_mb(head_loss) < 0.8 < 6 < peak_mb(of_all_logits)
