"""Synthesis of generation data, against a local endpoint with every failure that endpoints have."""

import json
import re
import sys
from collections import Counter
from dataclasses import replace

import pytest
from misbehaving_endpoint import GOOD_RE_CAPTION, serving
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.data.readers import JsonListReader
from minigemini.data.schema import text_of
from minigemini.dataprep.synthesize import (
    Endpoint,
    EndpointError,
    JournalError,
    SynthesisError,
    SynthesisSettings,
    build_requests,
    estimate,
    synthesize,
)
from minigemini.dataprep.synthesize.synthesis_tasks import CAPTIONS, RejectedReplyError, SynthesisRequest, read_reply
from minigemini.io.openai_client import ChatClient, RetryPolicy

FAST = RetryPolicy(timeout_s=2.0, first_wait_s=0.01, longest_wait_s=0.05)
TALK = [("How do I boil an egg?", "Seven minutes in boiling water."), ("And a soft one?", "Five minutes then.")]
GOOD_IN_CONTEXT = '"an egg in a pot, steam, photograph"\n"a soft boiled egg in a cup, warm light"'


@pytest.fixture
def settings(tmp_path) -> SynthesisSettings:
    """Twelve descriptions and four conversations."""
    descriptions = [
        {
            "id": n,
            "image": f"{n}.jpg",
            "conversations": [
                {"from": "human", "value": "<image>\nHow?"},
                {"from": "gpt", "value": f"A cat, {n}."},
            ],
        }
        for n in range(12)
    ]
    turns = [turn for q, a in TALK for turn in ({"from": "human", "value": q}, {"from": "gpt", "value": a})]
    (tmp_path / "described.json").write_text(json.dumps(descriptions))
    (tmp_path / "talks.json").write_text(json.dumps([{"id": f"talk-{n}", "conversations": turns} for n in range(4)]))
    return SynthesisSettings(tmp_path / "out.json", tmp_path / "described.json", tmp_path / "talks.json")


def good(prompt: str, seen: int = 0):
    return ("say", GOOD_RE_CAPTION if "description" in prompt else GOOD_IN_CONTEXT)


@pytest.fixture(autouse=True)
def api_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")


def endpoint(server, concurrency=4, tries=FAST.tries) -> Endpoint:
    return Endpoint(ChatClient(server.url, "strong", retries=replace(FAST, tries=tries)), concurrency)


def number_of(prompt: str) -> int | None:
    found = re.search(r"A cat, (\d+)\.", prompt)
    return int(found[1]) if found else None


# Prompts and replies


def test_each_prompt_has_five_captions_and_three_queries(settings):
    jobs, bad = build_requests(settings)
    assert (len(jobs), bad) == (16, Counter())
    shown = [tuple(line for line in job.prompt[-1]["content"].splitlines() if line.startswith("- ")) for job in jobs]
    assert {len(lines) for lines in shown} == {8, 5}
    assert len(set(shown)) == 16
    assert all(line[2:] in CAPTIONS for lines in shown for line in lines[-5:])
    assert [job.key for job in jobs] == [job.key for job in build_requests(settings)[0]]
    assert [job.key for job in jobs] != [job.key for job in build_requests(replace(settings, seed=1))[0]]


RE_CAPTION = SynthesisRequest("re-caption", "s", "1", ())
IN_CONTEXT = SynthesisRequest("in-context", "s", "1", (), tuple(TALK))


@pytest.mark.parametrize(
    ("job", "reply", "outcome"),
    [
        (RE_CAPTION, "A cat!", RejectedReplyError.QUOTES),
        (RE_CAPTION, '"one"', RejectedReplyError.QUOTES),
        (RE_CAPTION, '"one" "two" "three"', RejectedReplyError.QUOTES),
        (RE_CAPTION, '"Draw" ""', RejectedReplyError.EMPTY),
        (RE_CAPTION, f'"Draw" "{"very " * 30}long"', RejectedReplyError.LONG),
        (RE_CAPTION, f'"{"please " * 61}" "a cat"', RejectedReplyError.LONG),
        (RE_CAPTION, '"Draw <GEN>" "a cat"', RejectedReplyError.TAGS),
        (RE_CAPTION, '"Draw" "<h>a cat</h>"', RejectedReplyError.TAGS),
        (RE_CAPTION, '"What is in <image>?" "a cat"', RejectedReplyError.TAGS),
        (IN_CONTEXT, '"an egg"', RejectedReplyError.QUOTES),
        (IN_CONTEXT, '"" ""', RejectedReplyError.NO_IMAGE),
        (IN_CONTEXT, '"How do I boil an egg? Seven minutes in" ""', RejectedReplyError.COPIED),
        (IN_CONTEXT, f'"{"very " * 30}long" ""', RejectedReplyError.LONG),
    ],
)
def test_replies_out_of_format_are_rejected_with_a_reason(job, reply, outcome):
    assert read_reply(job, reply) is outcome


