"""Transformers' tests of image processors, on ours and on Llava's."""

import unittest
from typing import Any

from transformers import LlavaImageProcessorPil
from transformers.utils import is_torchvision_available
from transformers_tests import load

from minigemini import MiniGeminiImageProcessor

_common: Any = load("test_image_processing_common")


def _backends(pil: Any, module: str, name: str) -> dict[str, Any]:
    """The class of each backend that is there."""
    if not is_torchvision_available():
        return {"pil": pil}
    return {"pil": pil, "torchvision": getattr(__import__(module, fromlist=[name]), name)}


class _Tester(_common.ImageProcessingTester):
    def __init__(self, parent: Any):
        super().__init__(parent, size={"height": 16, "width": 16}, high_res_size={"height": 32, "width": 32})

    def _get_image_processing_classes(self):
        module = "minigemini.modeling.image_processing_torchvision"
        return _backends(MiniGeminiImageProcessor, module, "MiniGeminiImageProcessorTorchvision")


class _LlavaTester(_common.ImageProcessingTester):
    def __init__(self, parent: Any):
        size = {"height": 16, "width": 16}
        super().__init__(parent, size=size, crop_size=size)

    def _get_image_processing_classes(self):
        return _backends(LlavaImageProcessorPil, "transformers", "LlavaImageProcessor")


class ImageProcessorTest(_common.ImageProcessingTestMixin, unittest.TestCase):
    image_processor_tester_class = _Tester


class LlavaImageProcessorTest(_common.ImageProcessingTestMixin, unittest.TestCase):
    image_processor_tester_class = _LlavaTester
