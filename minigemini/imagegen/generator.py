"""The image generator: draws captions with a diffusers pipeline, from a preset such as SDXL or from a folder."""

import inspect
import math
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import torch
from PIL import Image
from tqdm import tqdm

from ..images.safe_images import ImageSource as ImageInput
from ..images.safe_images import open_image
from ..io.argument_checks import check_image, check_path, check_text, check_type
from ..io.errors import RequestError, one_line
from ..io.placement import DTYPES, choose_device, choose_dtype
from .generated_image import GeneratedImage, GenerationSettings
from .pipeline_loading import FoundPipeline, apply_preset, find_pipeline, load_pipeline
from .presets import NEGATIVE_PROMPT, Preset, find_preset, need_diffusers, pipeline_class

Offload = Literal["none", "parts", "layers"]
OFFLOADS: tuple[Offload, ...] = ("none", "parts", "layers")
"""What stays on the device: all weights; only the active part; only the active layer."""
_MEMORY_FACTOR = 1.3
"""Memory for generation as a multiple of the weights on the device; a rule of thumb."""


class ImageGenerator:
    """A loaded diffusers pipeline.

    Args:
        pipeline: An instance of a class in `presets.pipeline_kinds`, on its device.
        found: Files that the pipeline was loaded from.
        preset: How to use the pipeline; one without a preset uses the defaults of its class.
        name: Name that the user gave.
        device: Device that runs the pipeline.
    """

    def __init__(self, pipeline: Any, found: FoundPipeline, preset: Preset, name: str, device: torch.device) -> None:
        self.pipeline, self.kind, self.preset, self.name, self.device = pipeline, found.kind, preset, name, device

    @classmethod
    def load(
        cls,
        generator: str | os.PathLike[str] = "sdxl",
        device: str | None = None,
        dtype: str | torch.dtype | None = None,
        offload: Offload | None = None,
    ) -> Self:
        """Load an image generator.

        Args:
            generator: Name of a preset, folder of a pipeline, or hub id (owner/name).
            device: E.g. `cpu` or `cuda:1`. Default: CUDA, else MPS, else CPU.
            dtype: Default: float32 on a CPU, elsewhere the dtype that the preset was published in.
            offload: One of `OFFLOADS`. Default: as little as the free memory of a CUDA device allows.

        Raises:
            CheckpointError: The pipeline does not exist, or is of a class that is not supported.
            RequestError: The device, dtype or offload is invalid, or a required library is missing.
        """
        check_path("generator", generator)
        need_diffusers()
        name, chosen = os.fspath(generator), choose_device(device)
        if offload is not None and offload not in OFFLOADS:
            raise RequestError(f"offload {offload!r} is unknown; use {', '.join(OFFLOADS)}")
        if offload not in (None, "none") and chosen.type != "cuda":
            raise RequestError(f"offload {offload!r} is for CUDA devices, not for {chosen.type}; leave it out")
        preset = find_preset(name)
        weights_dtype = choose_dtype(dtype, chosen)  # fails before any download
        found = find_pipeline(name if preset is None else preset.hub_id, None if preset is None else preset.variant)
        if preset is None:
            kind = found.kind
            preset = Preset(name, found.class_name, kind.steps, kind.guidance, native_px=kind.native_px)
        if dtype is None and chosen.type != "cpu":
            weights_dtype = DTYPES[preset.dtype]
        pipeline = load_pipeline(found, weights_dtype)
        apply_preset(pipeline, preset)
        _place(pipeline, chosen, offload or choose_offload(found.weights, weights_dtype, _free_bytes(chosen)))
        # Generated images carry the name, so it must not reveal the path of a folder.
        return cls(pipeline, found, preset, Path(name).name if Path(name).is_dir() else name, chosen)

    def draw(
        self,
        caption: str,
        settings: GenerationSettings | None = None,
        image: ImageInput | None = None,
        progress: bool | None = None,
        on_step: Callable[[], object] | None = None,
    ) -> list[GeneratedImage]:
        """Generate images of a caption.

        Args:
            caption: Description of the image.
            settings: How to generate it.
            image: Image to start from, in place of noise; `settings.strength` limits how much may change.
            progress: Show a progress bar on stderr. Default: only on a terminal.
            on_step: Called after each denoising step; an exception from it stops the generation.

        Raises:
            ImageError: The image cannot be read.
            RequestError: The caption is empty, or this generator does not support a setting.
        """
        check_text("caption", caption)
        if settings is not None:
            check_type("settings", settings, GenerationSettings, "a GenerationSettings")
        if image is not None:
            check_image(image)
        settings = self._with_defaults(settings or GenerationSettings(), image is not None)
        if not caption.strip():
            raise RequestError("the caption is empty; describe the image")
        start = None if image is None else self._resized(open_image(image), settings)
        seed = secrets.randbelow(2**32) if settings.seed is None else settings.seed
        with tqdm(total=settings.count * self._steps(settings, start), **_bar(progress)) as bar:

            def step_done(_: Any, step: int, timestep: Any, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
                bar.update()
                if on_step is not None:
                    on_step()
                return tensors

            return [self._draw_one(caption, settings, seed + n, start, step_done) for n in range(settings.count)]

    def _draw_one(
        self,
        caption: str,
        settings: GenerationSettings,
        seed: int,
        start: Image.Image | None,
        step_done: Callable[..., Any],
    ) -> GeneratedImage:
        pipeline, arguments = self.pipeline, {**self.preset.settings}
        width, height = settings.size if start is None else start.size
        if start is not None:
            pipeline = pipeline_class(self.kind.from_image)(**self.pipeline.components)
            pipeline.set_progress_bar_config(disable=True)
            arguments |= {"image": start, "strength": settings.strength}
        if "width" in inspect.signature(pipeline.__call__).parameters:  # some pipelines use the size of the start image
            arguments |= {"width": width, "height": height}
        if settings.negative_prompt:
            arguments["negative_prompt"] = settings.negative_prompt
        image: Any = None
        try:
            image = pipeline(
                prompt=caption,
                num_inference_steps=settings.steps,
                guidance_scale=settings.guidance,
                generator=torch.Generator().manual_seed(
                    seed
                ),  # on the CPU, so that all devices start from the same noise
                callback_on_step_end=step_done,
                **arguments,
            ).images[0]
        except ValueError as error:  # limits that only the pipeline knows
            raise RequestError(f"{self.name}: {one_line(error)}") from None
        except torch.OutOfMemoryError as error:
            raise RequestError(
                f"{self.name}: out of memory ({one_line(error, 120)}); use a smaller size, or offload parts or layers"
            ) from None
        finally:
            if image is None:
                pipeline.maybe_free_model_hooks()  # returns offloaded parts to the CPU, as a successful call does
        assert settings.steps is not None
        assert settings.guidance is not None
        return GeneratedImage(
            image=image.convert("RGB"),
            caption=caption,
            generator=self.name,
            seed=seed,
            steps=settings.steps,
            guidance=settings.guidance,
            negative_prompt=settings.negative_prompt,
            strength=None if start is None else settings.strength,
        )

    def _with_defaults(self, settings: GenerationSettings, from_image: bool) -> GenerationSettings:
        """Fill in this generator's defaults, and check that the settings fit together."""
        steps = self.preset.steps if settings.steps is None else settings.steps
        guidance = self.preset.guidance if settings.guidance is None else settings.guidance
        guided = self.kind.negative and guidance > 1
        negative = settings.negative_prompt
        if negative and not guided:
            raise RequestError(f"{self.name} does not support a negative prompt at guidance {guidance:g}; remove it")
        if negative is None and guided:
            negative = NEGATIVE_PROMPT
        native = self.preset.native_px
        if self.kind.fixed and settings.size not in ((), (native, native)):
            raise RequestError(f"{self.name} only generates {native} x {native} pixels; remove the size")
        multiple = self.kind.multiple_px
        if any(side % multiple for side in settings.size):
            wide, high = settings.size
            raise RequestError(f"size {wide} x {high}: {self.name} requires sides that are multiples of {multiple}")
        if from_image and int(steps * settings.strength) < 1:
            least = math.ceil(1 / settings.strength)
            raise RequestError(
                f"strength {settings.strength:g} of {steps} steps is less than one step; use at least {least} steps"
            )
        size = settings.size_px
        if size is None and not from_image:
            size = self.preset.native_px
        return replace(settings, steps=steps, guidance=guidance, negative_prompt=negative, size_px=size)

    def _resized(self, image: Image.Image, settings: GenerationSettings) -> Image.Image:
        """Resize a start image to the given size, else to about the native number of pixels in its own shape."""
        size = settings.size
        if not size and self.kind.fixed:
            size = (self.preset.native_px,) * 2
        elif not size:
            scale = self.preset.native_px / (image.width * image.height) ** 0.5
            multiple = self.kind.multiple_px
            size = tuple(max(1, round(side * scale / multiple)) * multiple for side in image.size)
        return image.resize((size[0], size[1]), Image.Resampling.LANCZOS)

    @staticmethod
    def _steps(settings: GenerationSettings, start: Image.Image | None) -> int:
        """Denoising steps that one image takes."""
        assert settings.steps is not None
        return settings.steps if start is None else min(settings.steps, int(settings.steps * settings.strength))


def choose_offload(weights: Mapping[str, int], dtype: torch.dtype, free_bytes: int | None) -> Offload:
    """Choose the least offloading that fits.

    Args:
        weights: Number of parameters per part.
        dtype: Dtype of the weights.
        free_bytes: Free bytes on the device; None if it does not support offloading.
    """
    if free_bytes is None:
        return "none"
    max_parameters = free_bytes / (dtype.itemsize * _MEMORY_FACTOR)
    if sum(weights.values()) <= max_parameters:
        return "none"
    return "parts" if max(weights.values()) <= max_parameters else "layers"


def _free_bytes(device: torch.device) -> int | None:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def _place(pipeline: Any, device: torch.device, offload: Offload) -> None:
    """Move the weights to the device, or set up offloading."""
    try:
        if offload == "parts":
            pipeline.enable_model_cpu_offload(device=device)
        elif offload == "layers":
            pipeline.enable_sequential_cpu_offload(device=device)
        else:
            pipeline.to(device)
    except ImportError:
        raise RequestError(f"offload {offload} needs accelerate: pip install 'minigemini[draw]'") from None


def _bar(progress: bool | None) -> dict[str, Any]:
    options = {"desc": "generating", "unit": "step", "leave": False, "dynamic_ncols": True, "mininterval": 0}
    return {**options, "disable": None if progress is None else not progress}
