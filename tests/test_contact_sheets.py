"""Contact sheets: each image in its frame, above its caption."""

import numpy as np
from PIL import Image

from minigemini.images.contact_sheets import FRAME, GAP_PX, INSET_PX, MISSING, PAPER, contact_sheet


def test_images_are_centered_in_frames_above_their_captions():
    red = Image.new("RGB", (40, 20), (255, 0, 0))
    sheet = np.asarray(contact_sheet([(red, "a red one"), (None, "missing"), (red, "")], 2, 40, caption_lines=1))
    assert sheet.shape[1] == 2 * (40 + 2 * INSET_PX + GAP_PX) + GAP_PX
    is_red = (sheet == (255, 0, 0)).all(-1)
    rows, columns = np.argwhere(is_red)[[0, -1]].T
    assert is_red.sum() == 2 * 40 * 20
    assert columns[0] == GAP_PX + INSET_PX
    assert rows[0] == GAP_PX + INSET_PX + 10
    assert (sheet[GAP_PX, GAP_PX : GAP_PX + 40] == FRAME).all()
    assert (sheet == MISSING).all(-1).sum() > 1000
    caption = sheet[GAP_PX + 2 * INSET_PX + 40 : GAP_PX + 2 * INSET_PX + 55, GAP_PX + INSET_PX : GAP_PX + 46]
    assert (caption.min(-1) < 100).any(), "dark text"


def test_no_images_are_an_empty_row():
    sheet = contact_sheet([], 3, 40)
    assert sheet.getcolors() == [(sheet.width * sheet.height, PAPER)]
