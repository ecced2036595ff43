"""Images decoded in worker processes: the same pixels and errors, limits on time and memory, and cancellation."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from costly_images import encoded
from PIL import Image

from minigemini.images import decoder_program, decoders
from minigemini.images.decoders import DecodingStoppedError, Stop, open_isolated
from minigemini.images.safe_images import LIMITS, ImageError, ImageLimits, ImageProblem, open_image

EXAMPLES = Path(__file__).parent.parent / "examples"
LARGE = encoded("JPEG", Image.effect_noise((6000, 6000), 60), progressive=True)
"""Takes about 0.6 s to decode."""


def decoder_pids() -> set[int]:
    """Process ids of the running decoders."""
    return {decoder.process.pid for decoder in decoders._POOL._all}


@contextmanager
def signal_next_decoders(*signals: signal.Signals) -> Iterator[None]:
    """Send each signal to a decoder that is busy, the next one after the former has ended."""

    def send() -> None:
        signaled: set[int] = set()
        for number in signals:
            while not (busy := decoder_pids() - {decoder.process.pid for decoder in decoders._POOL._idle} - signaled):
                time.sleep(0.01)
            signaled |= busy
            os.kill(busy.pop(), number)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize("kind", LIMITS.formats)
def test_pixels_are_the_same(kind, tmp_path):
    image = Image.merge("RGB", [Image.effect_noise((331, 217), 90)] * 3)
    data = encoded(kind, image)
    (tmp_path / "a").write_bytes(data)
    expected = open_image(data)
    for source in (data, tmp_path / "a", str(tmp_path / "a"), (tmp_path / "a").open("rb"), image.copy()):
        seen = open_isolated(source)
        assert (seen.mode, seen.size, seen.info) == ("RGB", expected.size, {})
        assert seen.tobytes() == (image if isinstance(source, Image.Image) else expected).tobytes()


def test_image_of_several_bands_is_complete():
    image = Image.effect_noise((3001, 2003), 90).convert("RGB")
    assert 2 * decoder_program.BAND_BYTES < 3 * 3001 * 2003
    assert open_isolated(encoded("PNG", image)).tobytes() == image.tobytes()


def test_reduced_decoding_is_the_same():
    for shorter in (False, True):
        expected = open_image(LARGE, at_least_px=500, shorter=shorter)
        seen = open_isolated(LARGE, at_least_px=500, shorter=shorter)
        assert (seen.size, seen.tobytes()) == (expected.size, expected.tobytes())
        assert max(seen.size) < 1000


@pytest.mark.parametrize(
    "source",
    ["nowhere.png", b"", b"text", encoded("PNG")[:60], encoded("PNG")[:20], "data:image/png;base64,AAAA", None],
)
def test_errors_are_the_same(source):
    with pytest.raises(ImageError) as expected:
        open_image(source, name="a.png")
    with pytest.raises(ImageError) as caught:
        open_isolated(source, name="a.png")
    assert str(caught.value) == str(expected.value)
    assert caught.value.problem is expected.value.problem
    with pytest.raises(ImageError, match=r"65,536, more than the limit of 100"):
        open_isolated(EXAMPLES / "sign.png", ImageLimits(max_pixels=100))


def test_program_starts_fast_and_imports_neither_torch_nor_numpy():
    program = Path(decoder_program.__file__)
    code = f"""
import json, runpy, sys
runpy.run_path({str(program)!r})["load_safe_images"]().open_image({str(EXAMPLES / "sign.png")!r})
print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert time.monotonic() - started < 5  # measured: 0.2 s
    assert not {"torch", "transformers", "numpy", "minigemini"} & set(json.loads(done.stdout))


def test_decoder_gets_no_api_keys(monkeypatch):
    monkeypatch.setenv("MINIGEMINI_API_KEY", "secret-api-key")
    decoder = decoders._Decoder()
    try:
        environment = Path(f"/proc/{decoder.process.pid}/environ")
        if environment.exists():
            assert b"secret-api-key" not in environment.read_bytes()
    finally:
        decoder.end()


