"""A painter that is loaded once and draws captions: SDXL and its like by preset, or any pipeline of their classes."""

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
from .pipeline_loading import FoundPipeline, add_to, find_pipeline, load_pipeline
from .presets import NEGATIVE_PROMPT, Preset, find_preset, need_diffusers, pipeline_class

Offload = Literal["none", "parts", "layers"]
OFFLOADS: tuple[Offload, ...] = ("none", "parts", "layers")
"""What lies on the device: the whole painter; the part that is at work; the layer that is at work."""
_SPARE = 1.3
"""Memory that drawing takes, as a multiple of the weights that lie on the device. A rule of thumb."""


class ImageGenerator:
    """A diffusers pipeline, ready to draw.

    Args:
        pipeline: of one of the classes in `pipelines.KINDS`, on its device.
        found: what it was loaded from.
        preset: how it is used; for a pipeline that is none of the presets, its class says so.
        name: by which it was asked for.
        device: where sums are done.
    """

    def __init__(self, pipeline: Any, found: FoundPipeline, preset: Preset, name: str, device: torch.device) -> None:
        self.pipeline, self.kind, self.preset, self.name, self.device = pipeline, found.kind, preset, name, device

    @classmethod
    def load(
        cls,
        painter: str | os.PathLike[str] = "sdxl",
        device: str | None = None,
        dtype: str | torch.dtype | None = None,
        offload: Offload | None = None,
    ) -> Self:
        """Load a painter.

        Args:
            painter: the name of a preset; a pipeline's folder; or a hub id (owner/name).
            device: e.g. `cpu` or `cuda:1`; by itself CUDA, else MPS, else CPU.
            dtype: by itself float32 on a CPU, elsewhere what the preset was published in.
            offload: one of `OFFLOADS`; by itself as little as the free memory of a CUDA device allows.

        Raises:
            CheckpointError: there is no such pipeline, or it is none that may be loaded.
            RequestError: no such device, dtype or way to offload, or a library that it needs is missing.
        """
        check_path("painter", painter)
        need_diffusers()
        name, chosen = os.fspath(painter), choose_device(device)
        if offload is not None and offload not in OFFLOADS:
            raise RequestError(f"offload {offload!r} is unknown; use {', '.join(OFFLOADS)}")
        if offload not in (None, "none") and chosen.type != "cuda":
            raise RequestError(f"offload {offload!r} is for CUDA devices, not for {chosen.type}; leave it out")
        preset = find_preset(name)
        asked = choose_dtype(dtype, chosen)  # before anything is fetched
        found = find_pipeline(name if preset is None else preset.hub_id, None if preset is None else preset.variant)
        if preset is None:
            kind = found.kind
            preset = Preset(name, found.class_name, kind.steps, kind.guidance, native_px=kind.native_px)
        if dtype is None and chosen.type != "cpu":
            asked = DTYPES[preset.dtype]
        pipeline = load_pipeline(found, asked)
        add_to(pipeline, preset)
        way = offload or choose_offload(found.weights, asked, _free_bytes(chosen))
        _place(pipeline, chosen, way)
        # A folder's path is nobody's business who gets the picture.
        return cls(pipeline, found, preset, Path(name).name if Path(name).is_dir() else name, chosen)

    def draw(
        self,
        caption: str,
        drawing: GenerationSettings | None = None,
        image: ImageInput | None = None,
        progress: bool | None = None,
        on_step: Callable[[], object] | None = None,
    ) -> list[GeneratedImage]:
        """Draw a caption.

        Args:
            caption: what is to be seen.
            drawing: how; see there.
            picture: start from it instead of from nothing; `drawing.strength` says how much may change.
            progress: show a bar on stderr; by itself where somebody watches.
            on_step: called after each step of denoising; what it raises ends the drawing.

        Raises:
            ImageError: the picture is not read.
            RequestError: an empty caption, or a setting that this painter does not take.
        """
        check_text("caption", caption)
        if drawing is not None:
            check_type("drawing", drawing, GenerationSettings, "a GenerationSettings")
        if image is not None:
            check_image(image)
        drawing = self._complete(drawing or GenerationSettings(), image is not None)
        if not caption.strip():
            raise RequestError("the caption is empty; say what to draw")
        start = None if image is None else self._fitted(open_image(image), drawing)
        seed = secrets.randbelow(2**32) if drawing.seed is None else drawing.seed
        with tqdm(total=drawing.count * self._steps(drawing, start), **_bar(progress)) as bar:

            def step_done(_: Any, step: int, timestep: Any, tensors: Mapping[str, Any]) -> Mapping[str, Any]:
                bar.update()
                if on_step is not None:
                    on_step()
                return tensors

            return [self._draw_one(caption, drawing, seed + n, start, step_done) for n in range(drawing.count)]

    def _draw_one(
        self,
        caption: str,
        drawing: GenerationSettings,
        seed: int,
        start: Image.Image | None,
        step_done: Callable[..., Any],
    ) -> GeneratedImage:
        pipeline, settings = self.pipeline, {**self.preset.settings}
        width, height = drawing.size if start is None else start.size
        if start is not None:
            pipeline = pipeline_class(self.kind.from_image)(**self.pipeline.components)
            pipeline.set_progress_bar_config(disable=True)
            settings |= {"image": start, "strength": drawing.strength}
        if "width" in inspect.signature(pipeline.__call__).parameters:  # some take it from the picture
            settings |= {"width": width, "height": height}
        if drawing.negative_prompt:
            settings["negative_prompt"] = drawing.negative_prompt
        image: Any = None
        try:
            image = pipeline(
                prompt=caption,
                num_inference_steps=drawing.steps,
                guidance_scale=drawing.guidance,
                generator=torch.Generator().manual_seed(seed),  # on the CPU: the same start on every device
                callback_on_step_end=step_done,
                **settings,
            ).images[0]
        except ValueError as error:  # of settings that only the pipeline knows the limits of
            raise RequestError(f"{self.name}: {one_line(error)}") from None
        except torch.OutOfMemoryError as error:
            raise RequestError(
                f"{self.name}: out of memory ({one_line(error, 120)}); give a smaller size, or offload parts or layers"
            ) from None
        finally:
            if image is None:
                pipeline.maybe_free_model_hooks()  # parts that are offloaded go back, as at the end of a drawing
        assert drawing.steps is not None
        assert drawing.guidance is not None
        return GeneratedImage(
            image=image.convert("RGB"),
            caption=caption,
            painter=self.name,
            seed=seed,
            steps=drawing.steps,
            guidance=drawing.guidance,
            negative_prompt=drawing.negative_prompt,
            strength=None if start is None else drawing.strength,
        )

    def _complete(self, drawing: GenerationSettings, from_image: bool) -> GenerationSettings:
        """With this painter's own settings where none are given, each checked against the others."""
        steps = self.preset.steps if drawing.steps is None else drawing.steps
        guidance = self.preset.guidance if drawing.guidance is None else drawing.guidance
        guided = self.kind.negative and guidance > 1
        negative = drawing.negative_prompt
        if negative and not guided:
            raise RequestError(f"{self.name} takes no negative prompt at guidance {guidance:g}; leave it out")
        if negative is None and guided:
            negative = NEGATIVE_PROMPT
        native = self.preset.native_px
        if self.kind.fixed and drawing.size not in ((), (native, native)):
            raise RequestError(f"{self.name} draws {native} x {native} pixels; leave size out")
        multiple = self.kind.multiple_px
        if any(side % multiple for side in drawing.size):
            wide, high = drawing.size
            raise RequestError(f"size {wide} x {high}: {self.name} draws sides that are multiples of {multiple}")
        if from_image and int(steps * drawing.strength) < 1:
            least = math.ceil(1 / drawing.strength)
            raise RequestError(
                f"strength {drawing.strength:g} of {steps} steps is less than one; give {least} steps or more"
            )
        size = drawing.size_px
        if size is None and not from_image:
            size = self.preset.native_px
        return replace(drawing, steps=steps, guidance=guidance, negative_prompt=negative, size_px=size)

    def _fitted(self, image: Image.Image, drawing: GenerationSettings) -> Image.Image:
        """The picture in the size asked for; by itself in its own shape, at about as many pixels as are native."""
        wanted = drawing.size
        if not wanted and self.kind.fixed:
            wanted = (self.preset.native_px,) * 2
        elif not wanted:
            scale = self.preset.native_px / (image.width * image.height) ** 0.5
            multiple = self.kind.multiple_px
            wanted = tuple(max(1, round(side * scale / multiple)) * multiple for side in image.size)
        return image.resize((wanted[0], wanted[1]), Image.Resampling.LANCZOS)

    @staticmethod
    def _steps(drawing: GenerationSettings, start: Image.Image | None) -> int:
        """Steps that are taken for one picture."""
        assert drawing.steps is not None
        return drawing.steps if start is None else min(drawing.steps, int(drawing.steps * drawing.strength))


def choose_offload(weights: Mapping[str, int], dtype: torch.dtype, free_bytes: int | None) -> Offload:
    """As little as fits.

    Args:
        weights: parameters of each part.
        dtype: in which they will be.
        free_bytes: of the device; None where nothing can be offloaded from it.
    """
    if free_bytes is None:
        return "none"
    room = free_bytes / (dtype.itemsize * _SPARE)
    if sum(weights.values()) <= room:
        return "none"
    return "parts" if max(weights.values()) <= room else "layers"


def _free_bytes(device: torch.device) -> int | None:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def _place(pipeline: Any, device: torch.device, offload: Offload) -> None:
    """Bring the weights where they belong."""
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
    shown = {"desc": "drawing", "unit": "step", "leave": False, "dynamic_ncols": True, "mininterval": 0}
    return {**shown, "disable": None if progress is None else not progress}
