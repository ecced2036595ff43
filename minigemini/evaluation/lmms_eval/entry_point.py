"""The target of the entry point `lmms_eval.models`; lmms-eval is imported only when it calls `manifests`."""

from typing import Any

ADAPTER_MODULE = "minigemini.evaluation.lmms_eval.adapter"


def manifests() -> list[Any]:
    """Manifests of `--model minigemini` and `--model minigemini_served`."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return [
        ModelManifest(
            "minigemini", simple_class_path=f"{ADAPTER_MODULE}.Simple", chat_class_path=f"{ADAPTER_MODULE}.Chat"
        ),
        ModelManifest("minigemini_served", chat_class_path=f"{ADAPTER_MODULE}.ServedChat"),
    ]