def test_decoders_are_reused_and_limited_in_number():
    sign = (EXAMPLES / "sign.png").read_bytes()
    open_isolated(sign)
    before = decoder_pids()
    threads = [threading.Thread(target=open_isolated, args=(sign,)) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert before <= decoder_pids()
    assert len(decoder_pids()) <= decoders._MAX_PROCESSES


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system does not limit processor time")
def test_decoding_over_the_cpu_limit_is_an_error():
    started = time.monotonic()
    with pytest.raises(ImageError, match=r"^a\.jpg: decoding takes more than 0\.05 s; scale it down") as caught:
        open_isolated(LARGE, ImageLimits(decode_seconds=0.05), "a.jpg")
    assert caught.value.problem is ImageProblem.TOO_LARGE
    assert time.monotonic() - started < 10
    assert open_isolated(EXAMPLES / "sign.png").size == (256, 256)


def test_wall_clock_limit_applies_without_cpu_timer(monkeypatch):
    monkeypatch.setattr(decoders, "_HAS_CPU_TIMER", False)
    decoder = decoders._POOL._take()
    os.kill(decoder.process.pid, signal.SIGSTOP)  # it never answers
    decoders._POOL._idle.append(decoder)
    with pytest.raises(ImageError, match=r"decoding takes more than 0\.2 s"):
        open_isolated(EXAMPLES / "sign.png", ImageLimits(decode_seconds=0.2))
    assert open_isolated(EXAMPLES / "sign.png").size == (256, 256)


def test_crashed_decoder_is_replaced():
    open_isolated(EXAMPLES / "sign.png")
    for decoder in decoders._POOL._idle:
        os.kill(decoder.process.pid, signal.SIGKILL)
        decoder.process.wait()
    assert open_isolated(EXAMPLES / "sign.png").size == (256, 256)
    with signal_next_decoders(signal.SIGSEGV), pytest.raises(ImageError, match="decoder ran out of memory") as caught:
        open_isolated(LARGE)
    assert caught.value.problem is ImageProblem.BROKEN


def test_image_of_a_killed_decoder_is_decoded_again():
    with signal_next_decoders(signal.SIGKILL):
        assert open_isolated(LARGE).size == (6000, 6000)


def test_image_is_decoded_again_only_once():
    with (
        signal_next_decoders(signal.SIGKILL, signal.SIGKILL),
        pytest.raises(ImageError, match="decoder ran out of memory or crashed"),
    ):
        open_isolated(LARGE)
    assert open_isolated(EXAMPLES / "sign.png").size == (256, 256)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hold a limit of memory")
def test_memory_is_limited():
    decoder = decoders._POOL._take()
    decoders._POOL._idle.append(decoder)
    limits = Path(f"/proc/{decoder.process.pid}/limits").read_text()
    assert str(decoder_program.MEMORY_BYTES) in next(line for line in limits.splitlines() if "address space" in line)


def test_stop_frees_the_decoder():
    stop, before = Stop(), time.monotonic()
    timer = threading.Timer(0.1, stop.set)
    timer.start()
    with pytest.raises(DecodingStoppedError):
        open_isolated(LARGE, stop=stop)
    assert time.monotonic() - before < 5
    with pytest.raises(DecodingStoppedError):
        open_isolated(EXAMPLES / "sign.png", stop=stop)
    assert open_isolated(EXAMPLES / "sign.png", stop=Stop()).size == (256, 256)


def test_stop_ends_waiting_for_a_slot(monkeypatch):
    monkeypatch.setattr(decoders, "_POOL", pool := decoders._Pool(1))
    stop = Stop()
    assert pool._slots.acquire()
    threading.Timer(0.1, stop.set).start()
    with pytest.raises(DecodingStoppedError):
        open_isolated(EXAMPLES / "sign.png", stop=stop)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_process_has_its_own_decoders():
    expected = open_isolated(EXAMPLES / "sign.png").tobytes()
    mine = decoder_pids()
    child = os.fork()
    if child == 0:
        same = open_isolated(EXAMPLES / "sign.png").tobytes() == expected
        os._exit(0 if same and not mine & decoder_pids() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert open_isolated(EXAMPLES / "sign.png").tobytes() == expected
    assert mine <= decoder_pids(), "the child ended the decoders of its parent"


def test_decoders_exit_with_their_parent(tmp_path):
    code = f"""
import os
from minigemini.images import decoders
decoders.open_isolated({str(EXAMPLES / "sign.png")!r})
print(*(decoder.process.pid for decoder in decoders._POOL._all), flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pids = [int(pid) for pid in done.stdout.split()]
    assert pids, done.stderr
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/exe").exists() and "python" in os.readlink(f"/proc/{pid}/exe") for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("answer", [b'{"size": [9, 9]}', b'{"error": "x", "problem": "y"}', b"[]", b"{", b"x" * 70_000])
def test_decoder_is_killed_after_an_invalid_response(answer):
    """A decoder that an image has taken over could send anything."""
    reading, writing = os.pipe()
    decoder = decoders._POOL._take()
    with open(writing, "wb", buffering=0) as pipe, open(reading, "rb", buffering=0) as answers:
        decoder_program.write_all(pipe, decoder_program.HEAD.pack(len(answer), 10**15) + answer[:60_000])
        decoder._answers.close()
        decoder._answers = answers
        decoders._POOL._idle.append(decoder)
        with pytest.raises(ImageError, match="decoder ran out of memory or crashed"):
            open_isolated(EXAMPLES / "sign.png")
    assert decoder.process.poll() is not None
    assert open_isolated(EXAMPLES / "sign.png").size == (256, 256)


def test_decoder_ignores_signals_to_its_process_group():
    """torchrun and Ctrl-C signal children too, while the parent still finishes a step."""
    open_isolated(EXAMPLES / "sign.png")
    before = decoder_pids()
    for pid in before:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
    time.sleep(0.2)
    assert open_isolated(EXAMPLES / "sign.png").size == Image.open(EXAMPLES / "sign.png").size
    assert decoder_pids() == before
