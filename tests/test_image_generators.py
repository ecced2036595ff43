"""Image generators: every preset with a tiny pipeline of its class, and the checks before a pipeline is loaded."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tiny_pipelines import PIPELINES, save_lora, save_pipeline

from minigemini.imagegen import pipeline_loading as loading
from minigemini.imagegen.generated_image import GenerationSettings
from minigemini.imagegen.generator import ImageGenerator, choose_offload
from minigemini.imagegen.presets import NEGATIVE_PROMPT, Preset, default_generator, pipeline_kinds, presets
from minigemini.inference import CheckpointError, RequestError

PUBLISHED = {name: preset for name, preset in presets().items() if name != "nano"}
"""All presets but the embedded generator, which has its own tests."""
TINY = GenerationSettings(size_px=32, steps=2, seed=5)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Tiny pipelines and LoRAs in place of those on the hub, by hub id."""
    root, folders = tmp_path_factory.mktemp("hub"), dict[str, Path]()
    for preset in PUBLISHED.values():
        folders.setdefault(preset.hub_id, root / preset.hub_id)
        if not folders[preset.hub_id].exists():
            save_pipeline(preset.kind, folders[preset.hub_id], preset.variant)
        if preset.lora:
            folders[preset.lora] = save_lora(root / preset.lora)
    return folders


@pytest.fixture
def fetched(hub, monkeypatch):
    """Replace downloads from the hub; return the list of requests."""
    requests = []

    def fetch(hub_id, patterns):
        requests.append((hub_id, tuple(patterns)))
        return hub[hub_id]

    monkeypatch.setattr(loading, "fetch", fetch)
    return requests


@pytest.fixture(scope="module")
def folder(hub) -> Path:
    return hub["stabilityai/stable-diffusion-3.5-medium"]


@pytest.fixture(scope="module")
def generator(folder) -> ImageGenerator:
    return ImageGenerator.load(folder, device="cpu")


@pytest.fixture
def broken(folder, tmp_path) -> Path:
    """A copy of a pipeline to damage."""
    return shutil.copytree(folder, tmp_path / "broken")


