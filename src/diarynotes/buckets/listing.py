"""What is new in a source since last time, for less than the price of listing all of it.

Buckets list their objects in the order of names, so: behind the newest name that was seen in each folder, at once;
and by a sweep that goes on from where the last run stopped, so many pages a run, and comes round. Knows nothing of
where watermarks are kept; whoever does keeps one once what was listed up to there is registered.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import diarynotes.buckets.local as local
from diarynotes.buckets.backend import PAGE_OBJECTS, Facts
from diarynotes.buckets.calls import NO_BUCKET
from diarynotes.buckets.places import OnProblem, is_hidden, is_remote, raise_problem
from diarynotes.buckets.remote import Bucket, prefix_of
from diarynotes.errors import BadSettings, SourceUnavailable
from diarynotes.models import BucketObject


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far a source was listed.

    `newest` holds for each folder right below the source (with its slash; empty for the source itself) the name behind
    which nobody has looked. `sweep` is the name that the sweep has come to, empty at the beginning of a round;
    `turn` is the folder that was looked into last, where not all get their turn in each run.
    """

    newest: Mapping[str, str] = field(default_factory=dict)
    sweep: str = ""
    turn: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some of a source's objects, at most a page, and the watermark that holds once they are registered."""

    objects: tuple[BucketObject, ...]
    watermark: Watermark


def list_new(source: str, watermark: Watermark, *, budget: int, on_problem: OnProblem | None = None) -> Iterator[Batch]:
    """What may be new in `source` since `watermark`, in batches; each one moves the watermark.

    Keep a batch's watermark only when its objects are registered: a run that dies between repeats them, and none is
    ever passed over. A reader may stop after any batch. A run asks a bucket for at most twice `budget` pages (of up
    to 1,000 names) and one, beside those full of what nobody has seen before. Of an object that lies there by then:

    - it is found by the next run where its name sorts behind all that was ever seen of its folder (that below the
      source) and the source has at most `budget` folders, else within ceil(folders / budget) runs. A new folder is seen
      where it sorts behind what lies beside the folders, or is among the first 1,000 names of both;
    - whatever its name, it is found within ceil(pages / budget) + 1 runs, `pages` being those of the whole bucket.

    An object whose content changed is found by the latter. Folders on disk are listed in full each time. A source that
    holds nothing yet is no mistake.

    Raises: as `list_objects`; a bucket that stops answering ends the listing, and what was listed counts.
    """
    report = on_problem or raise_problem
    if not is_remote(source):
        yield from _list_local(source, watermark, report)
        return
    try:
        yield from _Listing(Bucket(source), watermark).run(max(1, budget))
    except SourceUnavailable as problem:
        if problem.why == NO_BUCKET:
            raise BadSettings(source, problem.why) from problem
        report(problem)


def _list_local(source: str, watermark: Watermark, report: OnProblem) -> Iterator[Batch]:
    found: list[BucketObject] = []
    for obj in local.list_all(source, report):
        found.append(obj)
        if len(found) == PAGE_OBJECTS:
            yield Batch(tuple(found), watermark)
            found = []
    if found:
        yield Batch(tuple(found), watermark)


@dataclass(frozen=True, slots=True)
class _Part:
    """A page without what comes before its mark; `walked` where the server began at the beginning all the same."""

    objects: tuple[Facts, ...]
    folders: tuple[str, ...]
    walked: bool
    is_last: bool


