"""Videos in prompts: frames with their times, exactly as images; pooling; and everything that passes videos on."""

import asyncio
import base64
import json

import httpx
import numpy as np
import pytest
import torch
from api_server import data_uri, serving
from PIL import Image
from typer.testing import CliRunner
from video_clips import animation, pictures

from minigemini.cli.app import app
from minigemini.data.encoding import POOLING, SampleEncoder
from minigemini.data.packing import PackedCollator
from minigemini.data.readers import open_reader, write_tar
from minigemini.data.schema import SampleError, SampleIssue
from minigemini.images.decoders import open_video
from minigemini.images.safe_images import ImageError
from minigemini.images.video import Video, VideoLimits, VideoSampling
from minigemini.inference import Conversation, Engine, Sampling
from minigemini.modeling.chat_templates import CHAT_TEMPLATES
from minigemini.modeling.token_pooling import pool_tokens
from minigemini.serving.engine_backend import EngineBackend
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState
from minigemini.serving.web.gradio_adapter import build_job

FRAMES = pictures(4)
CLIP = animation(FRAMES)
SHORT = Sampling(max_new_tokens=4)


def part(text: str) -> dict:
    return {"type": "text", "text": text}


def user(*content) -> dict:
    return {"role": "user", "content": list(content)}


@pytest.fixture(params=[1, 2])
def model_and_processor(request, tiny_model, hd_model, make_processor):
    model = tiny_model if request.param == 1 else hd_model
    processor = make_processor(model.config)
    processor.video_sampling = VideoSampling(pooling=1)
    return model, processor


@pytest.fixture
def engine(tiny_model, make_processor) -> Engine:
    return Engine(tiny_model, make_processor(tiny_model.config), "tiny")


def as_text(processor) -> str:
    return "".join(f"Frame from 0:{n:02}:{processor.image_token}\n" for n in range(len(FRAMES)))


# Sampling


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (VideoSampling(1, 100), range(0, 300, 30)),
        (VideoSampling(30, 300), range(300)),
        (VideoSampling(100, 400), range(300)),  # a frame is not taken twice
        (VideoSampling(0.3, 100), (0, 100, 200)),
        (VideoSampling(1, 4), (0, 75, 150, 225)),
        (VideoSampling(1, 1), (0,)),
    ],
)
def test_frames_are_chosen_by_rate_and_at_most(sampling, expected):
    assert sampling.choose([n / 30 for n in range(300)], 10.0) == list(expected)


def test_a_variable_rate_takes_what_is_shown():
    assert VideoSampling(1, 10).choose([0.0, 0.1, 2.5, 2.6], 4.0) == [0, 1, 3]
    assert VideoSampling(1, 10).choose([0.0], 0.0) == [0]


@pytest.mark.parametrize(
    "values", [{"frames_per_second": 0}, {"frames_per_second": float("nan")}, {"max_frames": 0}, {"pooling": 1.5}]
)
def test_invalid_sampling_is_refused(values, tiny_model, make_processor):
    with pytest.raises(ValueError, match=next(iter(values))):
        VideoSampling(**values)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((0, 1, 61.2, 3599.7), ["0:00", "0:01", "1:01", "1:00:00"]),
        ((0, 0.5, 59.96), ["0:00.0", "0:00.5", "1:00.0"]),
        ((3600, 3601), ["1:00:00", "1:00:01"]),
    ],
)
def test_timestamps(times, expected):
    assert Video((FRAMES[0],) * len(times), times).timestamps == expected


# Prompts


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_a_video_is_its_frames_as_images(model_and_processor, kind):
    model, processor = model_and_processor
    of_video = processor(text="Look: <video>What?", videos=animation(FRAMES, kind), return_tensors="pt")
    of_images = processor(text=f"Look: {as_text(processor)}What?", images=FRAMES, return_tensors="pt")
    assert of_video.keys() == of_images.keys()
    assert all(torch.equal(of_video[name], of_images[name]) for name in of_images)
    with torch.no_grad():
        assert torch.equal(model(**of_video).logits, model(**of_images).logits)


