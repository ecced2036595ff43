"""What the verbs share: their options, and what becomes of bad input and Ctrl-C."""

import errno
import logging
import os
import sys
import warnings
from collections.abc import Callable
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ..plugins import model_folder
from .option_groups import expand
from .streams import drop_output

BAD_INPUT, INTERRUPTED, NOBODY_READS = 2, 130, 141
"""Exit codes: our own for bad input, and what a shell gives a program ended by SIGINT or SIGPIPE."""

PAINTERS = (
    *("nano", "sdxl", "sdxl-turbo", "sdxl-lcm", "sd-turbo", "sd3.5-medium"),
    *("flux-schnell", "flux-dev", "z-image-turbo"),
)
"""The presets by name, as `inference.pipelines` has them; help must not import them."""
MODEL_HELP = "nano (the embedded one), a checkpoint folder, a hub id (owner/name), or an adapter."

Model = Annotated[str, typer.Option("--model", help=MODEL_HELP)]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1 or mps.  [default: the fastest here]")]
Dtype = Annotated[
    str | None,
    typer.Option("--dtype", help="float32, bfloat16 or float16.  [default: float32 on cpu, else bfloat16]"),
]
Base = Annotated[str | None, typer.Option("--base", help="Model of an adapter.  [default: the one it names]")]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", help="Longest answer, in tokens.")]
Temperature = Annotated[float, typer.Option("--temperature", help="0: always the likeliest word; above: drawn.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Makes a drawn answer repeatable.")]
GeneratorOption = Annotated[
    str | None,
    typer.Option(
        "--painter",
        help=f"Draws the pictures: {', '.join(PAINTERS)}; a folder or a hub id.  [default: nano for nano, else sdxl]",
    ),
]
ServedGeneratorOption = Annotated[
    str | None,
    typer.Option(
        "--painter", help=f"Draws what is asked for: {', '.join(PAINTERS)}; a folder or a hub id.  [default: nobody]"
    ),
]
Offload = Annotated[
    str | None,
    typer.Option(help="none, parts or layers of the painter wait in memory.  [default: as needed]"),
]
Size = Annotated[str | None, typer.Option(help="Of pictures, as 512 or 768x512 pixels.  [default: the painter's]")]
Steps = Annotated[int | None, typer.Option(help="Of drawing a picture.  [default: the painter's]")]
Ocr = Annotated[bool, typer.Option("--ocr", help="Read strings in pictures first, and pass them on.")]
OcrConfidence = Annotated[float, typer.Option("--ocr-confidence", help="Least confidence of such a string, 0 to 1.")]


def one_line_errors(verb: Callable[..., None]) -> Callable[..., None]:
    """Let a verb end on bad input with one line on stderr and exit code 2; a bug keeps its traceback.

    Its parameters that are dataclasses become options, see `option_groups`.
    """
    expanded = expand(verb)

    @wraps(expanded)
    def run(**values: Any) -> None:
        try:
            expanded(**values)
            sys.stdout.flush()  # or what it cannot take is noticed when nobody can say so any more
        except KeyboardInterrupt:
            print(file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # e.g. `minigemini ask … | head -c 1`
            drop_output()
            raise typer.Exit(NOBODY_READS) from None
        except OSError as error:  # no such folder, no permission, a full disk: nothing that a traceback would help with
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
    """End with one line on stderr and exit code 2."""
    print(f"minigemini: {printable(' '.join(message.split()))}", file=sys.stderr)
    raise typer.Exit(BAD_INPUT)


def need(extra: str, *modules: str) -> None:
    """Fail if a module of an extra is missing, without importing those that are there."""
    for module in modules:
        if find_spec(module) is None:
            fail(f"{module} is missing: pip install 'minigemini[{extra}]'")


def parse_sides(text: str | None) -> int | tuple[int, int] | None:
    """Pixels of `512` or `768x512`."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        fail(f"size {text!r} is none; write it as 512 or 768x512")
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def check_outputs(*files: Path | None) -> None:
    """Fail before the work rather than after it if a file could not be written."""
    for file in filter(None, files):
        if file.is_dir():
            fail(f"{file} is a folder; name a file")
        if not os.access(file.parent, os.W_OK):
            fail(f"{file}: {file.parent} is no folder that can be written to; make it, or name another")


def check_folder(option: str, folder: Path | None) -> None:
    """Fail if a folder that an option names is not there."""
    if folder is not None and not folder.is_dir():
        fail(f"{option} is {folder}: no such folder; check the path")


def check_painter(painter: str | None) -> None:
    """See, before a model is loaded, that there is such a painter and what it needs."""
    if painter is not None:
        from ..imagegen.presets import find_preset, need_diffusers

        need_diffusers()
        find_preset(painter)


def be_quiet(model: str) -> None:
    """Keep Transformers' bars and warnings off the terminal; they read these settings when they are imported.

    A download keeps its bars where somebody watches: it can take an hour.
    """
    downloads = model_folder(model) is None and not Path(model).exists()
    bars = downloads and sys.stderr.isatty()
    settings = {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}
    settings |= {"DIFFUSERS_VERBOSITY": "error"}
    for name, value in {**settings, **({} if bars else {"HF_HUB_DISABLE_PROGRESS_BARS": "1"})}.items():
        os.environ.setdefault(name, value)
    warnings.simplefilter("ignore")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it says what it has no kernel for, to everyone
    if "transformers" in sys.modules:  # in a program that runs several verbs, as tests do
        from transformers.utils import logging as of_transformers

        of_transformers.set_verbosity_error()
        if not bars:
            of_transformers.disable_progress_bar()


def printable(text: str) -> str:
    """Text without control characters: a model that reads pictures can be made to say terminal escapes."""
    return "".join(char for char in text if char in "\n\t" or char.isprintable())


def _is_bad_input(error: ValueError) -> bool:
    from ..images.safe_images import ImageError
    from ..inference import CheckpointError, RequestError
    from ..io.folder_lock import FolderInUseError

    return isinstance(error, CheckpointError | RequestError | ImageError | FolderInUseError)
