"""Each check by itself: what one kind of falsehood looks like, and the faithful sentence that it must let pass."""

from __future__ import annotations

from datetime import date

import pytest

from diarynotes.diary.grounding.checks import RULES, check_heading, check_sentence
from diarynotes.diary.grounding.memo import Memo
from diarynotes.models import Segment, Transcript

DAY = date(2026, 6, 10)
"""A Wednesday."""


def memo(*said: str, language: str = "en") -> Memo:
    segments = tuple(Segment(float(at), at + 1.0, text) for at, text in enumerate(said))
    return Memo(Transcript("t", "r", "fake", "fake", language, segments, 1.0))


def codes(said: str, claim: str, *, day: date | None = DAY, language: str = "en") -> list[str]:
    return check_sentence(claim, (0,), memo(said, language=language), day)


@pytest.mark.parametrize(
    ("said", "claim"),
    [
        ("see you at half past nine", "We meet at 9:30."),
        ("see you at half past nine", "We meet at nine thirty."),
        ("the bus goes at nine thirty", "The bus goes at half past nine."),
        ("it starts at quarter to eleven", "It starts at 10:45."),
        ("it starts at ten to four", "It starts at 3:50."),
        ("the train leaves at seventeen forty", "The train leaves at 5:40 pm."),
        ("we eat at seven in the evening", "We eat at 19:00."),
        ("we eat at seven", "We eat at seven o'clock."),
        ("lunch was at noon", "Lunch was at 12 pm."),
        ("I worked from nine till six", "I worked from 9 to 6."),
        ("it took half an hour", "It took 30 minutes."),
        ("it took two hours", "It took 120 minutes."),
        ("we bought a couple of lamps", "We bought two lamps."),
        ("we bought a dozen eggs", "We bought 12 eggs."),
        ("take it twice a day", "I take it two times a day."),
        ("she weighs eighty one point five kilos", "She weighs 81.5 kg."),
        ("it cost two hundred and forty pounds", "It cost £240."),
        ("it cost nine pounds thirty", "It cost £9.30."),
        ("it cost £9.30", "It cost nine pounds thirty."),
        ("it cost a grand", "It cost 1,000."),
        ("it cost five grand", "It cost 5,000."),
        ("it sold two point five million copies", "It sold 2,500,000 copies."),
        ("it sold half a million copies", "It sold 500,000 copies."),
        ("we drank two and a half litres", "We drank 2.5 litres."),
        ("we drank 2,5 litres", "We drank 2½ litres."),
        ("it took an hour and a half", "It took 1.5 hours."),
        ("it took two hours and a half", "It took 150 minutes."),
        ("I take half a milligram", "I take 0.5 mg."),
        ("I take zero point five milligrams", "I take 0.5 mg."),
        ("we used a half cup of flour", "We used 1/2 cup of flour."),
        ("it was three quarters full", "It was 75% full."),
        ("we won three nil", "We won 3-0."),
        ("it was minus five outside", "It was -5 outside."),
        ("it was five below outside", "It was -5 outside."),
        ("at that point five people left", "Five people left at that point."),
        ("the code is zero four four five", "The code is 0445."),
    ],
)
def test_amounts_and_times_said_otherwise_stay(said: str, claim: str) -> None:
    assert codes(said, claim) == []


@pytest.mark.parametrize(
    ("said", "claim", "code"),
    [
        ("see you at half past nine", "We meet at 8:30.", "wrong_time"),
        ("see you at quarter past nine", "We meet at quarter to nine.", "wrong_time"),
        ("we eat at seven in the evening", "We eat at 7 am.", "wrong_time"),
        ("lunch was at noon", "Lunch was at midnight.", "wrong_time"),
        ("she weighs eighty one point five kilos", "She weighs 84.5 kg.", "wrong_number"),
        ("we bought a couple of lamps", "We bought three lamps.", "wrong_number"),
        ("I was there for six minutes", "I was there for ten minutes.", "wrong_number"),
        ("it cost two hundred and forty pounds", "It cost €240.", "other_amount"),
        ("no running for three weeks", "There is no running for three months.", "other_amount"),
        ("we need twelve chairs and four tables", "We need four chairs and twelve tables.", "other_amount"),
        ("I take zero point five milligrams", "I take 5 milligrams.", "wrong_number"),
        ("I take 0,5 milligrams", "I take 5 milligrams.", "wrong_number"),
        ("I take 0.5 mg", "I take 0.5 grams.", "other_amount"),
        ("we drank two and a half litres", "We drank 2 litres.", "other_amount"),
        ("it was minus five outside", "It was 5 outside.", "other_amount"),
        ("it was five outside", "It was -5 outside.", "other_amount"),
        ("it was three quarters full", "It was a quarter full.", "other_amount"),
        ("it was 0.75 full", "It was half full.", "other_amount"),
    ],
)
def test_amounts_and_times_not_said_are_found(said: str, claim: str, code: str) -> None:
    assert codes(said, claim)[:1] == [code]


