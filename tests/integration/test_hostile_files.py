"""Whatever is dropped in ends as sound or as a rejection: in real children, with real files, within bounds."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import psutil
import pytest

from diarynotes import audio, validate
from diarynotes.audio import Decoded, DecodeLimits, decode
from diarynotes.errors import (
    DecoderCrashed,
    NoAudioStream,
    NotAudio,
    RecordingRejected,
    Silent,
    TooLarge,
    TooLong,
    TooShort,
    Truncated,
)
from diarynotes.models import Audio
from diarynotes.sandbox import Sandbox, SandboxLimits
from diarynotes.validate import Limits, check_recording, check_size, measure_quality

SHARED = Path(__file__).parents[3] / "shared" / "audio"
CHILD_BYTES = 400_000_000
COPIES = 2_000


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(2, SandboxLimits(memory_bytes=CHILD_BYTES), audio.warm_up) as sandbox:
        yield sandbox


@pytest.fixture
def decode_one(sandbox: Sandbox, tmp_path: Path) -> Iterator[Any]:
    spool = tmp_path / "spool"

    def run(path: Path, *, max_duration_s: float = 60.0) -> Decoded | Exception:
        task = partial(decode, spool=spool, limits=DecodeLimits(max_duration_s))
        (result,) = sandbox.map(task, [path], wall_s=120)
        return result

    yield run
    assert not spool.exists() or list(spool.iterdir()) == []


def validate_samples(decoded: Decoded) -> Audio:
    """Raises: RecordingRejected."""
    opened = decoded.open()
    check_recording(opened, measure_quality(opened, clipping_ratio=decoded.clipping_ratio), Limits())
    return opened


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


# -- not sound at all -------------------------------------------------------------------------------------------------

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\x00\x00\x03\x01\x01\x00\xc9\xfe\x92\xef\x00\x00\x00\x00IEND\xaeB`\x82"
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("zero.wav", b""),
        ("one.mp3", b"\x00"),
        ("random.m4a", random.Random(1).randbytes(200_000)),
        ("text.mp3", b"Today I went to the lake and it was cold.\n" * 2_000),
        ("picture.mp3", PNG),
        ("page.opus", b"<!DOCTYPE html><html><body>Sign in to download</body></html>"),
        ("archive.flac", b"PK\x03\x04" + bytes(5_000)),
        ("zeros.wav", bytes(1_000_000)),
    ],
)
def test_what_is_no_sound_is_told_so(decode_one: Any, tmp_path: Path, name: str, content: bytes) -> None:
    assert type(decode_one(write(tmp_path / name, content))) is NotAudio


def test_random_bytes_never_become_a_recording(sandbox: Sandbox, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{seed}.mp3", random.Random(seed).randbytes(30_000)) for seed in range(50)]
    results = list(sandbox.map(partial(decode, spool=tmp_path / "spool"), paths, wall_s=30))
    assert all(isinstance(result, RecordingRejected) for result in results), results


def test_a_film_without_sound(decode_one: Any, media: ModuleType, tmp_path: Path) -> None:
    assert type(decode_one(media.encode_silent_film(tmp_path / "film.mp4"))) is NoAudioStream


def test_two_gigabytes_of_nothing(decode_one: Any, tmp_path: Path) -> None:
    path = tmp_path / "sparse.wav"
    with path.open("wb") as file:
        file.truncate(2 << 30)
    with pytest.raises(TooLarge):
        check_size(path.stat().st_size, Limits())
    assert type(decode_one(path)) is NotAudio


def test_two_gigabytes_with_a_header(decode_one: Any, media: ModuleType, tmp_path: Path) -> None:
    path = media.encode(tmp_path / "sparse.wav", media.make_voice(1.0), kind="wav")
    with path.open("r+b") as file:
        at = file.read(4096).index(b"data")
        file.seek(4)
        file.write(struct.pack("<I", (2 << 30) - 8))
        file.seek(at + 4)
        file.write(struct.pack("<I", (2 << 30) - at - 8))
        file.truncate(2 << 30)
    assert type(decode_one(path, max_duration_s=600.0)) is TooLong


# -- sound, but not a recording that anything can be made of ----------------------------------------------------------


def test_too_short_and_silent(decode_one: Any, media: ModuleType, tmp_path: Path) -> None:
    short = media.encode(tmp_path / "short", media.make_voice(0.2), kind="wav")
    with pytest.raises(TooShort):
        validate_samples(decode_one(short))
    for kind in ("mp3", "opus", "flac"):
        silent = media.encode(tmp_path / kind, np.zeros(80_000, np.float32), kind=kind)
        with pytest.raises(Silent):
            validate_samples(decode_one(silent))


def test_noise_is_sound(decode_one: Any, media: ModuleType, tmp_path: Path) -> None:
    noise = np.random.default_rng(2).normal(0, 0.05, 80_000).astype(np.float32)
    decoded = decode_one(media.encode(tmp_path / "noise", noise, kind="m4a"))
    assert "low_quality" in measure_quality(validate_samples(decoded)).warnings


@pytest.mark.skipif(not SHARED.is_dir(), reason="the clips are not part of the repository")
def test_clips_decode_whether_somebody_speaks_or_not(sandbox: Sandbox, tmp_path: Path) -> None:
    paths = [*SHARED.glob("human/*.wav"), *SHARED.glob("human/*.flac"), *SHARED.glob("not-speech/*.wav")]
    results = list(sandbox.map(partial(decode, spool=tmp_path / "spool"), paths, wall_s=30))
    assert len(results) == 11
    for result in results:
        assert isinstance(result, Decoded)
        assert result.warnings == ()
        validate_samples(result)


# -- cut and damaged --------------------------------------------------------------------------------------------------


def put_index_first(path: Path) -> bytes:
    """An MP4 whose table of contents stands before the sound, as those of many recorders do."""
    import av

    with (
        av.open(path) as source,
        av.open(path.with_suffix(".first"), "w", format="ipod", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    return path.with_suffix(".first").read_bytes()


def test_a_cut_m4a(decode_one: Any, media: ModuleType, tmp_path: Path) -> None:
    whole = media.encode(tmp_path / "whole.m4a", media.make_voice(20.0), kind="m4a")
    no_index = whole.read_bytes()[: whole.stat().st_size * 8 // 10]
    assert b"moov" not in no_index
    assert type(decode_one(write(tmp_path / "a", no_index))) is Truncated
    index_first = put_index_first(whole)
    assert index_first.index(b"moov") < index_first.index(b"mdat")
    assert type(decode_one(write(tmp_path / "b", index_first[: len(index_first) // 2]))) is Truncated
    kept = decode_one(write(tmp_path / "c", index_first[: len(index_first) * 93 // 100]))
    assert kept.warnings == ("truncated",)
    assert 17 < validate_samples(kept).duration_s < 19.5


def test_a_damaged_picture_leaves_the_sound_alone(decode_one: Any, media: ModuleType, tmp_path: Path) -> None:
    import av

    path = media.encode(tmp_path / "film", media.make_voice(5.0), kind="m4a", with_video=True)
    data = bytearray(path.read_bytes())
    with av.open(path) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.pos is not None]
    assert packets
    for position, size in packets:
        data[position : position + size] = b"\xff" * size
    decoded = decode_one(write(tmp_path / "damaged", bytes(data)))
    assert decoded.warnings == ()
    assert validate_samples(decoded).duration_s == pytest.approx(5.0, abs=0.2)


@pytest.mark.parametrize("kind", ["wav", "aiff", "flac", "m4a", "mkv"])
def test_a_header_that_promises_a_million_seconds(
    decode_one: Any, media: ModuleType, tmp_path: Path, kind: str
) -> None:
    path = media.encode(tmp_path / kind, media.make_voice(3.0), kind=kind)
    data = bytearray(path.read_bytes())
    promise(data, kind)
    result = decode_one(write(tmp_path / "liar", bytes(data)))
    assert type(result) is Truncated or validate_samples(result).duration_s < 3.5


def promise(data: bytearray, kind: str) -> None:
    """Makes the header promise about a million seconds of sound."""
    if kind == "wav":
        data[4:8], data[40:44] = struct.pack("<I", 2_000_000_000), struct.pack("<I", 1_999_999_000)
    elif kind == "aiff":
        data[4:8] = struct.pack(">I", 2_000_000_000)
        at = data.index(b"COMM") + 10
        data[at : at + 4] = struct.pack(">I", 4_000_000_000)
    elif kind == "flac":
        data[21:26] = bytes([data[21] | 0x0F]) + struct.pack(">I", 0xFFFFFFFF)
    elif kind == "m4a":
        for box, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
            at = data.index(box) + offset
            data[at : at + 4] = struct.pack(">I", 1_000_000_000)
    else:
        at = data.index(b"\x44\x89\x88") + 3
        data[at : at + 8] = struct.pack(">d", 1e9)


# -- files that want to open others -----------------------------------------------------------------------------------


class Trap:
    """A server on this machine that counts who connects."""

    def __init__(self) -> None:
        self.visits = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.visits += 1
            connection.close()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@pytest.fixture
def trap() -> Iterator[Trap]:
    trap = Trap()
    yield trap
    trap.close()


LURES = {
    "hls.m4a": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}\n#EXTINF:10,\n{file}\n#EXT-X-ENDLIST\n",
    "hls-key.m3u8": '#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF:9,\n{file}\n',
    "hls-concat.mp3": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nconcat:{path}|{url}\n#EXT-X-ENDLIST\n",
    "concat.m4a": "ffconcat version 1.0\nfile {path}\nfile '{url}'\n",
    "concat-url.mp3": "ffconcat version 1.0\nfile {url}\n",
    "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
    "manifest.m4a": (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT10S"><Period><AdaptationSet mimeType="audio/mp4"><Representation id="1" '
        'bandwidth="1"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>'
    ),
    "list.pls": "[playlist]\nFile1={url}\nNumberOfEntries=1\n",
    "xspf.ogg": '<playlist version="1"><trackList><track><location>{url}</location></track></trackList></playlist>',
}


def assert_untouched(canary: Path, stamp: int, trap: Trap) -> None:
    assert canary.stat().st_atime_ns == stamp
    assert trap.visits == 0


def bait(path: Path) -> int:
    """Sets the time of last access far back, so that a read is sure to be noted; returns it."""
    os.utime(path, (1_000_000_000, 1_000_000_000))
    stamp = path.stat().st_atime_ns
    path.read_bytes()
    if path.stat().st_atime_ns == stamp:
        pytest.skip("this file system does not note reads")
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return stamp


@pytest.mark.parametrize("name", LURES)
def test_nothing_else_is_opened(trap: Trap, media: ModuleType, tmp_path: Path, name: str) -> None:
    """In this process, where no sandbox helps: what is shown here is that FFmpeg itself does not even try."""
    canary = media.encode(tmp_path / "canary.wav", media.make_voice(2.0), kind="wav")
    stamp = bait(canary)
    lure = LURES[name].format(
        url=f"http://127.0.0.1:{trap.port}/a.ts", file=canary.as_uri(), path=canary, port=trap.port
    )
    with pytest.raises(NotAudio):
        decode(write(tmp_path / name, lure.encode()), spool=tmp_path / "spool")
    assert_untouched(canary, stamp, trap)


def test_the_lures_would_work_without_the_locks(trap: Trap, media: ModuleType, tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    import av

    canary = media.encode(tmp_path / "canary.wav", media.make_voice(2.0), kind="wav")
    stamp = bait(canary)
    script = write(tmp_path / "a.ffconcat", LURES["concat.m4a"].format(path=canary.name, url="x").encode())
    with av.open(str(script)) as container:
        next(container.decode(audio=0))
    assert canary.stat().st_atime_ns != stamp
    playlist = LURES["hls.m4a"].format(url=f"http://127.0.0.1:{trap.port}/a.ts", file="")
    with pytest.raises(av.FFmpegError):
        av.open(str(write(tmp_path / "a.m3u8", playlist.encode())), options={"protocol_whitelist": "file,http,tcp"})
    assert trap.visits > 0


def test_a_movie_that_refers_to_another_file(trap: Trap, media: ModuleType, tmp_path: Path) -> None:
    """QuickTime may keep its samples elsewhere ('dref'); that is followed no more than a playlist is."""
    canary = media.encode(tmp_path / "canary.wav", media.make_voice(2.0), kind="wav")
    stamp = bait(canary)
    data = media.encode(tmp_path / "a.m4a", media.make_voice(2.0), kind="m4a").read_bytes()
    url = f"http://127.0.0.1:{trap.port}/{'x' * 200}"
    for target in (url, canary.as_uri()):
        at = data.index(b"url ", data.index(b"dref"))
        reference = b"\x00\x00\x00\x00" + target.encode() + b"\x00"  # flag 0: not in this file
        box = struct.pack(">I", 8 + len(reference)) + b"url " + reference
        changed = bytearray(data)
        changed[at - 4 : at + 8] = box
        grow(changed, len(box) - 12, (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"))
        with contextlib.suppress(RecordingRejected):
            decode(write(tmp_path / "b.m4a", bytes(changed)), spool=tmp_path / "spool").open()
        assert_untouched(canary, stamp, trap)


def grow(data: bytearray, by: int, boxes: tuple[bytes, ...]) -> None:
    for box in boxes:
        at = data.index(box) - 4
        data[at : at + 4] = struct.pack(">I", struct.unpack(">I", data[at : at + 4])[0] + by)


# -- many damaged copies ----------------------------------------------------------------------------------------------


def make_originals(media: ModuleType, folder: Path) -> dict[str, bytes]:
    voice = media.make_voice(3.0)
    speech = SHARED / "human" / "spk1_snt1.wav"
    if speech.exists():
        decoded = decode(speech, spool=folder)
        voice = decoded.open().samples()
    kinds = ("mp3", "wav", "m4a", "flac", "opus", "webm", "alac.m4a", "3gp", "aac", "caf", "aiff", "adpcm.wav")
    return {kind: media.encode(folder / f"original.{kind}", voice, kind=kind).read_bytes() for kind in kinds}


class PeakWatch:
    """The most memory that a sandbox's children were seen to hold, in bytes, one by one."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.peak_bytes = 0
        self._sandbox = sandbox
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        while not self._done.wait(0.1):
            for process in self._find_children():
                with contextlib.suppress(psutil.NoSuchProcess):
                    self.peak_bytes = max(self.peak_bytes, process.memory_info().rss)

    def _find_children(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._sandbox._nursery._process.pid).children(recursive=True)
        return []

    def __enter__(self) -> PeakWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


