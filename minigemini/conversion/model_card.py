"""Model card of a converted or assembled checkpoint."""

from collections.abc import Mapping

from ..modeling import MiniGeminiConfig

_TEXT = """\
---
library_name: transformers
pipeline_tag: image-text-to-text
tags:
- minigemini
---

# {name}

A Mini-Gemini model ([arXiv 2403.18814](https://arxiv.org/abs/2403.18814)) for Transformers 5 and `minigemini`.

{origin}

| | |
|---|---|
{rows}

```python
from minigemini.inference import Engine

engine = Engine.load("path/to/this/folder")
print(engine.ask("photo.png", "What is in the image?").text)
```

The licenses of the language model, of both encoders and of the training data apply to the weights.
"""


def card(name: str, origin: str, config: MiniGeminiConfig, facts: Mapping[str, str]) -> str:
    """Return the text of the model card.

    Args:
        name: Name of the model.
        origin: Paragraph on where the weights come from.
        config: Config of the model.
        facts: Further rows of the table.
    """
    sizes = f"{config.low_res_size} px"
    if config.high_res_vision_config is not None:
        sizes += f" and {config.high_res_size} px"
    tiles = "1 tile" if config.num_tiles == 1 else f"{config.num_tiles} tiles"
    per_image = f"{config.num_image_tokens} visual tokens each"
    if config.max_tiles is not None:
        sizes, tiles, per_image = f"{sizes} per tile", f"up to {tiles}", f"up to {per_image}"
    text = config.text_config
    table = {
        "language model": f"{text.model_type}, {text.num_hidden_layers} layers of {text.hidden_size}",
        "images": f"{sizes}, {tiles}, {per_image}",
        **facts,
    }
    rows = "\n".join(f"| {label} | {value} |" for label, value in table.items())
    return _TEXT.format(name=name, origin=origin, rows=rows)