def test_pooled_frames_and_whole_images(model_and_processor):
    model, processor = model_and_processor
    images = [FRAMES[3], *FRAMES[:2]]
    whole = processor(text="<image>" * 3, images=images, return_tensors="pt")
    processor.video_sampling = VideoSampling(max_frames=2, pooling=2)
    video = Video(tuple(images[1:]), (0.0, 1.0))
    pooled = processor(text="<image>And <video>?", images=images[0], videos=video, return_tensors="pt")
    assert pooled[POOLING].tolist() == [1, 2, 2]
    assert torch.equal(pooled["pixel_values"], whole["pixel_values"])
    with torch.no_grad():
        tokens = model(**whole).image_hidden_states
        found = model(**pooled).image_hidden_states
    side, tiles = processor.patches_per_side, tokens.shape[1] // processor.patches_per_side**2
    maps = tokens[1:].reshape(2 * tiles, side // 2, 2, side // 2, 2, -1)
    expected = torch.cat([tokens[0], maps.mean((2, 4)).reshape(-1, tokens.shape[-1])])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)  # measured: 6e-8, the order of a sum of four
    cached, uncached = (
        model.generate(**pooled, max_new_tokens=4, use_cache=use, do_sample=False) for use in (True, False)
    )
    assert torch.equal(cached, uncached)
    # Beams repeat the images of a prompt, whose numbers of tokens differ.
    prompts = ["<image>And <video>?"] * 2
    pair = processor(text=prompts, images=[images[0]] * 2, videos=[video] * 2, return_tensors="pt")
    beams = {"max_new_tokens": 4, "num_beams": 2, "do_sample": False}
    alone, both = model.generate(**pooled, **beams), model.generate(**pair, **beams)
    assert torch.equal(alone, both[:1])
    assert torch.equal(alone, both[1:])


def test_frames_in_native_shape(make_model, make_processor, tmp_path):
    model = make_model(max_tiles=6, use_global_tile=True)
    processor = make_processor(model.config)
    frames = tuple(frame.resize((48, 32)) for frame in FRAMES[:2])
    prompt = {"text": "<image>And <video>?", "images": FRAMES[3].resize((16, 16)), "videos": Video(frames, (0.0, 1.0))}
    processor.video_sampling = VideoSampling(pooling=1)
    whole = processor(**prompt, return_tensors="pt")
    processor.video_sampling = VideoSampling(pooling=2)
    pooled = processor(**prompt, return_tensors="pt")
    assert whole["image_grid_thw"].tolist() == pooled["image_grid_thw"].tolist() == [[1, 1, 1], [1, 2, 3], [1, 2, 3]]
    assert pooled[POOLING].tolist() == [1, 2, 2]
    with torch.no_grad():
        tokens, found = model(**whole).image_hidden_states, model(**pooled).image_hidden_states
    expected = torch.cat([tokens[:4], tokens[4:].unflatten(0, (14, 4)).mean(1)])  # 2 x 2 tokens of 7 tiles of 2 frames
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)  # measured: 6e-8, the order of a sum of four
    image = {"image": "a.png", "conversations": turns("<image>What?")}
    encoded = [SampleEncoder(processor)(sample) for sample in write_records(tmp_path, image, RECORDS[0])]
    batch = PackedCollator(2000, 0)(encoded)
    assert batch[POOLING].tolist() == [1, 2, 2, 2, 2]  # by image, not by tile
    assert torch.isfinite(model(**batch).loss)


def test_windows_at_the_edge_are_smaller():
    tokens = torch.arange(9.0).reshape(1, 9, 1)
    assert pool_tokens(tokens, torch.tensor([2]), 3)[0].flatten().tolist() == [2.0, 3.5, 6.5, 8.0]
    with pytest.raises(ValueError, match=r"\[4\], but 1 images of 3 x 3"):
        pool_tokens(tokens, torch.tensor([4]), 3)


