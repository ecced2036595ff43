"""How a model is loaded: the options of every verb that loads one, and the one place that does it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import Base, Device, Dtype

if TYPE_CHECKING:
    from ..inference import Engine, ImageGenerator


@dataclass(frozen=True)
class LoadOptions:
    """How a model is loaded; `Engine.load` says what each option means."""

    device: Device = None
    dtype: Dtype = None
    quantize: Annotated[
        str | None, typer.Option("--quantize", help="8bit or 4bit: the language model's weights.  [default: neither]")
    ] = None
    device_map: Annotated[
        str | None, typer.Option("--device-map", help="auto spreads weights over devices, memory and disk.")
    ] = None
    offload_folder: Annotated[
        Path | None, typer.Option("--offload-folder", help="Where --device-map may put weights on disk.")
    ] = None
    base: Base = None

    def check(self, *models: str) -> None:
        """Refuse what cannot be, by names alone: before torch is imported, which takes seconds.

        Raises:
            CheckpointError: a name that stands for no model.
            RequestError: an unknown value, or two that exclude each other.
        """
        from ..io.checkpoint import check_name
        from ..io.load_checks import check_load_options

        for model in (*models, *([self.base] if self.base else [])):
            check_name(model)
        check_load_options(self.device, self.dtype, self.quantize, self.device_map, self.offload_folder)

    def load(self, model: str) -> "Engine":
        """Load a model with these options."""
        from ..inference import Engine

        return Engine.load(model, **{field.name: getattr(self, field.name) for field in fields(self)})

    def load_painter(self, name: str, offload: str | None = None) -> "ImageGenerator":
        """Load a painter onto the same device, in the same dtype."""
        from ..inference import ImageGenerator

        return ImageGenerator.load(name, self.device, self.dtype, offload)  # type: ignore[arg-type]  # it checks the name

    def given(self) -> set[str]:
        """The options that were given."""
        return {field.name for field in fields(self) if getattr(self, field.name) is not None}
