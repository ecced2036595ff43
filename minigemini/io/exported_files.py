"""Where an exported model keeps its graphs: the layouts of onnx-community's folders, and of optimum-intel's.

    FOLDER/onnx/vision_encoder.onnx              FOLDER/openvino_vision_embeddings_model.xml, .bin
    FOLDER/onnx/embed_tokens.onnx                FOLDER/openvino_text_embeddings_model.xml, .bin
    FOLDER/onnx/decoder_model_merged.onnx        FOLDER/openvino_language_model.xml, .bin

Names of ONNX files end in `_int8` if their weights have 8 bits. Config, processor and tokenizer are beside them.
"""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from .errors import CheckpointError, RequestError

VISION, EMBEDDINGS, DECODER = "vision_encoder", "embed_tokens", "decoder_model_merged"
RUNTIMES = ("onnx", "openvino")
WEIGHTS = ("float32", "int8")
_PACKAGES = {"onnx": ["onnx", "onnxscript", "onnxruntime"], "openvino": ["onnx", "onnxscript", "openvino", "nncf"]}
"""What writing the graphs needs, by runtime."""
_OPENVINO = {
    VISION: "openvino_vision_embeddings_model",
    EMBEDDINGS: "openvino_text_embeddings_model",
    DECODER: "openvino_language_model",
}


def check_export(runtime: str, weights: str) -> None:
    """Check the arguments of an export, and that the packages are installed. Raises `RequestError`."""
    for name, value, known in (("--to", runtime, RUNTIMES), ("--weights", weights, WEIGHTS)):
        if value not in known:
            raise RequestError(f"{name} is {value!r}; use {' or '.join(known)}")
    for package in _PACKAGES[runtime]:
        if find_spec(package) is None:
            raise RequestError(f"{package} is not installed: pip install 'minigemini[{runtime}]'")


def graph_files(folder: Path, runtime: str, weights: str = "float32") -> dict[str, Path]:
    """Return the files of the three graphs by name; of OpenVINO's pairs, the .xml."""
    if runtime == "onnx":
        suffix = "" if weights == "float32" else f"_{weights}"
        return {name: folder / "onnx" / f"{name}{suffix}.onnx" for name in _OPENVINO}
    return {name: folder / f"{file}.xml" for name, file in _OPENVINO.items()}


def find_exported(model: str | os.PathLike[str]) -> tuple[str, Mapping[str, Path]] | None:
    """Return the runtime and the files of an exported model; None if the name is not the folder of one.

    Raises:
        CheckpointError: The folder contains some of the graphs, but not all.
    """
    folder = Path(model).expanduser()
    for runtime in RUNTIMES:
        for weights in WEIGHTS:
            files = graph_files(folder, runtime, weights)
            missing = [file for file in files.values() if not file.is_file()]
            if not missing:
                return runtime, files
            if len(missing) < len(files):
                raise CheckpointError(
                    f"{missing[0]}: no such file, but other graphs are there; copy or export it again"
                )
    return None


def check_exported_options(model: str | os.PathLike[str], **options: object) -> None:
    """Check that no options of loading are given that only PyTorch has. Raises `RequestError`."""
    given = [name for name, value in options.items() if value is not None]
    if options.get("device") == "cpu":
        given.remove("device")
    if given:
        raise RequestError(
            f"{os.fspath(model)}: an exported model runs on the CPU with the weights that it has; omit {given[0]}, or "
            "load the checkpoint that it was exported from"
        )
