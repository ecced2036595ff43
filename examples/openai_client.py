"""A conversation with images in both directions, with OpenAI's package; prints each step.

    minigemini serve --generator nano           # in one terminal
    python examples/openai_client.py            # in another

or, to start a server too: `python examples/openai_client.py --generator nano [--model mgm-7b]`.
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
def served(generator: str | None, model: str, url: str) -> Iterator[str]:
    """Yield the address of a server; one is started if an image generator is given."""
    if generator is None:
        yield url
        return
    command = [sys.executable, "-m", "minigemini", "serve", "--port", "0", "--generator", generator, "--model", model]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        try:
            line = next((line for line in program.stderr if "listening on" in line), "")
            if not line:
                sys.exit("the server did not start; run `minigemini serve` with the same options to see why")
            yield line.split("listening on ")[1].split(",")[0]
        finally:
            program.terminate()
            program.communicate(timeout=90)


def decode(data: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(data.partition(",")[2] or data)))


def show(role: str, text: str) -> None:
    print(f"{role:>9}  {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000/v1", help="base URL of a running server")
    parser.add_argument("--key", default="none", help="its API key")
    parser.add_argument("--generator", help="start a server with this image generator")
    parser.add_argument("--model", default="nano", help="model of the server that is started")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="folder for the images")
    args = parser.parse_args()
    with served(args.generator, args.model, args.url) as url:
        converse(OpenAI(base_url=url, api_key=args.key, timeout=600), args.save)


def converse(client: OpenAI, folder: Path | None) -> None:
    model = client.models.list().data[0].id
    images = [decode(client.images.generate(prompt="a red star", extra_body={"seed": 1}).data[0].b64_json)]
    show("generator", f"“a red star” without a conversation, {images[0].width} x {images[0].height} pixels, seed 1")
    messages = []
    for text, draw in TURNS:
        messages.append({"role": "user", "content": text})
        show("user", text + (" (draw: true)" if draw else ""))
        answer = client.chat.completions.create(
            model=model, messages=messages, max_completion_tokens=64, seed=1, extra_body={"draw": draw}
        )
        message = answer.choices[0].message
        show("assistant", message.content)
        for part in getattr(message, "images", []):
            images.append(decode(part["image_url"]["url"]))
            note = message.drawing
            show("", f"[an image of {images[-1].width} x {images[-1].height}: {note['captions'][-1]}]")
        if draw and message.drawing["reason"]:
            show("", f"[no image: {message.drawing['reason']}]")
        messages.append(message)  # unchanged: its images are shown with the next question
    show(
        "usage",
        f"{answer.usage.prompt_tokens} prompt tokens of the last answer, {answer.usage.completion_tokens} generated",
    )
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images):
            image.save(folder / f"{number}.png")


if __name__ == "__main__":
    main()
