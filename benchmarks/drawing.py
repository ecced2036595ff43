"""Cycle accuracy of an image generator: new captions, with --model new requests, compared with the generated images.

python benchmarks/drawing.py --painter nano --model nano --sheet docs/drawings.png
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from minigemini.images.contact_sheets import contact_sheet
from minigemini.inference import Engine, GenerationSettings, ImageGenerator
from minigemini_models.evaluation.drawing_cycle import CycleResult, draw_captions, draw_requests, results_table

COLUMNS, SIDE_PX = 8, 128


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
    cells = [
        (result.image.resize((SIDE_PX, SIDE_PX), Image.Resampling.NEAREST), result.caption or "")
        for result in results
        if result.image
    ]
    return contact_sheet(cells, COLUMNS, SIDE_PX, caption_lines=6, text_px=11)


if __name__ == "__main__":
    main()
