"""Previews of samples: a contact sheet, and a page of conversations with the tokens that are trained on highlighted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from ..data.encoding import IGNORED, SampleEncoder
from ..data.mixture import shuffled
from ..data.readers import Reader
from ..data.schema import Sample, SampleError, text_of
from ..images.contact_sheets import contact_sheet
from ..io.html_pages import html_template, render
from ..modeling import MiniGeminiProcessor
from .page_elements import inline_image, page, thumbnail

CELL_PX, COLUMNS = 180, 6
_MAX_CHARACTER_TOKENS = 16

_HEADER = html_template("""\
<h1>{{ name }}</h1>
<p>{{ count }} samples, tokenized as {{ family }} is trained on them. Tokens that are trained on are \
<span class="tokens"><span class="learned">highlighted</span></span>; a line starts each token.</p>""")
_SAMPLE = html_template("""\
<div class="sample"><div>{% for image in images %}{{ image }}{% else %}<div class="none faint">text only</div>\
{% endfor %}</div><div><p class="faint">{{ details }}</p>\
{% if error %}<div class="bad">{{ error }}</div>\
{% else %}<div class="tokens">{% for token in tokens %}{{ token }}{% endfor %}</div>{% endif %}</div></div>""")
_INVALID = html_template(
    '<div class="sample"><div class="none faint">invalid</div><div class="bad">{{ error }}</div></div>'
)
_TOKEN = html_template('<span{% if learned %} class="learned"{% endif %}>{{ text }}</span>')
_VISUAL_TOKENS = html_template("<span><i>{{ count }} visual tokens</i></span>")


@dataclass(frozen=True)
class PreviewedSample:
    """A row of a source and its sample.

    Attributes:
        row: number of the row.
        sample: None if the record is invalid.
        error: what is wrong with the record.
    """

    row: int
    sample: Sample | None
    error: str = ""


def pick(reader: Reader, count: int, seed: int | None = 0) -> list[PreviewedSample]:
    """Choose samples to preview, ordered by row.

    Args:
        reader: source of the samples.
        count: number of samples; fewer if the source has fewer.
        seed: seed of a random choice; None takes the first rows.
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


def draw_sheet(picked: Sequence[PreviewedSample]) -> Image.Image:
    """Draw a contact sheet of the images of samples, each with its row and what is asked or said first."""
    cells = [
        (thumbnail(image, CELL_PX), f"{one.row:,}: {_first_words(one.sample)}")
        for one in picked
        if one.sample
        for image in one.sample.images
    ]
    return contact_sheet(cells, COLUMNS, CELL_PX)


def _first_words(sample: Sample) -> str:
    """The question, or the answer if nothing is asked, or the sample's id."""
    return next(filter(None, (text_of(message).strip() for message in sample.messages)), sample.id)


def preview_page(picked: Sequence[PreviewedSample], name: str, processor: MiniGeminiProcessor, family: str) -> str:
    """Render a page with each sample's images and its tokens, formatted by one family's chat template.

    Args:
        picked: the samples.
        name: name of the source.
        processor: processor of the model family.
        family: name of the model family.
    """
    encoder = SampleEncoder(processor)
    header = render(_HEADER, name=name, count=len(picked), family=family)
    return page(f"{name}: samples", [header, *(_sample_html(one, encoder) for one in picked)])


def _sample_html(one: PreviewedSample, encoder: SampleEncoder) -> Markup:
    if one.sample is None:
        return render(_INVALID, error=one.error)
    sample, error, pieces = one.sample, "", list[Markup]()
    details = " · ".join(filter(None, (sample.id, f"row {one.row:,}", sample.source, sample.origin, sample.licence)))
    try:
        pieces = list(tokens(sample, encoder))
    except SampleError as failure:
        error = str(failure)
    return render(_SAMPLE, images=map(inline_image, sample.images), details=details, tokens=pieces, error=error)


def tokens(sample: Sample, encoder: SampleEncoder) -> Iterator[Markup]:
    """Render the tokens of a sample as HTML, with those that are trained on marked; visual tokens are only counted.

    Raises:
        SampleError: The sample cannot be encoded.
    """
    encoded, tokenizer = encoder(sample), encoder.processor.tokenizer
    image = encoder.processor.image_token_id
    learned = (encoded.labels != IGNORED).tolist()
    pairs = list(zip(encoded.input_ids.tolist(), learned, strict=True))
    for is_image, run in groupby(pairs, key=lambda pair: pair[0] == image):
        pieces = list(run)
        if is_image:
            yield render(_VISUAL_TOKENS, count=len(pieces))
            continue
        for text, (_, is_learned) in zip(_texts(tokenizer, [id for id, _ in pieces]), pieces, strict=True):
            yield render(_TOKEN, text=text, learned=is_learned)


def _texts(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """Decode the text that each token adds; a character split over several tokens appears with its last token."""
    texts, before = [], ""
    for end in range(1, len(ids) + 1):
        begin = max(0, end - _MAX_CHARACTER_TOKENS)  # a character spans a few tokens at most
        before = tokenizer.decode(ids[begin : end - 1], skip_special_tokens=False)
        now = tokenizer.decode(ids[begin:end], skip_special_tokens=False)
        common = before.rstrip("\N{REPLACEMENT CHARACTER}")
        texts.append(now[len(common) :].rstrip("\N{REPLACEMENT CHARACTER}") if now.startswith(common) else now)
    return texts


def write_sheet(path: Path, picked: Sequence[PreviewedSample]) -> None:
    """Write a contact sheet as PNG or JPEG, chosen by the suffix of the path."""
    draw_sheet(picked).save(path)
