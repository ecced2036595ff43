"""Contact sheets: images in a grid, each in a frame with its caption."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from .text_drawing import figure_font, fit_lines

GAP_PX, INSET_PX = 8, 6
"""Between frames, and between a frame and what is in it, pixels."""
PAPER, FRAME, INK, MISSING = (255, 255, 255), (190, 190, 198), (34, 34, 40), (225, 225, 225)


def contact_sheet(
    cells: Sequence[tuple[Image.Image | None, str]],
    columns: int,
    side_px: int,
    *,
    caption_lines: int = 2,
    text_px: int = 13,
) -> Image.Image:
    """Arrange images in rows; without any, the sheet is one empty row.

    Args:
        cells: images of at most `side_px` pixels per side, None for one that cannot be shown, and their captions.
        columns: images in a row.
        side_px: side of the square in which an image is centered.
        caption_lines: lines of text below each; longer captions end in an ellipsis.
        text_px: size of the text.
    """
    font, line_px = figure_font(text_px), round(1.3 * text_px)
    width, height = side_px + 2 * INSET_PX, side_px + 3 * INSET_PX + caption_lines * line_px
    rows = max(1, -(-len(cells) // columns))
    sheet = Image.new("RGB", (columns * (width + GAP_PX) + GAP_PX, rows * (height + GAP_PX) + GAP_PX), PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, (image, caption) in enumerate(cells):
        row, column = divmod(number, columns)
        left, top = GAP_PX + column * (width + GAP_PX), GAP_PX + row * (height + GAP_PX)
        pen.rectangle((left, top, left + width - 1, top + height - 1), outline=FRAME)
        x, y = left + INSET_PX, top + INSET_PX
        if image is None:
            pen.rectangle((x, y, x + side_px - 1, y + side_px - 1), fill=MISSING)
            pen.text((x + side_px // 2, y + side_px // 2), "no image", INK, font, anchor="mm")
        else:
            sheet.paste(image, (x + (side_px - image.width) // 2, y + (side_px - image.height) // 2))
        for line, text in enumerate(fit_lines(caption, font, side_px, caption_lines)):
            pen.text((x, y + side_px + INSET_PX + line * line_px), text, INK, font)
    return sheet
