"""Words as they count when one text is held against another: English, without a model."""

from __future__ import annotations

import re

_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W_]+(?:['’][^\W_]+)?")
_STOP = frozenset(
    re.findall(
        r"\w+",
        """a about above after again all also am an and any are as at be because been before being below between both
        but by can could did do does doing down during each for from further had has have having he her here hers him
        his how i if in into is it its itself just may me might more most must my of off on once only or other our out
        over own please same she should so some such tell than that the their them then there these they this those
        through to too under until up upon us very was we were what when where which while who whom why will with
        would yes you your""",
    )
)
_NUMBERS = {
    "zero": "0",
    "one": "1",
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
    "ten": "10",
    "eleven": "11",
    "twelve": "12",
    "thirteen": "13",
    "fourteen": "14",
    "fifteen": "15",
    "sixteen": "16",
    "seventeen": "17",
    "eighteen": "18",
    "nineteen": "19",
    "twenty": "20",
} | {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80", "ninety": "90"}
_NEGATIONS = frozenset({"not", "no", "never", "none", "nothing", "nobody", "neither", "nor", "cannot", "without"})
_ASKS_FOR_NUMBER = re.compile(
    r"\bhow (?:many|much|long|often|old|far|fast|large|big|high|heavy|late|early|soon)\b"
    r"|\bwhen (?:is|are|was|were|do|does|did|will)\b"
    r"|\b(?:what|which) (?:time|year|day|date|number|percentage|share|price)\b",
    re.IGNORECASE,
)
_ENDINGS = ("ingly", "edly", "ings", "ing", "ies", "ed", "es", "ly", "s", "e")


def content_words(text: str) -> list[str]:
    """Stems of the words that carry meaning, in order; numbers in digits; negations are kept out."""
    return [stem(word) for word in plain_words(text)]


def plain_words(text: str) -> list[str]:
    """The words that carry meaning as they are written, in lower case and in order."""
    return [word for word in _words(text) if word not in _STOP and word not in _NEGATIONS]


def numbers(text: str) -> set[str]:
    """Everything in the text that counts or measures, in digits; ``one`` is left out, as it seldom counts."""
    return {stem(word) for word in _words(text) if (word in _NUMBERS and word != "one") or word[0].isdigit()}


def asks_for_number(question: str) -> bool:
    """Whether the answer should hold a number or a time: "how many", "how long", "when"."""
    return _ASKS_FOR_NUMBER.search(question) is not None


def names(text: str) -> set[str]:
    """Stems of words written like a name or an identifier: a capital letter or digit where a plain word has none."""
    found = _WORD.findall(text)
    inner = [word for place, word in enumerate(found) if place > 0 and word[:1].isupper()]
    mixed = [
        word for word in found if any(letter.isupper() or letter.isdigit() for letter in word[1:]) and word[0].isalpha()
    ]
    return {stem(word.lower()) for word in inner + mixed if word.lower() not in _STOP}


def negated(text: str) -> bool:
    return any(word in _NEGATIONS or word.endswith(("n't", "n’t")) for word in _words(text))


def stem(word: str) -> str:
    """A word without its English ending: ``refunded``, ``refunds`` and ``refund`` are one."""
    if word in _NUMBERS:
        return _NUMBERS[word]
    if word[0].isdigit():
        return word.replace(",", "")
    word = re.sub(r"['’]s?\Z", "", word)
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]
