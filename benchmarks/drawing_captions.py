"""Captions for drawing in 64 hand-written conversations, checked by rule: subject kept, change made, tags right.

python benchmarks/drawing_captions.py --model small
python benchmarks/drawing_captions.py --model mgm-2b --errors

No picture is drawn: the model's own answers are the context of the next turn.
"""

import argparse

import torch
from tqdm import tqdm

from minigemini.inference import Conversation, Engine, Sampling
from minigemini_models.evaluation.drawing_captions import Chat, ask_all, caption_table, read_conversations

MAX_NEW_TOKENS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a name, a folder or a hub id")
    parser.add_argument("--limit", type=int, help="only the first conversations")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--errors", action="store_true", help="also print the turns that are not right")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    engine = Engine.load(args.model, device="cpu")
    conversations = read_conversations()[: args.limit]
    turns = sum(len(conversation.turns) for conversation in conversations)
    results = list(tqdm(ask_all(conversations, lambda: start_chat(engine)), total=turns, desc="turns", leave=False))
    print(caption_table(results))
    for result in results if args.errors else ():
        if not result.verdict.right:
            print(f"\n{result.conversation}: {result.turn.ask}\n  {result.answer}\n  {result.verdict}")


def start_chat(engine: Engine) -> Chat:
    conversation = Conversation(engine)
    sampling = Sampling(max_new_tokens=MAX_NEW_TOKENS)
    return lambda ask, draw: conversation.stream(ask, sampling, draw=draw).answer.text


if __name__ == "__main__":
    main()
