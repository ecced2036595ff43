"""The image token of a tokenizer that was made for text, and the text that follows it.

The published models tokenise the text after a picture by itself, so a tokenizer that opens a text with a space (Llama's
`▁`) opens each such piece with one. Tokenizers that do so at the front of the whole prompt only need the space in the
text; others must not get it.
"""

from typing import Any

from transformers import AddedToken
from transformers.tokenization_utils_base import PreTrainedTokenizerBase


def add_image_token(tokenizer: PreTrainedTokenizerBase, image_token: str = "<image>") -> int:
    """Make the image token one token of the tokenizer, unless it is, and give its id."""
    known = tokenizer.convert_tokens_to_ids(image_token)
    if known == tokenizer.unk_token_id or tokenizer.encode(image_token, add_special_tokens=False) != [known]:
        tokenizer.add_tokens([AddedToken(image_token, normalized=False, special=True)], special_tokens=True)
    (image_token_id,) = tokenizer.encode(image_token, add_special_tokens=False)
    return image_token_id


def needs_space_after(tokenizer: PreTrainedTokenizerBase, image_token: str) -> bool:
    """Whether text after the image token is tokenised as if by itself only when a space precedes it.

    Raises:
        ValueError: If it is not with a space either.
    """
    alone = tokenizer.encode("a", add_special_tokens=False)
    for between in ("", " "):
        if tokenizer.encode(f"{image_token}{between}a", add_special_tokens=False)[1:] == alone:
            return between == " "
    raise ValueError(
        f"text after {image_token!r} is not tokenised as at the front of a prompt, with a space before it or without: "
        "the image token must not strip what surrounds it (AddedToken(…, rstrip=False, normalized=False))."
    )


def space_after_images(text: str, replacements: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """Put a space between each picture and the text behind it; between pictures and at the end there is none to open.

    Args:
        text: A prompt with the image tokens of each picture in place.
        replacements: What took the place of each picture, as `ProcessorMixin.get_text_with_replacements` tells it.

    Returns:
        The spaced text and all replacements in it. The space and the character it precedes replace that character, so
        that an answer which begins there owns the space: label masks are found by these spans.
    """
    pieces: list[str] = []
    spaced: list[dict[str, Any]] = []
    last = 0
    stops = {image["new_span"][0] for image in replacements} | {len(text)}
    for image in replacements:
        start, end = image["new_span"]
        shift = len(pieces)  # each piece so far gained one space
        spaced.append({**image, "new_span": (start + shift, end + shift)})
        if end in stops:
            continue
        spaced.append(
            {
                "type": "text",
                "span": (image["span"][1], image["span"][1] + 1),
                "new_span": (end + shift, end + shift + 2),
                "text": text[end],
                "replacement": f" {text[end]}",
            }
        )
        pieces.append(text[last:end])
        last = end
    return " ".join([*pieces, text[last:]]), spaced