@pytest.mark.slow
def test_two_thousand_damaged_copies(media: ModuleType, damage: ModuleType, tmp_path: Path) -> None:
    originals = list(make_originals(media, tmp_path).items())
    spool = tmp_path / "spool"
    outcomes: Counter[str] = Counter()

    def copies() -> Iterator[Path]:
        for seed in range(COPIES):
            kind, original = originals[seed % len(originals)]
            yield write(tmp_path / f"{seed}.{kind}", damage.damage(original, seed))

    before_bytes = psutil.Process().memory_info().rss
    task = partial(decode, spool=spool, limits=DecodeLimits(60.0))
    with Sandbox(2, SandboxLimits(memory_bytes=CHILD_BYTES), audio.warm_up) as sandbox, PeakWatch(sandbox) as watch:
        for seed, result in enumerate(sandbox.map(task, copies(), wall_s=60)):
            if isinstance(result, Decoded):
                opened = result.open()
                assert 0 < opened.duration_s <= 60.1, seed
                validate.measure_quality(opened)
            else:
                assert isinstance(result, RecordingRejected), (seed, result)
            outcomes[type(result).__name__] += 1
            for path in tmp_path.glob(f"{seed}.*"):
                path.unlink()
        assert list(sandbox.map(abs, [-1], wall_s=30)) == [1]
    grown_bytes = psutil.Process().memory_info().rss - before_bytes
    assert sum(outcomes.values()) == COPIES
    assert outcomes["Decoded"] > COPIES // 5, outcomes
    assert outcomes["Truncated"] > COPIES // 20, outcomes
    assert outcomes["DecoderCrashed"] + outcomes["DecoderTimeout"] < COPIES // 100, outcomes
    assert grown_bytes < 300_000_000
    assert 0 < watch.peak_bytes < CHILD_BYTES + 150_000_000
    left = list(spool.iterdir()) if spool.exists() else []
    assert len(left) <= outcomes["DecoderCrashed"] + outcomes["DecoderTimeout"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory so")
def test_a_decoder_that_wants_too_much_memory(media: ModuleType, tmp_path: Path) -> None:
    path = media.encode(tmp_path / "a", media.make_voice(5.0), kind="flac")
    with Sandbox(1, SandboxLimits(memory_bytes=100_000), audio.warm_up) as sandbox:
        (result,) = sandbox.map(partial(decode, spool=tmp_path / "spool"), [path], wall_s=30)
    assert isinstance(result, DecoderCrashed)
