"""`minigemini chat`: a conversation about pictures in the terminal."""

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from .common import (
    Base,
    Device,
    DeviceMap,
    Dtype,
    MaxNewTokens,
    Model,
    OffloadFolder,
    Quantize,
    Seed,
    Temperature,
    be_quiet,
    one_line_errors,
    printable,
)

if TYPE_CHECKING:
    from minigemini.inference import Conversation, Sampling

HELP = """\
/image PATH  show one more picture with the next question
/reset       forget pictures and conversation
/help        this
/quit        end (so does Ctrl-D); Ctrl-C stops an answer"""


@one_line_errors
def chat(
    pictures: Annotated[list[str] | None, typer.Argument(metavar="PICTURE", help="Pictures to begin with.")] = None,
    model: Model = "nano",
    max_new_tokens: MaxNewTokens = 256,
    temperature: Temperature = 0.0,
    seed: Seed = None,
    device: Device = None,
    dtype: Dtype = None,
    quantize: Quantize = None,
    device_map: DeviceMap = None,
    offload_folder: OffloadFolder = None,
    base: Base = None,
) -> None:
    """Talk about pictures, turn by turn. Ctrl-C stops an answer, Ctrl-D ends.

    Example: minigemini chat photo.png

    Example: minigemini chat photo.png --model my-adapter --base my-model

    In the conversation: /image PATH, /reset, /help, /quit. Nothing of it is kept.
    """
    be_quiet(model)

    from minigemini.inference import Conversation, Engine, Sampling
    from minigemini.model.pictures import open_picture

    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    opened = [open_picture(picture) for picture in pictures or []]
    engine = Engine.load(
        model,
        device=device,
        dtype=dtype,
        quantize=quantize,
        device_map=device_map,
        offload_folder=offload_folder,
        base=base,
    )
    conversation = Conversation(engine, opened)
    if sys.stdin.isatty():
        with suppress(ImportError):  # Windows has none
            import readline  # noqa: F401 (importing it gives `input` editing, and a history kept in memory only)
        print(f"Pictures: {len(opened)}. /help shows the commands.", file=sys.stderr)
    while (line := _read_line()) is not None:
        if line.startswith("/"):
            if not _command(conversation, line):
                return
        elif line:
            _answer(conversation, line, sampling)


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


def _command(conversation: "Conversation", line: str) -> bool:
    """Do what a line with a slash says; False ends the program. A mistake is told, and the conversation goes on."""
    from minigemini.model.pictures import PictureError

    verb, _, rest = line.partition(" ")
    match verb:
        case "/quit" | "/exit":
            return False
        case "/reset":
            conversation.reset()
            _tell("forgotten")
        case "/image" if rest.strip():
            try:
                conversation.add_picture(rest.strip().strip("'\""))
                _tell("it is shown with your next question")
            except PictureError as error:
                _tell(str(error))
        case "/help":
            _tell(HELP)
        case _:
            _tell(f"{line}: no such command\n{HELP}")
    return True


def _answer(conversation: "Conversation", question: str, sampling: "Sampling") -> None:
    """Print the answer while it is written; what was said before Ctrl-C is remembered as the answer."""
    from minigemini.inference import RequestError

    try:
        with conversation.stream(question, sampling) as stream:
            for piece in stream:
                sys.stdout.write(printable(piece))
                sys.stdout.flush()
    except RequestError as error:
        _tell(str(error))
    except KeyboardInterrupt:  # leaving the `with` block has stopped the stream
        print(flush=True)
        _tell("stopped")
    else:
        print(flush=True)


def _tell(message: str) -> None:
    print(printable(message), file=sys.stderr, flush=True)