def test_replies_are_converted_to_the_published_format():
    assert read_reply(RE_CAPTION, 'Request: “Draw me\n a cat”\nCaption: "a cat, photo"') == [
        {"from": "human", "value": "Draw me a cat <GEN>"},
        {"from": "gpt", "value": "<h>a cat, photo</h>"},
    ]
    assert read_reply(IN_CONTEXT, '1. ""\n2. "a soft egg"') == [
        {"from": "human", "value": TALK[0][0]},
        {"from": "gpt", "value": TALK[0][1]},
        {"from": "human", "value": f"{TALK[1][0]} <GEN>"},
        {"from": "gpt", "value": f"{TALK[1][1]} <h>a soft egg</h>"},
    ]


# Runs


def test_output_is_readable_training_data(settings):
    with serving(good) as server:
        report = synthesize(settings, endpoint(server))
    assert report.kept == {"re-caption": 12, "in-context": 4}
    assert (report.asked, report.prompt_tokens, report.new_tokens) == (16, 1600, 320)
    assert server.keys == {"Bearer secret"}
    samples = JsonListReader(settings.output)
    assert len(samples) == 16
    assert text_of(samples[0].messages[0]) == "Draw me a cat, please. <GEN>"
    assert text_of(samples[15].messages[-1]).endswith("<h>a soft boiled egg in a cup, warm light</h>")
    records = json.loads(settings.output.read_text())
    assert records[0]["provenance"]["task"] == "re-caption"
    assert {record["provenance"]["model"] for record in records} == {"strong"}
    assert [record["provenance"]["id"] for record in records][:12] == [str(n) for n in range(12)]
    assert len({record["id"] for record in records}) == 16
    for file in settings.output.parent.iterdir():
        assert "secret" not in file.read_text()


FAILURES = ["too many", "down", "half", "half json", "no choices", "no text", "hang", "drip"]


def test_failures_are_retried_and_bad_replies_dropped(settings):
    """Each failure occurs once before a valid reply; three further replies are unusable."""

    def behave(prompt, seen):
        number = number_of(prompt)
        if number is not None and number < len(FAILURES) and not seen:
            return FAILURES[number]
        return {9: "cut", 10: "refuse", 11: ("say", "A cat.")}.get(number) or good(prompt)

    with serving(behave) as server:
        report = synthesize(settings, endpoint(server))
    assert report.kept == {"re-caption": 9, "in-context": 4}
    assert report.dropped == {"cut off": 1, "refused by the endpoint": 1, "not the quoted lines asked for": 1}
    assert report.retries == {
        "status 429": 1,
        "status 503": 1,
        "connection lost": 1,
        "no chat completion": 3,
        "timeout": 2,
    }
    assert report.given_up == 0
    assert sorted(server.asked.values()) == [1] * 8 + [2] * 8
    assert "kept: 9 re-caption" in report.text()
    assert json.loads((settings.output.parent / "out.report.json").read_text())["dropped"] == dict(report.dropped)


def test_concurrency_is_limited(settings):
    with serving(lambda *_: "slow") as server:
        synthesize(settings, endpoint(server, concurrency=3))
    assert server.most_at_once == 3


def test_killed_run_repeats_no_request(settings):
    with serving(lambda prompt, seen: good(prompt) if (number_of(prompt) or 0) < 5 else "no key") as server:
        with pytest.raises(EndpointError, match="answers 401 for model 'strong'; check key"):
            synthesize(settings, endpoint(server, concurrency=1))
        first = Counter(server.asked)
    journal = settings.journal.read_bytes()
    settings.journal.write_bytes(journal + b'{"key": "cut off by a ki')
    assert estimate(settings, build_requests(settings)[0]).done == 5
    with serving(good) as server:
        report = synthesize(settings, endpoint(server))
        assert (report.asked, sum(report.kept.values())) == (11, 16)
        assert not [prompt for prompt in server.asked if first[prompt] and number_of(prompt) < 5]
        repeated = synthesize(settings, endpoint(server))
        assert (repeated.asked, repeated.kept) == (0, report.kept)
        assert max(server.asked.values()) == 1


