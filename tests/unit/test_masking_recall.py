"""How much of what is private is masked, by kind, on sentences made from seeded templates.

`measure()` gives the figures of `docs/masking.md`; the tests hold them to floors.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import TypeAlias

import pytest

from diarynotes.diary.masking import mask_transcript
from diarynotes.models import Segment, Transcript

Maker: TypeAlias = Callable[[random.Random], str]

DIGITS = "zero one two three four five six seven eight nine".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
LISTED = "Anna Marcus Priya Tom Sofia Ben Elif Maria Jonas Camille Diego Laura Peter Emma Lucas".split()
STRANGE = "Xiadani Oyelaran Thjodolf Quilla Zerubin Mbakwe Yrsaline Drazhen Kvothel Ansgerd Fenwicke Olumari".split()
SURNAMES = "Weber Okafor Lindqvist Marchetti Kowalczyk Deschamps Arroyo Haverkamp Tanaka Brannigan".split()
WORDS = "maple cedar willow harbour station orchard church mill river kings meadow chestnut".split()
GERMAN_STREETS = ["Hauptstraße", "Lindenallee", "Goethestr.", "Am Ring"]
LOCALS = "john anna.berg j.weber mkowal tom82 lucy_h peter-k m.arroyo info.studio blue.heron".split()
DOMAINS = "example.com gmail.com web.de mail.example.org proton.me my-studio.co.uk orange.fr correo.es".split()


def row(rng: random.Random, count: int, first: str = "0123456789") -> str:
    return rng.choice(first) + "".join(rng.choice("0123456789") for _ in range(count - 1))


def dictate(figures: str, rng: random.Random, group: int = 0) -> str:
    """Figures as they are said: "double five oh one", with commas between groups."""
    words, place = [], 0
    zero = rng.choice(["oh", "zero"])
    while place < len(figures):
        sign = figures[place]
        word = sign.lower() if not sign.isdecimal() else zero if sign == "0" else DIGITS[int(sign)]
        if sign.isdecimal() and figures[place : place + 2] == sign * 2 and rng.random() < 0.4:
            word, place = f"double {word}", place + 1
        place += 1
        words.append(word + ("," if group and place % group == 0 and place < len(figures) else ""))
    return " ".join(words)


def email(rng: random.Random) -> str:
    return f"{rng.choice(LOCALS)}@{rng.choice(DOMAINS)}"


def say_address(address: str) -> str:
    names = {".": " dot ", "@": " at ", "_": " underscore ", "-": " dash ", "/": " slash "}
    said = "".join(names.get(sign, f" {DIGITS[int(sign)]} " if sign.isdecimal() else sign) for sign in address)
    return re.sub(r" +", " ", said).strip()


def phone(rng: random.Random) -> str:
    forms = ("(###) 2##-####", "###-2##-####", "###.2##.####", "555-####")
    own = "".join(rng.choice("23456789") if sign == "#" else sign for sign in rng.choice(forms))
    abroad = rng.choice(
        ["+49 176 {}", "+44 7{} {}", "+33 6 {}", "+34 6{} {}", "+1 415 2{}", "0049 30 {}", "020 7{} {}"]
    )
    return own if rng.random() < 0.5 else abroad.format(row(rng, 4, "123456789"), row(rng, 4, "123456789"))


def spoken_phone(rng: random.Random) -> str:
    number = rng.choice([row(rng, 7, "2345678"), row(rng, 10, "23456789"), "0" + row(rng, 10, "1237")])
    if rng.random() < 0.3:
        return "plus " + dictate("4" + row(rng, 11), rng)
    return dictate(number, rng, rng.choice([0, 3, 4]))


def odd_phone(rng: random.Random) -> str:
    return re.sub("[-. ]", lambda _: rng.choice("‐‑‒–−－\u00a0\u202f"), phone(rng))


def parted_phone(rng: random.Random) -> str:
    number = row(rng, 10, "23456789")
    return rng.choice([" dash ", " hyphen ", " space ", ", dash, "]).join(
        dictate(part, rng) for part in (number[:3], number[3:6], number[6:])
    )


def linked_phone(rng: random.Random) -> str:
    number = row(rng, 10, "23456789")
    return rng.choice([" then ", " minus ", " and then ", " uh, wait, "]).join(
        dictate(part, rng) for part in (number[:3], number[3:6], number[6:])
    )


def hand_written_email(rng: random.Random) -> str:
    forms = [(" [at] ", " [dot] "), ("(at)", "."), (" at ", " dot "), ("{at}", "{dot}")]
    at, dot = rng.choice(forms)
    local, domain = email(rng).split("@")
    end = domain.rpartition(".")[2]
    return f"{local}{at}{domain[: -len(end)].replace('.', dot)}{' '.join(end) if dot == ' dot ' else end}"


def luhn(figures: str) -> str:
    return figures + str(import_module("stdnum.luhn").calc_check_digit(figures))


def card(rng: random.Random) -> str:
    number = luhn((rng.choice(["4", "51", "2221"]) + row(rng, 15))[:15])
    return rng.choice(["", " ", "-"]).join(number[place : place + 4] for place in range(0, 16, 4))


def iban(rng: random.Random) -> str:
    land, count = rng.choice([("DE", 18), ("FR", 23), ("ES", 20), ("AT", 16), ("GB", 18), ("NL", 14)])
    bank = {"GB": "NWBK", "NL": "ABNA"}.get(land, "")
    body = bank + row(rng, count - len(bank))
    number = "".join(str(int(sign, 36)) for sign in f"{body}{land}00")
    return f"{land}{98 - int(number) % 97:02d}{body}"


def grouped_iban(rng: random.Random) -> str:
    number = iban(rng)
    return number if rng.random() < 0.4 else " ".join(number[place : place + 4] for place in range(0, len(number), 4))


def national_id(rng: random.Random) -> str:
    """A number of one of ten countries, found by drawing until its checksum is right."""
    name, length = rng.choice(
        [
            *[("nl.bsn", 9), ("ca.sin", 9), ("gb.nhs", 10), ("pl.pesel", 11), ("br.cpf", 11), ("de.idnr", 11)],
            *[("in_.aadhaar", 12), ("es.dni", 9), ("es.nie", 9), ("ch.ssn", 13)],
        ]
    )
    module = import_module(f"stdnum.{name}")
    while True:
        number = row(rng, length, "123456789")
        if name == "pl.pesel":
            number = f"{rng.randint(50, 99)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}{row(rng, 5)}"
        elif name == "ch.ssn":
            number = "756" + row(rng, 10)
        elif name == "es.dni":
            number = number[:8] + module.calc_check_digit(number[:8])
        elif name == "es.nie":
            number = "X" + number[1:8] + module.calc_check_digit("X" + number[1:8])
        if module.is_valid(number):
            return number


def address(rng: random.Random) -> str:
    number, word = rng.randint(1, 250), rng.choice(WORDS).title()
    forms = [
        f"{number} {word} {rng.choice('Street Road Avenue Lane Drive Close'.split())}",
        f"{number} {word} {rng.choice('St Rd Ave'.split())}, Apt {rng.randint(1, 40)}, Springfield, IL {row(rng, 5)}",
        f"{number} {word} Court, Leeds LS{rng.randint(1, 9)} {rng.randint(1, 9)}BT",
        f"{rng.choice(GERMAN_STREETS)} {number}, {row(rng, 5, '12345')} Kassel",
        f"{number} rue de la {word}, {row(rng, 5, '12345')} Lyon",
        f"Calle de {word} {number}",
        f"P.O. Box {row(rng, 4, '123456789')}",
    ]
    return rng.choice(forms)


def spoken_street(rng: random.Random) -> str:
    number = rng.choice([rng.choice(TENS), f"{rng.choice(TENS)} {rng.choice(DIGITS[1:])}", rng.choice(DIGITS[1:])])
    return f"{number} {rng.choice(WORDS)} {rng.choice('street road avenue'.split())}"


def url(rng: random.Random) -> str:
    domain = rng.choice("example.com my-blog.net data.example.org shop.co.uk photos.io".split())
    return rng.choice(["https://{}/a?id=7", "www.{}", "{}", "http://{}/me"]).format(domain)


def spoken_url(rng: random.Random) -> str:
    domain = rng.choice("example.com annaberg.net data.example.org shop.co.uk".split())
    return rng.choice(["w w w dot {}", "{}", "www dot {} slash photos"]).format(say_address(domain))


def ipv4(rng: random.Random) -> str:
    return ".".join(str(rng.randint(1, 254)) for _ in range(4))


def ipv6(rng: random.Random) -> str:
    return (
        ":".join(f"{rng.randint(4096, 65535):x}" for _ in range(rng.choice([8, 8, 8])))
        if rng.random() < 0.5
        else (f"fe80::{rng.randint(1, 65535):x}:{rng.randint(1, 65535):x}")
    )


def spoken_ip(rng: random.Random) -> str:
    return " dot ".join(dictate(group, rng) for group in ipv4(rng).split("."))


SAID = {
    "EMAIL": ["Write to {} tomorrow.", "my email is {}", "She uses {} now, I think.", "send the photos to {} please"],
    "PHONE": ["Call me on {}.", "her number is {}", "I wrote down {} on a card.", "ring the plumber {} before noon"],
    "CARD": ["The card is {}.", "I paid with {} at the shop", "they wanted {} over the phone"],
    "IBAN": ["Send the rent to {}.", "the account is {} from now on", "so it's {}, I checked"],
    "ID": ["My tax number is {}.", "they asked for {} at the desk", "I typed {} twice"],
    "ADDRESS": ["We moved to {} in May.", "the party is at {} tonight", "Send it to {}."],
    "URL": ["I found it on {} yesterday.", "look at {} when you can", "The site is {}, he said."],
    "IP": ["The server is {} now.", "connect to {} from home", "He typed {} and it worked."],
}
CUED = [
    *["I met my brother {} at noon.", "Dr. {} was late again.", "We had lunch with {} today."],
    *["{} said that it was fine.", "She is called {} now.", "I told {} about the flat."],
]
BARE = ["The gift was from {} though.", "Later {} and I went home.", "It rained, so {} drove."]
MAKERS: dict[tuple[str, str], tuple[Maker, list[str]]] = {
    ("EMAIL", "written"): (email, SAID["EMAIL"]),
    ("EMAIL", "spoken"): (lambda rng: say_address(email(rng)), SAID["EMAIL"]),
    ("PHONE", "written"): (phone, SAID["PHONE"]),
    ("PHONE", "spoken"): (spoken_phone, SAID["PHONE"]),
    ("PHONE", "written, other hyphens"): (odd_phone, SAID["PHONE"]),
    ("PHONE", "spoken, signs as words"): (parted_phone, SAID["PHONE"]),
    ("PHONE", "spoken, linking words, cue"): (linked_phone, ["her number is {}", "Call me on {}.", "Phone: {}."]),
    ("EMAIL", "signs written out or spelled"): (hand_written_email, SAID["EMAIL"]),
    ("CARD", "written"): (card, SAID["CARD"]),
    ("CARD", "spoken"): (lambda rng: dictate(card(rng).replace(" ", "").replace("-", ""), rng, 4), SAID["CARD"]),
    ("IBAN", "written"): (grouped_iban, SAID["IBAN"]),
    ("IBAN", "spoken"): (lambda rng: dictate(iban(rng), rng), SAID["IBAN"]),
    ("ID", "written"): (national_id, SAID["ID"]),
    ("ID", "spoken"): (lambda rng: dictate(national_id(rng), rng), SAID["ID"]),
    ("ADDRESS", "written"): (address, SAID["ADDRESS"]),
    ("ADDRESS", "spoken"): (spoken_street, SAID["ADDRESS"]),
    ("URL", "written"): (url, SAID["URL"]),
    ("URL", "spoken"): (spoken_url, SAID["URL"]),
    ("IP", "written"): (lambda rng: rng.choice([ipv4, ipv6])(rng), SAID["IP"]),
    ("IP", "spoken"): (spoken_ip, SAID["IP"]),
    ("PERSON", "listed given name, cue"): (lambda rng: rng.choice(LISTED), CUED),
    ("PERSON", "listed given name, no cue"): (lambda rng: rng.choice(LISTED), BARE),
    ("PERSON", "listed given name, lower case"): (
        lambda rng: rng.choice(LISTED).lower(), [text.lower() for text in CUED]
    ),
    ("PERSON", "given name and surname"): (lambda rng: f"{rng.choice(LISTED)} {rng.choice(SURNAMES)}", CUED + BARE),
    ("PERSON", "strange name, cue"): (lambda rng: rng.choice(STRANGE), CUED),
    ("PERSON", "strange name, no cue"): (lambda rng: rng.choice(STRANGE), BARE),
    ("PERSON", "strange name, lower case"): (
        lambda rng: rng.choice(STRANGE).lower(), [text.lower() for text in CUED]
    ),
}  # fmt: skip
FLOORS = {("ADDRESS", "written"): 0.95, ("ADDRESS", "spoken"): 0.95, ("PERSON", "strange name, cue"): 0.8}
FREE = {("PERSON", "strange name, no cue"), ("PERSON", "strange name, lower case")}
"""What nothing can find; told in the docs, held to nothing."""


def hear(text: str) -> Transcript:
    return Transcript("t", "r", "e", "m", "en", (Segment(0.0, 1.0, text),), 1.0)


def is_hidden(template: str, value: str) -> bool:
    """Whether not a word of the value is left, beyond those that the sentence has anyway."""
    masked, _ = mask_transcript(hear(template.format(value)))
    left = re.sub(r"\[[A-Z]+_\d+[A-Z]*\]", " ", masked.text)
    return not Counter(re.findall(r"\w+", left)) - Counter(re.findall(r"\w+", template.format("")))


def measure(count: int, seed: int = 7) -> dict[tuple[str, str], tuple[float, list[str]]]:
    """The share of `count` values that are wholly hidden, and the sentences of the others, by kind and form."""
    found = {}
    for kind, (make, templates) in MAKERS.items():
        rng = random.Random(f"{seed} {kind}")
        tried = [(rng.choice(templates), make(rng)) for _ in range(count)]
        missed = [template.format(value) for template, value in tried if not is_hidden(template, value)]
        found[kind] = (1 - len(missed) / count, missed)
    return found


@pytest.mark.parametrize("kind", sorted(MAKERS.keys() - FREE), ids=" ".join)
def test_private_things_are_hidden(kind: tuple[str, str]) -> None:
    make, templates = MAKERS[kind]
    rng = random.Random(f"7 {kind}")
    tried = [(rng.choice(templates), make(rng)) for _ in range(100)]
    hidden = sum(is_hidden(template, value) for template, value in tried)
    assert hidden / len(tried) >= FLOORS.get(kind, 0.97)


ABROAD = {
    "de": ("null eins zwei drei vier fünf sechs sieben acht neun", "Meine Nummer ist {}."),
    "fr": ("zéro un deux trois quatre cinq six sept huit neuf", "Mon numéro est {}."),
    "es": ("cero uno dos tres cuatro cinco seis siete ocho nueve", "Mi número es {}."),
    "it": ("zero uno due tre quattro cinque sei sette otto nove", "Il mio numero è {}."),
    "nl": ("nul een twee drie vier vijf zes zeven acht negen", "Mijn nummer is {}."),
    "pt": ("zero um dois três quatro cinco seis sete oito nove", "O meu número é {}."),
    "pl": ("zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć", "Mój numer to {}."),
}


@pytest.mark.parametrize("language", ABROAD)
def test_dictated_numbers_are_hidden_in_each_language_that_is_read(language: str) -> None:
    words, template = ABROAD[language]
    rng = random.Random(language)
    for _ in range(50):
        said = " ".join(words.split()[int(figure)] for figure in row(rng, 9))
        segment = Segment(0.0, 1.0, template.format(said), language=language)
        masked, _ = mask_transcript(replace(hear(""), segments=(segment,)))
        assert re.fullmatch(template.format(r"\[[A-Z]+_1\]"), masked.text)


HARD = {
    "EMAIL": [
        "john at example.com",
        "j o h n at gmail dot com",
        "john dot smith at sign gmail dot com",
        "john smith at gmail dot com",
        "john.smith at g mail dot com",
        "tom eighty two at yahoo dot com",
        "anna at university dot edu",
        "mary dash jane at icloud dot com",
        "john@ example.com",
    ],
    "PHONE": [
        "five five five um one two three four",
        "eight hundred five five five one two three four",
        "twenty three forty five sixty seven eighty nine",
        "oh one seven six, twenty three, forty five, sixty seven",
        "triple five, one two three four",
        "5 5 5 0 1 9 9",
        "555. 0199. 12",
        "zero two oh seven nine four six oh nine five eight",
        "four one five, five five five, two six seven one",
        "five five five oh one nine",
        "o seven seven double o nine o o one two three",
        "(0) 176 / 123 45 67",
        "555 01 99",
    ],
    "CARD": [
        "4111. 1111. 1111. 1111",
        "4111 1111, one one one one, 1111",
        "forty one eleven, eleven eleven, eleven eleven, eleven eleven",
        "four one one one uh one one one one uh one one one one uh one one one one",
        "4111 1111 1111 1112",
    ],
    "IBAN": [
        "DE 89 3704 0044 0532 0130 00",
        "D E 89, 3704, 0044, 0532, 0130, 00",
        "delta echo eight nine three seven oh four oh oh four four oh five three two oh one three oh oh oh",
        "d e eighty nine thirty seven oh four oh oh forty four oh five thirty two oh one thirty oh oh",
        "DE89 3704 0044 0532 0130 01",
    ],
    "ID": [
        "five three six, twenty two, one two three four",
        "A B one two three four five six C",
        "AB 12 34 56 C",
        "RSSMRA85T10A562S",
        "XK 123 456 7",
        "nine four three, four seven six, five nine one nine",
    ],
    "ADDRESS": [
        "10 Downing Street",
        "221b Baker Street",
        "two twenty one b baker street",
        "1600 Pennsylvania Avenue NW",
        "Flat 3, 17 Broadway",
        "17 Broadway",
        "12 The Green",
        "one twenty three main street",
        "Unter den Linden 77",
        "Rosenweg drei",
        "quinze rue victor hugo",
        "calle ocho número cinco",
        "SW1A 2AA",
        "s w one a two a a",
    ],
    "URL": [
        "example dot shop",
        "bit.ly/3xYz",
        "h t t p s colon slash slash example dot com",
        "double u double u double u dot example dot com",
        "github.com/annaberg",
        "example dot museum",
        "www example dot com",
    ],
    "IP": [
        "192 dot 168 dot 1 dot 20",
        "one ninety two dot one sixty eight dot one dot twenty",
        "192.168. 1. 20",
        "one nine two point one six eight point one point twenty",
        "f e eighty colon colon one",
    ],
}
"""Forms of which not all are found: said in pieces, misheard, rare.
Written after the code to see where it ends; it has learned
some of them since, so this is no blind test."""
FOUND = {"EMAIL": 9, "PHONE": 11, "CARD": 5, "IBAN": 4, "ID": 5, "ADDRESS": 8, "URL": 6, "IP": 4}


@pytest.mark.parametrize("kind", HARD)
def test_hard_forms_are_hidden_as_often_as_the_docs_say(kind: str) -> None:
    assert sum(is_hidden("So it's {} I think.", value) for value in HARD[kind]) >= FOUND[kind]