class _Listing:
    """One run over one bucket; `_mark` is the watermark that holds when all that was yielded is registered."""

    def __init__(self, bucket: Bucket, mark: Watermark) -> None:
        self._bucket = bucket
        self._prefix = prefix_of(bucket.key)
        self._mark = mark

    def run(self, budget: int) -> Iterator[Batch]:
        begun_at = self._mark.sweep
        yield from self._sweep(budget)
        if not begun_at and not self._mark.sweep:
            return  # that was all of it
        looks = yield from self._look_at_top(budget)
        yield from self._look_into_folders(budget + 1 - looks)

    def _sweep(self, pages: int) -> Iterator[Batch]:
        after = self._mark.sweep
        for page in self._pages(self._prefix, after):
            # a server that cannot begin in the middle is walked through, which is no work done
            ahead = [facts.key for facts in page.objects if not page.walked or _surely_before(after, facts.key)]
            reached = ahead[-1] if ahead else self._mark.sweep
            yield self._batch(page.objects, sweep="" if page.is_last else _storable(reached))
            pages -= bool(ahead)
            if not pages:
                return

    def _look_at_top(self, looks: int) -> Generator[Batch, None, int]:
        """What lies in no folder, and which folders there are; how many of `looks` it took."""
        used = 0
        newest = self._mark.newest.get("", "")
        for page in self._pages(self._prefix, newest, level=True):
            used += not page.objects
            yield self._batch(page.objects, newest=self._add_unseen(page.folders))
            if used == looks:
                return used
        if newest:  # folders may sort before what lies beside them; to list all of that again may be long
            first = self._bucket.page(self._prefix, level=True)
            yield self._batch((), newest=self._add_unseen(first.folders))
            used += 1
        return used

    def _add_unseen(self, folders: Sequence[str]) -> dict[str, str]:
        names = (folder[len(self._prefix) :] for folder in folders)
        unseen = {name: "" for name in names if name not in self._mark.newest and _is_noted(name)}
        return {**self._mark.newest, **unseen}

    def _look_into_folders(self, looks: int) -> Iterator[Batch]:
        """What is new in the folders: first in those that nobody has looked into, then in the others by turns."""
        newest, turn = self._mark.newest, self._mark.turn
        unseen = sorted(name for name, key in newest.items() if name and not key)
        others = sorted((name for name, key in newest.items() if name and key), key=lambda name: (name <= turn, name))
        for name in (*unseen, *others)[:looks]:
            for page in self._pages(self._prefix + name, newest[name]):
                if page.objects:
                    yield self._batch(page.objects)
            if newest[name]:
                self._mark = replace(self._mark, turn=name)
            elif not self._mark.newest[name]:  # there was nothing in it, so from now on it waits for its turn
                self._mark = replace(self._mark, newest={**self._mark.newest, name: self._prefix + name})
        yield self._batch(())

    def _pages(self, prefix: str, after: str, *, level: bool = False) -> Iterator[_Part]:
        """What comes behind `after`, page by page."""
        token, walked = "", None
        while True:
            page = self._bucket.page(prefix, after=after, token=token, level=level)
            token = page.token
            if walked is None and page.objects:
                walked = _surely_before(page.objects[0].key, after)
            behind = (facts for facts in page.objects if not walked or not _surely_before(facts.key, after))
            fresh = tuple(facts for facts in behind if facts.key != after)
            yield _Part(fresh, page.folders, walked=bool(walked), is_last=not token)
            if not token:
                return

    def _batch(self, found: Sequence[Facts], **changes: Any) -> Batch:
        """What is to be registered of a page, and the watermark behind it."""
        mark = replace(self._mark, **changes)
        newest = dict(mark.newest)
        for facts in found:
            below = facts.key[len(self._prefix) :]
            folder = below[: below.find("/") + 1]
            if _is_noted(folder):
                newest[folder] = max(newest.get(folder, ""), _storable(facts.key))
        self._mark = replace(mark, newest=newest)
        kept = (facts for facts in found if not self._is_left_out(facts.key))
        return Batch(tuple(self._bucket.as_object(facts) for facts in kept), self._mark)

    def _is_left_out(self, key: str) -> bool:
        return key.endswith("/") or "\0" in key or is_hidden(key[len(self._prefix) :])


def _is_noted(folder: str) -> bool:
    """Whether a watermark holds the newest name of this folder."""
    return not is_hidden(folder) and "\0" not in folder


def _surely_before(key: str, other: str) -> bool:
    """Whether `key` comes before `other` in whichever order of names a server has: by UTF-8 or by UTF-16."""
    return key < other and key.encode("utf-16-be") < other.encode("utf-16-be")


def _storable(key: str) -> str:
    """The name, or its beginning where the rest is no text that a database takes: what follows is listed again."""
    return key.partition("\0")[0]
