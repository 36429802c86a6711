from __future__ import annotations

import multiprocessing
import os
import pickle
import struct
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from diarynotes import audio
from diarynotes.audio import Decoded, DecodeLimits, decode
from diarynotes.errors import (
    NoAudioStream,
    NotAudio,
    SourceUnavailable,
    StorageFailed,
    TooLong,
    Truncated,
    UnsupportedCodec,
)
from diarynotes.models import Audio, Media

KINDS = ("mp3", "wav", "m4a", "alac.m4a", "flac", "opus", "webm", "mkv", "aiff", "caf", "aac", "3gp", "amr")
KINDS += ("ulaw.wav", "alaw.wav", "u8.wav", "24.wav", "float.wav", "adpcm.wav", "msadpcm.wav")
PROMISING = [kind for kind in KINDS if kind not in ("opus", "caf", "aac", "amr")]


def envelope(samples: np.ndarray) -> np.ndarray:
    usable = len(samples) // 800 * 800
    return np.sqrt((samples[:usable].reshape(-1, 800) ** 2).mean(axis=1))


def best_match(heard: np.ndarray, said: np.ndarray) -> float:
    """How alike the loudness runs, whatever the encoder's delay (up to 0.15 s)."""
    count = 70  # twentieths of a second
    return max(
        float(np.corrcoef(envelope(heard[shift:])[:count], envelope(said)[:count])[0, 1])
        for shift in range(0, 2400, 160)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_went_in_comes_out(media: ModuleType, tmp_path: Path, kind: str) -> None:
    voice = media.make_voice(4.0)
    path = media.encode(tmp_path / "clip.bin", voice, kind=kind)
    decoded = decode(path, spool=tmp_path / "spool")
    heard = decoded.open().samples()
    assert decoded.media.duration_s == pytest.approx(4.0, abs=0.2)
    assert decoded.warnings == ()
    assert best_match(heard, voice) > 0.95


def test_stereo_of_another_rate_becomes_mono_at_16_khz(media: ModuleType, tmp_path: Path) -> None:
    voice = media.make_voice(2.0, rate=44_100)
    decoded = decode(
        media.encode(tmp_path / "a", voice, kind="flac", rate=44_100, channels=2), spool=tmp_path / "spool"
    )
    assert decoded.media == Media("flac", "flac", 2.0, 44_100, 2)
    pcm = decoded.open().pcm
    assert (pcm.shape, pcm.dtype) == ((32_000,), np.int16)


def test_opening_leaves_nothing_in_the_spool_unless_asked(media: ModuleType, tmp_path: Path) -> None:
    decoded = decode(media.encode(tmp_path / "a", media.make_voice(1.0), kind="wav"), spool=tmp_path / "spool")
    assert len(pickle.dumps(decoded)) < 2_000
    kept = decoded.open(keep=True)
    assert decoded.pcm_path.exists()
    opened = decoded.open()
    assert list((tmp_path / "spool").iterdir()) == []
    assert np.array_equal(kept.pcm, opened.pcm)
    with pytest.raises(StorageFailed):
        decoded.open()


def test_the_cap_holds_whatever_the_header_says(media: ModuleType, tmp_path: Path) -> None:
    path = media.encode(tmp_path / "a", media.make_voice(6.0), kind="mp3")
    with pytest.raises(TooLong) as caught:
        decode(path, spool=tmp_path / "spool", limits=DecodeLimits(max_duration_s=2.0))
    assert 2.0 < caught.value.duration_s < 2.5
    assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("kind", PROMISING)
def test_a_cut_file_is_kept_only_if_most_of_it_is_there(media: ModuleType, tmp_path: Path, kind: str) -> None:
    whole = media.encode(tmp_path / "whole", media.make_voice(10.0), kind=kind).read_bytes()
    nearly, half = tmp_path / "nearly", tmp_path / "half"
    nearly.write_bytes(whole[: len(whole) * 9 // 10])
    half.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Truncated):
        decode(half, spool=tmp_path / "spool")
    if b"ftyp" in whole[:16]:  # its table of contents stood at the end
        with pytest.raises(Truncated):
            decode(nearly, spool=tmp_path / "spool")
    else:
        decoded = decode(nearly, spool=tmp_path / "spool")
        assert decoded.warnings == ("truncated",)
        assert 8.0 < decoded.media.duration_s < 9.5


def test_a_recorder_that_wrote_no_length_is_believed(media: ModuleType, tmp_path: Path) -> None:
    path = media.encode(tmp_path / "a", media.make_voice(3.0), kind="wav")
    data = bytearray(path.read_bytes())
    data[4:8] = struct.pack("<I", 0xFFFFFFFF)
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(data)
    decoded = decode(path, spool=tmp_path / "spool")
    assert decoded.warnings == ()
    assert decoded.media.duration_s == pytest.approx(3.0)


def test_damage_in_the_middle_is_told(media: ModuleType, tmp_path: Path) -> None:
    path = media.encode(tmp_path / "a", media.make_voice(20.0), kind="aac")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)
    assert "damaged" in decode(path, spool=tmp_path / "spool").warnings


def test_clipping_is_measured_before_resampling(media: ModuleType, tmp_path: Path) -> None:
    square = np.where(np.arange(44_100) % 100 < 25, 0.999_99, 0.1).astype(np.float32)
    for kind in ("wav", "u8.wav", "24.wav", "float.wav"):
        path = media.encode(tmp_path / kind, square, kind=kind, rate=44_100)
        assert decode(path, spool=tmp_path / "spool").clipping_ratio == pytest.approx(0.25, abs=0.01), kind
    quiet = media.encode(tmp_path / "quiet", square / 2, kind="wav", rate=44_100)
    assert decode(quiet, spool=tmp_path / "spool").clipping_ratio == 0.0


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", NotAudio),
        (b"Dear diary\n" * 500, NotAudio),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), NotAudio),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", Truncated),
        (b"\x00\x00\x00\x18ftypM4A \x00\x00\x00\x00M4A isom", Truncated),
        (b"fLaC" + bytes(100), Truncated),
    ],
)
def test_what_is_no_recording_is_told_from_what_was_one(tmp_path: Path, content: bytes, error: type) -> None:
    (tmp_path / "note.mp3").write_bytes(content)
    with pytest.raises(error):
        decode(tmp_path / "note.mp3", spool=tmp_path / "spool")
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_film_without_sound(media: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(NoAudioStream):
        decode(media.encode_silent_film(tmp_path / "film.mp4"), spool=tmp_path / "spool")


def test_a_codec_that_is_not_on_the_list(tmp_path: Path) -> None:
    import av

    with av.open(tmp_path / "a.mka", "w", format="matroska") as container:
        stream = container.add_stream("ac3", rate=48_000, layout="mono")
        for _ in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1536), np.float32), "fltp", "mono")
            frame.sample_rate = 48_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UnsupportedCodec) as caught:
        decode(tmp_path / "a.mka", spool=tmp_path / "spool")
    assert caught.value.codec == "ac3"


