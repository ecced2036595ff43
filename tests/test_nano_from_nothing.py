"""All steps of nano on a share of their samples, as `make test-nano` runs them: every loss falls."""

import os

import numpy as np
import pytest
from tiny_training import losses

from minigemini_models.nano.nano_recipes import EXPORT, PIPELINES
from minigemini_models.nano.training_pipeline import train_pipeline

pytestmark = pytest.mark.skipif("NANO_SCALE" not in os.environ, reason="minutes of training; see make test-nano")


def test_every_loss_falls(tmp_path):
    train_pipeline("nano", tmp_path, {"scale": os.environ["NANO_SCALE"], "report_to": "none"})
    for step in PIPELINES["nano"]:
        if step != EXPORT:
            loss = np.array([value for _, value in losses(tmp_path / step)])
            quarter = max(1, len(loss) // 4)
            assert loss[-quarter:].mean() < loss[:quarter].mean(), step
