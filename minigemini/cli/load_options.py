"""How to load a model: options shared by every verb that loads one, and the code that loads it."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import Base, Device, Dtype

if TYPE_CHECKING:
    from ..inference import Engine, ImageGenerator


@dataclass(frozen=True)
class LoadOptions:
    """How to load a model; `Engine.load` documents each option."""

    device: Device = None
    dtype: Dtype = None
    quantize: Annotated[
        str | None,
        typer.Option("--quantize", help="Quantize the language model's weights: 8bit or 4bit.  [default: neither]"),
    ] = None
    device_map: Annotated[
        str | None, typer.Option("--device-map", help="auto spreads the weights over devices, memory and disk.")
    ] = None
    offload_folder: Annotated[
        Path | None, typer.Option("--offload-folder", help="Folder for weights that --device-map puts on disk.")
    ] = None
    encoder_dtype: Annotated[
        str | None,
        typer.Option(
            "--encoder-dtype", help="Dtype of the image encoders: float32, bfloat16 or float16.  [default: as --dtype]"
        ),
    ] = None
    base: Base = None

    def check(self, *models: str) -> None:
        """Check model names and options without importing torch, which takes seconds.

        Raises:
            CheckpointError: A name is not that of a model.
            RequestError: An option has an unknown value, or two exclude each other.
        """
        from ..io.checkpoint import check_name
        from ..io.load_checks import check_load_options

        for model in (*models, *([self.base] if self.base else [])):
            check_name(model)
        check_load_options(
            self.device,
            self.dtype,
            self.quantize,
            self.device_map,
            self.offload_folder,
            encoder_dtype=self.encoder_dtype,
        )

    def load(self, model: str | None) -> "Engine":
        """Load a model with these options, to answer; None loads the default model, and says so."""
        from ..inference import Engine

        return Engine.load(model, packed=True, **{field.name: getattr(self, field.name) for field in fields(self)})

    def load_generator(self, name: str, offload: str | None = None) -> "ImageGenerator":
        """Load an image generator on the same device and in the same dtype."""
        from ..inference import ImageGenerator

        return ImageGenerator.load(name, self.device, self.dtype, offload)  # type: ignore[arg-type]  # load checks it

    def given(self) -> set[str]:
        """Return the names of the options that were given."""
        return {field.name for field in fields(self) if getattr(self, field.name) is not None}
