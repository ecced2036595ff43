"""Looking at samples: a contact sheet, and a page of conversations with tokens coloured where they are learnt."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from ..data.encoding import IGNORED, SampleEncoder
from ..data.mixture import shuffled
from ..data.readers import Reader
from ..data.schema import Sample, SampleError
from ..modeling import MiniGeminiProcessor
from .html import escape, page, shown, thumbnail

CELL_PX, GAP_PX, COLUMNS = 180, 8, 6
_PAPER, _FAINT = (255, 255, 255), (225, 225, 225)


@dataclass(frozen=True)
class PreviewedSample:
    """A sample to look at.

    Attributes:
        row: where it lies.
        sample: what it is; None where it is faulty.
        error: what is wrong with it.
    """

    row: int
    sample: Sample | None
    error: str = ""


def pick(reader: Reader, count: int, seed: int | None = 0) -> list[PreviewedSample]:
    """Take samples to look at: drawn by a seed and in the order of their rows, or the first ones.

    Args:
        reader: of what.
        count: how many.
        seed: another seed is another choice; None takes the first.
    """
    rows = range(min(count, len(reader)))
    if seed is not None:
        rows = sorted(shuffled(len(reader), seed)[:count].tolist())  # type: ignore[assignment]
    picked = []
    for row in rows:
        try:
            picked.append(PreviewedSample(row, reader[row]))
        except SampleError as error:
            picked.append(PreviewedSample(row, None, str(error)))
    return picked


def contact_sheet(picked: Sequence[PreviewedSample]) -> Image.Image:
    """The pictures of samples in a grid; grey where one cannot be read."""
    images = [image for one in picked if one.sample for image in one.sample.images]
    rows = max(1, -(-len(images) // COLUMNS))
    step = CELL_PX + GAP_PX
    sheet = Image.new("RGB", (COLUMNS * step + GAP_PX, rows * step + GAP_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, image in enumerate(images):
        left, top = GAP_PX + number % COLUMNS * step, GAP_PX + number // COLUMNS * step
        small = thumbnail(image, CELL_PX)
        if small is None:
            draw.rectangle((left, top, left + CELL_PX, top + CELL_PX), fill=_FAINT)
        else:
            sheet.paste(small, (left + (CELL_PX - small.width) // 2, top + (CELL_PX - small.height) // 2))
    return sheet


def browsable(picked: Sequence[PreviewedSample], name: str, processor: MiniGeminiProcessor, family: str) -> str:
    """A page: each sample's pictures, and its tokens as one family's template makes them.

    Args:
        picked: what is shown.
        name: of the source.
        processor: the family's.
        family: what it is called.
    """
    encoder = SampleEncoder(processor)
    parts = [
        f"<h1>{escape(name)}</h1>",
        f"<p>{len(picked)} samples as {escape(family)} is trained on them. A token that is learnt is "
        '<span class="tokens"><span class="learnt">coloured</span></span>; a line begins each token.</p>',
        *(_sample(one, encoder) for one in picked),
    ]
    return page(f"{name}: samples", parts)


def _sample(one: PreviewedSample, encoder: SampleEncoder) -> str:
    if one.sample is None:
        return (
            f'<div class="sample"><div class="none faint">faulty</div><div class="bad">{escape(one.error)}</div></div>'
        )
    sample = one.sample
    images = "".join(shown(image) for image in sample.images) or '<div class="none faint">text alone</div>'
    about = " · ".join(filter(None, (sample.id, f"row {one.row:,}", sample.source, sample.origin, sample.licence)))
    try:
        text = f'<div class="tokens">{"".join(tokens(sample, encoder))}</div>'
    except SampleError as error:
        text = f'<div class="bad">{escape(str(error))}</div>'
    return f'<div class="sample"><div>{images}</div><div><p class="faint">{escape(about)}</p>{text}</div></div>'


def tokens(sample: Sample, encoder: SampleEncoder) -> Iterator[str]:
    """The tokens of a sample as HTML, those that are learnt marked; a picture's are counted, not listed.

    Raises:
        SampleError: It cannot be encoded.
    """
    encoded, tokenizer = encoder(sample), encoder.processor.tokenizer
    image = encoder.processor.image_token_id
    learnt = (encoded.labels != IGNORED).tolist()
    pairs = list(zip(encoded.input_ids.tolist(), learnt, strict=True))
    for of_image, run in groupby(pairs, key=lambda pair: pair[0] == image):
        if of_image:
            yield f"<span><i>{len(list(run))} visual tokens</i></span>"
            continue
        pieces = list(run)
        for text, (_, is_learnt) in zip(_texts(tokenizer, [id for id, _ in pieces]), pieces, strict=True):
            mark = ' class="learnt"' if is_learnt else ""
            yield f"<span{mark}>{escape(text)}</span>"


def _texts(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """What each token adds to the text: a token may be a part of a character, which its last part then shows."""
    texts, before = [], ""
    for end in range(1, len(ids) + 1):
        begin = max(0, end - 16)  # decoding looks back no further than a character's few bytes
        before = tokenizer.decode(ids[begin : end - 1], skip_special_tokens=False)
        now = tokenizer.decode(ids[begin:end], skip_special_tokens=False)
        common = before.rstrip("\N{REPLACEMENT CHARACTER}")
        texts.append(now[len(common) :].rstrip("\N{REPLACEMENT CHARACTER}") if now.startswith(common) else now)
    return texts


def write_sheet(path: Path, picked: Sequence[PreviewedSample]) -> None:
    """Write a contact sheet as PNG or JPEG, by the path's ending."""
    contact_sheet(picked).save(path)
