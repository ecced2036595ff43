"""`minigemini chat`: a conversation about pictures in the terminal."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import (
    GeneratorOption,
    MaxNewTokens,
    Model,
    Ocr,
    OcrConfidence,
    Seed,
    Size,
    Steps,
    Temperature,
    be_quiet,
    check_painter,
    fail,
    one_line_errors,
    parse_sides,
    printable,
)
from .load_options import LoadOptions

if TYPE_CHECKING:
    from ..inference import Conversation, GenerationSettings, Sampling
    from ..inference import ImageGenerator as LoadedPainter

HELP = """\
/image PATH    show one more picture with the next question
/draw REQUEST  have a picture drawn, with --draw; it is shown with the next question
/reset         forget pictures and conversation
/help          this
/quit          end (so does Ctrl-D); Ctrl-C stops an answer"""


@dataclass(frozen=True)
class Table:
    """What a conversation is held with.

    Attributes:
        painter: None where nothing is drawn.
        folder: where pictures go.
    """

    conversation: "Conversation"
    sampling: "Sampling"
    painter: "LoadedPainter | None"
    drawing: "GenerationSettings"
    folder: Path


@one_line_errors
def chat(
    images: Annotated[list[str] | None, typer.Argument(metavar="PICTURE", help="Pictures to begin with.")] = None,
    model: Model = "nano",
    draw: Annotated[bool, typer.Option("--draw", help="Load a painter: /draw REQUEST has a picture drawn.")] = False,
    painter: GeneratorOption = None,
    size: Size = None,
    steps: Steps = None,
    folder: Annotated[
        Path, typer.Option("--pictures", metavar="FOLDER", help="Where pictures that are drawn go.")
    ] = Path("."),
    ocr: Ocr = False,
    ocr_confidence: OcrConfidence = 0.1,
    max_new_tokens: MaxNewTokens = 256,
    temperature: Temperature = 0.0,
    seed: Seed = None,
    *,
    loading: LoadOptions,
) -> None:
    """Talk about pictures, turn by turn. Ctrl-C stops an answer, Ctrl-D ends.

    Example: minigemini chat photo.png

    Example: minigemini chat photo.png --model my-adapter --base my-model

    Example: minigemini chat --draw

    Example: minigemini chat --draw --painter sdxl-turbo --model mgm-7b

    In the conversation: /image PATH, /draw REQUEST, /reset, /help, /quit. Nothing of it is kept but what is drawn.
    """
    be_quiet(model)
    loading.check(model)

    from ..imagegen.presets import default_generator
    from ..images.safe_images import open_image
    from ..inference import GenerationSettings, Sampling
    from ..inference.ocr import RapidOcrEngine

    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    drawing = GenerationSettings(parse_sides(size), steps, seed=seed)
    painter = painter or default_generator(model)
    check_painter(painter if draw else None)
    if draw and not folder.is_dir():
        fail(f"{folder}: no such folder to put pictures into; make it first")
    opened = [open_image(image) for image in images or []]
    reader = RapidOcrEngine(ocr_confidence) if ocr else None
    from ..inference import Conversation

    engine = loading.load(model)
    table = Table(
        Conversation(engine, opened, reader),
        sampling,
        loading.load_painter(painter) if draw else None,
        drawing,
        folder,
    )
    if sys.stdin.isatty():
        with suppress(ImportError):  # Windows has none
            import readline  # noqa: F401 (importing it gives `input` editing, and a history kept in memory only)
        print(f"Pictures: {len(opened)}. /help shows the commands.", file=sys.stderr)
    while (line := _read_line()) is not None:
        if line.startswith("/"):
            if not _command(table, line):
                return
        elif line:
            _answer(table, line)


def _read_line() -> str | None:
    """The next line, empty after Ctrl-C; None at the end of the input."""
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except KeyboardInterrupt:
        print()
        return ""
    except EOFError:
        if sys.stdin.isatty():
            print()
        return None


def _command(table: Table, line: str) -> bool:
    """Do what a line with a slash says; False ends the program. A mistake is told, and the conversation goes on."""
    from ..images.safe_images import ImageError

    verb, _, rest = line.partition(" ")
    match verb:
        case "/quit" | "/exit":
            return False
        case "/reset":
            table.conversation.reset()
            _tell("forgotten")
        case "/image" if rest.strip():
            try:
                table.conversation.add_image(rest.strip().strip("'\""))
                _tell("it is shown with your next question")
            except ImageError as error:
                _tell(str(error))
        case "/draw" if rest.strip():
            if table.painter is None:
                _tell("nothing is drawn here; start with --draw")
            else:
                _draw(table, rest.strip(), table.painter)
        case "/help":
            _tell(HELP)
        case _:
            _tell(f"{line}: no such command\n{HELP}")
    return True


def _answer(table: Table, question: str) -> None:
    """Print the answer while it is written; what was said before Ctrl-C is remembered as the answer."""
    from ..inference.streaming import EMPTY_ANSWER

    with _telling(), table.conversation.stream(question, table.sampling) as stream:
        _print(stream)
        if not stream.answer.text:
            _tell(EMPTY_ANSWER)


def _draw(table: Table, request: str, painter: "LoadedPainter") -> None:
    """Print the answer, draw its caption, and say where the picture is."""
    with _telling(), table.conversation.request(request, table.sampling) as stream:
        _print(stream)
        reply = stream.draw(painter, table.drawing)
        for image in reply.images:
            file = next(path for n in count(1) if not (path := table.folder / f"drawing-{n}.png").exists())
            image.save(file)
            print(printable(f"{file}: {image.caption} (seed {image.seed})"), flush=True)
        if not reply.images:
            _tell("nothing drawn: the answer holds no caption; ask in other words")


@contextmanager
def _telling() -> Iterator[None]:
    """Tell what cannot be done, and that Ctrl-C has stopped something; the conversation goes on."""
    from ..inference import RequestError

    try:
        yield
    except RequestError as error:
        _tell(str(error))
    except KeyboardInterrupt:  # leaving the stream's `with` block has stopped it
        print(flush=True)
        _tell("stopped")


def _print(pieces: Iterable[str]) -> None:
    for piece in pieces:
        sys.stdout.write(printable(piece))
        sys.stdout.flush()
    print(flush=True)


def _tell(message: str) -> None:
    print(printable(message), file=sys.stderr, flush=True)
