"""How far a transcript may be trusted, 0 to 1, and why it may be trusted less; judged by its text and its numbers.

Knows nothing of audio or of engines. Each rule names its source; a reason starts with the rule's name and holds no
word of the diary.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace

from diarynotes.models import Piece, Segment, Span, WindowText
from diarynotes.transcribe.windows import lay_spans

COMPRESSION_LIMIT = 2.4
"""Text that zlib packs better than this repeats itself (Whisper's paper, section 4.5; transcribe.py)."""
LOGPROB_LIMIT = -1.0
"""An average log-probability per token below this is a failed decoding (Whisper's paper, section 4.5)."""
NO_SPEECH_LIMIT = 0.6
"""Above this, and below LOGPROB_LIMIT, Whisper itself takes a segment for silence (section 4.5)."""
STRETCH_S = 30.0
"""The compression limit holds for as much text as Whisper decodes at once; longer text packs better by nature, s."""
FASTEST_WPS = 6.0
"""Words per second that no diary reaches: conversation has about 2.7 (Yuan, Liberman and Cieri, 2006)."""
SLOWEST_WPS = 0.4
"""Fewer words per second of speech than this: most of it was not understood (the same source)."""
LEAST_SPEECH = 0.05
"""A smaller share of speech means that it was found in noise as likely as not (own choice)."""
SURE = 0.75
"""An engine that gives its own tokens less than this, on average, is called unsure (own choice, after
docs/transcription.md: below it a third of the words and more were wrong)."""
LEAST_OVERLAP = 0.3
"""Text less of whose time than this holds speech was put where nobody speaks: invented text stretches over silence
(Koenecke et al., 2024; faster-whisper's `hallucination_silence_threshold` follows the same sign)."""
MOST_UNHEARD = 0.1
"""A larger share of the speech without any text means that something is missing (own choice)."""
DEGRADED_TRUST = 0.5
"""What is left for a simple engine that gives no measure of its confidence."""

UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})
"""Languages written without spaces, where words cannot be counted so simply."""

PHANTOMS = frozenset(
    {
        "thank you for watching",
        "thanks for watching",
        "thank you so much for watching",
        "thank you very much for watching",
        "please subscribe to my channel",
        "please like and subscribe",
        "dont forget to like and subscribe",
        "see you in the next video",
        "see you next time",
        "subtitles by the amaraorg community",
        "transcription by castingwords",
        "transcribed by httpsotterai",
        "untertitel der amaraorg community",
        "untertitel im auftrag des zdf für funk 2017",
        "sous titres réalisés par la communauté damaraorg",
        "subtítulos realizados por la comunidad de amaraorg",
        "sottotitoli creati dalla comunità amaraorg",
        "ondertitels ingediend door de amaraorg gemeenschap",
        "продолжение следует",
        "ご視聴ありがとうございました",
    }
)
"""What Whisper says of noise and silence, since its training data were subtitles (Barański et al., 2025, "Investigation
of Whisper ASR Hallucinations Induced by Non-Speech Audio"; Koenecke et al., 2024, "Careless Whisper")."""

Verdict = tuple[float, str]
"""What is left of the trust, 0 to 1, and the reason; an empty one is not worth telling."""

Placed = tuple[Sequence[Span], WindowText]
"""The stretches of speech in a window, in seconds from the recording's beginning, and what was heard in it."""


def score(
    segments: Sequence[Segment],
    placed: Sequence[Placed] = (),
    *,
    speech_s: float,
    duration_s: float,
    language: str = "en",
    degraded: bool = False,
) -> tuple[float, tuple[str, ...]]:
    """How far these segments may be trusted, 0 to 1, and the reasons why it is less than 1.

    `placed` are the windows that they come from; `speech_s` is how long somebody speaks in the recording of
    `duration_s`. Each rule that fails keeps a part of the trust; the parts are multiplied.
    """
    verdicts = (
        *_speech(speech_s, duration_s),
        *_rate(segments, speech_s, language),
        *_repetition(segments),
        *(_simple_engine(segments) if degraded else _certainty(segments)),
        *_phantoms(segments),
        *_misplaced(placed),
        *_unheard(placed),
    )
    return round(math.prod(part for part, _ in verdicts), 3), tuple(reason for _, reason in verdicts if reason)


def judge_window(text: WindowText, spans: Sequence[Span]) -> float:
    """How far what was heard in one window may be trusted, 0 to 1; empty text is not doubted.

    `spans` are the stretches of speech in it. Only signs that another try may give a better text count.
    """
    if not text.text:
        return 1.0
    whole = Segment(spans[0].start_s, spans[-1].end_s, text.text, text.avg_logprob, text.no_speech)
    speech_s = sum(span.end_s - span.start_s for span in spans)
    verdicts = (
        *_rate([whole], speech_s, text.language or "en"),
        *_repetition([whole]),
        *_doubt([whole]),
        *_phantoms([whole]),
        *_misplaced([(spans, text)]),
    )
    return math.prod(part for part, _ in verdicts)


def drop_silence(text: WindowText) -> WindowText:
    """The text, emptied where the engine takes the window for silence and either doubts the text or tells a phantom.

    Whisper drops what it doubts in silence too (whisper/transcribe.py, `no_speech_threshold`, `logprob_threshold`).
    """
    if text.no_speech is None or text.no_speech <= NO_SPEECH_LIMIT:
        return text
    doubted = text.avg_logprob is not None and text.avg_logprob < LOGPROB_LIMIT
    return replace(text, text="", pieces=()) if doubted or is_phantom(text.text) else text