@pytest.mark.parametrize("name", CHAT_TEMPLATES)
def test_every_chat_format(name, model_and_processor):
    _, processor = model_and_processor
    processor.video_sampling = VideoSampling(max_frames=2)
    template = CHAT_TEMPLATES[name]
    question = (
        part("What? <vid"),
        {"type": "video", "video": CLIP},
        {"type": "image", "image": FRAMES[0]},
        part("eo>"),
    )
    answer = {"role": "assistant", "content": [part("It moves.")]}
    prompt = processor.apply_chat_template([user(*question), answer], chat_template=template)
    assert "<image>\n<video>What? < video>" in prompt
    inputs = processor.apply_chat_template(
        [user(*question), answer],
        chat_template=template,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
        return_tensors="pt",
    )
    ids, learned = inputs["input_ids"][0], inputs["assistant_masks"][0] == 1
    assert "Frame from 0:00:" in processor.decode(ids)
    assert "Frame from 0:02:" in processor.decode(ids)
    text = processor.decode(ids[learned], skip_special_tokens=True)
    # Byte for byte what is learned of the same conversation without the video.
    without = processor.apply_chat_template(
        [user(*(one for one in question if one["type"] != "video")), answer],
        chat_template=template,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
        return_tensors="pt",
    )
    assert text == processor.decode(
        without["input_ids"][0][without["assistant_masks"][0] == 1], skip_special_tokens=True
    )
    assert "It moves." in text


def test_without_videos_the_tag_is_text(model_and_processor):
    _, processor = model_and_processor
    assert "<video>" in processor.apply_chat_template([user(part("What does <video> do?"))])
    assert processor.decode(processor(text="<video>")["input_ids"][0]).endswith("<video>")
    for text in ("<video>", "<video><video><video>"):
        with pytest.raises(ValueError, match="placeholders <video>, but there are 2 videos"):
            processor(text=text, videos=[CLIP, CLIP])


def test_the_sampling_is_saved_with_the_processor(model_and_processor, tmp_path):
    _, processor = model_and_processor
    processor.video_sampling = VideoSampling(2, 8, 2)
    processor.save_pretrained(tmp_path)
    assert type(processor).from_pretrained(tmp_path).video_sampling == VideoSampling(2, 8, 2)
    processor.video_sampling = VideoSampling()
    processor.save_pretrained(tmp_path)
    assert "video_sampling" not in json.loads((tmp_path / "processor_config.json").read_text())


# Files


def test_gif_and_webp_are_videos_only_where_asked_for(model_and_processor):
    _, processor = model_and_processor
    assert len(processor(images=CLIP, text="<image>")["pixel_values"]) == 1
    assert len(processor(videos=CLIP, text="<video>")["pixel_values"]) == 4


def test_frames_may_be_given_as_images_or_an_array():
    sampling = VideoSampling(frames_per_second=2)
    pixels = np.stack([np.asarray(frame) for frame in FRAMES])
    for source in (FRAMES, tuple(FRAMES), pixels, pixels.transpose(0, 3, 1, 2)):
        video = open_video(source, sampling)
        assert [frame.tobytes() for frame in video.frames] == [frame.tobytes() for frame in FRAMES]
        assert video.times == tuple(number / 2 for number in range(len(FRAMES)))


def test_files_that_are_no_videos(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    for source, message in (
        (tmp_path / "a.mp4", "no such file"),
        (tmp_path / "a.txt", "not a video in MP4"),
        (tmp_path, "pass a video file in it"),
        (b"", "file is empty"),
        ("https://example.org/a.mp4", "download the video"),
        (data_uri(FRAMES[0]), "data URI is not a video"),
        (FRAMES[0], "Image is not a video"),
        (CLIP[:200], "corrupt or truncated"),
    ):
        with pytest.raises(ImageError, match=message) as found:
            open_video(source)
        assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_bytes": 100}, "more than 100 bytes, the limit; make the video smaller"),
        ({"max_seconds": 3}, "lasts 4 s, but may last at most 3 s"),
        ({"max_pixels": 3000}, "64 x 48 pixels = 3,072, more than the limit of 3,000"),
        ({"max_total_pixels": 9000}, "more than 9,000 pixels in total; take fewer frames"),
    ],
)
def test_limits(limits, message):
    with pytest.raises(ImageError, match=message):
        open_video(CLIP, limits=VideoLimits(**limits))