def change_json(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


# Presets


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_preset_uses_its_settings(name, fetched):
    preset = presets()[name]
    generator = ImageGenerator.load(name, device="cpu")
    (drawn,) = generator.draw("a red house", GenerationSettings(size_px=32, seed=3, steps=min(preset.steps, 4)))
    assert type(generator.pipeline).__name__ == preset.kind
    assert (drawn.generator, drawn.guidance, drawn.image.size) == (name, preset.guidance, (32, 32))
    assert (drawn.negative_prompt == NEGATIVE_PROMPT) == (
        preset.guidance > 1 and pipeline_kinds()[preset.kind].negative
    )
    if preset.scheduler:
        assert type(generator.pipeline.scheduler).__name__ == preset.scheduler
    (from_image,) = generator.draw(
        "a red house", GenerationSettings(size_px=32, seed=3, steps=4, strength=0.5), image=drawn.image
    )
    assert from_image.image.tobytes() != drawn.image.tobytes()
    assert from_image.strength == 0.5
    hub_id, patterns = fetched[1]
    assert hub_id == preset.hub_id
    assert not [pattern for pattern in patterns if pattern.endswith((".py", ".bin", "*"))]


def test_default_generators():
    assert [default_generator(model) for model in ("nano", "models/mgm-7b")] == ["nano", "sdxl"]
    assert presets()["nano"].native_px == pipeline_kinds()["PainterPipeline"].native_px


def test_a_preset_downloads_one_set_of_weights(fetched):
    ImageGenerator.load("sdxl", device="cpu")
    patterns = fetched[1][1]
    assert "unet/diffusion_pytorch_model.fp16.safetensors" in patterns
    assert "text_encoder/model.fp16-*.safetensors" in patterns
    assert not [pattern for pattern in patterns if pattern.endswith("model.safetensors")]


def test_the_lora_is_merged(fetched):
    plain, merged = (ImageGenerator.load(name, device="cpu").pipeline.unet for name in ("sdxl", "sdxl-lcm"))
    after = merged.state_dict()
    changed = [name for name, tensor in plain.state_dict().items() if not torch.equal(tensor, after[name])]
    assert changed
    assert all(".to_q." in name or ".to_v." in name for name in changed)


def test_a_lora_of_another_model_is_refused(fetched, hub, tmp_path, monkeypatch):
    path = tmp_path / loading.LORA_FILE
    tensors = load_file(hub["latent-consistency/lcm-lora-sdxl"] / loading.LORA_FILE)
    save_file({name: torch.zeros(3, 5) for name in tensors}, path)
    monkeypatch.setitem(hub, "latent-consistency/lcm-lora-sdxl", tmp_path)
    with pytest.raises(CheckpointError, match=r"lcm-lora-sdxl: does not fit stabilityai"):
        ImageGenerator.load("sdxl-lcm", device="cpu")


# Images


def test_an_exception_in_on_step_stops_the_generation(generator):
    steps = []

    def on_step() -> None:
        steps.append(len(steps))
        if len(steps) == 3:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        generator.draw("a cat", GenerationSettings(size_px=32, steps=5, seed=5), on_step=on_step)
    assert steps == [0, 1, 2]
    assert (
        generator.draw("a cat", TINY, on_step=lambda: None)[0].image.tobytes()
        == generator.draw("a cat", TINY)[0].image.tobytes()
    )


def test_seeds_are_reproducible_and_count_increments_them(generator):
    first, second = generator.draw("a cat", GenerationSettings(size_px=32, steps=2, seed=5, count=2))
    assert (first.seed, second.seed) == (5, 6)
    assert generator.draw("a cat", TINY)[0].image.tobytes() == first.image.tobytes() != second.image.tobytes()
    assert (
        generator.draw("a cat", GenerationSettings(size_px=32, steps=2, seed=6))[0].image.tobytes()
        == second.image.tobytes()
    )
    assert generator.draw("a dog", TINY)[0].image.tobytes() != first.image.tobytes()
    drawn = {generator.draw("a cat", GenerationSettings(size_px=32, steps=1))[0].seed for _ in range(2)}
    assert len(drawn) == 2, "without a seed a random one is chosen and reported"


def test_size_guidance_and_negative_prompt_have_an_effect(generator):
    assert generator.draw("a cat", GenerationSettings(size_px=(48, 32), steps=1))[0].image.size == (48, 32)
    plain = generator.draw("a cat", TINY)[0].image.tobytes()
    for changed in ({"guidance": 1.0}, {"negative_prompt": "a dog"}, {"negative_prompt": ""}, {"steps": 3}):
        assert generator.draw("a cat", replace(TINY, **changed))[0].image.tobytes() != plain


def test_a_start_image_keeps_its_shape(generator, image, monkeypatch):
    monkeypatch.setattr(generator, "preset", Preset("x", "StableDiffusion3Pipeline", 4, 4.0, native_px=64))
    drawn = generator.draw("a cat", GenerationSettings(steps=2, strength=1.0), image=image(0, width=200, height=50))[0]
    assert drawn.image.size == (128, 32)


def test_the_settings_are_written_into_the_file(generator, tmp_path):
    (drawn,) = generator.draw("a café in „Köln“ 雪", TINY)
    drawn.save(tmp_path / "out.png")
    written = Image.open(tmp_path / "out.png")
    assert written.tobytes() == drawn.image.tobytes()
    assert written.text == drawn.described()
    assert written.text["prompt"] == "a café in „Köln“ 雪"
    assert (written.text["seed"], written.text["steps"]) == ("5", "2")
    assert generator.name == "stable-diffusion-3.5-medium", "the folder's name, not its path"
    with pytest.raises(RequestError, match=r"ends in \.png"):
        drawn.save(tmp_path / "out.jpg")


def test_progress_is_shown_only_on_request_or_a_terminal(generator, capsys):
    generator.draw("a cat", TINY)
    assert capsys.readouterr().err == ""
    generator.draw("a cat", TINY, progress=True)
    assert "1/2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size_px": 8}, "size_px is 8"),
        ({"size_px": (64, 9999)}, "size_px is 9999"),
        ({"steps": 0}, "steps is 0"),
        ({"guidance": -1}, "guidance is -1"),
        ({"count": 0}, "count is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"strength": 0}, "strength is 0"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(RequestError, match=message):
        GenerationSettings(**settings)


def test_unsupported_settings_are_refused(generator, image):
    with pytest.raises(RequestError, match=r"size 40 x 32: .* multiples of 16"):
        generator.draw("a cat", GenerationSettings(size_px=(40, 32)))
    with pytest.raises(RequestError, match=r"not support a negative prompt at guidance 1"):
        generator.draw("a cat", GenerationSettings(guidance=1.0, negative_prompt="a dog"))
    with pytest.raises(RequestError, match=r"strength 0\.3 of 2 steps is less than one step; use at least 4 steps"):
        generator.draw("a cat", GenerationSettings(steps=2, strength=0.3), image=image(0))
    with pytest.raises(RequestError, match="caption is empty"):
        generator.draw("  ")


# Checks before loading


def test_invalid_names_are_refused(tmp_path, fetched):
    with pytest.raises(
        RequestError, match=r"image generator 'sdxxl' is unknown; use nano, sdxl, .* a folder or a hub id"
    ):
        ImageGenerator.load("sdxxl")
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="a file, not a pipeline's folder"):
        ImageGenerator.load(tmp_path / "file")
    with pytest.raises(CheckpointError, match=r"no model_index\.json"):
        ImageGenerator.load(tmp_path)
    with pytest.raises(CheckpointError, match="not a hub id"):
        ImageGenerator.load("a/b/c")
    with pytest.raises(RequestError, match="offload 'attic' is unknown"):
        ImageGenerator.load(tmp_path, offload="attic")
    with pytest.raises(RequestError, match="not for cpu"):
        ImageGenerator.load(tmp_path, device="cpu", offload="parts")


