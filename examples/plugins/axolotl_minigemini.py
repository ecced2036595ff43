"""Mini-Gemini for axolotl: in the configuration, `plugins: [axolotl_minigemini.MiniGeminiPlugin]`.

Prompts, images and labels are those of Mini-Gemini's own processor, whatever chat format the checkpoint has.
"""

from axolotl.integrations.base import BasePlugin
from axolotl.model_support import ModelMatchers, ModelProfile, ModelStrategyOverrides, Unsupported
from axolotl.model_support.base import ModelSupport
from axolotl.model_support.registry import register_model_support
from axolotl.model_support.templates import IMAGE_TEXT_TO_TEXT
from axolotl.processing_strategies import ProcessingStrategy

import minigemini  # registers the model with Transformers
from minigemini import MiniGeminiProcessor

_KERNELS = "its language model may be of any family, which this check does not see"


class MiniGeminiStrategy(ProcessingStrategy):
    """Labels by the chat template's own mask; axolotl passes the ids alone, so the last batch is kept."""

    def __call__(self, examples):
        examples = super().__call__(examples)
        self.messages = [example["messages"] for example in examples]
        return examples

    def process_labels(self, input_ids):
        if self.train_on_inputs:
            return super().process_labels(input_ids)
        masked = self.processor.apply_chat_template(
            self.messages,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            return_assistant_tokens_mask=True,
            chat_template=self.chat_template,
            processor_kwargs={"padding": True},
        )
        assert masked["input_ids"].equal(input_ids)
        return input_ids.masked_fill(~masked["assistant_masks"].bool(), -100)


@register_model_support
class MiniGeminiSupport(ModelSupport):
    """What axolotl needs to know of the model."""

    model_types = (minigemini.MiniGeminiConfig.model_type,)
    profile = ModelProfile(
        family=IMAGE_TEXT_TO_TEXT,
        capabilities={name: Unsupported(_KERNELS) for name in ("cut_cross_entropy", "liger", "lora_kernels")},
        strategies=ModelStrategyOverrides(processing_strategy_cls=lambda: MiniGeminiStrategy),
        matchers=ModelMatchers(processor=lambda processor: isinstance(processor, MiniGeminiProcessor)),
    )


class MiniGeminiPlugin(BasePlugin):
    """Importing this file registers the model, before the configuration is validated."""
