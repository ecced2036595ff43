"""Losses of pretraining: of steps without labels, and of sparse dense labels."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from minigemini.training.batches import MicroBatchStream
from minigemini.training.trainer import StageTrainer, training_arguments
from minigemini_models.nano.nano_recipes import encoders
from minigemini_models.pretraining.label_heads import balanced_cross_entropy


class Line(nn.Module):
    """Fit a line: the smallest train module."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.line = nn.Linear(3, 1)

    def forward(self, x):
        loss = (self.line(x) - x.sum(1, keepdim=True)).square().mean()
        return {"loss": loss, "double": 2 * loss}


class RepeatedBatch:
    """A loader that repeats one batch, split into micro-batches."""

    epoch = batch = 0

    def __init__(self, micro_batches):
        self.micro_batches = micro_batches

    def __len__(self):
        return 1

    def __iter__(self):
        x = torch.arange(24.0).view(8, 3) / 24
        yield [{"x": part} for part in x.chunk(self.micro_batches)]

    def state_dict(self):
        return {}


def test_without_labels_a_step_averages_its_micro_batches(tmp_path):
    logs = []
    for micro_batches in (1, 4):
        recipe = replace(
            encoders(), global_batch=8, micro_batch=8 // micro_batches, learning_rate=0.1, report_to="none"
        )
        args = training_arguments(recipe, tmp_path, 3, 1, [], use_cpu=True)
        trainer = StageTrainer(Line(), MicroBatchStream(RepeatedBatch(micro_batches)), recipe, args)
        trainer.train()
        logs.append([entry for entry in trainer.state.log_history if "loss" in entry])
    for whole, cut in zip(*logs, strict=True):
        assert whole["loss"] == pytest.approx(cut["loss"], rel=1e-5)
        assert cut["double"] == pytest.approx(2 * cut["loss"], rel=1e-5)
    assert logs[0][-1]["loss"] < logs[0][0]["loss"]


def test_labeled_positions_weigh_as_much_as_all_others():
    logits, labels = torch.zeros(1000, 3), torch.zeros(1000, dtype=torch.long)
    logits[:, 0] = 50  # sure of nothing
    assert balanced_cross_entropy(logits, labels).item() == pytest.approx(0)
    labels[7] = 2
    assert balanced_cross_entropy(logits, labels).item() == pytest.approx(25)
    assert balanced_cross_entropy(logits, labels.fill_(2)).item() == pytest.approx(25)
