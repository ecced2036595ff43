"""Patch info mining equals its formula for every geometry and dtype, forward and backward."""

from pathlib import Path

import pytest
import torch
from einops import rearrange
from reference_mining import mine_by_formula
from safetensors.torch import load_file
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from minigemini.modeling import patch_info_mining as mining_module
from minigemini.modeling.patch_info_mining import PatchInfoMining

GOLDEN = Path(__file__).parent / "golden"
NANO_DIMS = (40, 80, 160, 320)
KEY_BIASES = ("key_proj.0.bias", "key_proj.1.bias")


def random_case(
    query_dim: int,
    stage_sides: dict[int, int],
    n: int,
    images: int = 2,
    offset: float = 0.0,
    dtype: torch.dtype = torch.float64,
) -> tuple[PatchInfoMining, Tensor, list[Tensor]]:
    """A module with no weight left at its initial value, queries and maps; `stage_sides` is {channels: side}."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    mining = PatchInfoMining(query_dim, tuple(stage_sides)).double()
    with torch.no_grad():
        for parameter in mining.parameters():
            spread = parameter.shape[1] ** -0.5 if parameter.ndim == 2 else 0.3
            parameter.copy_(normal(*parameter.shape) * spread + (parameter.ndim == 1) * 0.5)
    low_res = normal(images, n * n, query_dim)
    maps = [normal(images, channels, side, side) + offset for channels, side in stage_sides.items()]
    return mining.to(dtype), low_res.to(dtype), [x.to(dtype) for x in maps]


def nano_case(offset: float = 0.0, dtype: torch.dtype = torch.float64):
    """The module of the embedded checkpoint: 8 x 8 queries, 8 x 8 positions each."""
    return random_case(256, {dim: 64 >> s for s, dim in enumerate(NANO_DIMS)}, n=8, offset=offset, dtype=dtype)


def largest_difference(found: Tensor, expected: Tensor) -> float:
    """Relative to the largest expected value; absolute where nothing but zeros is expected."""
    scale = expected.abs().max().item() or 1.0
    return (found - expected).abs().max().item() / scale


GEOMETRIES = {  # {channels: side of the stage map}, n, downsample
    "M = 8, as published": ({4: 32, 6: 16, 8: 8, 10: 4}, 4, 1),
    "M = 8, one query": ({4: 8, 6: 4, 8: 2, 10: 1}, 1, 1),
    "M = 16": ({4: 32, 6: 16, 8: 8, 10: 4}, 2, 1),
    "M = 7": ({4: 28, 6: 14, 8: 7, 10: 4}, 4, 1),
    "M = 4, a patch is half a coarse cell": ({4: 16, 6: 8, 8: 4, 10: 2}, 4, 1),
    "M = 4, odd number of queries": ({4: 20, 6: 10, 8: 5, 10: 3}, 5, 1),
    "M = 1": ({4: 8, 6: 4, 8: 2, 10: 1}, 8, 1),
    "global tile of grid 2": ({4: 64, 6: 32, 8: 16, 10: 8}, 4, 2),
    "global tile of grid 3": ({4: 36, 6: 18, 8: 9, 10: 5}, 3, 3),
    "global tile of grid 4, M = 2": ({4: 32, 6: 16, 8: 8, 10: 4}, 4, 4),
    "strides 4, 12, 24": ({3: 60, 5: 20, 7: 10}, 5, 1),
    "maps of unrelated sizes": ({3: 24, 5: 17, 7: 11, 9: 30}, 3, 1),
    "one stage": ({4: 12}, 3, 1),
}


@pytest.mark.parametrize(("stage_sides", "n", "downsample"), GEOMETRIES.values(), ids=GEOMETRIES.keys())
def test_every_geometry_is_exact_forwards_and_backwards(stage_sides, n, downsample, monkeypatch):
    monkeypatch.setattr(mining_module, "BAND_BYTES", {"cpu": 2**14})  # several bands, as at full size
    mining, low_res, maps = random_case(16, stage_sides, n)
    inputs = [low_res.requires_grad_(), *(x.requires_grad_() for x in maps)]
    names = [*(name for name, _ in mining.named_parameters()), "low_res", *(f"stage {s}" for s in range(len(maps)))]

    expected, expected_attention = mine_by_formula(mining, low_res, maps, downsample)
    found, attention = mining(low_res, maps, downsample), mining.attention_weights(low_res, maps, downsample)
    # Measured worst: 7e-16 and 4e-15.
    assert largest_difference(found, expected) < 1e-14
    assert largest_difference(attention, expected_attention) < 5e-14

    direction = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected_grads = torch.autograd.grad(expected, [*mining.parameters(), *inputs], direction)
    grads = torch.autograd.grad(found, [*mining.parameters(), *inputs], direction)  # no None, or it raises
    for name, grad, expected_grad in zip(names, grads, expected_grads, strict=True):
        if name in KEY_BIASES:  # drop out of the softmax: here exactly, in the formula up to rounding
            assert torch.count_nonzero(grad) == 0
        else:  # measured worst 1.5e-14
            assert largest_difference(grad, expected_grad) < 1e-13, name


def test_gradients_are_those_of_the_function():
    mining, low_res, maps = random_case(4, {2: 8, 3: 4}, n=2, images=1)
    inputs = (low_res.requires_grad_(), *(x.requires_grad_() for x in maps))
    assert torch.autograd.gradcheck(lambda query, *stages: mining(query, stages), inputs)


def test_attention_is_over_the_block_in_reading_order():
    mining, low_res, maps = random_case(8, {3: 12, 5: 6}, n=3)
    attention = mining.attention_weights(low_res, maps)
    assert attention.shape == (2, 9, 16)
    torch.testing.assert_close(attention.sum(dim=-1), torch.ones(2, 9, dtype=torch.float64))

    high_res = torch.cat([torch.nn.functional.interpolate(x, 12, mode="bilinear") for x in maps], dim=1)
    values = mining.value_proj(rearrange(high_res, "b c (i p) (j q) -> b (i j) (p q) c", i=3, j=3))
    torch.testing.assert_close(mining(low_res, maps), torch.einsum("bnm,bnmc->bnc", attention, values))


def test_tiles_of_a_grid_are_one_grid_of_queries():
    """Each tile mined against its own quarter of the map gives the same, away from the seams of the upsampling."""
    mining, low_res, maps = random_case(8, {3: 32}, n=4)
    whole = rearrange(mining(low_res, maps), "b (a i c j) d -> b a c (i j) d", a=2, c=2, i=2)
    tiles = rearrange(low_res, "b (a i c j) d -> (b a c) (i j) d", a=2, c=2, i=2)
    quarters = [rearrange(x, "b d (a y) (c x) -> (b a c) d y x", a=2, c=2) for x in maps]
    torch.testing.assert_close(mining(tiles, quarters), whole.flatten(0, 2))


# A number added to all channels of all stages vanishes in the LayerNorms; naive sums of squares would lose 1e-4 to it.
@pytest.mark.parametrize("offset", [0.0, 10.0])
def test_float32_is_exact_to_rounding(offset):
    mining, low_res, maps = nano_case(offset, torch.float32)
    with torch.no_grad():
        found = mining(low_res, maps)
        expected, _ = mine_by_formula(mining.double(), low_res.double(), [x.double() for x in maps])
    assert (found - expected).abs().max() < 5e-6  # measured 1.8e-6 (values up to 4), the formula in float32: 8e-7


@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_bfloat16_is_no_less_accurate_than_the_formula(offset):
    mining, low_res, maps = nano_case(offset, torch.bfloat16)
    with torch.no_grad():
        found, (by_formula, _) = mining(low_res, maps), mine_by_formula(mining, low_res, maps)
        exact, _ = mine_by_formula(mining.double(), low_res.double(), [x.double() for x in maps])
    assert found.dtype == torch.bfloat16

    def rms(x: Tensor) -> float:
        return (x.double() - exact).square().mean().sqrt().item()

    assert rms(found) <= rms(by_formula)  # measured 1.51e-3 against 1.65e-3 (offset 0), 1.51e-3 against 1.78e-3


def test_half_precision_maps_and_autocast():
    mining, low_res, maps = nano_case(dtype=torch.float32)
    exact = mining(low_res, maps)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = mining(low_res, maps)
        found.sum().backward()
    assert found.dtype == low_res.dtype
    assert largest_difference(found, exact) < 5e-3  # measured 1.0e-3: only the query projection is rounded
    assert all(parameter.grad is not None for parameter in mining.parameters())

    half_maps = [x.bfloat16() for x in maps]
    torch.testing.assert_close(mining(low_res, half_maps), mining(low_res, [x.float() for x in half_maps]))


def test_result_does_not_depend_on_layout_mode_tracing_or_device():
    mining, low_res, maps = nano_case(dtype=torch.float32)
    expected = mining(low_res, maps)
    channels_last = [x.contiguous(memory_format=torch.channels_last) for x in maps]
    # Measured 8.3e-7: the mean that is taken out first is summed in another order.
    torch.testing.assert_close(mining(low_res, channels_last), expected, rtol=0, atol=5e-6)
    with torch.inference_mode():
        torch.testing.assert_close(mining(low_res, maps), expected, rtol=0, atol=0)

    traced = torch.compile(mining, fullgraph=True, backend="eager")
    torch.testing.assert_close(traced(low_res, maps), expected, rtol=0, atol=0)

    shapes_only = mining.to("meta")(low_res.to("meta"), [x.to("meta") for x in maps])
    assert shapes_only.shape == expected.shape


def test_gradient_checkpointing_changes_nothing():
    mining, low_res, maps = nano_case(dtype=torch.float32)
    low_res.requires_grad_()
    (expected_grad,) = torch.autograd.grad(mining(low_res, maps).square().sum(), low_res)
    checkpointed = checkpoint(mining, low_res, maps, use_reentrant=False)
    (grad,) = torch.autograd.grad(checkpointed.square().sum(), low_res)
    torch.testing.assert_close(grad, expected_grad, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("queries", "sides", "downsample", "message"),
    [
        (15, (32, 16), 1, "square grid of queries.*15 queries"),
        (16, (30, 15), 1, "30 is not a multiple of 1 · 4 = 4; nearest valid: 28 and 32"),
        (16, (32, 16), 3, "32 is not a multiple of 3 · 4 = 12; nearest valid: 24 and 36"),
        (16, (8, 4), 4, "8 is not a multiple of 4 · 4 = 16; nearest valid: 16$"),
    ],
)
def test_maps_of_indivisible_size_are_refused(queries, sides, downsample, message):
    mining = PatchInfoMining(8, (3, 5))
    maps = [torch.zeros(1, dim, side, side) for dim, side in zip((3, 5), sides, strict=True)]
    with pytest.raises(ValueError, match=message):
        mining(torch.zeros(1, queries, 8), maps, downsample)


def test_maps_of_wrong_size_are_refused():
    mining = PatchInfoMining(8, (3, 5))
    with pytest.raises(ValueError, match=r"square maps.*16 x 12: pad"):
        mining(torch.zeros(1, 4, 8), [torch.zeros(1, 3, 16, 12), torch.zeros(1, 5, 8, 6)])
    with pytest.raises(ValueError, match=r"must have \(images, channels\) \[\(2, 3\), \(2, 5\)\], got"):
        mining(torch.zeros(2, 4, 8), [torch.zeros(1, 3, 16, 16), torch.zeros(1, 5, 8, 8)])
    mining.key_proj[1] = torch.nn.Sequential(mining.key_proj[1])
    with pytest.raises(TypeError, match="requires a plain Linear, got Sequential"):
        mining(torch.zeros(1, 4, 8), [torch.zeros(1, 3, 16, 16), torch.zeros(1, 5, 8, 8)])


def golden_mining(case: str) -> tuple[PatchInfoMining, dict[str, Tensor], list[Tensor]]:
    names = {"query": "query_proj", "aux": "key_proj", "val": "value_proj"}
    state = {}
    for shard in sorted((GOLDEN / case).glob("MGM-*/model-*.safetensors")):
        for key, tensor in load_file(shard).items():
            if key.startswith("model.vlm_uni_"):
                name, _, rest = key.removeprefix("model.vlm_uni_").partition("_projector.")
                state[f"{names[name]}.{rest}"] = tensor.float()
    expected = load_file(GOLDEN / case / "expected.safetensors")
    maps = [expected[f"hr_stage_{stage}"] for stage in range(4)]
    mining = PatchInfoMining(state["query_proj.1.weight"].shape[0], [x.shape[1] for x in maps])
    mining.load_state_dict(state)
    return mining, expected, maps


GOLDEN_TOLERANCE = 5e-6  # measured worst 1.9e-6 (llama_hd), of values up to 4.8


@pytest.mark.parametrize("case", ["llama_sd", "gemma_sd"])
def test_published_weights_mine_the_same(case):
    mining, expected, maps = golden_mining(case)
    found = mining(expected["mined_all_query"][:1], maps)
    torch.testing.assert_close(found, expected["mined_all"][:1], rtol=0, atol=GOLDEN_TOLERANCE)


def test_published_weights_mine_the_same_in_hd():
    mining, expected, maps = golden_mining("llama_hd")
    tiles_to_grid = "(a c) (i j) d -> 1 (a i c j) d"
    queries = rearrange(expected["mined_crops_query"][:4], tiles_to_grid, a=2, i=4)
    crops = rearrange(expected["mined_crops"][:4], tiles_to_grid, a=2, i=4)
    torch.testing.assert_close(mining(queries, maps), crops, rtol=0, atol=GOLDEN_TOLERANCE)
    found = mining(expected["mined_global_query"][:1], maps, downsample=2)
    torch.testing.assert_close(found, expected["mined_global"][:1], rtol=0, atol=GOLDEN_TOLERANCE)
