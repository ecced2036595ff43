"""Transformers' tests of processors, on ours and on Llava's."""

import unittest
from typing import Any

from testers import byte_tokenizer
from transformers import CLIPImageProcessorPil, LlavaProcessor
from transformers_tests import load

from minigemini import MiniGeminiImageProcessor, MiniGeminiProcessor
from minigemini.modeling.chat_templates import CHAT_TEMPLATES
from minigemini.modeling.video_inputs import VIDEO_TOKEN

ProcessorTesterMixin: Any = load("test_processing_common").ProcessorTesterMixin


class ProcessorTest(ProcessorTesterMixin, unittest.TestCase):
    processor_class = MiniGeminiProcessor
    video_token = VIDEO_TOKEN

    @classmethod
    def _setup_image_processor(cls):
        # One token per frame, which leaves nothing to pool: pooling is a further input, which no attribute lists.
        return MiniGeminiImageProcessor(size=14, high_res_size=56)

    @classmethod
    def _setup_tokenizer(cls):
        return byte_tokenizer()

    @staticmethod
    def prepare_processor_dict():
        return {"chat_template": CHAT_TEMPLATES["nano"]}


class LlavaProcessorTest(ProcessorTesterMixin, unittest.TestCase):
    processor_class = LlavaProcessor

    @classmethod
    def _setup_image_processor(cls):
        return CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=16)

    @classmethod
    def _setup_tokenizer(cls):
        return byte_tokenizer()

    @staticmethod
    def prepare_processor_dict():
        return {
            "patch_size": 8,
            "vision_feature_select_strategy": "default",
            "num_additional_image_tokens": 1,
            "chat_template": CHAT_TEMPLATES["chatml"],
        }
