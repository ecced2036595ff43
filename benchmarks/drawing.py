"""Cycle accuracy of an image generator: new captions, with --model new requests, compared with the generated images.

python benchmarks/drawing.py --painter nano --model nano --sheet docs/drawings.png
"""

import argparse
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from minigemini.inference import Engine, GenerationSettings, ImageGenerator
from minigemini_models.evaluation.drawing_cycle import CycleResult, draw_captions, draw_requests, results_table

COLUMNS, SCALE, TEXT_PX, GAP_PX = 8, 2, 44, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--painter", required=True, help="a preset, a folder or a hub id")
    parser.add_argument("--model", help="also ask this model in everyday words")
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sheet", type=Path, help="write 32 of the images with their captions to this PNG")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    generator = ImageGenerator.load(args.painter, device="cpu")
    settings = GenerationSettings(steps=args.steps, guidance=args.guidance)
    started = time.process_time()
    results = draw_captions(generator, args.samples, settings)
    taken = (time.process_time() - started) / args.samples
    print(f"Captions, {taken:.2f} s of the processor each:\n\n{results_table(results)}")
    if args.model:
        asked = draw_requests(Engine.load(args.model, device="cpu"), generator, args.samples, settings)
        print(f"\nRequests, by {args.model}:\n\n{results_table(asked)}")
    if args.sheet:
        sheet(results[:32]).save(args.sheet, optimize=True)


def sheet(results: Sequence[CycleResult]) -> Image.Image:
    """Arrange images in rows, each above its caption."""
    shown = [result for result in results if result.image is not None]
    side = shown[0].image.width * SCALE if shown and shown[0].image else 0
    rows = -(-len(shown) // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (side + GAP_PX) - GAP_PX, rows * (side + TEXT_PX + GAP_PX) - GAP_PX), "white")
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(9)
    for number, result in enumerate(shown):
        x, y = number % COLUMNS * (side + GAP_PX), number // COLUMNS * (side + TEXT_PX + GAP_PX)
        assert result.image is not None
        page.paste(result.image.resize((side, side), Image.Resampling.NEAREST), (x, y))
        pen.multiline_text((x, y + side + 2), textwrap.fill(result.caption or "", 28), "black", font, spacing=1)
    return page


if __name__ == "__main__":
    main()