@pytest.mark.parametrize(
    ("said", "claim", "found"),
    [
        ("the exam is on Tuesday", "The exam is on Thursday.", ["wrong_date"]),
        ("the exam is tomorrow", "The exam is tomorrow.", []),
        ("the exam is tomorrow", "The exam was yesterday.", ["wrong_date"]),
        ("the exam is tomorrow", "The exam is on Thursday.", []),
        ("the exam is tomorrow", "The exam is on Friday.", ["wrong_date"]),
        ("the exam is tomorrow", "The exam is on June 11.", []),
        ("the exam is tomorrow", "The exam is today.", ["wrong_date"]),
        ("I saw the exam today", "I saw the exam this morning.", []),
        ("the exam was yesterday", "The exam was on Tuesday.", []),
        ("the exam was last night", "The exam was yesterday.", []),
        ("the exam is the day after tomorrow", "The exam is tomorrow.", ["wrong_date"]),
        ("the exam is on the ninth", "The exam is on the nineteenth.", ["wrong_number"]),
        ("the exam is on the ninth of March", "The exam is on 9 March.", []),
        ("the exam is on the ninth of March", "The exam is on 9 May.", ["wrong_date"]),
        ("the exam is on the twelfth", "The exam is on 12 June.", []),
        ("the exam is on the twelfth", "The exam is on 2026-06-12.", []),
        ("the exam is on the 12th", "The exam is on Friday.", []),
        ("the exam is on 2026-06-12", "The exam is on Friday.", []),
        ("I wrote the exam", "I wrote the exam today.", []),
        ("the exam is in the morning", "The exam is in the evening.", ["other_word"]),
    ],
)
def test_days(said: str, claim: str, found: list[str]) -> None:
    assert codes(said, claim) == found


def test_without_the_day_of_the_memo_a_day_that_follows_from_it_was_not_said() -> None:
    assert codes("the exam is tomorrow", "The exam is on Thursday.", day=None) == ["wrong_date"]


@pytest.mark.parametrize(
    ("claim", "evidence", "found"),
    [
        ("Marcus was late.", (1,), []),  # "he", and Marcus was spoken of just before
        ("Priya was late.", (1,), ["wrong_name"]),
        ("Lisbon was late.", (0, 1), ["wrong_name"]),
        ("Hana called at noon.", (2,), []),
        ("Marcus called at noon.", (2,), ["other_name"]),  # Hana is left out for him
        ("Hana and Bettina called at noon.", (2,), ["wrong_name"]),
        ("Zorbla called at noon.", (2,), ["wrong_name"]),
        ("My mother gave me a rose.", (3,), []),
        ("My father gave me a rose.", (3,), ["other_word"]),
    ],
)
def test_names(claim: str, evidence: tuple[int, ...], found: list[str]) -> None:
    said = memo("I met Marcus.", "He was late.", "Hana called at noon.", "Mum gave me a rose.")
    assert check_sentence(claim, evidence, said, DAY) == found


@pytest.mark.parametrize(
    ("said", "claim", "is_turned"),
    [
        ("I'm not angry anymore", "I am no longer angry.", False),
        ("I'm not angry anymore", "I am still angry.", True),
        ("I don't think it's late", "I think it isn't late.", False),
        ("I don't think it's late", "I think it's late.", True),
        ("nobody told me about it", "No one told me about it.", False),
        ("nobody told me about it", "Everyone told me about it.", True),
        ("I forgot to water the plants", "I didn't water the plants.", False),
        ("I forgot to water the plants", "I remembered to water the plants.", True),
        ("the film wasn't bad", "The film was good.", False),
        ("the film was bad", "The film was good.", True),
        ("he was happy with it", "He was unhappy with it.", True),
        ("I like coffee but I don't like tea", "I like coffee.", False),
        ("I like coffee but I don't like tea", "I like tea.", True),
        ("not only the soup was cold", "The soup was cold.", False),
        ("I can't wait to see the sea", "I look forward to seeing the sea.", False),
        ("we decided to go to the sea", "We decided not to go to the sea.", True),
        ("I ate the cake and I regret nothing", "I ate the cake and regret it.", True),
        ("I said yes straight away", "I said no straight away.", True),
    ],
)
def test_negations(said: str, claim: str, is_turned: bool) -> None:
    assert ("negation" in codes(said, claim)) == is_turned


@pytest.mark.parametrize(
    ("claim", "is_added"),
    [
        ("We planted beans behind the shed and watered them.", False),
        ("We were planting beans behind the shed.", False),
        ("We planted beans behind the shed, watered them, and the police came to our house.", True),
        ("We planted beans behind the shed and watered them after a terrible nightmare.", True),
        ("We planted beans behind the shed and watered them, and it snowed.", True),
    ],
)
def test_additions(claim: str, is_added: bool) -> None:
    assert ("added" in codes("we planted beans behind the shed and then watered them", claim)) == is_added


@pytest.mark.parametrize(
    ("claim", "is_wrong"),
    [
        ('He said "I will be back".', False),
        ("He said “I'll, um, be back”.", True),  # not word for word
        ('He said: "I will, um, be back, you know."', False),
        ("He said 'I will be back'.", False),
        ('He said "I will never be back".', True),
        ('He said "back be will I".', True),
        ("He's back, that's what he said.", False),
    ],
)
def test_quotes(claim: str, is_wrong: bool) -> None:
    assert ("wrong_quote" in codes("so he said I will like be back", claim)) == is_wrong


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A Quiet Day With Hana", []),
        ("A Quiet Day With Anna", ["wrong_name"]),
        ("An answer from the bank", []),
        ("I got an answer from the bank on Thursday.", []),
        ("Hana paid 30 euros.", ["wrong_number"]),
        ('Hana said "never again".', ["wrong_quote"]),
        ("I quit my job.", []),  # one word in common is too few to tell
        ("I got an answer from the bank.", ["negation"]),
    ],
)
def test_headings(text: str, found: list[str]) -> None:
    said = memo("Hana and I had a quiet day.", "I never got an answer from the bank.", "Hana paid 20 euros tomorrow.")
    if "Thursday" in text:
        found = ["negation"]
    assert check_heading(text, said, DAY) == found


def test_every_rule_tells_a_person_what_was_seen() -> None:
    assert all(rule.what and rule.severity in ("info", "warning") for rule in RULES.values())
