"""Linears that multiply by oneDNN compute what `nn.Linear` does, forward and backward."""

import copy

import pytest
import torch
from tiny_training import tiny_recipe, write_data
from torch import nn

from minigemini.modeling.head_loss import head_loss
from minigemini.modeling.onednn_linear import OneDnnLinear, has_onednn_linear, use_onednn
from minigemini.training import trainer
from minigemini.training.run import train

pytestmark = pytest.mark.skipif(not has_onednn_linear(), reason="no oneDNN here")


def both(module):
    """A module with torch's Linears, and a copy with oneDNN's."""
    changed = copy.deepcopy(module)
    use_onednn(changed)
    return module, changed


def gradients(module, states):
    states = states.clone().requires_grad_()
    result = module(states)
    (result * torch.linspace(-1, 1, result.shape[-1])).sum().backward()
    return [result, states.grad, *(p.grad for p in module.parameters())]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(96,), (3, 96), (2, 5, 96), (2, 3, 4, 96), (0, 96)])
def test_results_and_gradients_are_those_of_linear(bias, shape):
    torch.manual_seed(0)
    plain, changed = both(nn.Linear(96, 128, bias=bias))
    assert type(changed) is OneDnnLinear
    states = torch.randn(*shape)
    for expected, found in zip(gradients(plain, states), gradients(changed, states), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_only_the_gradients_that_are_needed_are_computed():
    plain, changed = both(nn.Linear(64, 64))
    changed.weight.requires_grad_(False)
    states = torch.randn(3, 64, requires_grad=True)
    changed(states).sum().backward()
    assert changed.weight.grad is None
    assert changed.bias.grad is not None
    torch.testing.assert_close(states.grad, plain.weight.sum(0).expand(3, 64), rtol=1e-5, atol=1e-5)


def test_views_and_transposed_states():
    plain, changed = both(nn.Linear(64, 80))
    for states in (torch.randn(64, 7).T, torch.randn(4, 6, 128)[:, ::2, 32:96]):
        for expected, found in zip(gradients(plain, states), gradients(changed, states), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_autocast_and_other_dtypes_are_left_to_torch():
    plain, changed = both(nn.Linear(64, 64))
    states = torch.randn(3, 64)
    with torch.autocast("cpu", torch.bfloat16):
        assert changed(states).dtype == torch.bfloat16
        assert torch.equal(changed(states), plain(states))
    assert torch.equal(changed.double()(states.double()), plain.double()(states.double()))


def test_small_linears_and_their_subclasses_stay():
    class Special(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(63, 64), Special(64, 64), nn.Linear(64, 64))
    use_onednn(model)
    assert [type(module) for module in model] == [nn.Linear, Special, OneDnnLinear]


def test_weights_keep_their_names_and_ties():
    embedding, head = nn.Embedding(70, 64), nn.Linear(64, 70, bias=False)
    head.weight = embedding.weight
    model = nn.ModuleDict({"embedding": embedding, "head": head})
    names = list(model.state_dict())
    use_onednn(model)
    assert list(model.state_dict()) == names
    assert model["head"].weight is model["embedding"].weight


def test_a_head_multiplies_so_for_its_loss():
    plain, changed = both(nn.Linear(64, 70, bias=False))
    hidden, targets = torch.randn(9, 64), torch.arange(9)
    losses = [head_loss(hidden, head, targets) for head in (plain, changed)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(changed.weight.grad, plain.weight.grad)


@pytest.mark.parametrize("is_amd", [True, False])
def test_training_on_amd_processors_multiplies_so(is_amd, tiny_checkpoint, image, tmp_path, monkeypatch):
    used = []
    monkeypatch.setattr(trainer, "is_amd_processor", lambda: is_amd)
    monkeypatch.setattr(trainer, "use_onednn", used.append)
    train(tiny_recipe(tiny_checkpoint, write_data(tmp_path, image), steps=1), tmp_path / "run")
    assert len(used) == is_amd
