"""Native shape: grids for any image, mining of rectangular maps, and batches of mixed shapes."""

import json

import numpy as np
import pytest
import torch
from huggingface_hub.errors import StrictDataclassFieldValidationError
from PIL import Image
from reference_mining import mine_by_formula
from test_patch_info_mining import largest_difference, random_case
from tiny_training import losses, tiny_recipe, write_data

from minigemini.data.encoding import SampleEncoder
from minigemini.data.packing import pack_rows
from minigemini.data.schema import Sample
from minigemini.evaluation.local_backend import LocalAnswerer
from minigemini.evaluation.runner import Batch
from minigemini.evaluation.task import Question
from minigemini.inference import Engine
from minigemini.inference.attention_maps import attention_maps, explain_images
from minigemini.io.errors import CheckpointError
from minigemini.modeling import MiniGeminiImageProcessor
from minigemini.modeling.native_shape import choose_grid, num_images, select_images
from minigemini.modeling.patch_info_mining import BAND_BYTES
from minigemini.training.feature_cache import cache_features
from minigemini.training.run import train
from minigemini.training.settings import RecipeError

NATIVE = {"max_tiles": 6, "use_global_tile": True}
SHAPES = [(30, 20), (48, 16), (9, 9), (20, 43), (16, 48), (64, 64), (30, 20)]  # widths and heights in pixels
GRIDS = [(1, 2), (1, 3), (1, 1), (2, 1), (3, 1), (2, 2), (1, 2)]


@pytest.fixture(scope="module")
def model(make_model):
    return make_model(**NATIVE)


@pytest.fixture(scope="module")
def engine(model, make_processor) -> Engine:
    return Engine(model, make_processor(model.config), "tiny")


@pytest.fixture(scope="module")
def images(image):
    return [image(seed, *shape) for seed, shape in enumerate(SHAPES)]


def encode(engine, images):
    text = [f"{engine.processor.image_token}What is it?"] * len(images)
    return engine.processor(images=images, text=text, return_tensors="pt", padding=True)


@pytest.mark.parametrize(
    ("height", "width", "grid"),
    [
        (1754, 1240, (3, 2)),  # A4 at 150 dpi
        (1000, 3000, (1, 3)),
        (2340, 1080, (2, 1)),  # a phone
        (1080, 1920, (1, 2)),
        (768, 1024, (2, 3)),
        (336, 336, (1, 1)),
        (1000, 1000, (2, 2)),
        (1, 1, (1, 1)),
        (2, 300, (1, 1)),
        (1, 10**7, (1, 6)),
        (10**7, 1, (6, 1)),
    ],
)
def test_grids(height, width, grid):
    assert choose_grid(height, width, 336, 6) == grid