def test_failed_requests_are_sent_by_the_next_run(settings):
    with serving(lambda prompt, seen: "down" if number_of(prompt) == 3 else good(prompt)) as server:
        report = synthesize(settings, endpoint(server, tries=2))
    assert (report.given_up, sum(report.kept.values())) == (1, 15)
    assert "failed: 1; run again to retry" in report.text()
    with serving(good) as server:
        assert synthesize(settings, endpoint(server)).asked == 1


def test_run_ends_if_the_endpoint_is_down(settings):
    with (
        serving(lambda *_: "down") as server,
        pytest.raises(EndpointError, match=r"requests in succession failed 2 times each \(status 503\)"),
    ):
        synthesize(settings, endpoint(server, tries=2, concurrency=2))
    with pytest.raises(EndpointError, match="cannot connect"):
        synthesize(settings, endpoint(server, tries=1, concurrency=1))


def test_budget_stops_requests_but_keeps_replies_in_flight(settings):
    priced = replace(settings, price_in=10.0, price_out=50.0, budget=0.006)  # 0.002 a reply
    assert estimate(priced, build_requests(priced)[0]).cost > 0.02
    with serving(good) as server:
        report = synthesize(priced, endpoint(server, concurrency=1))
        assert (report.asked, report.left, round(report.cost, 4)) == (3, 13, 0.006)
        assert synthesize(priced, endpoint(server)).asked == 0
    assert "not requested: 13; the budget is spent" in report.text()


def test_invalid_journal_and_missing_files_are_named(settings, tmp_path):
    settings.journal.write_text('{"key": "a"}\n{"key": "b"}\n')
    with pytest.raises(JournalError, match="line 1 is not an entry"):
        estimate(settings, build_requests(settings)[0])
    with pytest.raises(SynthesisError, match="no input files"):
        build_requests(SynthesisSettings(tmp_path / "x.json"))
    with pytest.raises(SynthesisError, match=r"no\.json: no such file"):
        build_requests(SynthesisSettings(tmp_path / "x.json", tmp_path / "no.json"))
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(SynthesisError, match="contains no captions"):
        build_requests(replace(settings, pool=tmp_path / "empty.txt"))


def test_bad_samples_are_counted_and_own_examples_used(settings, tmp_path):
    records = json.loads(settings.in_context.read_text())
    records[0]["conversations"].pop()
    settings.in_context.write_text(json.dumps(records))
    (tmp_path / "pool.txt").write_text("\n".join(f"my caption {n}" for n in range(6)))
    jobs, bad = build_requests(replace(settings, pool=tmp_path / "pool.txt", limit=2))
    assert (len(jobs), bad) == (3, {"wrong order of roles": 1})
    assert all(job.prompt[-1]["content"].count("my caption") == 5 for job in jobs)


# The command line


def run(*words, **options):
    return CliRunner().invoke(app, ["data", "synthesize", *map(str, words)], catch_exceptions=False, **options)


def test_command_estimates_and_runs(settings, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    words = [settings.output, "--re-caption", settings.re_caption, "--price-in", 1, "--price-out", 2]
    estimated = run(*words, "--estimate")
    assert (estimated.exit_code, estimated.stdout.startswith("12 of 12 requests to send (0 in the journal)")) == (
        0,
        True,
    )
    assert not settings.journal.exists()
    with serving(good) as server:
        done = run(*words, "--endpoint", server.url, "--model", "strong", "--api-key-env", "MY_KEY")
    assert done.exit_code == 0, done.stderr
    assert "12 of 12 kept, 12 requested in this run, by strong" in done.stdout
    assert server.keys == {"Bearer secret"}
    assert "secret" not in done.stdout + done.stderr


def test_invalid_options_are_one_line_errors(settings, tmp_path, monkeypatch):
    for words, message in [
        ([tmp_path / "out.txt"], "must end in .json"),
        ([tmp_path / "no" / "out.json"], "folder must exist"),
        ([settings.output], "no input files"),
        ([settings.output, "--re-caption", settings.re_caption], "give --endpoint and --model"),
        ([settings.output, "--re-caption", settings.re_caption, "--endpoint", "x", "--model", "y"], "http://"),
    ]:
        result = run(*words)
        assert result.exit_code == 2
        assert message in result.stderr
        assert len(result.stderr.splitlines()) == 1
    monkeypatch.setitem(sys.modules, "httpx", None)
    result = run(settings.output, "--re-caption", settings.re_caption, "--endpoint", "http://x", "--model", "y")
    assert "pip install 'httpx" in result.stderr
