"""Tool calls: read from text, rendered by a template that has tools, and through OpenAI's client."""

import json
from copy import copy

import openai
import pytest
from api_server import KEY, serving
from scripted_engine import script

from minigemini.inference import Engine
from minigemini.inference.tool_calls import ToolCall, ToolCallParser
from minigemini.modeling.chat_templates import CHAT_TEMPLATES
from minigemini.serving.engine_backend import EngineBackend
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState

# The form of Hermes and Qwen, around nano's.
TEMPLATE = """
{%- if tools -%}
<tools>{% for tool in tools %}{{ tool | tojson }}{% endfor %}</tools>Answer with <tool_call>.
{%- endif -%}
{%- for message in messages -%}
<|{{ message['role'] }}|>{{ message['content'] }}
{%- for call in message['tool_calls'] or [] -%}
{%- set function = call['function'] -%}
<tool_call>{"name": "{{ function['name'] }}", "arguments": {{ function['arguments'] | tojson }}}</tool_call>
{%- endfor -%}
{%- endfor -%}
{%- if add_generation_prompt -%}<|assistant|>{%- endif -%}
"""
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'
QUESTION = {"role": "user", "content": "How is the weather in Paris?"}


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("answer", "text", "calls"),
    [
        ("Hello <b>!", "Hello <b>!", []),
        (f"Let me see. {CALL}", "Let me see. ", ["Paris"]),
        (f"{CALL}\n{CALL.replace('Paris', 'Rome')}", "\n", ["Paris", "Rome"]),
        ("<tool_call>{}</tool_call>x", "<tool_call>{}</tool_call>x", []),
        ("<tool_call>[1]</tool_call>", "<tool_call>[1]</tool_call>", []),
        (CALL[:-3], CALL[:-3], []),
        ("a <tool_ca", "a <tool_ca", []),
    ],
)
def test_calls_are_read_from_a_streamed_answer(answer, text, calls, size):
    parser = ToolCallParser()
    pieces = [parser.feed(answer[start : start + size]) for start in range(0, len(answer), size)]
    assert "".join(pieces) + parser.close() == text
    assert parser.calls == [ToolCall("weather", json.dumps({"city": city})) for city in calls]


@pytest.fixture(scope="module")
def engine(tiny_checkpoint) -> Engine:
    loaded = Engine.load(tiny_checkpoint, device="cpu")
    processor = copy(loaded.processor)
    processor.chat_template = TEMPLATE
    return Engine(loaded.model, processor, "tiny")


@pytest.fixture(scope="module")
def client(engine):
    with serving(ServerState(ServerSettings(api_keys=(KEY,)), EngineBackend(engine, "tiny"))) as running:
        yield running.client()


def test_a_template_that_writes_any_role_keeps_system_messages(engine):
    messages = [{"role": "system", "content": "Be brief."}, QUESTION]
    assert engine.prompts.text(messages).startswith("<|system|>Be brief.")


def test_a_tool_cannot_hold_the_placeholder_of_a_video(engine):
    tool = {**WEATHER, "function": {**WEATHER["function"], "description": "Like <video>."}}
    assert engine.prompts.tools_as_text([tool])[0]["function"]["description"] == "Like < video>."


def test_a_tool_is_called_and_its_result_answered(client, engine, monkeypatch):
    prompts = script(engine, [f"Let me see. {CALL}", "It rains."], monkeypatch)
    options = {"model": "tiny", "tools": [WEATHER], "max_tokens": 300}
    first = client.chat.completions.create(messages=[QUESTION], **options).choices[0]
    [call] = first.message.tool_calls
    assert (first.finish_reason, first.message.content) == ("tool_calls", "Let me see.")
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", {"city": "Paris"})
    result = {"role": "tool", "tool_call_id": call.id, "content": "rain"}
    second = client.chat.completions.create(messages=[QUESTION, first.message, result], **options).choices[0]
    assert (second.finish_reason, second.message.content) == ("stop", "It rains.")
    assert '"name": "weather"' in prompts[0].partition("</tools>")[0]
    assert '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>' in prompts[1]
    assert prompts[1].endswith("rain<|assistant|>")


def test_streamed_calls_equal_the_complete_ones(client, engine, monkeypatch):
    script(engine, [f"{CALL}{CALL}"], monkeypatch)
    stream = client.chat.completions.create(
        model="tiny", messages=[QUESTION], tools=[WEATHER], stream=True, max_tokens=300
    )
    choices = [choice for chunk in stream for choice in chunk.choices]
    [calls] = [choice.delta.tool_calls for choice in choices if choice.delta.tool_calls]
    assert [(call.index, call.function.name) for call in calls] == [(0, "weather"), (1, "weather")]
    assert len({call.id for call in calls}) == 2
    assert not any("tool_call" in (choice.delta.content or "") for choice in choices)
    assert choices[-1].finish_reason == "tool_calls"


def test_control_tokens_in_tools_are_text(client, engine, monkeypatch):
    prompts = script(engine, ["."], monkeypatch)
    function = {**WEATHER["function"], "description": "<eos>!"}
    client.chat.completions.create(
        model="tiny", messages=[QUESTION], tools=[{"type": "function", "function": function}], max_tokens=9
    )
    assert "< eos>!" in prompts[0].partition("</tools>")[0]


def test_tools_are_left_out_if_none_may_be_chosen(client, engine, monkeypatch):
    prompts = script(engine, ["."], monkeypatch)
    client.chat.completions.create(model="tiny", messages=[QUESTION], tools=[WEATHER], tool_choice="none", max_tokens=9)
    assert "<tools>" not in prompts[0]


def test_arguments_must_be_json(client):
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{"}}
    with pytest.raises(openai.BadRequestError, match="not JSON"):
        client.chat.completions.create(
            model="tiny", messages=[QUESTION, {"role": "assistant", "tool_calls": [call]}, QUESTION], max_tokens=9
        )


@pytest.mark.parametrize("name", CHAT_TEMPLATES)
def test_no_chat_format_of_ours_has_tools(tiny_checkpoint, engine, name):
    processor = copy(engine.processor)
    processor.chat_template = CHAT_TEMPLATES[name]
    assert not Engine(engine.model, processor, "tiny").prompts.supports_tools


def test_tools_without_a_template_for_them_are_refused(tiny_checkpoint):
    state = ServerState(ServerSettings(api_keys=(KEY,)), EngineBackend(Engine.load(tiny_checkpoint, "cpu"), "tiny"))
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    used = [{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "1", "content": "rain"}]
    with serving(state) as running:
        for options in ({"messages": [QUESTION], "tools": [WEATHER]}, {"messages": [QUESTION, *used]}):
            with pytest.raises(openai.BadRequestError) as caught:
                running.client().chat.completions.create(model="tiny", **options)
            assert (caught.value.code, caught.value.param) == ("no_tools", "tools")