def test_every_grid_is_bounded_and_transposes():
    sides = [1, 2, 100, 336, 337, 500, 900, 1500, 4000, 10**6]
    for max_tiles in (1, 2, 5, 6, 12, 64):
        for height in sides:
            for width in sides:
                grid = choose_grid(height, width, 336, max_tiles)
                assert 1 <= grid.num_tiles <= max_tiles
                assert choose_grid(width, height, 336, max_tiles).num_tiles == grid.num_tiles
                assert grid.rows <= -(-height // 336)
                assert grid.columns <= -(-width // 336)


@pytest.mark.parametrize("shape", [(1, 9000), (9000, 1), (1, 1), (3, 2), (20, 2000), (40, 30)])
@pytest.mark.parametrize("as_array", [False, True])
def test_hostile_shapes_have_bounded_tiles(shape, as_array):
    processor = MiniGeminiImageProcessor(size=16, high_res_size=32, max_tiles=6)
    image = Image.new("RGB", shape, (255, 0, 0))
    inputs = processor(np.asarray(image) if as_array else image, return_tensors="pt")
    tiles = int(inputs["image_grid_thw"].prod())
    assert inputs["pixel_values"].shape == (tiles, 3, 16, 16)
    assert inputs["high_res_pixel_values"].shape == (tiles, 3, 32, 32)
    assert tiles <= 6
    assert all(torch.isfinite(inputs[name]).all() for name in processor.model_input_names)


def test_images_fill_their_grid_unless_that_stretches_them_too_much():
    processor = MiniGeminiImageProcessor(size=16, high_res_size=32, max_tiles=6, do_normalize=False)
    page = processor(Image.new("RGB", (124, 175), (255, 0, 0)), return_tensors="pt")
    assert page["image_grid_thw"].tolist() == [[1, 3, 2]]
    assert (page["high_res_pixel_values"][:, 0] == 1).all()
    strip = processor(Image.new("RGB", (2000, 20), (255, 0, 0)), return_tensors="pt")
    assert strip["image_grid_thw"].tolist() == [[1, 1, 6]]
    rows = (strip["high_res_pixel_values"][:, 0] == 1).all(dim=-1)
    assert rows.sum(dim=-1).tolist() == [2] * 6  # 192 x 1.92 pixels of 192 x 32


def test_tiles_are_the_parts_of_the_image():
    processor = MiniGeminiImageProcessor(size=16, high_res_size=32, max_tiles=6, do_normalize=False)
    colors = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    image = Image.fromarray(np.repeat(np.repeat(colors, 32, 0), 32, 1)).convert("RGB")
    inputs = processor(image, return_tensors="pt")
    assert inputs["image_grid_thw"].tolist() == [[1, 2, 3]]
    for name in ("pixel_values", "high_res_pixel_values"):
        middle = inputs[name][:, 0, 8:-6, 8:-6] * 255
        torch.testing.assert_close(middle.mean((1, 2)), torch.arange(6) * 40.0)


def test_sizes_that_are_not_resized_must_be_whole_tiles():
    processor = MiniGeminiImageProcessor(size=16, high_res_size=32, max_tiles=6, do_resize=False)
    assert processor(Image.new("RGB", (64, 96)), return_tensors="pt")["image_grid_thw"].tolist() == [[1, 3, 2]]
    for size in [(64, 95), (96, 96), (32, 31)]:
        with pytest.raises(ValueError, match="1 to 6 whole tiles of 32 pixels"):
            processor(Image.new("RGB", size))


@pytest.mark.parametrize("max_tiles", [0, 65, True, 2.0, "6"])
def test_max_tiles_is_checked(make_config, max_tiles):
    with pytest.raises((ValueError, StrictDataclassFieldValidationError), match="max_tiles"):
        make_config(max_tiles=max_tiles)
    with pytest.raises(ValueError, match="max_tiles"):
        MiniGeminiImageProcessor(size=16, high_res_size=32, max_tiles=max_tiles)


def test_a_config_has_one_tiling(make_config):
    with pytest.raises(ValueError, match="grid_size is 2 and max_tiles 6"):
        make_config(max_tiles=6, grid_size=2, high_res_size=64)


RECTANGLES = {  # rows and columns of queries, M, downsample, offset of the sides of coarser maps
    "one row of tiles": ((4, 12), 4, (1, 1)),
    "the global tile of a row": ((4, 4), 4, (1, 3)),
    "the global tile of 3 x 2": ((4, 4), 4, (3, 2)),
    "M = 8": ((2, 6), 8, (1, 1)),
    "M = 7": ((3, 2), 7, (1, 1)),
    "one query high": ((1, 5), 8, (1, 1)),
    "one query wide": ((5, 1), 8, (1, 1)),
}


@pytest.mark.parametrize("case", RECTANGLES)
def test_mining_of_rectangles_equals_the_formula(case, monkeypatch):
    grid, positions, downsample = RECTANGLES[case]
    monkeypatch.setitem(BAND_BYTES, "cpu", 2000)
    mining, _, _ = random_case(12, {4: 8, 6: 4, 8: 2, 10: 1}, n=1)
    generator = torch.Generator().manual_seed(1)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64, requires_grad=True)

    queries = normal(2, grid[0] * grid[1], 12)
    height, width = (n * positions * factor for n, factor in zip(grid, downsample, strict=True))
    maps = [normal(2, dim, max(1, height >> s), max(1, width >> s)) for s, dim in enumerate(mining.stage_dims)]
    expected, attention = mine_by_formula(mining, queries, maps, downsample, grid)
    found = mining(queries, maps, downsample, grid)
    assert largest_difference(found, expected) < 1e-12
    assert largest_difference(mining.attention_weights(queries, maps, downsample, grid), attention) < 1e-12
    inputs = [queries, *maps, mining.query_proj[1].weight, mining.key_proj[1].weight, mining.value_proj[1].weight]
    weights = torch.randn(found.shape, generator=generator, dtype=torch.float64)
    ours, theirs = (torch.autograd.grad((x * weights).sum(), inputs) for x in (found, expected))
    for one, other in zip(ours, theirs, strict=True):
        assert largest_difference(one, other) < 1e-11


def test_rectangles_need_their_grid():
    mining, queries, maps = random_case(12, {4: 16, 6: 8}, n=4)
    with pytest.raises(ValueError, match="or pass grid"):
        mining(queries[:, :8], [x[:, :, :8] for x in maps])
    with pytest.raises(ValueError, match="16 queries are no grid of 2 x 4"):
        mining(queries, maps, 1, (2, 4))


def test_grids_and_tokens_of_a_batch(engine, images):
    inputs = encode(engine, images)
    assert [tuple(grid[1:]) for grid in inputs["image_grid_thw"].tolist()] == GRIDS
    tiles = [rows * columns for rows, columns in GRIDS]
    counted = engine.processor._get_num_multimodal_tokens([[image.height, image.width] for image in images])
    assert counted["num_image_patches"] == tiles
    assert counted["num_image_tokens"] == [4 * (n + (n > 1)) for n in tiles]
    assert counted["num_image_tokens"] == (inputs["input_ids"] == 3).sum(1).tolist()
    assert max(counted["num_image_tokens"]) <= engine.processor.num_image_tokens == 28


def test_rows_of_tiles_of_each_image_are_counted(engine, images):
    """TRL's trainers split pixel_values by them."""
    pixels = engine.processor.image_processor([[image] for image in images], crop_to_patches=True, return_tensors="pt")
    assert pixels["num_patches"].tolist() == [rows * columns for rows, columns in GRIDS]
    assert pixels["num_patches"].sum() == len(pixels["pixel_values"])
    assert "num_patches" not in engine.processor.image_processor(images, return_tensors="pt")


def test_mixed_shapes_equal_each_alone(engine, images):
    """Also with padding, in the model's outputs."""
    model, inputs = engine.model, encode(engine, images)
    with torch.no_grad():
        together = model(**inputs)
        features = model.get_image_features(**select_images(inputs, range(len(images))))
    for number, image in enumerate(images):
        alone = encode(engine, [image])
        length = alone["input_ids"].shape[1]
        with torch.no_grad():
            logits = model(**alone).logits
            tokens = model.get_image_features(
                alone["pixel_values"], alone["high_res_pixel_values"], alone["image_grid_thw"]
            ).pooler_output
        torch.testing.assert_close(features.pooler_output[number], tokens[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together.logits[number, -length:], logits[0], rtol=1e-4, atol=1e-4)


def test_four_tiles_equal_those_of_hd(make_model, hd_model, make_processor, image):
    """A square of 2 x 2 tiles is the same image for both; the global tile averages the same four pixels."""
    native = make_model(**NATIVE)
    native.load_state_dict(hd_model.state_dict())
    square = image(0, 64, 64)
    ours = make_processor(native.config).image_processor(square, return_tensors="pt")
    theirs = make_processor(hd_model.config).image_processor(square, return_tensors="pt")
    with torch.no_grad():
        found, expected = native.get_image_features(**ours), hd_model.get_image_features(**theirs)
    torch.testing.assert_close(found.pooler_output[0], expected.pooler_output[0], rtol=1e-5, atol=1e-5)


def test_baseline_without_high_resolution(make_model, make_processor, images):
    model = make_model(high_res_vision_config=None, **NATIVE)
    inputs = make_processor(model.config).image_processor(images, return_tensors="pt")
    tokens = model.get_image_features(**inputs).pooler_output
    assert [len(one) for one in tokens] == [12, 16, 4, 12, 16, 20, 12]


def test_beams_and_greedy_generation(engine, images):
    inputs = encode(engine, images[:4])
    length = inputs["input_ids"].shape[1]
    together = engine.model.generate(**inputs, max_new_tokens=6, do_sample=False)[:, length:]
    beams = engine.model.generate(**inputs, max_new_tokens=6, do_sample=False, num_beams=2)[:, length:]
    for number, image in enumerate(images[:4]):
        alone = encode(engine, [image])
        start = alone["input_ids"].shape[1]
        for found, count in ((together, 1), (beams, 2)):
            expected = engine.model.generate(**alone, max_new_tokens=6, do_sample=False, num_beams=count)[0, start:]
            assert found[number, : len(expected)].tolist() == expected.tolist()


def test_wrong_grids_are_refused(engine, images):
    inputs = encode(engine, images[:2])
    pixels = {name: inputs[name] for name in ("pixel_values", "high_res_pixel_values")}
    for grids in (None, torch.tensor([[1, 1, 2]]), torch.tensor([[1, 5, 1], [1, 0, 2]]), torch.tensor([[1, -1, -5]])):
        with pytest.raises(ValueError, match="use the model's own processor"):
            engine.model.get_image_features(**pixels, image_grid_thw=grids)
    with pytest.raises(ValueError, match=r"1 to 6 tiles of 16 x 16 pixels"):
        engine.model.get_image_features(torch.rand(8, 3, 16, 16), torch.rand(8, 3, 32, 32), torch.tensor([[1, 8, 1]]))
    with pytest.raises(ValueError, match="the text has 28 image tokens, but the images have 12"):
        engine.model(input_ids=inputs["input_ids"], **select_images(inputs, [0]))


def test_selected_images_keep_their_tiles(engine, images):
    inputs = engine.processor.image_processor(images, return_tensors="pt")
    assert num_images(inputs) == len(images)
    chosen = select_images(inputs, [5, 1])
    again = engine.processor.image_processor([images[5], images[1]], return_tensors="pt")
    assert all(torch.equal(chosen[name], again[name]) for name in again)


def samples(images):
    def turns(text, count):
        content = [{"type": "image"}] * count + [{"type": "text", "text": text}]
        answer = {"role": "assistant", "content": [{"type": "text", "text": f"answer {text}"}]}
        return ({"role": "user", "content": content}, answer)

    return [
        Sample("a", "s", turns("a", 2), tuple(images[:2])),
        Sample("b", "s", turns("b", 0), ()),
        Sample("c", "s", turns("c", 1), (images[4],)),
    ]


def test_packed_samples_equal_each_alone(engine, images):
    encoded = [SampleEncoder(engine.processor)(sample) for sample in samples(images)]
    batch = pack_rows([encoded], pad_token_id=0)
    with torch.no_grad():
        logits = engine.model(**{**batch, "labels": None}, use_cache=False).logits[0]
        start = 0
        for one in encoded:
            alone = engine.model(input_ids=one.input_ids[None], **one.pixels).logits[0]
            torch.testing.assert_close(logits[start : start + len(one)], alone, rtol=1e-4, atol=1e-4)
            start += len(one)


def test_cached_features_are_those_of_each_shape(make_model, engine, images, tmp_path, monkeypatch):
    model = make_model(**NATIVE)
    inputs = engine.processor.image_processor(images, return_tensors="pt")
    cache_features(model, tmp_path, limit_gb=1)
    with torch.no_grad():
        first = model.get_image_features(**inputs).pooler_output
        monkeypatch.setattr(model.model.vision_tower, "forward", None)
        again = model.get_image_features(**inputs).pooler_output
        plain = engine.model.get_image_features(**inputs).pooler_output
    for one, two, three in zip(first, again, plain, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(one, three, rtol=0.05, atol=0.05)


def test_checkpoints_are_loaded_and_answer(engine, images, tmp_path):
    engine.model.save_pretrained(tmp_path)
    engine.processor.save_pretrained(tmp_path)
    loaded = Engine.load(tmp_path, device="cpu")
    assert loaded.model.config.max_tiles == loaded.processor.image_processor.max_tiles == 6
    assert loaded.ask(images[:3], "What?").text == engine.ask(images[:3], "What?").text
    saved = json.loads((tmp_path / "processor_config.json").read_text())
    saved["image_processor"]["max_tiles"] = 4
    (tmp_path / "processor_config.json").write_text(json.dumps(saved))
    with pytest.raises(CheckpointError, match=r"max_tiles 4, but config\.json 6"):
        Engine.load(tmp_path, device="cpu")


def test_evaluation_answers_batches_of_mixed_shapes(engine, images, tmp_path):
    for number, image in enumerate(images):
        image.save(tmp_path / f"{number}.png")
    paths = [tmp_path / f"{number}.png" for number in range(len(images))]
    shown = [(paths[0], paths[1]), (paths[2],), (paths[4],), (paths[1],)]
    questions = []
    for number, files in enumerate(shown):
        content = [
            *({"type": "image", "image": file} for file in files),
            {"type": "text", "text": f"What is {number}?"},
        ]
        questions.append(Question(str(number), ({"role": "user", "content": content},), ""))
    answerer = LocalAnswerer(engine, workers=0)
    (_, together), *_ = answerer.answers([Batch("all", tuple(questions))], 5)
    for question in questions:
        (_, alone), *_ = answerer.answers([Batch("one", (question,))], 5)
        assert alone[question.id] == together[question.id]


def test_attention_maps_have_the_shape_of_the_image(engine, image):
    maps, seen = attention_maps(engine, image(0, 48, 32))
    assert maps.attention.shape == (4, 6, 4, 4)
    assert maps.share.shape == (16, 24)
    assert seen.size == (96, 64)
    torch.testing.assert_close(maps.attention.sum((-2, -1)), torch.ones(4, 6))
    sheet = explain_images(engine, [image(0, 48, 32), image(1, 16, 48), image(2, 1, 90)])
    assert sheet.width >= 1024


def test_training_in_native_shape(tiny_checkpoint, tmp_path, image):
    data = write_data(tmp_path, lambda seed: image(seed, *SHAPES[seed]))
    recipe = tiny_recipe(tiny_checkpoint, data, tiling="native", max_tiles=4, steps=2)
    train(recipe, tmp_path / "run")
    assert len(losses(tmp_path / "run")) == 2
    trained = Engine.load(tmp_path / "run" / "model", device="cpu")
    assert (trained.model.config.max_tiles, trained.model.config.use_global_tile) == (4, True)
    with pytest.raises(RecipeError, match="max_tiles=65 is not between 1 and 64"):
        tiny_recipe(tiny_checkpoint, data, tiling="native", max_tiles=65)
