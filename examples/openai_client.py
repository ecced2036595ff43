"""A conversation with pictures in both directions, by OpenAI's package; what goes on is printed.

    minigemini serve --painter nano             # in one terminal
    python examples/openai_client.py            # in another

or, with a server of its own: `python examples/openai_client.py --painter nano [--model mgm-7b]`.
"""

import argparse
import base64
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from openai import OpenAI
from PIL import Image

TURNS = (
    ("Draw a red star at the top left.", True),
    ("What do you see?", False),
    ("Make it blue.", True),
    ("What colour is it now?", False),
    ("Make it richer: add a green tree on the right.", True),
    ("What do you see?", False),
)


@contextmanager
def served(painter: str | None, model: str, url: str) -> Iterator[str]:
    """The address of a server, which is started for this where a painter is named."""
    if painter is None:
        yield url
        return
    words = [sys.executable, "-m", "minigemini", "serve", "--port", "0", "--painter", painter, "--model", model]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        try:
            line = next((line for line in program.stderr if "listening on" in line), "")
            if not line:
                sys.exit("the server did not start; `minigemini serve` with the same options says why")
            yield line.split("listening on ")[1].split(",")[0]
        finally:
            program.terminate()
            program.communicate(timeout=90)


def opened(data: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(data.partition(",")[2] or data)))


def tell(who: str, what: str) -> None:
    print(f"{who:>9}  {what}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1", help="of a running server")
    parser.add_argument("--key", default="none", help="that it asks for")
    parser.add_argument("--painter", help="start a server of its own, with this painter")
    parser.add_argument("--model", default="nano", help="for that server")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="where pictures are written")
    args = parser.parse_args()
    with served(args.painter, args.model, args.url) as url:
        converse(OpenAI(base_url=url, api_key=args.key, timeout=600), args.save)


def converse(client: OpenAI, folder: Path | None) -> None:
    model = client.models.list().data[0].id
    images = [opened(client.images.generate(prompt="a red star", extra_body={"seed": 1}).data[0].b64_json)]
    tell("painter", f"“a red star” drawn by itself, {images[0].width} x {images[0].height} pixels, seed 1")
    messages = []
    for text, draw in TURNS:
        messages.append({"role": "user", "content": text})
        tell("user", text + (" (draw: true)" if draw else ""))
        answer = client.chat.completions.create(
            model=model, messages=messages, max_completion_tokens=64, seed=1, extra_body={"draw": draw}
        )
        message = answer.choices[0].message
        tell("assistant", message.content)
        for part in getattr(message, "images", []):
            images.append(opened(part["image_url"]["url"]))
            note = message.drawing
            tell("", f"[a picture of {images[-1].width} x {images[-1].height}: {note['captions'][-1]}]")
        if draw and message.drawing["reason"]:
            tell("", f"[no picture: {message.drawing['reason']}]")
        messages.append(message)  # as it came: what was drawn is shown with the next question
    tell(
        "usage",
        f"{answer.usage.prompt_tokens} tokens read for the last answer, {answer.usage.completion_tokens} written",
    )
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images):
            image.save(folder / f"{number}.png")


if __name__ == "__main__":
    main()
