"""Transformers' tests of models and of generation, on variants of ours and on Llava."""

import unittest
from typing import Any

from testers import VARIANTS, LlavaTester, ModelTester
from transformers import LlavaForConditionalGeneration, LlavaModel
from transformers_tests import load

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiModel

ModelTesterMixin: Any = load("test_modeling_common").ModelTesterMixin
GenerationTesterMixin: Any = load("generation.test_utils").GenerationTesterMixin


class _MiniGemini:
    all_model_classes = (MiniGeminiModel, MiniGeminiForConditionalGeneration)
    _is_composite = True
    variant = ""

    def setUp(self):
        self.model_tester = ModelTester(self, VARIANTS[self.variant])


class BaseTest(_MiniGemini, ModelTesterMixin, GenerationTesterMixin, unittest.TestCase):
    variant = "base"


class HDTest(_MiniGemini, ModelTesterMixin, GenerationTesterMixin, unittest.TestCase):
    variant = "hd"


class BaselineTest(_MiniGemini, ModelTesterMixin, GenerationTesterMixin, unittest.TestCase):
    variant = "baseline"


class MixtralTest(_MiniGemini, ModelTesterMixin, GenerationTesterMixin, unittest.TestCase):
    variant = "mixtral"
    test_all_params_have_gradient = False  # tokens do not reach every expert


class VocabularyTest(_MiniGemini, ModelTesterMixin, GenerationTesterMixin, unittest.TestCase):
    variant = "vocabulary"


class NativeTest(_MiniGemini, ModelTesterMixin, GenerationTesterMixin, unittest.TestCase):
    variant = "native"
    skip_test_image_features_output_shape = True  # a list, as for LLaVA-NeXT: images differ in shape


class LlavaTest(ModelTesterMixin, GenerationTesterMixin, unittest.TestCase):
    all_model_classes = (LlavaModel, LlavaForConditionalGeneration)
    _is_composite = True

    def setUp(self):
        self.model_tester = LlavaTester(self, {})
