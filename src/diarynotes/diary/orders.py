"""Tells an order that somebody gives themselves ("Call the dentist") from a sentence that only looks like one.

Knows the common verbs of errands; many are nouns too ("Work was hard"), so the next word decides.
"""

from __future__ import annotations

import re

from diarynotes.diary.words import AUXILIARIES, DETERMINERS, fold

ERRANDS = frozenset(
    "add apologise apologize apply arrange ask assemble back bake book bring brush build buy call cancel catch "
    "change charge check choose clean clear close collect compare confirm contact cook copy cut decide defrost "
    "deliver deposit describe dig discuss download draw drive drop dust email empty enrol exchange explain feed "
    "fetch figure file fill find finish fix fold follow forward get give go grab hand hang help hire inform "
    "install invite iron join keep knit learn leave lend let listen look mail make measure meet mend message move "
    "mow negotiate notify open order organise organize pack paint pay phone pick plan plant post practice "
    "practise prepare print publish put read rebook recharge record refill register remind remove renew rent "
    "repair replace reply report request reschedule research reserve return review ring rinse run scan schedule "
    "sell send set shave sign sort speak start stop store submit swap sweep take talk tell test text thank throw "
    "tidy top train transfer translate try turn unpack unplug update upload use vacuum visit wait walk wash watch "
    "water weed weigh wipe withdraw work wrap write".split()
)
"""Verbs, in their plain form, that a todo may begin with."""
_ALSO_NOUNS = frozenset(
    "back book build call catch change charge check clean clear close cook copy cut dig draw drive drop dust "
    "email empty file fill find fix fold forward get go help hire iron join keep learn leave let look mail make "
    "measure message move open order pack paint pay phone pick plan plant post practice print put read record "
    "rent repair reply report request research return review ring run scan set sign sort start stop store swap "
    "sweep take talk test text top train transfer try turn update use visit wait walk wash watch water weed work "
    "wrap".split()
)
_PARTICLES = frozenset("up out off down back over away through round around in on to for him her them it me us".split())
_PART = re.compile(r",\s+(?:and\s+)?(?:then\s+)?|\s+and\s+(?:then\s+)?", re.IGNORECASE)


def is_order(text: str) -> bool:
    """Whether a sentence begins with a verb in its plain form and something to do it to."""
    words = fold(text)
    if len(words) < 2 or words[0] not in ERRANDS or words[1] in AUXILIARIES | {"and", "or"}:
        return False
    if words[0] not in _ALSO_NOUNS:
        return True
    return words[1] in DETERMINERS | _PARTICLES or text.split()[1][:1].isupper()


def split_orders(text: str) -> list[str]:
    """The orders in a row: "call the dentist, renew the permit and buy milk" holds three."""
    orders: list[str] = []
    begin = 0
    for match in _PART.finditer(text):
        following = text[match.end() :]
        # the same verb again tells more of the same errand: "pick up the parcel, pick up code 4492"
        if is_order(following) and fold(following)[0] != fold(text[begin:])[0]:
            orders.append(text[begin : match.start()])
            begin = match.end()
    return [*orders, text[begin:]]
