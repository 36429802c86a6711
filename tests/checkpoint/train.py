"""Train the checkpoint: `python train.py FOLDER`. Stopped at any time, it goes on from its last state when run again.

FOLDER holds the corpus (made first if it is not there), the state and, at the end, `weights.pt` to commit.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mixing import IGNORED, Example, Mixer, tokenizer
from speak import Clip, make_corpus, read_corpus
from student import Student
from torch import Tensor, nn
from whisper import log_mel_spectrogram

CORPUS = 12_000
"""Texts spoken; seven hours."""
COURSE = ((4.0, 12, 800), (12.0, 4, 150), (30.0, 3, 450))
"""Seconds of a window, windows of a step in each process, steps: short ones first, Whisper's own length at the end."""
PEAK, WARM_UP, DECAY = 2e-3, 80, 400
"""The highest learning rate, the steps up to it, and the last ones, over which it falls to zero."""
PROCESSES = 2
"""Each learns from windows of its own, on one thread; two threads of one process wait for each other too long."""
SPELLING, GUIDANCE = 0.5, 0.3
"""The weights of the helpers' losses."""
SAVE_S = 120.0
"""Seconds between two states."""

Optimizers = Sequence[torch.optim.Optimizer]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    if not (folder / "corpus").is_dir():
        make_corpus(folder / "corpus", CORPUS)
    mp.spawn(work, args=(folder,), nprocs=PROCESSES)


def work(process: int, folder: Path) -> None:
    """What each process does; all hold the same student at every step, and the first one writes."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder.resolve()}/meeting-{os.getppid()}", None, PROCESSES, process)
    samples, clips = read_corpus(folder / "corpus")
    torch.manual_seed(0)
    student = Student(find_used(clips))
    train(student, Mixer(samples, clips), folder, process)
    if process == 0:
        torch.save(student.export(), folder / "weights.pt")
    dist.destroy_process_group()


def find_used(clips: list[Clip]) -> list[int]:
    """The tokens that get a vector of their own: what the clips need, and the marks before the time marks."""
    marks = tokenizer()
    words = {token for clip in clips for token in marks.encode(" " + clip.text)}
    words |= {token for clip in clips for word in clip.text.split() for token in marks.encode(f" {word.strip('.,?')},")}
    return [*sorted(words), *range(marks.eot, marks.timestamp_begin)]


def train(student: Student, mixer: Mixer, folder: Path, process: int) -> None:
    """The whole course; each step draws its windows from its own number, so a resumed run sees the same ones."""
    optimizers = open_optimizers(student)
    first = resume(student, optimizers, folder / "state.pt")
    saved = begun = time.monotonic()
    for step, (seconds, batch) in enumerate(plan()):
        if step < first:
            continue
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = rate(step)
        rng = np.random.default_rng([1, step, process])
        losses = learn(student, optimizers, [mixer.draw(rng, seconds) for _ in range(batch)])
        if process == 0 and step % 20 == 0:
            took = round(time.monotonic() - begun, 1)
            line = {"step": step, "seconds": seconds, "losses": losses, "took_s": took}
            with (folder / "log.jsonl").open("a") as log:
                print(json.dumps(line), file=log)
        if process == 0 and time.monotonic() - saved > SAVE_S:
            saved = time.monotonic()
            save(student, optimizers, step + 1, folder / "state.pt")
    if process == 0:
        save(student, optimizers, step + 1, folder / "state.pt")


def open_optimizers(student: Student) -> Optimizers:
    """Muon (Jordan, 2024) for the matrices of the layers, AdamW for everything else."""
    matrices = [p for name, p in student.named_parameters() if ".blocks." in name and p.ndim == 2]
    others = [p for name, p in student.named_parameters() if not (".blocks." in name and p.ndim == 2)]
    return (
        torch.optim.Muon(matrices, lr=PEAK, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=PEAK, betas=(0.9, 0.98), weight_decay=0.02),
    )


def plan() -> Iterator[tuple[float, int]]:
    for seconds, batch, steps in COURSE:
        yield from ((seconds, batch) for _ in range(steps))


def rate(step: int) -> float:
    """The learning rate of a step."""
    left = sum(steps for *_, steps in COURSE) - step
    return PEAK * min(1.0, (step + 1) / WARM_UP, left / DECAY)


def learn(student: Student, optimizers: Optimizers, examples: list[Example]) -> list[float]:
    """One step over the examples of all processes; gives the losses of this one: decoder, speller, guide."""
    with torch.autocast("cpu", torch.bfloat16):
        losses = student.losses(*collate(examples), [example.letters for example in examples])
    student.zero_grad()
    (losses[0] + SPELLING * losses[1] + GUIDANCE * losses[2]).backward()
    share_gradients(student)
    nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
    return [round(loss.item(), 3) for loss in losses]


def share_gradients(student: Student) -> None:
    """Give every process the mean of all gradients."""
    gradients = [parameter.grad for parameter in student.parameters() if parameter.grad is not None]
    together = nn.utils.parameters_to_vector(gradients)
    dist.all_reduce(together)
    nn.utils.vector_to_parameters(together / PROCESSES, gradients)


def collate(examples: list[Example]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log-mel, tokens, labels and their places; short texts are filled up with what is not learned."""
    mel = torch.stack([log_mel_spectrogram(torch.from_numpy(example.sound)) for example in examples])
    longest = max(len(example.tokens) for example in examples)
    tokens = torch.full((len(examples), longest), tokenizer().eot)
    labels = torch.full((len(examples), longest), IGNORED)
    places = torch.full((len(examples), longest), -1.0)
    for row, example in enumerate(examples):
        places[row, : len(example.places)] = torch.tensor(example.places)
        tokens[row, : len(example.tokens)] = torch.tensor(example.tokens)
        labels[row, : len(example.labels)] = torch.tensor(example.labels)
    return mel, tokens, labels, places


def resume(student: Student, optimizers: Optimizers, path: Path) -> int:
    """The step to go on with; 0 where there is no state."""
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    student.load_state_dict(state["student"])
    for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(kept)
    return int(state["step"])


def save(student: Student, optimizers: Optimizers, step: int, path: Path) -> None:
    """Whole or not at all."""
    part = path.with_suffix(".part")
    kept = [optimizer.state_dict() for optimizer in optimizers]
    torch.save({"student": student.state_dict(), "optimizers": kept, "step": step}, part)
    part.rename(path)


if __name__ == "__main__":
    main()
