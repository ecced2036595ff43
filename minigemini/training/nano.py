"""The recipe of nano, the embedded checkpoint: steps that each leave a folder, from which the next one starts.

The order is the paper's: encoders (each alone), alignment, instruction. The twin without mining shares the
low-resolution encoder and goes through the same steps on the same samples, without a high-resolution tower.
"""

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import LlamaConfig, PreTrainedTokenizerBase

from ..model import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from ..model.chat_templates import CHAT_TEMPLATES
from .conversing import ConversationTask, LanguageTask, caption, lesson
from .encoders import HIGH_RES_CONFIG, LOW_RES_CONFIG, HighResolutionTask, LowResolutionTask
from .heads import PatchHeads
from .loop import LoopSettings, StepError, load_module, run
from .tokenizer import IMAGE, build_tokenizer
from .vision import AlignmentTask

STEPS = ("low-res-encoder", "high-res-encoder", "language", "alignment", "captions", "instruction", "export")
SMALL_PARTS = ("patch_info_mining", "multi_modal_projector")


@dataclass(frozen=True)
class NanoRecipe:
    """How long each step learns. The defaults made the embedded checkpoint.

    Attributes:
        low_res_encoder, high_res_encoder, language, alignment, captions, instruction: settings of the steps.
        mining: False trains the twin, which has no high-resolution tower.
        seed: of the initial weights.
    """

    low_res_encoder: LoopSettings = LoopSettings(steps=9000, batch_size=32, learning_rate=1e-3)
    high_res_encoder: LoopSettings = LoopSettings(steps=12000, batch_size=32, learning_rate=2e-3)
    language: LoopSettings = LoopSettings(steps=3000, batch_size=32, learning_rate=1e-3)
    alignment: LoopSettings = LoopSettings(steps=1500, batch_size=16, learning_rate=4e-3)
    captions: LoopSettings = LoopSettings(steps=1500, batch_size=16, learning_rate=1e-3)
    instruction: LoopSettings = LoopSettings(steps=12000, batch_size=16, learning_rate=1e-3)
    mining: bool = True
    seed: int = 0

    def folder_of(self, step: str, root: Path) -> Path:
        """Where a step keeps its work; the twin's steps lie beside nano's, and some are common to both."""
        return root / (step if self.mining or step in COMMON else f"{step}-without-mining")


COMMON = ("low-res-encoder", "high-res-encoder", "language")
RECIPES = {"nano": NanoRecipe(), "nano-without-mining": NanoRecipe(mining=False)}


def nano_config(tokenizer: PreTrainedTokenizerBase, mining: bool = True) -> MiniGeminiConfig:
    """Nano's geometry keeps the paper's ratios: 32 pixels and 8 x 8 high-resolution positions per patch."""
    return MiniGeminiConfig(
        vision_config=copy.deepcopy(LOW_RES_CONFIG),
        high_res_vision_config=copy.deepcopy(HIGH_RES_CONFIG) if mining else None,
        text_config=LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=256,
            intermediate_size=704,
            num_hidden_layers=8,
            num_attention_heads=8,
            num_key_value_heads=8,
            max_position_embeddings=1024,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            tie_word_embeddings=True,
        ),
        high_res_size=256,
        vision_feature_layer=-1,
        image_token_id=tokenizer.get_vocab()[IMAGE],
    )


def train_nano(root: Path, recipe: NanoRecipe, steps: tuple[str, ...] = STEPS) -> None:
    """Runs the steps in order; each goes on where it stopped, and a finished one takes no time.

    Args:
        root: where every step keeps a folder of its own; that of `export` is the checkpoint.
        recipe: lengths, and which of the twins.
        steps: some of `STEPS`.

    Raises:
        StepError: a step is unknown, or an earlier one, without which it cannot start, was not run.
    """
    if unknown := set(steps) - set(STEPS):
        raise StepError(f"unknown step {', '.join(sorted(unknown))}: choose from {', '.join(STEPS)}")
    for step in STEPS:
        if step in steps:
            torch.manual_seed(recipe.seed)
            _RUNNERS[step](root, recipe)


def _train_low_res_encoder(root: Path, recipe: NanoRecipe) -> None:
    run(LowResolutionTask(), recipe.low_res_encoder, root / "low-res-encoder", "low-res encoder")


def _train_high_res_encoder(root: Path, recipe: NanoRecipe) -> None:
    if recipe.mining:
        run(HighResolutionTask(), recipe.high_res_encoder, root / "high-res-encoder", "high-res encoder")


def _learn_language(root: Path, recipe: NanoRecipe) -> None:
    model, processor = _build(replace(recipe, mining=True))
    run(LanguageTask(model, processor), recipe.language, root / "language", "language")


def _align(root: Path, recipe: NanoRecipe) -> None:
    model, _ = _build(recipe)
    load_module(model.model.vision_tower, root / "low-res-encoder", prefix="encoder.")
    if model.model.high_res_vision_tower is not None:
        load_module(model.model.high_res_vision_tower, root / "high-res-encoder", prefix="encoder.")
    run(AlignmentTask(model), recipe.alignment, recipe.folder_of("alignment", root), "alignment")


def _caption(root: Path, recipe: NanoRecipe) -> None:
    """Stage 1: encoders and language model as they are."""
    model, processor = _build(recipe)
    alignment = AlignmentTask(model)
    load_module(alignment.module, recipe.folder_of("alignment", root))
    spoken, _ = _build(replace(recipe, mining=True))  # the twins share it, and nano has learnt it
    load_module(LanguageTask(spoken, processor).module, root / "language")
    model.model.language_model.load_state_dict(spoken.model.language_model.state_dict())
    task = ConversationTask(model, processor, alignment.heads, caption, SMALL_PARTS, dense_weight=0.5)
    run(task, recipe.captions, recipe.folder_of("captions", root), "captions")


def _instruct(root: Path, recipe: NanoRecipe) -> None:
    """Stage 2: mining, projector and language model."""
    task = _instruction(recipe)
    load_module(task.module, recipe.folder_of("captions", root))
    run(task, recipe.instruction, recipe.folder_of("instruction", root), "instruction")


def _instruction(recipe: NanoRecipe) -> ConversationTask:
    model, processor = _build(recipe)
    heads = PatchHeads(model.config.text_config.hidden_size, letters=True)
    return ConversationTask(model, processor, heads, lesson, (*SMALL_PARTS, "language_model"), dense_weight=0.25)


def _export(root: Path, recipe: NanoRecipe) -> None:
    """Writes the checkpoint: a Transformers folder in bfloat16."""
    task = _instruction(recipe)
    model, processor = task.model, task.processor
    load_module(task.module, recipe.folder_of("instruction", root))
    model.generation_config.max_new_tokens = 64
    folder = recipe.folder_of("export", root)
    model.bfloat16().save_pretrained(folder)
    processor.save_pretrained(folder)


_RUNNERS = {
    "low-res-encoder": _train_low_res_encoder,
    "high-res-encoder": _train_high_res_encoder,
    "language": _learn_language,
    "alignment": _align,
    "captions": _caption,
    "instruction": _instruct,
    "export": _export,
}


def _build(recipe: NanoRecipe) -> tuple[MiniGeminiForConditionalGeneration, MiniGeminiProcessor]:
    tokenizer = build_tokenizer()
    config = nano_config(tokenizer, recipe.mining)
    processor = MiniGeminiProcessor.from_config(config, tokenizer, chat_template=CHAT_TEMPLATES["nano"])
    return MiniGeminiForConditionalGeneration(config), processor
