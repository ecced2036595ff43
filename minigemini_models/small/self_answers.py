"""The base language model's own answers to general questions, which `small` learns so that it keeps what it knows.

    python -m minigemini_models.small.self_answers OUT --model FOLDER

writes `lessons/self_answers.jsonl`: greedy, in fixed batches, so the same weights give the same file.
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

from minigemini.io.atomic_write import atomic_write

QUESTIONS = Path(__file__).parent / "lessons" / "general_questions.txt"
REJECTED = Path(__file__).parent / "lessons" / "rejected_questions.txt"
"""Questions that the base model answers wrongly or badly, found by reading all of its answers."""
SYSTEM = "Answer in one short sentence."
MAX_NEW_TOKENS = 48
BATCH = 16
_SENTENCE = re.compile(r"[^.!?]*[.!?]+(?=\s|$)[\"')]*", re.S)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="JSON Lines file to write")
    parser.add_argument("--model", required=True, help="folder of SmolLM2-135M-Instruct in Transformers' format")
    parser.add_argument("--all", action="store_true", help="also keep the rejected answers, to read them")
    args = parser.parse_args(arguments)
    rejected = set() if args.all else set(lines(REJECTED))
    questions = lines(QUESTIONS)
    records = [
        {"question": question, "answer": short}
        for question, answer in zip(questions, answers(questions, args.model), strict=True)
        if question not in rejected and (short := whole_sentences(answer))
    ]
    with atomic_write(args.out) as file:
        file.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    print(f"{len(records)} of {len(questions)} answers in {args.out}")


def lines(file: Path) -> list[str]:
    return [line for line in file.read_text(encoding="utf-8").splitlines() if line]


def answers(questions: Sequence[str], model_folder: str) -> Iterator[str]:
    """Yield the model's answers, of at most `MAX_NEW_TOKENS` tokens."""
    tokenizer: Any = AutoTokenizer.from_pretrained(model_folder, padding_side="left")
    model: Any = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()
    for start in tqdm(range(0, len(questions), BATCH), desc="answers", leave=False):
        chats = [
            [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
            for question in questions[start : start + BATCH]
        ]
        inputs: Any = tokenizer.apply_chat_template(
            chats, add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
        )
        with torch.inference_mode():
            tokens = model.generate(
                **inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False, pad_token_id=tokenizer.eos_token_id
            )
        yield from tokenizer.batch_decode(tokens[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


def whole_sentences(answer: str) -> str:
    """Return the complete sentences at the beginning of an answer; empty if there is none."""
    return "".join(_SENTENCE.findall(answer.strip())).strip()


if __name__ == "__main__":
    main()
