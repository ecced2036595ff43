"""Memory and time of converting a published model at its real size.

    python benchmarks/conversion.py --model MGM-34B --folder /tmp/conversion     # writes 70 GB, and removes them

The checkpoint and both base encoders are fabricated: every tensor has its real name, shape and dtype, but the files are
holes, zeros that take no disk, so that reading costs less than from a disk. What is written takes its full size. Memory
is the peak of the whole process, and that above a run which ends before anything is read.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import sparse_checkpoints  # noqa: E402 (its folder is on the path from here on)

from minigemini.conversion import PUBLISHED  # noqa: E402
from minigemini.modeling.configuration import CLIP_VIT_L_14_336  # noqa: E402

TOKENIZERS = {"vicuna": "tok_llama_fast", "mistral": "tok_llama_fast", "gemma": "tok_gemma_fast"}
TOKENIZERS |= {"chatml": "tok_yi_slow_legacyT", "llama-3": "tok_llama3_fast"}


def fabricate_checkpoint(name: str, folder: Path) -> int:
    """Write a published model and its base encoders as holes; gives the size of its weights in bytes."""
    published = PUBLISHED[name]
    sparse_checkpoints.write_sparse(folder / "vit", sparse_checkpoints.vit("vision_model."), "F32")
    (folder / "vit" / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": CLIP_VIT_L_14_336}))
    sparse_checkpoints.write_sparse(folder / "convnext", sparse_checkpoints.convnext("visual.trunk."), "F32")
    size = sparse_checkpoints.write_sparse(folder / name, sparse_checkpoints.published(published.fields))
    fields = {**published.fields, "mm_vision_tower": "vit", "mm_vision_tower_aux": "convnext"}
    (folder / name / "config.json").write_text(json.dumps(fields))
    tokenizer = TOKENIZERS[published.language_model.chat_format]
    shutil.copytree(ROOT / "tests" / "golden" / "prompts" / tokenizer, folder / name, dirs_exist_ok=True)
    return size


def convert(source: Path, folder: Path, shard_size: str) -> tuple[float, int]:
    """Run `minigemini convert`: seconds, and the peak of its memory in bytes."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "minigemini", "convert", str(source), str(folder), "--shard-size", shard_size]
    _, _, usage = os.wait4(subprocess.Popen(command).pid, 0)
    return time.perf_counter() - start, usage.ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=PUBLISHED, default="MGM-34B")
    parser.add_argument("--folder", type=Path, required=True, help="where to work; must not exist")
    parser.add_argument("--shard-size", default="2GB")
    args = parser.parse_args()
    args.folder.mkdir()
    try:
        size = fabricate_checkpoint(args.model, args.folder)
        (args.folder / "there").mkdir()
        _, before = convert(args.folder / args.model, args.folder / "there", args.shard_size)
        seconds, peak = convert(args.folder / args.model, args.folder / "converted", args.shard_size)
        written = sum(file.stat().st_size for file in (args.folder / "converted").iterdir())
    finally:
        shutil.rmtree(args.folder)
    print(f"{args.model}: {size / 1e9:.1f} GB in {seconds:.0f} s, {written / 1e9:.1f} GB written")
    print(f"peak {peak / 1e9:.2f} GB, {(peak - before) / 1e9:.2f} GB above the {before / 1e9:.2f} GB of its imports")


if __name__ == "__main__":
    main()
