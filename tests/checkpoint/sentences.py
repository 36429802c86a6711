"""Diary sentences from a small grammar: a few hundred words, many thousands of combinations.

Knows nothing of sound. The same seed gives the same sentences.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

SLOTS = {
    "person": "Anna|Tom|Lucy|Peter|Maria|David|Emma|Oliver|Grace|Henry|my mother|my father|my sister|my brother|"
    "my boss|my neighbor|the doctor|the teacher|my grandmother|my cousin",
    "place": "the market|the office|the park|the river|the library|the station|the garden|the hospital|the bakery|"
    "the beach|the museum|the school|the church|the gym|the lake|the harbor|the forest|the village",
    "city": "London|Paris|Berlin|Boston|Madrid|Chicago|Vienna|Dublin",
    "day": "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday",
    "month": "January|February|March|April|May|June|July|August|September|October|November|December",
    "when": "today|yesterday|this morning|this afternoon|this evening|last night|on {day}|last {day}|after lunch|"
    "before breakfast|at noon",
    "soon": "tomorrow|tonight|next week|next month|on {day}|next {day}|in {month}|in {number} days|tomorrow morning",
    "number": "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty",
    "hour": "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve",
    "weather": "sunny|cloudy|windy|cold|warm|rainy|foggy|stormy|hot|dry",
    "sky": "It rained|It snowed|The sun was shining|The wind was strong|There was a storm|It was freezing",
    "food": "soup|bread|pasta|rice|fish|chicken|salad|pancakes|apples|cheese|potatoes|eggs|pizza|curry|beans",
    "sweet": "an apple pie|a chocolate cake|a lemon tart|a bowl of strawberries|a glass of orange juice",
    "drink": "coffee|tea|milk|water|wine|lemonade",
    "feeling": "happy|tired|sad|angry|calm|proud|nervous|excited|lonely|grateful|worried|relaxed|bored|hopeful",
    "very": "very|a little|quite|so|really|rather",
    "thing": "book|letter|phone|bicycle|camera|jacket|window|kitchen|guitar|computer|umbrella|picture|table|lamp",
    "chore": "clean the kitchen|wash the dishes|water the plants|pay the bills|call {person}|buy {food}|"
    "fix the {thing}|send the letter|book a flight to {city}|pick up the children|feed the cat|write to {person}|"
    "make an appointment|return the {thing}|order a new {thing}|take out the trash|finish the report",
    "did": "went for a walk|played the piano|read a book|watched a movie|cooked dinner|baked bread|painted the wall|"
    "worked in the garden|took some pictures|went swimming|cleaned the house|slept badly|slept well|"
    "wrote a long letter|ran {number} miles|missed the train|lost my keys|found my keys|went shopping",
    "animal": "dog|cat|horse|bird|rabbit",
    "topic": "the weather|the meeting|her new job|his new house|our holiday|the wedding|the project|money|music|"
    "the children|old times|the news",
    "event": "meeting|concert|party|wedding|dinner|exam|interview|game|lesson",
    "color": "red|blue|green|yellow|white|black|brown",
}
"""What may stand in a slot; a value may hold slots itself."""

TEMPLATES = """
I met {person} at {place} {when}.
{when}, I met {person} near {place}.
{person} and I {did} {when}.
I {did} {when}.
I {did} and then I {did}.
{when}, I {did} with {person}.
I went to {place} with {person}.
We walked from {place} to {place}.
We took the train to {city} {when}.
{person} is flying to {city} {soon}.
I want to visit {city} in {month}.
{person} moved to {city} {number} years ago.
It was {weather} and {weather} {when}.
The weather was {very} {weather} {when}.
{sky} all day.
{sky}, so we stayed at home.
It will be {weather} {soon}.
I felt {very} {feeling} {when}.
I am {very} {feeling} about the {event}.
I was {feeling} because {person} {did}.
{person} looked {very} {feeling} {when}.
I feel {feeling} and {feeling}.
We had {food} and {food} for dinner.
I ate {food} with {food} {when}.
{person} cooked {food} for {number} people.
{person} made {sweet} for us.
I had {sweet} and a cup of {drink}.
I drank too much {drink} {when}.
Breakfast was {food} and a cup of {drink}.
Remember to {chore} {soon}.
I have to {chore} {soon}.
I must not forget to {chore}.
{soon}, I need to {chore} and {chore}.
{person} asked me to {chore}.
I still need to {chore}.
The {event} starts at {hour} in {place}.
The {event} is {soon} at {hour}.
The {event} lasted {number} hours.
I woke up at {hour} and {did}.
I went to bed at {hour}.
{person} called me at {hour} {when}.
We talked about {topic} for {number} minutes.
{person} told me about {topic}.
{person} and {person} talked about {topic}.
I bought a {color} {thing} for {number} dollars.
{person} gave me a {color} {thing}.
I lost my {color} {thing} at {place}.
The {thing} is broken again.
I saw a {color} {animal} near {place}.
The {animal} slept under the {thing}.
My {animal} was {feeling} {when}.
I counted {number} birds in {place}.
{person} turns {number} {soon}.
There were {number} people at the {event}.
Why was {person} so {feeling} {when}?
Did {person} like the {thing}?
When will {person} come back from {city}?
What a {weather} day in {month}.
I hope that {person} is not {feeling}.
{person} has been ill for {number} days.
I am learning to play the guitar.
My back hurts, so I saw {person}.
{soon}, we will go to {place}.
Thank you, {person}, for the {color} {thing}.
I dreamed about {place} and a {color} {animal}.
""".strip().splitlines()


def make_sentences(seed: int) -> Iterator[str]:
    """Sentences without end, as they are written: a capital at the beginning, a mark at the end."""
    draw = random.Random(seed)
    while True:
        text = draw.choice(TEMPLATES)
        while "{" in text:
            text = re.sub(r"{(\w+)}", lambda slot: draw.choice(SLOTS[slot[1]].split("|")), text)
        yield text[0].upper() + text[1:]


def cut_phrase(sentence: str, draw: random.Random) -> str:
    """Some words of a sentence in a row, as a window shows them where a recording was cut in mid-sentence."""
    words = sentence.split()
    first = draw.randrange(len(words) - 1)
    return " ".join(words[first : draw.randrange(first + 1, len(words)) + 1])
