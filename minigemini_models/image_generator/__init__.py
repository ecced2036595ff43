"""The embedded image generator: a small text-to-image diffusion model of synthetic scenes, as a diffusers pipeline."""

from pathlib import Path

from minigemini.imagegen.presets import SCHEDULERS, GeneratorPlugin, PipelineKind, Preset

GENERATOR_DIR = Path(__file__).parent / "checkpoint"
"""Folder of the pipeline, in the standard diffusers layout."""

_KIND = PipelineKind(
    from_image="PainterPipeline",
    parts={
        "tokenizer": ("transformers.TokenizersBackend", "transformers.PreTrainedTokenizerFast"),
        "text_encoder": ("transformers.DistilBertModel",),
        "unet": ("diffusers.UNet2DConditionModel",),
        "scheduler": SCHEDULERS,
    },
    steps=20,
    guidance=1.5,
    native_px=64,
    multiple_px=64,
    negative=False,
    fixed=True,
)
PLUGIN = GeneratorPlugin(
    preset=Preset(
        str(GENERATOR_DIR),
        "PainterPipeline",
        _KIND.steps,
        _KIND.guidance,
        native_px=_KIND.native_px,
        dtype="float16",
    ),
    kind=_KIND,
    pipeline="minigemini_models.image_generator.diffusion_pipeline:PainterPipeline",
)
"""Registered in the entry points `minigemini.image_generators`."""