def test_large_frames_are_scaled_down():
    assert open_video(animation(pictures(2, (3000, 64)))).frames[1].size == (1536, 33)


# Asking


def test_conversation_engine_and_command(engine, tiny_checkpoint, tmp_path):
    conversation = Conversation(engine)
    conversation.add_video(CLIP)
    first = conversation.ask("What?", SHORT)
    assert first == first.__class__(
        **{**engine.ask([], "What?", SHORT, videos=CLIP).__dict__, "seconds": first.seconds}
    )
    assert conversation.ask("And?", SHORT).prompt_tokens > first.prompt_tokens
    clip = tmp_path / "clip.gif"
    clip.write_bytes(CLIP)
    command = ["ask", "--video", str(clip), "What?", "--model", str(tiny_checkpoint), "--device", "cpu", "--json"]
    run = CliRunner().invoke(app, [*command, "--max-new-tokens", "4"])
    found = json.loads(run.stdout)
    assert (found["answer"], found["videos"]) == (first.text, [str(clip)])
    assert found["prompt_tokens"] == first.prompt_tokens
    fewer = CliRunner().invoke(app, [*command, "--max-new-tokens", "4", "--max-frames", "1", "--pool", "1"])
    assert json.loads(fewer.stdout)["prompt_tokens"] < found["prompt_tokens"]
    refused = CliRunner().invoke(app, [*command, "--pool", "0"])
    assert refused.exit_code == 2
    assert "pooling is 0" in refused.stderr


def test_chat_takes_videos(tiny_checkpoint, tmp_path):
    (tmp_path / "clip.gif").write_bytes(CLIP)
    lines = f"/video {tmp_path / 'clip.gif'}\nWhat?\n/video {tmp_path / 'no.mp4'}\n"
    run = CliRunner().invoke(app, ["chat", "--model", str(tiny_checkpoint), "--max-new-tokens", "2"], input=lines)
    assert run.exit_code == 0
    assert "video added to your next question" in run.stderr
    assert "no.mp4: no such file" in run.stderr


# Serving


def video_url(data: bytes, kind: str = "image/gif") -> dict:
    return {"type": "video_url", "video_url": {"url": f"data:{kind};base64,{base64.b64encode(data).decode()}"}}


