"""What the entry point `lmms_eval.models` names; importing lmms-eval is left to lmms-eval."""

from typing import Any

HERE = "minigemini.evaluation.lmms_eval.adapter"


def manifests() -> list[Any]:
    """`--model minigemini` and `--model minigemini_served`."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return [
        ModelManifest("minigemini", simple_class_path=f"{HERE}.Simple", chat_class_path=f"{HERE}.Chat"),
        ModelManifest("minigemini_served", chat_class_path=f"{HERE}.ServedChat"),
    ]
