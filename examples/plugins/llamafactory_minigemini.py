"""Mini-Gemini for LLaMA-Factory: python llamafactory_minigemini.py config.yaml, with `template: minigemini` in it.

Several GPUs: torchrun --nproc-per-node 8 llamafactory_minigemini.py config.yaml. Prompts and labels are those of the
checkpoint's own chat template, whatever format it has.
"""

from dataclasses import dataclass
from itertools import groupby

from llamafactory.data.mm_plugin import BasePlugin, register_mm_plugin
from llamafactory.data.template import Template, get_mm_plugin, register_template
from llamafactory.extras.constants import IMAGE_PLACEHOLDER
from llamafactory.model.model_utils.visual import _register_composite_model
from llamafactory.train.tuner import run_exp

from minigemini import MiniGeminiConfig
from minigemini.modeling.image_token import needs_space_after

NAME = MiniGeminiConfig.model_type


@dataclass
class MiniGeminiPlugin(BasePlugin):
    """Repeats the image token once per visual token; the images of a turn come before its text."""

    def process_messages(self, messages, images, videos, audios, processor):
        self._validate_input(processor, images, videos, audios)
        self._validate_messages(messages, images, videos, audios)
        opened = iter(self._regularize_images(images, **_limits(processor))["images"])
        space = " " if images and needs_space_after(processor.tokenizer, self.image_token) else ""
        expanded, shown = [], 0
        for message in messages:
            text, prefix = message["content"].replace(IMAGE_PLACEHOLDER, "").strip("\n"), ""
            for _ in range(message["content"].count(IMAGE_PLACEHOLDER)):
                image, shown = next(opened), shown + 1
                count = processor.image_tokens_of(image.height, image.width)
                prefix += f"Image {shown}:" if len(images) > 1 else ""
                prefix += self.image_token * count + space + "\n"
            expanded.append({**message, "content": prefix + text})
        return expanded


def _limits(processor):
    """Limits of the configuration, as `BasePlugin` applies them to pixels."""
    limits = {"image_max_pixels": 768 * 768, "image_min_pixels": 32 * 32}
    return {name: getattr(processor, name, default) for name, default in limits.items()}


@dataclass
class MiniGeminiTemplate(Template):
    """Encodes conversations by the chat template of the tokenizer, whose mask says which tokens are the answers."""

    def _encode(self, tokenizer, messages, system, tools):
        if tools:
            raise ValueError("Mini-Gemini's chat formats have no tools: leave `tools` out of the data.")
        turns = [{"role": "system", "content": system}] if system else []
        turns += [{"role": message["role"], "content": message["content"]} for message in messages]
        encoded = tokenizer.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
        tokens = list(zip(encoded["input_ids"], encoded["assistant_masks"], strict=True))
        parts = [[token for token, _ in part] for _, part in groupby(tokens, key=lambda token: token[1])]
        parts[0] = self._begin(tokenizer) + parts[0]
        if len(parts) > len(messages):  # what follows the last answer, such as a line break
            parts[-2:] = [parts[-2] + parts[-1]]
        return parts

    @staticmethod
    def _begin(tokenizer):
        """BOS, where the tokenizer adds it and not the template."""
        begins = bool(tokenizer.bos_token) and tokenizer.chat_template.lstrip().find("bos_token") >= 0
        return [] if begins else tokenizer("")["input_ids"]


register_mm_plugin(NAME, MiniGeminiPlugin)
_register_composite_model(NAME, ["model.patch_info_mining", "model.multi_modal_projector"], ["vision_tower"])
register_template(NAME, mm_plugin=get_mm_plugin(NAME, image_token="<image>"), template_class=MiniGeminiTemplate)

if __name__ == "__main__":
    run_exp()
