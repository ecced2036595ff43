"""`minigemini chat`: a conversation about images and videos in the terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .answer_options import AnswerOptions
from .common import (
    DefaultModel,
    GeneratorOption,
    Size,
    Steps,
    be_quiet,
    check_generator,
    fail,
    model_or_default,
    one_line_errors,
    parse_size,
    print_stream,
    printable,
)
from .load_options import LoadOptions
from .video_options import VideoOptions

if TYPE_CHECKING:
    from ..inference import Conversation, GenerationSettings, ImageGenerator, Sampling

HELP = """\
/image PATH    add an image to the next question
/video PATH    add a video to the next question; an animated GIF or WEBP too
/draw REQUEST  generate an image (requires --draw); it is added to the next question
/reset         clear the conversation and its images
/help          show this list
/quit          exit (Ctrl-D also exits); Ctrl-C stops an answer"""


@dataclass(frozen=True)
class ChatSession:
    """State of one chat.

    Attributes:
        generator: None without --draw.
        folder: where generated images are written.
    """

    conversation: "Conversation"
    sampling: "Sampling"
    generator: "ImageGenerator | None"
    generation: "GenerationSettings"
    folder: Path


@one_line_errors
def chat(
    images: Annotated[
        list[str] | None, typer.Argument(metavar="FILE", help="Images and videos to show with the first question.")
    ] = None,
    model: DefaultModel = None,
    draw: Annotated[
        bool, typer.Option("--draw", help="Load an image generator, so that /draw REQUEST generates an image.")
    ] = False,
    generator: GeneratorOption = None,
    size: Size = None,
    steps: Steps = None,
    folder: Annotated[Path, typer.Option("--pictures", metavar="FOLDER", help="Folder for generated images.")] = Path(
        "."
    ),
    *,
    answering: AnswerOptions,
    watching: VideoOptions,
    loading: LoadOptions,
) -> None:
    """Chat about images and videos, turn by turn.

    Ctrl-C stops an answer, Ctrl-D exits. Commands in the chat: /image PATH, /video PATH, /draw REQUEST, /reset,
    /help, /quit. Only generated images are saved; the conversation is not.

    Example: minigemini chat photo.png

    Example: minigemini chat photo.png --model my-adapter --base my-model

    Example: minigemini chat --draw

    Example: minigemini chat --draw --generator sdxl-turbo --model mgm-7b
    """
    name = model_or_default(model)
    be_quiet(name)
    loading.check(name)

    from ..imagegen.presets import default_generator
    from ..images.safe_images import open_image
    from ..inference import GenerationSettings

    sampling = answering.sampling()
    generation = GenerationSettings(parse_size(size), steps, seed=answering.seed)
    generator = generator or default_generator(name)
    check_generator(generator if draw else None)
    if draw and not folder.is_dir():
        fail(f"{folder}: no such folder for generated images; create it first")
    images, videos = watching.split(images or [])
    watching.check()
    opened = [open_image(image) for image in images]
    answering.check_ocr()
    from ..inference import Conversation

    engine = loading.load(model)
    reader = answering.reader(engine.processor)
    session = ChatSession(
        watching.add_to(Conversation(engine, opened, reader), videos),
        sampling,
        loading.load_generator(generator) if draw else None,
        generation,
        folder,
    )
    if sys.stdin.isatty():
        with suppress(ImportError):  # not available on Windows
            import readline  # noqa: F401 (importing it gives `input` line editing and an in-memory history)
        shown = f"Images: {len(opened)}." + (f" Videos: {len(videos)}." if videos else "")
        print(f"{shown} /help lists the commands.", file=sys.stderr)
    while (line := _read_line()) is not None:
        if line.startswith("/"):
            if not _run_command(session, line):
                return
        elif line:
            _answer(session, line)


def _read_line() -> str | None:
    """Return the next line: empty after Ctrl-C, None at the end of input."""
    try:
        return input("> " if sys.stdin.isatty() else "").strip()
    except KeyboardInterrupt:
        print()
        return ""
    except EOFError:
        if sys.stdin.isatty():
            print()
        return None


def _run_command(session: ChatSession, line: str) -> bool:
    """Run a slash command; False ends the program. Mistakes are reported, and the chat continues."""
    from ..images.safe_images import ImageError

    verb, _, argument = line.partition(" ")
    argument = argument.strip()
    match verb:
        case "/quit" | "/exit":
            return False
        case "/reset":
            session.conversation.reset()
            _notify("conversation cleared")
        case "/image" if argument:
            try:
                session.conversation.add_image(argument.strip("'\""))
                _notify("image added to your next question")
            except ImageError as error:
                _notify(str(error))
        case "/video" if argument:
            try:
                session.conversation.add_video(argument.strip("'\""))
                _notify("video added to your next question")
            except ImageError as error:
                _notify(str(error))
        case "/draw" if argument:
            if session.generator is None:
                _notify("no image generator is loaded; start with --draw")
            else:
                _draw(session, argument, session.generator)
        case "/help":
            _notify(HELP)
        case _:
            _notify(f"{line}: no such command\n{HELP}")
    return True


def _answer(session: ChatSession, question: str) -> None:
    """Print the answer as it is generated; after Ctrl-C the partial answer stays in the conversation."""
    from ..inference.streaming import EMPTY_ANSWER

    with _report_errors(), session.conversation.stream(question, session.sampling) as stream:
        print_stream(stream)
        if not stream.answer.text:
            _notify(EMPTY_ANSWER)


def _draw(session: ChatSession, request: str, generator: "ImageGenerator") -> None:
    """Print the answer, generate an image from its caption, and print the file name."""
    with _report_errors(), session.conversation.request(request, session.sampling) as stream:
        print_stream(stream)
        reply = stream.draw(generator, session.generation)
        for image in reply.images:
            file = next(path for n in count(1) if not (path := session.folder / f"drawing-{n}.png").exists())
            image.save(file)
            print(printable(f"{file}: {image.caption} (seed {image.seed})"), flush=True)
        if not reply.images:
            _notify("no image generated: the answer contains no caption; rephrase the request")


@contextmanager
def _report_errors() -> Iterator[None]:
    """Report a refused request or Ctrl-C, and let the chat continue."""
    from ..inference import RequestError

    try:
        yield
    except RequestError as error:
        _notify(str(error))
    except KeyboardInterrupt:  # leaving the stream's `with` block has stopped generation
        print(flush=True)
        _notify("stopped")


def _notify(message: str) -> None:
    print(printable(message), file=sys.stderr, flush=True)
