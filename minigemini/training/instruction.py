"""Last step of nano's recipe, instruction: the language model, mining and the projector learn from conversations."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import pad

from ..model import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from ..model.generation import IGNORED
from ..world.composing import sample_scene
from ..world.conversation import conversation
from ..world.samples import label
from ..world.turns import messages
from .heads import PatchHeads
from .loop import Batch, stack
from .vision import freeze_all_but

KINDS = ("single", "few", "count", "sign", "words", "sign", "few", "words")
_LABEL_NAMES = ("slots", "names", "colours", "centres")


class InstructionTask:
    """Answer questions about scenes. The dense labels stay as a second, lighter loss on the visual tokens."""

    dense_weight = 0.25

    def __init__(
        self, model: MiniGeminiForConditionalGeneration, processor: MiniGeminiProcessor, heads: PatchHeads
    ) -> None:
        self.model, self.processor, self.heads = model, processor, heads
        self.module = nn.ModuleDict({"model": model, "heads": heads})
        freeze_all_but(model, "patch_info_mining", "multi_modal_projector", "language_model")

    def sample(self, index: int) -> Mapping[str, np.ndarray]:
        scene = sample_scene(index, KINDS[index % len(KINDS)])
        labelled = label(scene)
        turns = conversation(scene, np.random.default_rng([4, index]))
        inputs: Any = self.processor.apply_chat_template(
            messages(turns, [Image.fromarray(labelled["image"])]),
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
            return_tensors="np",
        )
        ids, said = inputs["input_ids"][0], np.asarray(inputs["assistant_masks"][0])
        return {
            "input_ids": ids,
            "labels": np.where(said == 1, ids, IGNORED),
            "pixel_values": np.asarray(inputs["pixel_values"][0]),
            "high_res_pixel_values": np.asarray(inputs["high_res_pixel_values"][0]),
            **{name: labelled[name] for name in _LABEL_NAMES},
        }

    def collate(self, samples: list[Mapping[str, np.ndarray]]) -> Batch:
        """Stacks; texts are padded on the right to the longest."""
        texts = {"input_ids": self.processor.tokenizer.pad_token_id, "labels": IGNORED}
        batch = stack([{key: value for key, value in sample.items() if key not in texts} for sample in samples])
        longest = max(len(sample["input_ids"]) for sample in samples)
        for key, filler in texts.items():
            rows = [torch.from_numpy(sample[key]) for sample in samples]
            batch[key] = torch.stack([pad(row, (0, longest - len(row)), value=filler) for row in rows])
        lengths = torch.tensor([len(sample["input_ids"]) for sample in samples])
        batch["attention_mask"] = (torch.arange(longest) < lengths[:, None]).long()
        return batch

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        texts = {key: batch[key] for key in ("input_ids", "attention_mask", "labels")}
        pixels = {key: batch[key] for key in ("pixel_values", "high_res_pixel_values")}
        images = self.model.get_image_features(**pixels)
        assert images.pooler_output is not None
        outputs = self.model(**texts, mm_encoder_outputs={"image": images}, use_cache=False)
        dense_loss, figures = self.heads.loss(images.pooler_output, batch)
        learnt = texts["labels"][:, 1:] != IGNORED
        right = (outputs.logits[:, :-1].argmax(-1) == texts["labels"][:, 1:])[learnt].float().mean()
        return outputs.loss + self.dense_weight * dense_loss, {
            "answer_loss": outputs.loss,
            "token_accuracy": right,
            "slots_accuracy": figures["slots_accuracy"],
        }
