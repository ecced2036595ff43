"""The model exports with any number of images and any length, and compiles as one graph."""

import pytest
import torch
from tiny_encoders import high_res, low_res
from torch.export import Dim, export

IMAGE_TOKEN = 3
VOCABULARY = {
    "projector_type": "visual_vocabulary",
    "visual_vocabulary": [{"name": "a", "size": 5, "source": "low_res", "context_weight": 0.5}],
}
MODELS = {
    "the paper's HD setting": {"grid_size": 2, "use_global_tile": True, "high_res_size": 64},
    "SigLIP 2, DINOv3's ConvNeXt, visual words": {
        **low_res("siglip2_vision_model"),
        **high_res("dinov3_convnext"),
        **VOCABULARY,
    },
}


class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, pixel_values, high_res_pixel_values=None, image_grid_thw=None):
        inputs = {"pixel_values": pixel_values, "high_res_pixel_values": high_res_pixel_values}
        inputs["image_grid_thw"] = image_grid_thw
        return self.model(input_ids=input_ids, **inputs, use_cache=False, return_dict=True).logits


def inputs(config, images, letters):
    generator = torch.Generator().manual_seed(images)
    pixels = [
        torch.randn(images, 3, side, side, generator=generator) for side in (config.low_res_size, config.high_res_size)
    ]
    ids = torch.tensor([[1, *[IMAGE_TOKEN] * config.num_image_tokens, *[20] * letters]] * images)
    return ids, *pixels


@torch.no_grad()
@pytest.mark.parametrize("fields", MODELS.values(), ids=MODELS)
def test_any_number_of_images_and_any_length(make_model, fields):
    model = Logits(make_model(**fields))
    config = model.model.config
    images, length = Dim("images", max=16), Dim("length", min=config.num_image_tokens + 2, max=512)
    shapes = ({0: images, 1: length}, {0: images}, {0: images})
    exported = export(model, inputs(config, 2, letters=5), dynamic_shapes=shapes, strict=False).module()
    for case in (inputs(config, 1, letters=2), inputs(config, 3, letters=9)):
        torch.testing.assert_close(exported(*case), model(*case), rtol=0, atol=1e-5)  # worst measured 0


@torch.no_grad()
def test_one_tensor_of_pixels(make_model):
    statistics = {"low_res_image_mean": [0.5, 0.4, 0.3], "low_res_image_std": [0.25, 0.5, 1.0]}
    model = Logits(make_model(**MODELS["the paper's HD setting"], **statistics))
    ids, _, pixels = inputs(model.model.config, 2, letters=5)
    images = Dim("images", max=16)
    exported = export(model, (ids, pixels), dynamic_shapes=({0: images}, {0: images}), strict=False).module()
    ids, low_res, pixels = inputs(model.model.config, 3, letters=5)
    torch.testing.assert_close(exported(ids, pixels), model(ids, pixels), rtol=0, atol=1e-5)  # worst measured 0
    assert not torch.allclose(model(ids, pixels), model(ids, low_res, pixels)), "low resolution is derived"


@torch.no_grad()
def test_shapes_of_images_are_constants(make_model):
    model = Logits(make_model(max_tiles=6, use_global_tile=True))
    config = model.model.config
    grids = [[1, 1, 2], [1, 3, 1], [1, 1, 2]]
    tokens = sum(config.tiles_in(rows, columns) for _, rows, columns in grids) * config.patches_per_side**2
    sides = (config.low_res_size, config.high_res_size)
    pixels = [torch.randn(7, 3, side, side, generator=torch.Generator().manual_seed(side)) for side in sides]
    ids = torch.tensor([[1, *[IMAGE_TOKEN] * tokens, *[20] * 9]])
    shapes = ({1: Dim("length", max=512)}, None, None, [[None] * 3] * 3)
    exported = export(model, (ids, *pixels, grids), dynamic_shapes=shapes, strict=False).module()
    for length in (ids.shape[1], ids.shape[1] - 4):
        expected = model(ids[:, :length], *pixels, torch.tensor(grids))
        found = exported(ids[:, :length], *pixels, grids)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)  # worst measured 0


@torch.no_grad()
def test_one_graph(make_model):
    torch._dynamo.reset()
    model = Logits(make_model(**low_res("siglip_vision_model"), **high_res("convnext", "resnet"), **VOCABULARY))
    case = inputs(model.model.config, 2, letters=3)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*case), model(*case), rtol=0, atol=1e-5)  # worst measured 0
