"""A recipe in the terms of Transformers' Trainer."""

import math
from pathlib import Path

from transformers import TrainingArguments

from .settings import RunSettings

OPTIMIZERS = {"adamw": "adamw_torch", "adamw-8bit": "adamw_bnb_8bit"}
SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def arguments(
    recipe: RunSettings, folder: Path, steps: int, world_size: int, watch: list[str], use_cpu: bool
) -> TrainingArguments:
    """A recipe in Transformers' terms."""
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=recipe.micro_batch,
        gradient_accumulation_steps=recipe.accumulation(world_size),
        optim=OPTIMIZERS[recipe.optimizer],
        adam_beta2=recipe.adam_beta2,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=SCHEDULES[recipe.schedule],
        warmup_steps=math.ceil(recipe.warmup_ratio * steps),
        max_grad_norm=recipe.max_grad_norm,
        bf16=recipe.precision == "bf16",
        seed=recipe.seed,
        save_strategy="steps",
        save_steps=recipe.save_steps,
        # Of each step: an average over several would be of fewer after a resume.
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=watch,
        # The loader knows where it stands: nothing is to be gone through again.
        ignore_data_skip=True,
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        use_cpu=use_cpu,
    )