def compression_ratio(text: str) -> float:
    """Bytes of the text by bytes after zlib; 0 for no text (whisper.utils.compression_ratio)."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def _simple_engine(segments: Sequence[Segment]) -> Iterator[Verdict]:
    """Of a simple engine that knows its own doubt, the share of words that is likely right is what is left."""
    known = [(math.exp(s.avg_logprob), len(s.text.split())) for s in segments if s.avg_logprob is not None]
    words = sum(count for _, count in known)
    if not words:
        yield DEGRADED_TRUST, "degraded: a simple engine heard this, so expect many wrong words"
        return
    right = sum(share * count for share, count in known) / words
    yield min(right, 1.0), f"degraded: a simple engine heard this, and {1 - right:.0%} of the words are likely wrong"


def _speech(speech_s: float, duration_s: float) -> Iterator[Verdict]:
    if duration_s > 0 and speech_s / duration_s < LEAST_SPEECH:
        yield 0.7, f"little speech: somebody speaks in {speech_s / duration_s:.0%} of the recording"


def _rate(segments: Sequence[Segment], speech_s: float, language: str) -> Iterator[Verdict]:
    if speech_s <= 0 or language in UNSPACED:
        return
    rate = sum(len(segment.text.split()) for segment in segments) / speech_s
    if rate > FASTEST_WPS:
        yield 0.3, f"too fast: {rate:.1f} words per second, more than anybody says"
    elif rate < SLOWEST_WPS:
        yield 0.6, f"too slow: {rate:.2f} words per second of speech, so much of it was not understood"


def _repetition(segments: Sequence[Segment]) -> Iterator[Verdict]:
    stretches = list(_stretches(segments))
    bad = sum(compression_ratio(text) > COMPRESSION_LIMIT for text in stretches)
    if bad:
        yield 1 - 0.8 * bad / len(stretches), f"repetition: {bad} of {len(stretches)} stretches repeat the same words"


def _certainty(segments: Sequence[Segment]) -> Iterator[Verdict]:
    """How likely the engine finds its own tokens, on average over the text; told only where that is little."""
    known = [(math.exp(s.avg_logprob), len(s.text)) for s in segments if s.avg_logprob is not None]
    total = sum(size for _, size in known)
    if total:
        sure = min(1.0, sum(share * size for share, size in known) / total)
        yield sure, f"unsure: the engine gives its own words {sure:.0%}" if sure < SURE else ""
    yield from _silence(segments)


def _doubt(segments: Sequence[Segment]) -> Iterator[Verdict]:
    known = [(s.avg_logprob, len(s.text)) for s in segments if s.avg_logprob is not None]
    bad = sum(size for logprob, size in known if logprob < LOGPROB_LIMIT)
    if bad:
        share = bad / sum(size for _, size in known)
        yield 1 - 0.6 * share, f"unsure: the engine doubts {share:.0%} of the text"
    yield from _silence(segments)


def _silence(segments: Sequence[Segment]) -> Iterator[Verdict]:
    known = [(s.avg_logprob, s.no_speech or 0.0, len(s.text)) for s in segments if s.avg_logprob is not None]
    silent = sum(size for logprob, mute, size in known if logprob < LOGPROB_LIMIT and mute > NO_SPEECH_LIMIT)
    if silent:
        share = silent / sum(size for *_, size in known)
        yield 1 - 0.5 * share, f"no speech: the engine takes {share:.0%} of the text for silence"


def _phantoms(segments: Sequence[Segment]) -> Iterator[Verdict]:
    bad = sum(is_phantom(segment.text) for segment in segments)
    if bad:
        share = bad / len(segments)
        yield 1 - 0.9 * share, f"phantom: {bad} of {len(segments)} segments are what engines say of noise"


def _misplaced(placed: Sequence[Placed]) -> Iterator[Verdict]:
    pieces = [(spans, piece) for spans, text in placed for piece in text.pieces]
    total = sum(len(piece.text) for _, piece in pieces)
    bad = sum(len(piece.text) for spans, piece in pieces if _speech_share(spans, piece) < LEAST_OVERLAP)
    if bad:
        yield 1 - 0.6 * bad / total, f"misplaced: {bad / total:.0%} of the text is put where nobody speaks"


def _speech_share(spans: Sequence[Span], piece: Piece) -> float:
    """How much of the time that an engine gives a piece of text holds speech, 0 to 1."""
    start_s, end_s = piece.start_s, piece.end_s
    inside_s = sum(max(0.0, min(span.end_s, end_s) - max(span.start_s, start_s)) for span in lay_spans(spans))
    return inside_s / (end_s - start_s) if end_s > start_s else 1.0


def _unheard(placed: Sequence[Placed]) -> Iterator[Verdict]:
    speech_s = [(sum(span.end_s - span.start_s for span in spans), bool(text.text)) for spans, text in placed]
    total = sum(length_s for length_s, _ in speech_s)
    mute = sum(length_s for length_s, heard in speech_s if not heard)
    if mute > MOST_UNHEARD * total:
        yield 1 - 0.5 * mute / total, f"unheard: the engine heard nothing in {mute / total:.0%} of the speech"


def is_phantom(text: str) -> bool:
    """Whether the text is nothing but a phrase that engines invent where nobody speaks."""
    return re.sub(r"[^\w\s]", "", re.sub(r"[-–]", " ", text)).casefold().strip() in PHANTOMS


def _stretches(segments: Sequence[Segment]) -> Iterator[str]:
    """The text in parts of about 30 s."""
    words: list[str] = []
    start_s = 0.0
    for segment in segments:
        if words and segment.end_s - start_s > STRETCH_S:
            yield " ".join(words)
            words = []
        if not words:
            start_s = segment.start_s
        words.append(segment.text)
    if words:
        yield " ".join(words)
