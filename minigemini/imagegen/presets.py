"""Presets of the image generator, and the classes that a pipeline may contain. Nothing else is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ..io.default_model import DEFAULT_MODELS
from ..io.errors import RequestError
from ..plugins import plugins

_CLIP = ("transformers.CLIPTokenizer", "transformers.CLIPTokenizerFast")
_T5 = ("transformers.T5Tokenizer", "transformers.T5TokenizerFast")
_QWEN2 = ("transformers.Qwen2Tokenizer", "transformers.Qwen2TokenizerFast")
SCHEDULERS = tuple(
    f"diffusers.{name}Scheduler"
    for name in (
        *("DDIM", "DPMSolverMultistep", "EulerAncestralDiscrete", "EulerDiscrete", "FlowMatchEulerDiscrete"),
        *("LCM", "PNDM", "UniPCMultistep"),
    )
)
_VAE = ("diffusers.AutoencoderKL",)


@dataclass(frozen=True)
class PipelineKind:
    """A supported pipeline class.

    Attributes:
        from_image: Image-to-image class with the same parts.
        parts: Supported classes of each part by name, as `library.Class`.
        optional: Parts that may be absent.
        steps, guidance, native_px: Defaults for a pipeline without a preset.
        multiple_px: Sides must be multiples of this, pixels.
        negative: Whether a negative prompt has an effect with guidance.
        fixed: Whether `native_px` is the only supported side.
    """

    from_image: str
    parts: Mapping[str, tuple[str, ...]]
    steps: int
    guidance: float
    native_px: int
    multiple_px: int
    optional: frozenset[str] = frozenset()
    negative: bool = True
    fixed: bool = False


_KINDS: dict[str, PipelineKind] = {
    "StableDiffusionPipeline": PipelineKind(
        from_image="StableDiffusionImg2ImgPipeline",
        parts={
            "vae": _VAE,
            "text_encoder": ("transformers.CLIPTextModel",),
            "tokenizer": _CLIP,
            "unet": ("diffusers.UNet2DConditionModel",),
            "scheduler": SCHEDULERS,
            "safety_checker": ("stable_diffusion.StableDiffusionSafetyChecker",),
            "feature_extractor": ("transformers.CLIPImageProcessor", "transformers.CLIPFeatureExtractor"),
        },
        optional=frozenset({"safety_checker", "feature_extractor"}),
        steps=50,
        guidance=7.5,
        native_px=512,
        multiple_px=8,
    ),
    "StableDiffusionXLPipeline": PipelineKind(
        from_image="StableDiffusionXLImg2ImgPipeline",
        parts={
            "vae": _VAE,
            "text_encoder": ("transformers.CLIPTextModel",),
            "text_encoder_2": ("transformers.CLIPTextModelWithProjection",),
            "tokenizer": _CLIP,
            "tokenizer_2": _CLIP,
            "unet": ("diffusers.UNet2DConditionModel",),
            "scheduler": SCHEDULERS,
        },
        steps=50,
        guidance=5.0,
        native_px=1024,
        multiple_px=8,
    ),
    "StableDiffusion3Pipeline": PipelineKind(
        from_image="StableDiffusion3Img2ImgPipeline",
        parts={
            "vae": _VAE,
            "text_encoder": ("transformers.CLIPTextModelWithProjection",),
            "text_encoder_2": ("transformers.CLIPTextModelWithProjection",),
            "text_encoder_3": ("transformers.T5EncoderModel",),
            "tokenizer": _CLIP,
            "tokenizer_2": _CLIP,
            "tokenizer_3": _T5,
            "transformer": ("diffusers.SD3Transformer2DModel",),
            "scheduler": SCHEDULERS,
        },
        optional=frozenset({"text_encoder_3", "tokenizer_3"}),  # T5, by far its largest part
        steps=28,
        guidance=7.0,
        native_px=1024,
        multiple_px=16,
    ),
    "FluxPipeline": PipelineKind(
        from_image="FluxImg2ImgPipeline",
        parts={
            "vae": _VAE,
            "text_encoder": ("transformers.CLIPTextModel",),
            "text_encoder_2": ("transformers.T5EncoderModel",),
            "tokenizer": _CLIP,
            "tokenizer_2": _T5,
            "transformer": ("diffusers.FluxTransformer2DModel",),
            "scheduler": SCHEDULERS,
        },
        steps=28,
        guidance=3.5,
        native_px=1024,
        multiple_px=16,
        negative=False,  # its guidance is an input of the network, distilled into it
    ),
    "ZImagePipeline": PipelineKind(
        from_image="ZImageImg2ImgPipeline",
        parts={
            "vae": _VAE,
            "text_encoder": ("transformers.Qwen3Model",),
            "tokenizer": _QWEN2,
            "transformer": ("diffusers.ZImageTransformer2DModel",),
            "scheduler": SCHEDULERS,
        },
        steps=50,
        guidance=5.0,
        native_px=1024,
        multiple_px=16,
    ),
}


@dataclass(frozen=True)
class Preset:
    """A published pipeline with the settings from its model card.

    Attributes:
        hub_id: Hub id; for the embedded image generator, its folder.
        kind: A class in `pipeline_kinds`.
        steps: Denoising steps.
        guidance: Guidance scale; up to 1 turns guidance and the negative prompt off, and halves the work.
        native_px: Side of the images that the pipeline was trained for, pixels.
        variant: Variant of the weight files; smaller to download.
        lora: Hub id of a LoRA to merge into the pipeline.
        scheduler: Class that replaces the pipeline's scheduler.
        dtype: Default dtype on devices other than a CPU.
        settings: Further arguments of the pipeline's call.
    """

    hub_id: str
    kind: str
    steps: int
    guidance: float
    native_px: int = 1024
    variant: str | None = None
    lora: str | None = None
    scheduler: str | None = None
    dtype: str = "bfloat16"
    settings: Mapping[str, Any] = field(default_factory=dict)


_SDXL = "stabilityai/stable-diffusion-xl-base-1.0"

_PRESETS: dict[str, Preset] = {
    "sdxl": Preset(
        _SDXL,
        "StableDiffusionXLPipeline",
        50,
        5.0,
        variant="fp16",
        dtype="float16",
    ),
    "sdxl-turbo": Preset(
        "stabilityai/sdxl-turbo", "StableDiffusionXLPipeline", 4, 0.0, native_px=512, variant="fp16", dtype="float16"
    ),
    "sdxl-lcm": Preset(
        _SDXL,
        "StableDiffusionXLPipeline",
        4,
        1.0,
        variant="fp16",
        lora="latent-consistency/lcm-lora-sdxl",
        scheduler="LCMScheduler",
        dtype="float16",
    ),
    "sd-turbo": Preset(
        "stabilityai/sd-turbo", "StableDiffusionPipeline", 4, 0.0, native_px=512, variant="fp16", dtype="float16"
    ),
    "sd3.5-medium": Preset("stabilityai/stable-diffusion-3.5-medium", "StableDiffusion3Pipeline", 40, 4.5),
    "flux-schnell": Preset(
        "black-forest-labs/FLUX.1-schnell", "FluxPipeline", 4, 0.0, settings={"max_sequence_length": 256}
    ),
    "flux-dev": Preset("black-forest-labs/FLUX.1-dev", "FluxPipeline", 50, 3.5),
    "z-image-turbo": Preset("Tongyi-MAI/Z-Image-Turbo", "ZImagePipeline", 9, 0.0),
}
"""`sdxl` is the generator used with the published models, with 50 steps."""

NEGATIVE_PROMPT = "blurry, low quality, jpeg artefacts, deformed, extra limbs, bad hands, cropped, watermark, signature"
"""Default for pipelines that support a negative prompt."""


def need_diffusers() -> None:
    """Raise `RequestError` with the pip command if diffusers is not installed. Does not import it."""
    if find_spec("diffusers") is None:
        raise RequestError("image generation needs diffusers: pip install 'minigemini[draw]'")


@dataclass(frozen=True)
class GeneratorPlugin:
    """An image generator that a package adds by an entry point in the group `minigemini.image_generators`.

    Attributes:
        preset: Settings; `hub_id` may be a folder.
        kind: Supported parts of the pipeline.
        pipeline: Pipeline class as `package.module:Class`; `preset.kind` is the name of the class.
    """

    preset: Preset
    kind: PipelineKind
    pipeline: str


@cache
def _plugins() -> dict[str, GeneratorPlugin]:
    return {name: entry.load() for name, entry in plugins("image_generators").items()}


@cache
def presets() -> Mapping[str, Preset]:
    """Return all presets by name, those of plugins first."""
    return {name: plugin.preset for name, plugin in _plugins().items()} | _PRESETS


@cache
def pipeline_kinds() -> Mapping[str, PipelineKind]:
    """Return the supported pipeline classes by name."""
    return {plugin.preset.kind: plugin.kind for plugin in _plugins().values()} | _KINDS


def pipeline_class(name: str) -> Any:
    """Import a class of `pipeline_kinds`, or its image-to-image class."""
    for plugin in _plugins().values():
        if plugin.preset.kind == name:
            module, _, attribute = plugin.pipeline.partition(":")
            return getattr(import_module(module), attribute)
    import diffusers

    return getattr(diffusers, name)


def default_generator(model: str) -> str:
    """Return the default preset for a model: a plugin of the same name; nano for models of this package, else SDXL."""
    if model in _plugins():
        return model
    return "nano" if model in DEFAULT_MODELS else "sdxl"


def find_preset(name: str) -> Preset | None:
    """Return a preset by name; None for a folder or a hub id.

    Raises:
        RequestError: The name is none of the three.
    """
    if name in presets() or "/" in name or "\\" in name:
        return presets().get(name)
    from pathlib import Path

    if Path(name).exists():
        return None
    raise RequestError(
        f"image generator {name!r} is unknown; use {', '.join(presets())}, a folder or a hub id (owner/name)"
    )
