"""The writer that needs no model: the speaker's own words, tidied and sorted.

Knows only the transcript. It never fails on one, and gives the same draft for the same transcript and day.
"""

from __future__ import annotations

from datetime import date

from diarynotes.models import Draft, Mood, Sentence, Transcript


class Backend:
    """Picks, tidies and sorts what was said; nothing is added."""

    name = "extractive"
    model = "extractive-1"
    degraded = True
    prompt_version = "1"

    def write(self, transcript: Transcript, *, day: date) -> Draft:
        body = tuple(Sentence(s.text.strip(), (n,)) for n, s in enumerate(transcript.segments) if s.text.strip())
        first = body[0].text if body else f"Nothing said on {day.isoformat()}"
        return Draft(title=first[:60], summary=first, mood=Mood("neutral", 0.0), body=body)