def test_files_that_cannot_be_read_or_written(media: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable):
        decode(tmp_path / "gone.mp3", spool=tmp_path / "spool")
    path = media.encode(tmp_path / "a", media.make_voice(1.0), kind="wav")
    with pytest.raises(StorageFailed):
        decode(path, spool=path / "no-folder")


@pytest.mark.parametrize(
    ("tags", "moment"),
    [
        ({"creation_time": "2026-11-02T10:00:00.000000Z"}, datetime(2026, 11, 2, 10, tzinfo=UTC)),
        ({"com.apple.quicktime.creationdate": "2026-11-02T10:00:00+0100"}, datetime(2026, 11, 2, 9, tzinfo=UTC)),
        ({"DATE": "2026-07-02 10:00"}, datetime(2026, 7, 2, 8, tzinfo=UTC)),
        ({"origination_date": "2026-11-02", "origination_time": "10:00:00"}, datetime(2026, 11, 2, 9, tzinfo=UTC)),
        ({"date": "2026-11-02"}, None),
        ({"date": "2026"}, None),
        ({"creation_time": "1904-01-01T00:00:00Z"}, None),
        ({"creation_time": "1970-01-01T00:00:00Z"}, None),
        ({"creation_time": "1980-01-01T00:00:00Z", "date": "2020-01-01T00:00:00Z"}, datetime(2020, 1, 1, tzinfo=UTC)),
        ({"creation_time": "2026-13-41T99:00:00Z"}, None),
        ({"creation_time": "0001-01-01T00:00:00"}, None),
        ({"creation_time": (datetime.now(UTC) + timedelta(days=400)).isoformat()}, None),
        ({}, None),
    ],
)
def test_when_it_was_recorded(tags: dict[str, str], moment: datetime | None) -> None:
    found = audio.find_created_at(tags, ZoneInfo("Europe/Berlin"))
    assert found == moment
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize(
    ("kind", "tag"), [("m4a", "creation_time"), ("flac", "date"), ("mp3", "date"), ("opus", "date")]
)
def test_the_moment_survives_the_container(media: ModuleType, tmp_path: Path, kind: str, tag: str) -> None:
    path = media.encode(tmp_path / "a", media.make_voice(1.0), kind=kind, tags={tag: "2026-03-04T05:06:07Z"})
    assert decode(path, spool=tmp_path / "spool").media.created_at == datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def test_known_holes() -> None:
    assert audio.known_holes("8.1.2") == audio.known_holes("n8.2") == ()
    assert "CVE-2026-8461" in audio.known_holes("8.1.1")
    assert audio.known_holes("8.1.1") == audio.known_holes("7.1") == audio.known_holes("N-12345-gabcdef")
    assert audio.known_holes() == audio.known_holes(audio.ffmpeg_version())


def test_sweeping_takes_only_what_nobody_waits_for(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    files = {name: tmp_path / f"{pid}-{name}.pcm" for name, pid in (("fresh", os.getpid()), ("old", os.getpid()))}
    files["orphan"] = tmp_path / f"{dead.pid}-orphan.pcm"
    files["other"] = tmp_path / "notes.txt"
    for path in files.values():
        path.touch()
    os.utime(files["old"], (0, 0))
    assert audio.sweep_spool(tmp_path) == 2
    assert {name for name, path in files.items() if path.exists()} == {"fresh", "other"}
    assert audio.sweep_spool(tmp_path / "nowhere") == 0


def test_spool_files_are_named_for_the_process_that_waits(media: ModuleType, tmp_path: Path) -> None:
    decoded = decode(media.encode(tmp_path / "a", media.make_voice(1.0), kind="wav"), spool=tmp_path / "spool")
    assert multiprocessing.parent_process() is None
    assert decoded.pcm_path.name.startswith(f"{os.getpid()}-")
    assert isinstance(decoded.open(), Audio)
    assert isinstance(pickle.loads(pickle.dumps(decoded)), Decoded)
