"""Video files in their decoder process: containers, seeking, rotation, limits, and damaged and hostile files."""

import random
import struct
from io import BytesIO

import pytest
from PIL import Image, ImageChops, ImageStat
from video_clips import clip, pictures

pytest.importorskip("av")

from minigemini.images import decoders, video_decoding
from minigemini.images.decoders import open_video
from minigemini.images.safe_images import ImageError, ImageProblem
from minigemini.images.video import VideoLimits, VideoSampling

ALL = VideoSampling(max_frames=1000)
FRAMES = pictures(8)
CONTAINERS = [
    ("mp4", "libx264"),
    ("mov", "mpeg4"),
    ("matroska", "libx264"),
    ("webm", "libvpx-vp9"),
    ("webm", "libvpx"),
]
MAX_DIFFERENCE = 6.0
"""Mean absolute difference of a decoded frame, in gray levels; two frames of `pictures` differ by 40 and more."""


def difference(one: Image.Image, other: Image.Image) -> float:
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


@pytest.mark.parametrize(("container", "codec"), CONTAINERS)
def test_all_frames_in_order(container, codec):
    video = open_video(clip(FRAMES, container, codec), ALL)
    assert video.times == tuple(range(8))
    assert all(difference(one, other) < MAX_DIFFERENCE for one, other in zip(video.frames, FRAMES, strict=True))


def test_frames_are_those_that_were_encoded_without_loss():
    frames = [Image.new("RGB", (64, 48), (level, level, level)) for level in range(16, 240, 32)]
    video = open_video(clip(frames, "mp4", "libx264", crf="0"), ALL)
    assert all(difference(one, other) < 1.5 for one, other in zip(video.frames, frames, strict=True))


@pytest.mark.parametrize(("container", "codec"), CONTAINERS)
@pytest.mark.parametrize("gop", ["5", "1000"])
def test_seeking_gives_the_same_frames(container, codec, gop):
    data = clip(pictures(60), container, codec, rate=10, g=gop)
    whole = open_video(data, VideoSampling(10, 100))
    few = open_video(data, VideoSampling(10, 4))
    assert len(whole.frames) == 60
    assert few.times == pytest.approx((0, 1.5, 3.0, 4.5))
    for time, frame in zip(few.times, few.frames, strict=True):
        assert frame.tobytes() == whole.frames[round(time * 10)].tobytes()


def test_phones_turn_videos():
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    half = Image.new("RGB", (64, 32), "blue")
    half.paste("red", (0, 0, 32, 32))
    data = clip([half])
    at = data.index(upright, data.index(b"tkhd"))
    shown = open_video(data[:at] + turned + data[at + 36 :], ALL).frames[0]  # a quarter clockwise: left is now above
    assert shown.size == (32, 64)
    assert shown.getpixel((16, 8))[0] > 200
    assert shown.getpixel((16, 56))[2] > 200


def test_what_ffmpeg_could_read_is_refused(tmp_path):
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{tmp_path}/a.mp4\n#EXT-X-ENDLIST\n".encode()
    avi = clip(FRAMES, "avi", "mpeg4")
    for data in (playlist, b"ffconcat version 1.0\nfile /etc/passwd\n", avi):
        with pytest.raises(ImageError, match="not a video in MP4") as found:
            open_video(data)
        assert found.value.problem is ImageProblem.NO_IMAGE
    with pytest.raises(ImageError, match=r"codec ffv1 is not supported; convert it to H\.264"):
        open_video(clip(FRAMES, "matroska", "ffv1"))


def test_a_file_without_video():
    import av

    file = BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("pcm_s16le", rate=16000, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=1024)
        frame.rate = 16000
        output.mux(stream.encode(frame))
    with pytest.raises(ImageError, match="has no video stream"):
        open_video(file.getvalue())


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"max_seconds": 5}, "lasts 8 s, but may last at most 5 s; cut the part that you need"),
        ({"max_side": 60}, "64 x 48 pixels, but a side may have at most 60"),
        ({"max_total_pixels": 3 * 64 * 48}, "more than 9,216 pixels in total"),
    ],
)
def test_limits(limits, message):
    with pytest.raises(ImageError, match=message):
        open_video(clip(FRAMES), ALL, VideoLimits(**limits))


def test_time_is_limited():
    noise = [Image.effect_noise((640, 480), 90).convert("RGB") for _ in range(4)] * 30
    data = clip(noise, preset="ultrafast", rate=30)
    with pytest.raises(ImageError, match=r"takes more than 0.1 s"):
        open_video(data, VideoSampling(30, 1000), VideoLimits(decode_seconds=0.1))
    assert len(open_video(clip(FRAMES), ALL).frames) == 8  # another process


def test_a_stream_larger_than_its_header_is_refused():
    small, large = clip(FRAMES), clip(pictures(8, (640, 480)))
    width = small.index(b"avc1", small.index(b"stsd")) + 28
    lying = bytearray(large)
    at = large.index(b"avc1", large.index(b"stsd")) + 28
    lying[at : at + 4] = small[width : width + 4]
    with pytest.raises(ImageError) as found:
        open_video(bytes(lying), ALL, VideoLimits(max_pixels=100_000))
    assert "\n" not in str(found.value)


def test_damaged_files_do_not_crash():
    """A small part of what `benchmarks/video.py` tries."""
    draw, messages = random.Random(0), []
    files = [clip(FRAMES, container, codec) for container, codec in CONTAINERS[:4]]
    before = {decoder.process.pid for decoder in decoders._POOL._all}
    for number in range(120):
        data = bytearray(files[number % len(files)])
        for _ in range(draw.choice((1, 4, 32))):
            data[draw.randrange(len(data))] = draw.randrange(256)
        if number % 5 == 0:
            del data[draw.randrange(len(data)) :]
        try:
            video = open_video(bytes(data) or b"x", ALL)
        except ImageError as error:
            messages.append(str(error))
        else:
            assert len(video.frames) == len(video.times) > 0
    assert messages
    assert not any("\n" in message or "crashed" in message for message in messages)
    assert before <= {decoder.process.pid for decoder in decoders._POOL._all}


def test_the_program_needs_no_torch():
    assert video_decoding.container_of(b"\x1aE\xdf\xa3") == "matroska"
    assert video_decoding.container_of(b"\0\0\0\x20ftypisom") == "mov"
    assert video_decoding.container_of(b"\x89PNG\r\n\x1a\n") is None
