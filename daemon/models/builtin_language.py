"""The little that the built-in model knows of English: sentences, subjects, and the words that matter."""

from __future__ import annotations

import re
import unicodedata

NOTES = "notes"
"""The subject of what has none."""
MYSELF = "me"
"""The subject of what a person says of themselves."""

_VERBS = (
    r"is|are|was|were|am|isn't|aren't|wasn't|has|have|had|hasn't|will|won't|can|can't|cannot|must|should|does|doesn't"
    r"|live|lives|lived|works?|worked|likes?|liked|loves?|hates?|prefers?|wants?|needs?|owns?|knows|thinks"
    r"|moved|moves|plays?|stud(?:y|ies|ied)|speaks?|met|married|bought|sold|went|goes|got|gets|starts?|started"
    r"|left|leaves|became|costs?|means|ends?|eats?|drinks?|drives?|comes?|came|said|says|told|called|runs?|takes?"
)
_RELATION = re.compile(r"^(?:[Mm]y|[Oo]ur)\s+[\w-]+\s+(?P<subject>[^\W\d_a-z][\w-]*)\b(?!['’]s\s+\w+['’]s)")
_MINE = re.compile(r"^(?:i|my|mine|we|our|i['’](?:m|ve|d|ll))\b", re.IGNORECASE)
_POSSESSIVE = re.compile(r"^(?P<subject>[^,;:'’]{1,60}?)['’]s\s+\w")
_PLAIN = re.compile(rf"^(?P<subject>[^,;:]{{1,60}}?)(?<!\bthe)\s+(?:{_VERBS})\b", re.IGNORECASE)
_NAMED = re.compile(r"^(?P<subject>[^\W\d_a-z]\w*)\s+\w+(?:s|ed)\b")
_ARTICLE = re.compile(r"^(?:the|a|an|this|that|these|those)\s+", re.IGNORECASE)
_PRONOUNS = frozenset(
    re.findall(r"\w+", "he she it they this that his her its their him them these those you there")
)
_STOP = frozenset(
    re.findall(
        r"\w+",
        "a about again all also am an and any are as ask at be been but by can could did do does "
        "for from had has have how i if in into is it its know let many may me mention mentioned "
        "mine much must my no not of off on or our out please put recall remember said say so shall "
        "should some talk tell that the their them then there these they thing things this those to "
        "told too up was we were what whats when where which who whom whose why will with would you "
        "your ",
    )
)
_COMMAND = re.compile(
    r"(?:please|book|write|send|make|call|open|translate|summari[sz]e|give|play|buy|create|draft|schedule|set|run|read"
    r"|calculate|compute|draw|explain|help|start|stop|add|change|update|turn|check|go|let|describe|order|generate"
    r"|print|count|sort|compare|plan|fix|convert|search|do|don['’]t|try|answer|sing|wait)\b",
    re.IGNORECASE,
)
_ASKS = re.compile(
    r"¿|(?:wie|wer|wen|wem|wo|wann|warum|welche[rs]?|qué|quién|cómo|dónde|cuándo|comment|où|quand|pourquoi|qui"
    r"|как|что|где|кто|когда|почему)\b",
    re.IGNORECASE,
)
"""Questions in some other languages, whose mark is often left out."""
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff]{3}")
"""Scripts that put no spaces between words."""
_ENDINGS = ("ing", "ies", "es", "ed", "s", "e", "y")
_STEM = 4
"""Letters that an ending leaves at least."""


def sentences(text: str) -> list[str]:
    """The sentences of a text, without their full stops."""
    parts = re.split(r"(?<=[.!])\s+(?=\S)|\n+", text.strip())
    return [part.strip().rstrip(".! ") for part in parts if part.strip(".! \t")]


def subject(sentence: str) -> str | None:
    """Whom or what a statement is about, as the last part of a variable's name.

    None if it does not look like a statement; empty if it speaks of somebody named before (`he`, `it`).
    """
    for pattern in (_RELATION, _MINE, _POSSESSIVE, _PLAIN, _NAMED):
        match = pattern.match(sentence)
        if match is None or (pattern is _NAMED and _COMMAND.match(sentence)):
            continue
        if pattern is _MINE:
            return MYSELF
        found = match["subject"].split("'")[0].split("’")[0]
        if found.lower() in _PRONOUNS:
            return ""
        if found.lower() in _STOP:
            continue
        bare = _ARTICLE.sub("", found)
        return slug(bare) if len(bare.split()) <= 5 else NOTES
    return None


def tells(text: str) -> bool:
    """Whether a text that is no plain statement may still be one: no command or question, several words."""
    if _COMMAND.match(text) or _ASKS.match(text) or text.startswith("/"):
        return False
    return len(re.findall(r"[^\W\d_]+", text)) > 1 or _UNSPACED.search(text) is not None


def slug(text: str) -> str:
    """A text as part of a variable's name: letters and digits of any script, and dashes."""
    text = unicodedata.normalize("NFC", text).lower()
    kept = "".join(char if char.isalnum() else "-" for char in text)
    return re.sub(r"-+", "-", kept).strip("-")[:40].strip("-") or NOTES


def words(text: str) -> list[str]:
    """The words of a text that matter, in lower case, each once."""
    bare = re.sub(r"['’]s\b", "", text.lower())
    return list(dict.fromkeys(word for word in re.findall(r"\w+", bare) if word not in _STOP))


def stems(text: str) -> list[str]:
    """The stems of the words that matter, each once."""
    return list(dict.fromkeys(stem(word) for word in words(text)))


def stem(word: str) -> str:
    """A beginning that a word's forms share: `live` and `lives` give `live`... or shorter."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM - (ending in ("s", "e", "y")):
            return word[: -len(ending)]
    return word


def owners(text: str) -> list[str]:
    """Of whom something is asked: `Anna` and `Anna Berg` in `Anna Berg's number`."""
    found = re.findall(r"((?:[^\W\d_]\w* )*[^\W\d_]\w*)['’]s\b", text)
    parts = [whole.split() for whole in found]
    return [" ".join(part[at:]) for part in parts for at in range(len(part))]


def names(text: str) -> list[str]:
    """Words with a capital inside a sentence, in lower case: most likely names."""
    found = re.findall(r"(?<=\s)[^\W\d_a-z]\w*", text)
    return [word.lower() for word in found if word.lower() not in _STOP and word != word.lower()]
