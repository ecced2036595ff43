"""Transformers' tests of pipelines, on ours and on Llava's, with tiny models that are saved here, not downloaded."""

import json
import os
import unittest
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import transformers
from PIL import Image
from testers import VARIANTS, LlavaTester, ModelTester, byte_tokenizer
from transformers import CLIPImageProcessorPil, LlavaForConditionalGeneration, LlavaProcessor
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
from transformers_tests import IMAGE, is_missing, load

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiImageProcessor, MiniGeminiProcessor
from minigemini.modeling.chat_templates import CHAT_TEMPLATES

if is_missing("pipelines.test_pipelines_common"):
    pytest.skip("the tests of pipelines are not in the source distribution", allow_module_level=True)

_FOLDER = TemporaryDirectory()
_IMAGE_PROCESSORS = {
    MiniGeminiForConditionalGeneration: MiniGeminiImageProcessor,
    LlavaForConditionalGeneration: CLIPImageProcessorPil,
}
_SUMMARY = {
    model.__name__: {"tokenizer_classes": ["PreTrainedTokenizerFast"], "processor_classes": [processor.__name__]}
    for model, processor in _IMAGE_PROCESSORS.items()
}


def _load_mixin() -> Any:
    """Import the mixin, which reads at once which models there are, and looks classes up in Transformers."""
    summary = Path(_FOLDER.name, "reports", "tiny_model_summary.json")
    summary.parent.mkdir()
    summary.write_text(json.dumps(_SUMMARY))
    os.environ["TRANSFORMERS_TINY_MODEL_PATH"] = _FOLDER.name
    # The tests would import the source beside them a second time; the installed package is what is tested.
    transformers.utils.direct_transformers_import = lambda _: transformers
    mixin = load("test_pipeline_mixin")
    for ours in (MiniGeminiImageProcessor, MiniGeminiProcessor):
        setattr(transformers, ours.__name__, ours)
    PROCESSOR_MAPPING_NAMES["minigemini"] = MiniGeminiProcessor.__name__
    return mixin.PipelineTesterMixin


PipelineTesterMixin = _load_mixin()


def _save(model: Any, processor: Any) -> None:
    folder = Path(_FOLDER.name, model.config.model_type, type(model).__name__)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def setUpModule() -> None:
    """Save the models, and put an image where the tests open it."""
    image = Path(_FOLDER.name, "tests", "fixtures", "tests_samples", "COCO", "000000039769.png")
    image.parent.mkdir(parents=True)
    Image.open(IMAGE).save(image)
    vocabulary = {"text_config": {**ModelTester(None, {}).text_config, "vocab_size": 260}, "image_token_id": 3}
    config = ModelTester(None, {**VARIANTS["base"], **vocabulary}).get_config()
    processor = MiniGeminiProcessor.from_config(config, byte_tokenizer(), chat_template=CHAT_TEMPLATES["nano"])
    processor.chat_template = None  # with one, the tests pass parts of type "images", which our templates refuse
    _save(MiniGeminiForConditionalGeneration(config), processor)
    config = LlavaTester(None, vocabulary).get_config()
    config.image_token_id = 3
    images = CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=16)
    tiling = {"patch_size": 8, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    _save(LlavaForConditionalGeneration(config), LlavaProcessor(images, byte_tokenizer(), **tiling))


class _InFolder:
    def setUp(self):
        self.enterContext(chdir(_FOLDER.name))


class PipelineTest(_InFolder, PipelineTesterMixin, unittest.TestCase):
    pipeline_model_mapping = dict.fromkeys(("image-text-to-text", "any-to-any"), MiniGeminiForConditionalGeneration)


class LlavaPipelineTest(_InFolder, PipelineTesterMixin, unittest.TestCase):
    pipeline_model_mapping = dict.fromkeys(("image-text-to-text", "any-to-any"), LlavaForConditionalGeneration)
