"""Mini-Gemini for ms-swift: swift sft --external_plugins swift_minigemini.py --model MODEL_FOLDER …

Prompts, images and labels are those of Mini-Gemini's own processor, whatever chat format the checkpoint has.
"""

import torch
from swift.model import Model, ModelGroup, ModelLoader, ModelMeta, MultiModelKeys, register_model, register_model_arch
from swift.template import Template, TemplateMeta, register_template

from minigemini import MiniGeminiForConditionalGeneration

NAME = "minigemini"
IMAGE = "<image>"


class MiniGeminiLoader(ModelLoader):
    """Loads the class that is registered by importing `minigemini`."""

    default_trust_remote_code = False

    def get_model(self, model_dir, *args, **kwargs):
        self.auto_model_cls = self.auto_model_cls or MiniGeminiForConditionalGeneration
        return super().get_model(model_dir, *args, **kwargs)


class MiniGeminiTemplate(Template):
    """Encodes conversations by the processor: the label mask is that of the checkpoint's chat template."""

    placeholder_tokens = [IMAGE]  # noqa: RUF012 (as in the base class)

    def _encode(self, inputs):
        self._add_default_tags(inputs)
        encoded = self.processor.apply_chat_template(
            _messages(inputs),
            add_generation_prompt=not self.is_training,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            return_assistant_tokens_mask=self.is_training,
        )
        labels = None
        if self.is_training:
            labels = encoded["input_ids"].masked_fill(~encoded.pop("assistant_masks").bool(), -100)[0].tolist()
        ids = encoded.pop("input_ids")[0].tolist()
        pixels = {
            name: value.to(self.model_info.torch_dtype) if value.is_floating_point() else value
            for name, value in encoded.items()
            if name != "attention_mask"
        }
        return {"input_ids": ids, "labels": labels, "loss_scale": None, **pixels}

    def _data_collator_mm_data(self, batch):
        gathered = super()._data_collator_mm_data(batch)
        high_res = [row["high_res_pixel_values"] for row in batch if "high_res_pixel_values" in row]
        return {**gathered, **({"high_res_pixel_values": torch.concat(high_res)} if high_res else {})}


def _messages(inputs):
    """Messages as the processor takes them: a tag in a text becomes the next image."""
    images = iter(inputs.images)
    system = [{"role": "system", "content": inputs.system}] if inputs.system else []
    messages = [message for message in inputs.messages if message["content"] is not None]
    return [
        *system,
        *({"role": message["role"], "content": _parts(message["content"], images)} for message in messages),
    ]


def _parts(text, images):
    pieces = text.split(IMAGE)
    parts = [{"type": "image", "image": next(images)} for _ in pieces[1:]]
    return [*parts, {"type": "text", "text": "".join(pieces).strip("\n")}]


register_template(TemplateMeta(NAME, prefix=[], prompt=["{{QUERY}}"], chat_sep=[], template_cls=MiniGeminiTemplate))
register_model_arch(
    MultiModelKeys(
        NAME,
        language_model=["model.language_model", "lm_head"],
        aligner=["model.patch_info_mining", "model.multi_modal_projector"],
        vision_tower=["model.vision_tower", "model.high_res_vision_tower"],
    )
)
register_model(
    ModelMeta(
        NAME,
        [ModelGroup([Model()])],
        MiniGeminiLoader,
        template=NAME,
        architectures=[MiniGeminiForConditionalGeneration.__name__],
        model_arch=NAME,
        is_multimodal=True,
    )
)
