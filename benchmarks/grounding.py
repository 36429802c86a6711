"""Measures grounding: which planted falsehoods it sees, which true sentences it doubts, and how its time grows.

Makes memos from a seed, has the extractive writer write their notes, and plants a falsehood of each kind in each note.
Holds it also against pairs written by hand, half of which were never looked at while the checks were tuned.

    python benchmarks/grounding.py [--notes 300] [--seed 7] [--folder ../shared/notes] [--json FILE] [--show]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import statistics
import sys
import time
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import ModuleType

from diarynotes.diary import open_writer, read_transcript
from diarynotes.diary.grounding import ground_draft
from diarynotes.models import Draft, Mood, Segment, Sentence, Transcript

HERE = Path(__file__).resolve().parent
DAY = date(2026, 6, 10)
TRUE, PARAPHRASED = "true sentences", "paraphrases"
LENGTHS = (60, 600, 7200)
"""Segments of 5 s: five minutes, fifty minutes, ten hours."""


@dataclass(slots=True)
class Tally:
    """How many texts of a kind were held against the speech, how many had a finding, and those that went wrong."""

    tried: int = 0
    found: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, text: str, codes: tuple[str, ...], *, is_true: bool) -> None:
        self.tried += 1
        self.found += bool(codes)
        if bool(codes) == is_true:
            self.wrong.append(f"{', '.join(codes) or '-'}: {text}")

    @property
    def share(self) -> float:
        return self.found / self.tried if self.tried else 0.0


def main() -> None:
    arguments = _read_arguments()
    tallies = measure_made(arguments.notes, arguments.seed)
    for path in sorted(arguments.folder.glob("*.json")) if arguments.folder.is_dir() else []:
        tallies.setdefault("true sentences of the folder", Tally())
        _measure_true(read_transcript(path), tallies["true sentences of the folder"])
    tallies |= measure_pairs()
    print(render_table(tallies))
    if arguments.show:
        for kind, tally in tallies.items():
            print(f"\n# {kind}", *tally.wrong, sep="\n")
    times = measure_time()
    base = times[LENGTHS[0]]
    told = ", ".join(f"x{count / LENGTHS[0]:.0f} speech: x{taken / base:.1f} time" for count, taken in times.items())
    print(f"\nFive minutes of speech: {base * 1000:.1f} ms. {told}.")
    if arguments.json:
        figures = {kind: {"tried": it.tried, "found": it.found} for kind, it in tallies.items()}
        arguments.json.write_text(json.dumps({"kinds": figures, "seconds": times}, indent=1))


def measure_made(notes: int, seed: int) -> dict[str, Tally]:
    """The tally of each kind of falsehood, of the true sentences and of their paraphrases, over made notes."""
    material, chance, writer = load_material(), random.Random(seed), open_writer("extractive")
    tallies = {kind: Tally() for kind in (*material.LIES_BY_KIND, TRUE, PARAPHRASED)}
    for number in range(notes):
        memo = material.make_memo(number, chance)
        draft = writer.write(memo.transcript, day=DAY)
        for sentence, codes in zip(draft.body, check(draft.body, memo.transcript), strict=True):
            tallies[TRUE].add(sentence.text, codes, is_true=True)
        retold = []
        for sentence in draft.body:
            slots = tuple(slot for slot in memo.slots if slot[0] in sentence.evidence)
            retold.append(Sentence(material.paraphrase(sentence.text, slots), sentence.evidence))
        for sentence, codes in zip(retold, check(retold, memo.transcript), strict=True):
            tallies[PARAPHRASED].add(sentence.text, codes, is_true=True)
        planted = {kind: plant(draft, lie, memo, chance) for kind, lie in material.LIES_BY_KIND.items()}
        told = {kind: sentence for kind, sentence in planted.items() if sentence}
        for (kind, sentence), codes in zip(told.items(), check([*told.values()], memo.transcript), strict=True):
            tallies[kind].add(sentence.text, codes, is_true=False)
    return tallies


def plant(draft: Draft, lie: object, memo: object, chance: random.Random) -> Sentence | None:
    """One sentence of the note with a falsehood of this kind; None where none of them can take one."""
    for sentence in chance.sample(draft.body, len(draft.body)):
        told: Sentence | None = lie(sentence, memo, chance)  # type: ignore[operator]
        if told and told.text != sentence.text:
            return told
    return None


def check(body: list[Sentence] | tuple[Sentence, ...], transcript: Transcript) -> list[tuple[str, ...]]:
    """The codes of the findings against each sentence."""
    grounded = ground_draft(Draft("", "", Mood("neutral", 0.0), tuple(body)), transcript, day=DAY)
    return [
        tuple(finding.code for finding in grounded.findings if finding.where == f"body {number}")
        for number in range(len(body))
    ]


def measure_pairs() -> dict[str, Tally]:
    """The tallies of the pairs written by hand, by half."""
    tallies = {}
    early, late = read_pairs()
    for half, pairs in (("tuned on", early[1::2]), ("held out", early[::2]), ("written later", late)):
        good, bad = Tally(), Tally()
        for said, faithful, false, _ in pairs:
            segments = tuple(Segment(5.0 * at, 5.0 * at + 4.5, text) for at, text in enumerate(said.split(" / ")))
            transcript = Transcript("t", "r", "hand", "hand", "en", segments, 1.0)
            evidence = tuple(range(len(segments)))
            good.add(faithful, check([Sentence(faithful, evidence)], transcript)[0], is_true=True)
            if false != "-":
                bad.add(false, check([Sentence(false, evidence)], transcript)[0], is_true=False)
        tallies |= {f"rewritten faithfully, {half}": good, f"rewritten falsely, {half}": bad}
    return tallies


def read_pairs() -> tuple[list[list[str]], list[list[str]]]:
    """What was said, a faithful and a false rewriting, what is false: those written before the checks, and after."""
    early, _, late = (HERE / "grounding_pairs.txt").read_text(encoding="utf-8").partition("# Written after")
    return _split(early), _split(late[late.index("\n") :])


def _split(lines: str) -> list[list[str]]:
    return [line.split(" | ") for line in lines.splitlines() if line and not line.startswith("#")]


def measure_time() -> dict[int, float]:
    """Median seconds of a core for notes of growing length; two sentences for five segments, as a writer makes them."""
    material = load_material()
    taken = {}
    for count in LENGTHS:
        chance = random.Random(1)
        texts = [material._fill(chance.choice(material.TEMPLATES), chance)[0] for _ in range(count)]
        segments = tuple(Segment(place * 5.0, place * 5.0 + 4.5, text) for place, text in enumerate(texts))
        transcript = Transcript("t", "r", "made", "made", "en", segments, 1.0)
        body = tuple(
            Sentence(f"{texts[at]} {texts[at + 1]}", (at, at + 1)) for at in range(0, count - 1, 5) for _ in "ab"
        )
        draft = Draft(texts[0], " ".join(texts[:3]), Mood("neutral", 0.0), body)
        runs = []
        for _ in range(9 if count < LENGTHS[-1] else 1):
            start = time.process_time()
            ground_draft(draft, transcript, day=DAY)
            runs.append(time.process_time() - start)
        taken[count] = statistics.median(runs)
    return taken


def render_table(tallies: dict[str, Tally]) -> str:
    """One line a kind, and one for all planted falsehoods together."""
    lines = [f"{'kind':<36}{'tried':>7}{'findings':>10}{'share':>8}"]
    lines += [f"{kind:<36}{it.tried:>7}{it.found:>10}{it.share:>8.1%}" for kind, it in tallies.items()]
    tried, found = count_planted(tallies)
    return "\n".join([*lines, f"{'all planted falsehoods':<36}{tried:>7}{found:>10}{found / tried:>8.1%}"])


def count_planted(tallies: dict[str, Tally]) -> tuple[int, int]:
    """How many falsehoods were planted, and how many of them were seen."""
    planted = [tallies[kind] for kind in load_material().LIES_BY_KIND]
    return sum(it.tried for it in planted), sum(it.found for it in planted)


def load_material() -> ModuleType:
    """The module beside this one, wherever this one is loaded from."""
    if "grounding_material" not in sys.modules:
        spec = importlib.util.spec_from_file_location("grounding_material", HERE / "grounding_material.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["grounding_material"] = module
        spec.loader.exec_module(module)
    return sys.modules["grounding_material"]


def _measure_true(transcript: Transcript, tally: Tally) -> None:
    draft = open_writer("extractive").write(transcript, day=DAY)
    for sentence, codes in zip(draft.body, check(draft.body, transcript), strict=True):
        tally.add(sentence.text, codes, is_true=True)


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--notes", type=int, default=300)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=HERE.parents[1] / "shared" / "notes")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--show", action="store_true", help="print what went wrong")
    return parser.parse_args()


if __name__ == "__main__":
    main()
