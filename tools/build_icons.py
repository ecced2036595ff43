"""Builds the icon sheets of the synthetic scenes from the packages of their icons. From the repository root:

    npm install --prefix build/icons @iconify-json/noto@1.2.9 @iconify-json/fluent-emoji-flat@1.2.6 \
        @iconify-json/fluent-emoji@1.2.7 emojibase-data@17.0.0
    pip install resvg-py==0.5.0
    python tools/build_icons.py

A sheet is one WebP picture per drawing style: concepts in the order of `concepts.txt`, row by row. Pictures, not SVG,
so that drawing scenes takes nothing but Pillow, is fast, and gives the same pixels everywhere.
"""

import json
from io import BytesIO
from pathlib import Path

import resvg_py
from PIL import Image

from minigemini_models.scenes.concepts import CONCEPTS
from minigemini_models.scenes.icons import FOLDER, ICON_PX, SHEET_COLUMNS, STYLES

PACKAGES = Path("build/icons/node_modules")
QUALITY = 82
NAMESPACES = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def main() -> None:
    codes = {entry["label"]: entry["hexcode"].lower() for entry in read("emojibase-data/en/data.json")}
    for style in STYLES:
        icons, slugs = drawings_of(style)
        sheet = Image.new("RGBA", (SHEET_COLUMNS * ICON_PX, -(-len(CONCEPTS) // SHEET_COLUMNS) * ICON_PX))
        for number, concept in enumerate(CONCEPTS):
            icon = icons["icons"][slugs[codes[concept.label]]]
            row, column = divmod(number, SHEET_COLUMNS)
            sheet.paste(render(icon, icons), (column * ICON_PX, row * ICON_PX))
        path = FOLDER / f"{style}.webp"
        sheet.save(path, quality=QUALITY, alpha_quality=QUALITY, method=6)
        print(f"{path}: {len(CONCEPTS)} icons, {path.stat().st_size / 1e6:.2f} MB")


def read(name: str) -> dict:
    return json.loads((PACKAGES / name).read_text())


def drawings_of(style: str) -> tuple[dict, dict[str, str]]:
    """A style's drawings, and the name of each by its code point; both Fluent sets share their names."""
    characters = read(f"@iconify-json/{'noto' if style == 'noto' else 'fluent-emoji-flat'}/chars.json")
    variants = {f"{code}-fe0f": slug for code, slug in characters.items()}
    return read(f"@iconify-json/{style}/icons.json"), characters | variants


def render(icon: dict, icons: dict) -> Image.Image:
    """An icon on transparent ground, cropped to what is drawn, centred in a square of `ICON_PX`."""
    width, height = (icon.get(key, icons.get(key, 16)) for key in ("width", "height"))
    svg = f'<svg {NAMESPACES} viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
    drawn = Image.open(BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=4 * ICON_PX, height=4 * ICON_PX))))
    drawn = drawn.convert("RGBA").crop(drawn.getchannel("A").getbbox())
    drawn.thumbnail((ICON_PX, ICON_PX), Image.Resampling.LANCZOS)
    square = Image.new("RGBA", (ICON_PX, ICON_PX))
    square.paste(drawn, ((ICON_PX - drawn.width) // 2, (ICON_PX - drawn.height) // 2))
    return square


if __name__ == "__main__":
    main()
