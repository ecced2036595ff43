"""TRL's trainers, given a path, train on images and learn what is to be learned. `make test-trl` installs TRL."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoProcessor

from minigemini import MiniGeminiForConditionalGeneration
from minigemini.inference import Engine, quantization_config

trl = pytest.importorskip("trl", reason="make test-trl installs TRL")
from datasets import Dataset  # noqa: E402
from peft import LoraConfig  # noqa: E402

PAGE = (Path(__file__).parent.parent / "docs" / "trl-and-peft.md").read_text()
ANSWERS = ("This.", "That.", "No", "A bird on a wire")
SETTINGS = {
    "max_steps": 3,
    "per_device_train_batch_size": 4,
    "learning_rate": 1e-2,
    "logging_steps": 1,
    "report_to": "none",
    "save_strategy": "no",
    "use_cpu": True,
}


def turn(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


@pytest.fixture(scope="module")
def native_checkpoint(make_model, make_processor, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("native")
    model = make_model(max_tiles=4, use_global_tile=True)
    model.save_pretrained(folder)
    make_processor(model.config).save_pretrained(folder)
    return folder


@pytest.fixture(params=["tiny_checkpoint", "native_checkpoint"])
def checkpoint(request) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def rows(image):
    """Make a data set of the columns that a function gives for the number of a row and its answer."""

    def make(columns) -> Dataset:
        images = [image(number, 16 + 16 * number, 16) for number in range(len(ANSWERS))]  # one to four tiles
        return Dataset.from_list(
            [{"images": [images[number]], **columns(number, answer)} for number, answer in enumerate(ANSWERS)]
        )

    return make


def as_messages(number: int, answer: str) -> dict:
    return {"messages": turn("user", f"What {number}?") + turn("assistant", answer)}


def as_completion(number: int, answer: str) -> dict:
    return {"prompt": turn("user", f"What {number}?"), "completion": turn("assistant", answer)}


def lora() -> LoraConfig:
    return LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")


def logged(trainer, name: str = "loss") -> list[float]:
    return [float(entry[name]) for entry in trainer.state.log_history if name in entry]


def check_all_parts_changed(trainer) -> None:
    """Compare the trained parameters with those of a trainer's checkpoint, or of a new adapter's zeros."""
    model = trainer.model
    if hasattr(model, "peft_config"):
        changed = {name for name, parameter in model.named_parameters() if "lora_B" in name and parameter.any()}
    else:
        before = MiniGeminiForConditionalGeneration.from_pretrained(model.name_or_path).state_dict()
        changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    for part in ("language_model", "vision_tower", "high_res_vision_tower", "key_proj.1", "multi_modal_projector"):
        assert any(part in name for name in changed), part


def test_sft_learns_answers_alone(checkpoint, rows, tmp_path):
    def trainer(columns, **options):
        args = trl.SFTConfig(tmp_path / "out", **SETTINGS, **options)
        return trl.SFTTrainer(checkpoint, args=args, train_dataset=rows(columns), eval_dataset=rows(columns))

    def learned(trainer) -> dict[str, str]:
        """What is learned of each conversation."""
        decode = trainer.processing_class.tokenizer.decode
        batch = next(iter(trainer.get_train_dataloader()))
        rows = zip(batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True)
        return {decode(ids[mask == 1]): decode(labels[labels != -100]) for ids, mask, labels in rows}

    default = trainer(as_messages)
    assert sorted(learned(default).values()) == sorted(f"{answer}<eos>" for answer in ANSWERS)
    assert learned(trainer(as_completion)) == learned(default)
    assert learned(trainer(as_messages, assistant_only_loss=True)) == learned(default)
    default.train()
    assert logged(default)[-1] < logged(default)[0]
    assert default.evaluate()["eval_loss"] < logged(default)[0]
    check_all_parts_changed(default)
    default.save_model()
    assert Engine.load(tmp_path / "out", device="cpu").model.dtype == torch.float32


@pytest.mark.parametrize("bits", [None, "4bit"])
def test_sft_of_a_lora(checkpoint, rows, tmp_path, bits):
    if bits is not None:
        pytest.importorskip("bitsandbytes")
    options = {"quantization_config": None if bits is None else quantization_config(bits)}
    args = trl.SFTConfig(tmp_path / "out", model_init_kwargs=options, **SETTINGS)
    trainer = trl.SFTTrainer(checkpoint, args=args, train_dataset=rows(as_messages), peft_config=lora())
    trainer.train()
    assert logged(trainer)[-1] < logged(trainer)[0]
    check_all_parts_changed(trainer)
    trainer.save_model()
    Engine.load(tmp_path / "out", device="cpu")


@pytest.mark.parametrize("peft_config", [None, lora()], ids=["full", "lora"])
def test_dpo(checkpoint, rows, tmp_path, peft_config):
    data = rows(
        lambda number, answer: {
            "prompt": turn("user", f"What {number}?"),
            "chosen": turn("assistant", answer),
            "rejected": turn("assistant", "I do not know"),
        }
    )
    args = trl.DPOConfig(tmp_path / "out", **SETTINGS)
    trainer = trl.DPOTrainer(checkpoint, args=args, train_dataset=data, peft_config=peft_config)
    trainer.train()
    margins = logged(trainer, "rewards/margins")
    assert margins[-1] > margins[0] + 0.1
    check_all_parts_changed(trainer)


@pytest.mark.parametrize("kind", ["GRPO", "RLOO"])
@pytest.mark.parametrize("peft_config", [None, lora()], ids=["full", "lora"])
def test_rewards(checkpoint, rows, tmp_path, kind, peft_config):
    def distance(completion_ids, **_):
        """A reward that differs between any two completions of random tokens."""
        return [-sum(ids) / 1000 for ids in completion_ids]

    folder = tmp_path / "saved with high_res_only"
    shutil.copytree(checkpoint, folder)
    AutoProcessor.from_pretrained(checkpoint, high_res_only=True).save_pretrained(folder)
    data = rows(lambda number, answer: {"prompt": turn("user", f"What {number}?")})
    config, trainer_class = getattr(trl, f"{kind}Config"), getattr(trl, f"{kind}Trainer")
    args = config(tmp_path / "out", num_generations=2, max_completion_length=6, beta=0.04, **SETTINGS)
    trainer = trainer_class(str(folder), distance, args=args, train_dataset=data, peft_config=peft_config)
    trainer.train()
    assert min(logged(trainer, "grad_norm")) > 0
    check_all_parts_changed(trainer)
    trainer.save_model()
    Engine.load(tmp_path / "out", device="cpu")


def test_programs_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)), names)
    assert type(names["model"].get_base_model()) is MiniGeminiForConditionalGeneration
    for folder in ("sft", "lora", "grpo"):
        answer = Engine.load(f"runs/{folder}", device="cpu").ask(names["valve"]("red"), "Which valve is it?")
        assert answer
