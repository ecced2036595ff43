"""The torchvision backend of the image processor gives what the Pillow backend gives, within what resizing rounds.

Without torchvision there is nothing to test; `make test-contract` installs it.
"""

import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor, AutoProcessor
from transformers.utils import is_torchvision_available

from minigemini import MiniGeminiImageProcessor

pytestmark = pytest.mark.skipif(not is_torchvision_available(), reason="needs torchvision")

BACKENDS = {"pil": "MiniGeminiImageProcessor", "torchvision": "MiniGeminiImageProcessorTorchvision"}
SIZES = {"size": 28, "high_res_size": 56}
SETTINGS = {
    "padded": {},
    "cropped": {"do_pad": False},
    "native shape": {"max_tiles": 6},
    "two statistics": {"low_res_image_mean": [0.5] * 3, "low_res_image_std": [0.25] * 3},
    "not resized": {"do_resize": False},
    "not normalized": {"do_normalize": False},
}
# In normalized units, where a byte is 0.015. Transformers asks for 0.1, and 5e-3 on average.
TOLERANCE, MEAN_TOLERANCE = 0.05, 5e-4  # worst measured 0.029 and 1.2e-4


def images():
    generator = np.random.default_rng(0)
    shapes = [(97, 61, 3), (40, 90, 3), (97, 61, 3), (50, 50, 1), (30, 64, 4)]
    return [generator.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]


def torchvision_backend(**settings):
    from minigemini.modeling.image_processing_torchvision import MiniGeminiImageProcessorTorchvision

    return MiniGeminiImageProcessorTorchvision(**settings)


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("disable_grouping", [False, True])
def test_backends_agree(settings, disable_grouping):
    expected = MiniGeminiImageProcessor(**SIZES, **settings)(images(), return_tensors="pt")
    processor = torchvision_backend(**SIZES, **settings)
    found = processor(images(), return_tensors="pt", disable_grouping=disable_grouping)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        difference = (found[name].double() - values.double()).abs()
        assert (found[name].dtype, found[name].shape) == (values.dtype, values.shape)
        assert difference.max() <= TOLERANCE, name
        assert difference.mean() <= MEAN_TOLERANCE, name


def test_pixels_that_keep_their_size_are_equal(image):
    photo = image(0, 56, 56)
    expected = MiniGeminiImageProcessor(**SIZES)(photo, return_tensors="pt")
    found = torchvision_backend(**SIZES)(photo, return_tensors="pt")
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=0, atol=1e-5)  # worst measured 4.8e-7


@pytest.mark.parametrize("auto_class", [AutoImageProcessor, AutoProcessor])
def test_pillow_is_the_default(tiny_checkpoint, auto_class):
    for arguments, backend in (
        ({}, "pil"),
        ({"backend": "pil"}, "pil"),
        ({"backend": "torchvision"}, "torchvision"),
        ({"use_fast": True}, "torchvision"),
    ):
        loaded = auto_class.from_pretrained(tiny_checkpoint, **arguments)
        assert type(getattr(loaded, "image_processor", loaded)).__name__ == BACKENDS[backend]


def test_each_backend_loads_the_other(tmp_path):
    torchvision_backend(**SIZES, max_tiles=4).save_pretrained(tmp_path)
    for backend, name in BACKENDS.items():
        loaded = AutoImageProcessor.from_pretrained(tmp_path, backend=backend)
        assert (type(loaded).__name__, loaded.max_tiles) == (name, 4)
