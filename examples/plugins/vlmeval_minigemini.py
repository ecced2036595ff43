"""Mini-Gemini for VLMEvalKit, from its checkout: python vlmeval_minigemini.py --model minigemini --data …

The environment variable MINIGEMINI_MODEL names the checkpoint. VLMEvalKit's own Mini-Gemini runs the authors' code and
MGM-7B-HD alone.
"""

import os
import runpy
from functools import partial

from vlmeval.config import supported_VLM
from vlmeval.vlm.base import BaseModel

from minigemini.inference import Engine, Sampling


class MiniGemini(BaseModel):
    """Answers with the engine, greedily."""

    INTERLEAVE = True
    allowed_types = ["text", "image"]  # noqa: RUF012 (as in the base class)

    def __init__(self, model_path, max_new_tokens=1024, **kwargs):
        super().__init__()
        self.engine = Engine.load(model_path, **kwargs)
        self.sampling = Sampling(max_new_tokens=max_new_tokens)

    def generate_inner(self, message, dataset=None):
        images = [part["value"] for part in message if part["type"] == "image"]
        text = "\n".join(part["value"] for part in message if part["type"] == "text")
        return self.engine.ask(images, text, self.sampling).text


supported_VLM["minigemini"] = partial(MiniGemini, model_path=os.environ.get("MINIGEMINI_MODEL", "nano"))

if __name__ == "__main__":
    runpy.run_path("run.py", run_name="__main__")
