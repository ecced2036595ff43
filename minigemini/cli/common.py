"""Shared by all verbs: common options, one-line errors, exit codes and terminal output."""

import errno
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ..plugins import plugins
from .option_groups import expand
from .streams import drop_output

BAD_INPUT, INTERRUPTED, BROKEN_PIPE = 2, 130, 141
"""Exit codes: ours for bad input; the shell's for a program that SIGINT or SIGPIPE ended."""

GENERATORS = (
    *("nano", "sdxl", "sdxl-turbo", "sdxl-lcm", "sd-turbo", "sd3.5-medium"),
    *("flux-schnell", "flux-dev", "z-image-turbo"),
)
"""Names of the presets in `imagegen.presets`, repeated here so that --help need not import them."""
MODEL_HELP = "nano (the embedded model), small (pulled), a checkpoint folder, a hub id (owner/name), or an adapter."

Model = Annotated[str, typer.Option("--model", help=MODEL_HELP)]
DefaultModel = Annotated[
    str | None, typer.Option("--model", help=f"{MODEL_HELP}  [default: small if it is pulled, else nano]")
]
Device = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1 or mps.  [default: the fastest available]")
]
Dtype = Annotated[
    str | None,
    typer.Option("--dtype", help="float32, bfloat16 or float16.  [default: float32 on cpu, else bfloat16]"),
]
Base = Annotated[
    str | None, typer.Option("--base", help="Base model of an adapter.  [default: the one that the adapter names]")
]
GeneratorOption = Annotated[
    str | None,
    typer.Option(
        "--generator",
        "--painter",
        help=f"Image generator: {', '.join(GENERATORS)}, a folder or a hub id.  "
        "[default: nano for nano and small, else sdxl]",
    ),
]
ServedGeneratorOption = Annotated[
    str | None,
    typer.Option(
        "--generator",
        "--painter",
        help=f"Image generator: {', '.join(GENERATORS)}, a folder or a hub id.  [default: no image generation]",
    ),
]
Offload = Annotated[
    str | None,
    typer.Option(help="What of the image generator waits in CPU memory: none, parts or layers.  [default: as needed]"),
]
Size = Annotated[
    str | None, typer.Option(help="Size of generated images, px: 512 or 768x512.  [default: the generator's]")
]
Steps = Annotated[int | None, typer.Option(help="Denoising steps per image.  [default: the generator's]")]
Ocr = Annotated[
    bool | None,
    typer.Option(
        "--ocr/--no-ocr",
        help="Run OCR on the images, and add the text to the prompt.  [default: if the model was trained for it]",
    ),
]
OcrConfidence = Annotated[
    float | None,
    typer.Option("--ocr-confidence", help="Minimum confidence of OCR text, from 0 to 1.  [default: the model's]"),
]


def one_line_errors(verb: Callable[..., None]) -> Callable[..., None]:
    """Make a verb report bad input as one line on stderr with exit code 2; a bug keeps its traceback.

    Parameters that are dataclasses become options, see `option_groups`.
    """
    expanded = expand(verb)

    @wraps(expanded)
    def run(**values: Any) -> None:
        try:
            expanded(**values)
            sys.stdout.flush()  # raises here, where it can be reported, and not while Python exits
        except KeyboardInterrupt:
            print(file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # e.g. `minigemini ask … | head -c 1`
            drop_output()
            raise typer.Exit(BROKEN_PIPE) from None
        except OSError as error:  # missing folder, no permission, full disk: a traceback would not help
            if error.filename is None and error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            drop_output()
            fail(f"{error.filename or 'writing'}: {error.strerror}")
        except ValueError as error:
            if not _is_bad_input(error):
                raise
            fail(str(error))

    return run


def fail(message: str) -> NoReturn:
    """Exit with one line on stderr and exit code 2."""
    print(f"minigemini: {printable(' '.join(message.split()))}", file=sys.stderr)
    raise typer.Exit(BAD_INPUT)


def need(extra: str, *modules: str) -> None:
    """Fail if a module of an extra is not installed. Imports nothing."""
    for module in modules:
        if find_spec(module) is None:
            fail(f"{module} is not installed: pip install 'minigemini[{extra}]'")


def parse_size(text: str | None) -> int | tuple[int, int] | None:
    """Parse the size of an image, pixels: `512` or `768x512`."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        fail(f"invalid size {text!r}; write it as 512 or 768x512")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def check_outputs(*files: Path | None) -> None:
    """Fail before any work is done if an output file cannot be written."""
    for file in filter(None, files):
        if file.is_dir():
            fail(f"{file} is a folder; name a file")
        if not os.access(file.parent, os.W_OK):
            fail(f"{file}: {file.parent} is not a writable folder; create it, or choose another")


def check_folder(option: str, folder: Path | None) -> None:
    """Fail if the folder that an option names does not exist."""
    if folder is not None and not folder.is_dir():
        fail(f"{option} is {folder}: no such folder; check the path")


def model_or_default(model: str | None) -> str:
    """Return the model that was named, or the default."""
    from ..io.default_model import default_model

    return default_model() if model is None else model


def check_ocr(ocr: bool | None, confidence: float | None = None) -> None:
    """Fail before any model is loaded if rapidocr is needed and missing, or the confidence is out of range."""
    from ..inference.ocr import check_rapidocr
    from ..io.argument_checks import check_number

    if confidence is not None:
        check_number("OCR confidence", confidence, 0, 1)
    if ocr:
        check_rapidocr()


def check_generator(generator: str | None) -> None:
    """Check before any model is loaded that an image generator exists and that diffusers is installed."""
    if generator is not None:
        from ..imagegen.presets import find_preset, need_diffusers

        need_diffusers()
        find_preset(generator)


def be_quiet(model: str) -> None:
    """Turn off Transformers' progress bars and warnings; the libraries read these settings when they are imported.

    Downloads keep their progress bars on a terminal: one can take an hour.
    """
    downloads = model not in plugins("models") and not Path(model).exists()
    bars = downloads and sys.stderr.isatty()
    settings = {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}
    settings |= {"DIFFUSERS_VERBOSITY": "error"}
    for name, value in {**settings, **({} if bars else {"HF_HUB_DISABLE_PROGRESS_BARS": "1"})}.items():
        os.environ.setdefault(name, value)
    warnings.simplefilter("ignore")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it warns about each kernel that it lacks
    if "transformers" in sys.modules:  # in a process that runs several verbs, as tests do
        from transformers.utils import logging as transformers_logging

        transformers_logging.set_verbosity_error()
        if not bars:
            transformers_logging.disable_progress_bar()


def print_stream(pieces: Iterable[str], blank_if_empty: bool = True) -> None:
    """Print the pieces of an answer as they arrive, then end the line."""
    printed = False
    for piece in pieces:
        printed = True
        sys.stdout.write(printable(piece))
        sys.stdout.flush()
    if printed or blank_if_empty:
        print(flush=True)


def printable(text: str) -> str:
    """Remove control characters: an image can make a model write terminal escape sequences."""
    return "".join(char for char in text if char in "\n\t" or char.isprintable())


def _is_bad_input(error: ValueError) -> bool:
    from ..images.safe_images import ImageError
    from ..inference import CheckpointError, RequestError
    from ..io.folder_lock import FolderInUseError

    return isinstance(error, CheckpointError | RequestError | ImageError | FolderInUseError)