def test_the_server_takes_data_uris(engine):
    expected = engine.ask([], "What?", SHORT, videos=CLIP)
    settings = ServerSettings(max_videos=1, max_total_pixels=4 * 64 * 48)
    with serving(ServerState(settings, EngineBackend(engine, "tiny"))) as running:

        def ask(*content):
            body = {"model": "tiny", "messages": [user(*content)], "max_tokens": 4}
            answer = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=60)
            return answer.status_code, answer.json()

        status, answer = ask(video_url(CLIP), part("What?"))
        assert (status, answer["choices"][0]["message"]["content"]) == (200, expected.text)
        assert answer["usage"]["prompt_tokens"] == expected.prompt_tokens
        for content, message in (
            ([video_url(CLIP)] * 2, "2 videos in the request; use at most 1"),
            ([video_url(CLIP[:100])], "video 1: corrupt or truncated video"),
            ([video_url(b"text", "video/mp4")], "video 1: not a video in MP4"),
            ([video_url(CLIP, "image/png")], "video 1: data URI is not a video"),
            ([{"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}}], "data URI is not a video"),
            # One image more exceeds the pixels of a request.
            ([{"type": "image_url", "image_url": {"url": data_uri(FRAMES[0])}}, video_url(CLIP)], "12,288|9,216"),
        ):
            status, answer = ask(*content, part("What?"))
            assert (status, answer["error"]["code"]) in ((400, "invalid_video"), (400, None)), answer
            if "|" not in message:
                assert message in answer["error"]["message"]


def test_the_page_takes_videos(tmp_path):
    av = pytest.importorskip("av")
    assert av
    from video_clips import clip

    (tmp_path / "a.mp4").write_bytes(clip(FRAMES))
    (tmp_path / "b.gif").write_bytes(CLIP)
    message = {"text": "What?", "files": [str(tmp_path / "a.mp4"), str(tmp_path / "b.gif")]}
    job = build_job(message, [], SHORT, ServerSettings(), tmp_path)
    assert [one["type"] for one in job.messages[0]["content"]] == ["video", "image", "text"]


# Training data


def write_records(folder, *records):
    (folder / "clip.gif").write_bytes(CLIP)
    (folder / "a.png").write_bytes(base64.b64decode(data_uri(FRAMES[0]).partition(",")[2]))
    file = folder / "data.jsonl"
    file.write_text("\n".join(json.dumps({"id": str(n), **record}) for n, record in enumerate(records)))
    return open_reader(file, folder)


def turns(question) -> list[dict]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": "It moves."}]


RECORDS = [
    {"video": "clip.gif", "conversations": turns("<video>\nWhat?")},
    {"video": "clip.gif", "conversations": turns("<image>\nWhat?")},  # as LLaVA-Video writes it
    {
        "videos": ["clip.gif"],
        "messages": [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "It moves."}],
    },
    {"video": "clip.gif", "question": "What?", "answer": "It moves."},
    {"messages": [user(video_url(CLIP), part("What?")), {"role": "assistant", "content": "It moves."}]},
]


def test_records_with_videos(model_and_processor, tmp_path):
    model, processor = model_and_processor
    encoder = SampleEncoder(processor)
    encoded = [encoder(sample) for sample in write_records(tmp_path, *RECORDS)]
    for one in encoded:
        assert torch.equal(one.input_ids, encoded[0].input_ids)
        assert torch.equal(one.pixels["pixel_values"], encoded[0].pixels["pixel_values"])
    processor.video_sampling = VideoSampling(pooling=2)
    reader = write_records(
        tmp_path,
        RECORDS[0],
        {"image": "a.png", "conversations": turns("<image>\nWhat?")},
        {"image": "a.png", "video": "clip.gif", "conversations": turns("<image><video>What?")},
        {"conversations": turns("What does the <video> tag do?")},
    )
    assert reader.images.tolist() == [1, 1, 2, 0]
    batch = PackedCollator(2000, 0)([encoder(reader[row]) for row in range(4)])
    assert batch[POOLING].tolist() == [2, 2, 2, 2, 1, 1, 2, 2, 2, 2]
    assert torch.isfinite(model(**batch).loss)


def test_invalid_records(tmp_path, model_and_processor):
    _, processor = model_and_processor
    reader = write_records(
        tmp_path,
        {"video": "no.mp4", "conversations": turns("<video>What?")},
        {"video": "clip.gif", "conversations": turns("<video><video>What?")},
        {"conversations": turns("<video>\nWhat?")},
        {"video": "../clip.gif", "conversations": turns("<video>What?")},
        {"video_path": "clip.gif", "question": "What?", "answer": "It moves."},
    )
    expected = ["VIDEO", "VIDEO_TAGS", "UNREAD_MEDIA", "UNSAFE_PATH", "UNREAD_MEDIA"]
    for row, issue in enumerate(expected):
        with pytest.raises(SampleError) as found:
            SampleEncoder(processor)(reader[row])
        assert found.value.issue is SampleIssue[issue]


def test_shards_refuse_videos(tmp_path):
    with pytest.raises(SampleError, match="shards hold no videos"):
        write_tar(write_records(tmp_path, RECORDS[0]), tmp_path / "a.tar")


def test_a_stopped_request_stops_decoding():
    from minigemini.images.decoders import DecodingStoppedError, Stop
    from minigemini.serving.image_urls import open_media, run_stoppable

    async def stop_soon():
        large = animation(pictures(50, (640, 480)), "GIF")
        running = asyncio.ensure_future(run_stoppable(lambda stop: open_media([large], [True], ServerSettings(), stop)))
        await asyncio.sleep(0.2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert running.cancelled()

    asyncio.run(stop_soon())
    stop = Stop()
    stop.set()
    with pytest.raises(DecodingStoppedError):
        open_video(CLIP, stop=stop)
    assert isinstance(open_video(CLIP).frames[0], Image.Image)
