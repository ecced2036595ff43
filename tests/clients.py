"""Ask a real server by the clients that people use, and print a table of what was run and the results.

    make test-clients

Runs in an environment of the clients alone. The argument is the Python that has minigemini; it runs the server.
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
SIGN = ROOT / "examples" / "sign.png"
KEY, ORIGIN = "a-key-that-nobody-guesses", "http://localhost:3000"
QUESTION, ANSWER = "What does the sign say?", "BEAT"
DATA_URI = "data:image/png;base64," + base64.b64encode(SIGN.read_bytes()).decode()
CONTENT = [{"type": "image_url", "image_url": {"url": DATA_URI}}, {"type": "text", "text": QUESTION}]
MESSAGES = [{"role": "user", "content": CONTENT}]
SCHEMA = {
    "title": "sign",
    "description": "A sign.",
    "type": "object",
    "properties": {"color": {"enum": ["red", "blue"]}},
    "required": ["color"],
    "additionalProperties": False,
}

# litellm would fetch a price list.
os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_API_KEY": KEY}


def openai_chat(url: str) -> str:
    """Chat completion, streamed, with an image."""
    from openai import OpenAI

    client = OpenAI(base_url=f"{url}/v1", api_key=KEY)
    stream = client.chat.completions.create(model="nano", messages=MESSAGES, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def openai_responses(url: str) -> str:
    """Response, streamed, with an image."""
    from openai import OpenAI

    content = [{"type": "input_image", "image_url": DATA_URI}, {"type": "input_text", "text": QUESTION}]
    client = OpenAI(base_url=f"{url}/v1", api_key=KEY)
    with client.responses.stream(model="nano", input=[{"role": "user", "content": content}]) as stream:
        return stream.get_final_response().output_text


def openai_completions(url: str) -> str:
    """Text completion."""
    from openai import OpenAI

    client = OpenAI(base_url=f"{url}/v1", api_key=KEY)
    text = client.completions.create(model="nano", prompt="<bos><|user|>Hello<|assistant|>").choices[0].text
    return ANSWER if text else text


def litellm_chat(url: str) -> str:
    """`completion`, with an image."""
    import litellm

    answer = litellm.completion(model="openai/nano", api_base=f"{url}/v1", api_key=KEY, messages=MESSAGES, top_k=1)
    return answer.choices[0].message.content


def litellm_responses(url: str) -> str:
    """`responses`, with an image."""
    import litellm

    content = [{"type": "input_image", "image_url": DATA_URI}, {"type": "input_text", "text": QUESTION}]
    answer = litellm.responses(
        model="openai/nano", api_base=f"{url}/v1", api_key=KEY, input=[{"role": "user", "content": content}]
    )
    return answer.output[0].content[0].text


def langchain_chat(url: str) -> str:
    """`ChatOpenAI`, streamed, with an image and a system message."""
    from langchain_core.messages import HumanMessage, SystemMessage
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="nano", base_url=f"{url}/v1", api_key=KEY, temperature=0)
    return "".join(chunk.text for chunk in model.stream([SystemMessage("Be brief."), HumanMessage(CONTENT)]))


def langchain_responses(url: str) -> str:
    """`ChatOpenAI(use_responses_api=True)`, with an image."""
    from langchain_core.messages import HumanMessage
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="nano", base_url=f"{url}/v1", api_key=KEY, use_responses_api=True)
    return model.invoke([HumanMessage(CONTENT)]).text


def langchain_structured(url: str) -> str:
    """`with_structured_output`, a JSON schema."""
    from langchain_core.messages import HumanMessage
    from langchain_openai import ChatOpenAI

    model = ChatOpenAI(model="nano", base_url=f"{url}/v1", api_key=KEY)
    found = model.with_structured_output(SCHEMA, method="json_schema").invoke([HumanMessage(CONTENT)])
    return ANSWER if found["color"] in ("red", "blue") else str(found)


def llama_index_chat(url: str) -> str:
    """`OpenAILike.chat`, with an image."""
    from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
    from llama_index.llms.openai_like import OpenAILike

    model = OpenAILike(model="nano", api_base=f"{url}/v1", api_key=KEY, is_chat_model=True, temperature=0)
    message = ChatMessage(role="user", blocks=[ImageBlock(path=SIGN), TextBlock(text=QUESTION)])
    return model.chat([message]).message.content or ""


def llama_index_complete(url: str) -> str:
    """`OpenAILike.complete`, text."""
    from llama_index.llms.openai_like import OpenAILike

    model = OpenAILike(model="nano", api_base=f"{url}/v1", api_key=KEY, is_chat_model=False, temperature=0)
    return ANSWER if model.complete("<bos><|user|>Hello<|assistant|>").text else ""


def llm_command(url: str) -> str:
    """`llm -m nano -a sign.png`."""
    with tempfile.TemporaryDirectory() as folder:
        # JSON is YAML.
        model = {"model_id": "nano", "model_name": "nano", "api_base": f"{url}/v1", "api_key_name": "x", "vision": True}
        (Path(folder) / "extra-openai-models.yaml").write_text(json.dumps([model]))
        command = [sys.executable, "-m", "llm", "-m", "nano", "-a", str(SIGN), "--key", KEY, QUESTION]
        ran = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LLM_USER_PATH": folder})
        return ran.stdout.strip() or ran.stderr[-300:]


def ollama_chat(url: str) -> str:
    """`Client.list` and `Client.chat`, streamed, with an image."""
    from ollama import Client

    client = Client(host=url, headers={"Authorization": f"Bearer {KEY}"})
    [model] = client.list().models
    message = {"role": "user", "content": QUESTION, "images": [str(SIGN)]}
    return "".join(part.message.content for part in client.chat(model.model, [message], stream=True))


def browser_page(url: str) -> str:
    """What a page such as Open WebUI sends with direct connections: preflight, models, a streamed chat."""
    import httpx

    preflight = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    allowed = httpx.options(f"{url}/v1/chat/completions", headers=preflight).raise_for_status()
    headers = {"Origin": ORIGIN, "Authorization": f"Bearer {KEY}"}
    models = httpx.get(f"{url}/v1/models", headers=headers).raise_for_status().json()["data"]
    body = {"stream": True, "model": models[0]["id"], "messages": MESSAGES, "stream_options": {"include_usage": True}}
    answer = httpx.post(f"{url}/v1/chat/completions", headers=headers, json=body, timeout=60)
    for response in (allowed, answer):
        assert response.headers["access-control-allow-origin"] == ORIGIN
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content", "") for event in events for choice in event["choices"])


CHECKS: list[tuple[str, Callable[[str], str]]] = [
    ("openai", openai_chat),
    ("openai", openai_responses),
    ("openai", openai_completions),
    ("litellm", litellm_chat),
    ("litellm", litellm_responses),
    ("langchain-openai", langchain_chat),
    ("langchain-openai", langchain_responses),
    ("langchain-openai", langchain_structured),
    ("llama-index-llms-openai-like", llama_index_chat),
    ("llama-index-llms-openai-like", llama_index_complete),
    ("llm", llm_command),
    ("ollama", ollama_chat),
    ("httpx", browser_page),
]


@contextmanager
def server(python: str) -> Iterator[str]:
    """Run `minigemini serve` on a free port and yield its URL."""
    command = [python, "-m", "minigemini", "serve", "--port", "0", "--allow-origin", ORIGIN]
    environment = {**os.environ, "MINIGEMINI_API_KEY": KEY}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "listening on " in line:
                    break
            else:
                sys.exit("the server did not start; see its message above")
            # Its log of requests is short enough for the pipe.
            yield line.partition("listening on ")[2].split("/v1")[0].strip()
        finally:
            process.terminate()


def main() -> int:
    """Run all checks; return the number of failures."""
    failures = 0
    with server(sys.argv[1]) as url:
        print("| client | version | run | result |\n|---|---|---|---|")
        for client, check in CHECKS:
            try:
                answer = check(url)
            except Exception:  # noqa: BLE001 (the other clients are run too)
                traceback.print_exc()
                answer = "an exception"
            passed = answer == ANSWER
            failures += not passed
            result = "passed" if passed else f"FAILED: {answer[:200]}"
            print(f"| {client} | {version(client)} | {(check.__doc__ or '').rstrip('.')} | {result} |", flush=True)
    return failures


if __name__ == "__main__":
    sys.exit(bool(main()))