def set_part(part, library, name):
    return lambda f: change_json(f / "model_index.json", **{part: [library, name]})


def to_pickle(folder):
    (folder / "vae" / "diffusion_pytorch_model.safetensors").rename(folder / "vae" / "diffusion_pytorch_model.bin")


def edit_vae(edit):
    def change(folder):
        path = folder / "vae" / "diffusion_pytorch_model.safetensors"
        tensors = load_file(path)
        edit(tensors)
        save_file(tensors, path, metadata={"format": "pt"})

    return change


BROKEN = {
    "another pipeline": (
        lambda f: change_json(f / "model_index.json", _class_name="IFPipeline"),
        r"names the class 'IFPipeline', which is not supported; use .*StableDiffusionPipeline",
    ),
    "a pipeline of its own code": (
        lambda f: change_json(f / "model_index.json", _class_name=["pipeline", "Mine"]),
        r"names the class \['pipeline', 'Mine'\]",
    ),
    "a class of another library": (set_part("vae", "os", "system"), r"names 'os\.system' as 'vae'"),
    "a class in a file beside it": (set_part("transformer", "my_code", "Net"), r"'my_code\.Net'"),
    "an unknown part": (
        set_part("helper", "diffusers", "AutoencoderKL"),
        r"as 'helper', .* use a pipeline without",
    ),
    "a missing part": (set_part("vae", None, None), r"has no vae"),
    "no config": (lambda f: (f / "vae" / "config.json").unlink(), r"vae is not a part of a pipeline: no config\.json"),
    "code from elsewhere": (
        lambda f: change_json(f / "text_encoder" / "config.json", auto_map={"AutoModel": "a.b"}),
        r"text_encoder: config\.json sets auto_map",
    ),
    "kernels from elsewhere": (
        lambda f: change_json(f / "text_encoder" / "config.json", attn_implementation="somebody/kernel"),
        r"sets attn_implementation",
    ),
    "a pickle": (to_pickle, r"diffusion_pytorch_model\.bin is a pickle"),
    "cut weights": (
        lambda f: (f / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"12345678"),
        r"corrupt or cut off",
    ),
    "a missing tensor": (edit_vae(lambda t: t.popitem()), r"1 missing"),
    "a mis-shaped tensor": (
        edit_vae(lambda t: t.update({"decoder.conv_in.bias": torch.zeros(3)})),
        r"mis-shaped|cannot be loaded",
    ),
    "a broken tokenizer": (lambda f: (f / "tokenizer" / "tokenizer.json").write_text("{"), r"cannot be loaded"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_and_unsupported_pipelines_are_refused_in_one_line(case, broken):
    breaks, message = BROKEN[case]
    breaks(broken)
    with pytest.raises(CheckpointError, match=message) as caught:
        ImageGenerator.load(broken, device="cpu")
    assert "\n" not in str(caught.value)


def test_code_in_a_pipeline_folder_is_never_run(broken):
    """The code would create a file."""
    trace = broken / "was-run"
    for name in ("pipeline.py", "vae/diffusers.py", "transformer/my_code.py", "StableDiffusion3Pipeline.py"):
        (broken / name).write_text(f"open({str(trace)!r}, 'w')\nclass Net: pass\n")
    ImageGenerator.load(broken, device="cpu")
    assert not trace.exists()


def test_a_pipeline_without_its_optional_part_works(broken):
    for part in ("text_encoder_3", "tokenizer_3"):
        change_json(broken / "model_index.json", **{part: [None, None]})
        shutil.rmtree(broken / part)
    assert ImageGenerator.load(broken, device="cpu").draw("a cat", TINY)[0].image.size == (32, 32)


def test_every_supported_class_is_tested():
    assert set(PIPELINES) == set(pipeline_kinds())
    assert {preset.kind for preset in presets().values()} == set(pipeline_kinds())


def test_the_least_offloading_that_fits_is_chosen():
    weights = {"unet": 3_000_000_000, "text_encoder": 1_000_000_000}  # 8 GB in 16 bits
    half = torch.float16
    assert [choose_offload(weights, half, free) for free in (None, 24 * 10**9, 9 * 10**9, 4 * 10**9)] == [
        "none", "none", "parts", "layers",
    ]  # fmt: skip
    assert choose_offload(weights, torch.float32, 16 * 10**9) == "parts"


def test_a_missing_library_is_reported_with_the_pip_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with pytest.raises(RequestError, match=r"pip install 'minigemini\[draw\]'"):
        ImageGenerator.load("sdxl")
