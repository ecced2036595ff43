"""The image token of a text tokenizer, and the space after it.

The published models tokenize the text after an image separately, so a tokenizer that prefixes text with a space
(Llama's `▁`) adds one after each image. Tokenizers that prefix only the start of the whole prompt need an explicit
space after an image to produce the same tokens; others must not get one.
"""

from typing import Any

from transformers import AddedToken
from transformers.tokenization_utils_base import PreTrainedTokenizerBase


def add_image_token(tokenizer: PreTrainedTokenizerBase, image_token: str = "<image>") -> int:
    """Add the image token to the tokenizer if it is not a single token yet, and return its id."""
    known = tokenizer.convert_tokens_to_ids(image_token)
    if known == tokenizer.unk_token_id or tokenizer.encode(image_token, add_special_tokens=False) != [known]:
        tokenizer.add_tokens([AddedToken(image_token, normalized=False, special=True)], special_tokens=True)
    (image_token_id,) = tokenizer.encode(image_token, add_special_tokens=False)
    return image_token_id


def needs_space_after(tokenizer: PreTrainedTokenizerBase, image_token: str) -> bool:
    """Whether text after the image token needs a leading space to be tokenized like separate text.

    Raises:
        ValueError: The tokens differ with a space too.
    """
    alone = tokenizer.encode("a", add_special_tokens=False)
    for between in ("", " "):
        if tokenizer.encode(f"{image_token}{between}a", add_special_tokens=False)[1:] == alone:
            return between == " "
    raise ValueError(
        f"text after {image_token!r} is not tokenized like text at the start of a prompt, with or without a space "
        "before it: add the image token as AddedToken(…, rstrip=False, normalized=False), so that it does not strip "
        "its surroundings."
    )


def space_after_images(text: str, replacements: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """Insert a space between each image and the text after it, but not between images or at the end.

    Args:
        text: A prompt that contains the image tokens of each image.
        replacements: The replaced placeholders, as returned by `ProcessorMixin.get_text_with_replacements`.

    Returns:
        The text with spaces, and all replacements in it. Each space is recorded as replacing the character after it
        by a space and that character: label masks are computed from these spans, so an answer that begins there
        includes the space.
    """
    pieces: list[str] = []
    spaced: list[dict[str, Any]] = []
    last = 0
    stops = {image["new_span"][0] for image in replacements} | {len(text)}
    for image in replacements:
        start, end = image["new_span"]
        shift = len(pieces)  # one space has been inserted after each earlier piece
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
