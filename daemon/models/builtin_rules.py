"""What the built-in model understands: a table of patterns and programs, of which the first match wins."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from . import builtin_answers as answers
from . import builtin_language as language
from . import builtin_programs as programs
from . import builtin_reminders as reminders
from .builtin_code import FACTS, say
from .builtin_programs import Statement

_LONG = 2000
"""Characters of a message from which it is kept whole instead of by sentences."""

_WHO = """I am a rule-based stand-in, not a language model: I keep what you say and quote it when you ask.
Try: Bob lives in Berlin | where does Bob live? | no, Bob lives in Paris | list | show bob | forget Bob | undo
`remind me in 20 minutes to call Bob`, `reminders`; `/py print(memory.names())` runs your own step in my REPL.
For a real model set OPENAI_API_KEY (or OPENAI_BASE_URL, any compatible server) and RLMD_MODEL; restart."""
_GREETING = "Hello. I am the built-in stand-in, rules and no model. Tell me something to keep, or say `help`."
_LOST = """I am only rules and did not understand that; nothing was stored.
I keep statements ("Bob lives in Berlin", "remember: ..."), and answer questions about them; see `help`."""
_AS_IT_STANDS = "Noted as it stands under facts/notes. I did not understand it, and can only quote it."
_NO_WAKING = """Noted under facts/me, but I found no time in it: no reminder will come.
Try: remind me in 20 minutes to call Bob"""
_NO_SUMS = "I cannot calculate. Python in my REPL can: `/py print({sum})`."
_PRONOUN = "I cannot tell whom you mean. Say it with the name, and I will note it."


class Rule(NamedTuple):
    pattern: re.Pattern[str]
    program: Callable[[re.Match[str]], str]


def own_step(event: str) -> str | None:
    """The code of `/py CODE`, exactly as the person wrote it; None if the event is something else."""
    match = re.match(r"/py(?:[ \t]+|[ \t]*\n|$)(?P<code>.*)\Z", event, re.DOTALL)
    return match["code"] or "print('Write code behind /py.')" if match else None


def program_for(event: str) -> str:
    """The program for an event's text."""
    for rule in RULES:
        match = rule.pattern.match(event)
        if match is not None:
            return rule.program(match)
    statements = _statements(event)
    if statements is None:
        if not language.tells(event):
            return say(_LOST)
        return programs.remember([Statement(FACTS + language.NOTES, event)], _AS_IT_STANDS)
    return programs.remember(statements) if statements else say(_PRONOUN)


def _statements(text: str) -> list[Statement] | None:
    """What a text states, by sentences; None if it is no statement, empty if it is unclear of whom."""
    if len(text) > _LONG:
        return [Statement(FACTS + language.NOTES, text)]
    found: list[Statement] = []
    about = ""
    for sentence in language.sentences(text):
        subject = language.subject(sentence)
        if subject is None and not found:
            return None
        about = subject or about
        if about:
            found.append(Statement(FACTS + about, sentence))
    return found


def _remember(match: re.Match[str]) -> str:
    said = match["rest"].strip()
    unnamed = [Statement(FACTS + language.NOTES, said.rstrip(". "))]
    return programs.remember(_statements(said) or unnamed)


def _remind(match: re.Match[str]) -> str:
    reminder = reminders.remind(match.string.strip())
    if reminder is not None:
        return reminder
    said = match.string.strip().rstrip(".! ")
    return programs.remember([Statement(FACTS + language.MYSELF, said)], _NO_WAKING)


def _sum(match: re.Match[str]) -> str:
    asked = match["sum"].strip().replace("^", "**").translate(str.maketrans("×x÷", "**/"))
    return say(_NO_SUMS.format(sum=asked))


def _correct(match: re.Match[str]) -> str:
    statements = _statements(match["rest"].strip())
    if not statements:
        return say(_PRONOUN)
    first = statements[0]
    about = set(language.words(first.name.replace("-", " ")))
    words = [language.stem(word) for word in language.words(first.said) if word not in about]
    return programs.correct(first, words)


def _forget(match: re.Match[str]) -> str:
    asked = re.sub(r"^(?:about|everything about|all about)\s+", "", match["rest"].strip().rstrip(".!"))
    words = language.words(asked)
    mine = re.match(r"(?:i|my|our|(?:where|what|who|when|how|that) (?:i|we|my|our))\b", asked, re.IGNORECASE)
    about = [language.MYSELF] if mine else [language.slug(word) for word in words]
    holders = [FACTS + subject for subject in dict.fromkeys([*about, language.NOTES])]
    return programs.forget(_variables(asked), holders, [language.stem(word) for word in words], asked)


def _forget_statement(match: re.Match[str]) -> str:
    said = match["rest"].strip().rstrip(".!")
    name = FACTS + (language.subject(said) or language.NOTES)
    return programs.forget([], [name], language.stems(said), said)


def _variables(asked: str) -> list[str]:
    """The variables that somebody may mean by a word: the very name, or the facts about it."""
    asked = asked.strip().strip("`\"'")
    subject = language.MYSELF if asked.lower() in ("me", "myself") else language.slug(asked)
    literal = [asked] if re.fullmatch(r"[\w .-]*\w(?:/[\w .-]*\w)*", asked) and asked[0] != " " else []
    return list(dict.fromkeys([*literal, FACTS + subject]))


def _list(match: re.Match[str]) -> str:
    asked = (match["rest"] or "").strip().strip("`")
    every = asked.lower() in ("", "all", "everything", "facts", "people", "names", "variables", "memory")
    return answers.list_names("" if every else asked)


def _answer(match: re.Match[str]) -> str:
    question = match.string.strip()
    words = language.words(question)
    if re.search(r"\b(?:i|me|my|mine)\b", question, re.IGNORECASE) and not words:
        words = [language.MYSELF]
    if not words:
        return say("Name somebody or something in your question, and I will look for it.")
    subjects = [*language.owners(question), *words, language.MYSELF]
    names = [FACTS + language.slug(subject) for subject in subjects]
    stems = [language.stem(word) for word in words]
    musts = language.names(re.sub(r"['’]s\b", "", question))
    mine = re.search(r"\b(?:my|mine|i)\b(?! (?:say|said|tell|told|mention))", question, re.IGNORECASE)
    return answers.answer(question, stems, names, musts, FACTS + language.MYSELF if mine else "")


def _says(text: str) -> Callable[[re.Match[str]], str]:
    return lambda match: say(text)


def _rule(pattern: str, program: Callable[[re.Match[str]], str]) -> Rule:
    return Rule(re.compile(pattern, re.IGNORECASE | re.DOTALL), program)


_END = r"[\s.!?]*\Z"
_FORGET = r"(?:please\s+)?(?:forget|delete|remove|erase)"
_HELLO = (
    r"hello|hi|hey|good (?:morning|afternoon|evening|day)|hallo|guten (?:tag|morgen|abend)"
    r"|bonjour|hola|ciao|ol[áa]|привет|你好|こんにちは"
)
_CHAT = r"ok|okay|yes|yeah|fine|sure|good|great|nice|cool|perfect|well|right|lol|haha+|wow|oh|thanks|done|so"
_SUM = r"\(*\d[\d.]*\)*(?:\s*(?:[-+*/^%×÷x]|\*\*)\s*\(*\d[\d.]*\)*)+"
_AGAIN = "every|each|daily|hourly|weekly|monthly"
_WRONG = r"that(?:'s| is) (?:wrong|not right|not true)"

RULES: tuple[Rule, ...] = (
    _rule(r"\s*\Z", _says(_LOST)),
    _rule(rf"(?:{_HELLO})\b(?: \w+)?{_END}", _says(_GREETING)),
    _rule(
        rf"(?:help|/help|\?|who are you|what are you|what can you do|how does this work){_END}", _says(_WHO)
    ),
    _rule(
        rf"(?:thanks?|thank you|thx|great|nice|cool|perfect)\b[^?]{{0,20}}{_END}", _says("You are welcome.")
    ),
    _rule(rf"(?:bye|goodbye|good night|see you)\b[^?]{{0,20}}{_END}", _says("Goodbye. I will be here.")),
    _rule(rf"(?:(?:{_CHAT})\b[\s,.!]*)+\Z", _says("Good.")),
    _rule(rf"(?:undo|undo that|take that back){_END}", lambda match: programs.undo()),
    _rule(rf"(?:what do you (?:know|remember)|what have you (?:kept|noted)){_END}(?P<rest>)", _list),
    _rule(rf"(?:list |show )?(?:my |all )?(?:reminders|schedules?){_END}", lambda match: reminders.show()),
    _rule(
        rf"cancel\s+(?:(?:the |my )?(?:reminder|schedule)\s+)?(?P<name>[\w-]+){_END}",
        lambda match: reminders.cancel(match["name"]),
    ),
    _rule(r"list\b(?: of)?(?: all)?\s*(?P<rest>[^\n]*)\Z", _list),
    _rule(r"show(?: me)?\s+(?P<rest>\S[^\n]*)\Z", lambda m: answers.show(_variables(m["rest"]), m["rest"])),
    _rule(
        r"history(?: of)?\s+(?P<rest>\S[^\n]*)\Z",
        lambda m: answers.history(_variables(m["rest"]), m["rest"]),
    ),
    _rule(
        rf"{_FORGET}\s+(?:that|it|this|(?:the|my) last (?:one|note)){_END}",
        lambda m: programs.undo(note_only=True),
    ),
    _rule(rf"{_FORGET}\s+that\s+(?P<rest>\S+\s+\S.*)", _forget_statement),
    _rule(rf"{_FORGET}{_END}", _says("Forget what? `forget Bob`, or `undo`.")),
    _rule(
        rf"{_FORGET}\s+(?:everything|all){_END}",
        _says("I forget one thing at a time: `list` shows them, `forget NAME` deletes one."),
    ),
    _rule(rf"{_FORGET}\s+(?P<rest>\S[^\n]*)\Z", _forget),
    _rule(
        rf"(?:no|wrong|{_WRONG}){_END}",
        _says("What is right then? Say `no, Bob lives in Paris`."),
    ),
    _rule(
        rf"(?:no|actually|correction|wrong|{_WRONG})\s*[,:;.-]\s*(?P<rest>[^?]+)\Z",
        _correct,
    ),
    _rule(r"actually\s+(?P<rest>[^?]+)\Z", _correct),
    _rule(
        r"(?:please\s+)?(?:remember|note|keep in mind)(?:\s+that\b|\s*:|,)?\s+(?P<rest>\S.*[^?\s])\s*\Z",
        _remember,
    ),
    _rule(r"remind me (?:what|where|who|whom|whose|when|which|why|how)\b", _answer),
    _rule(
        r"remind me (?:of|about)\b",
        lambda match: reminders.remind(match.string.strip()) or _answer(match),
    ),
    _rule(
        r"(?:please\s+)?(?:remind me|wake me|set an? (?:reminder|alarm|timer))\b[^?]*\Z"
        rf"|(?:{_AGAIN}|tomorrow|tonight|in|at|on|next)\b[^?]*\bremind me\b[^?]*\Z"
        rf"|(?:{_AGAIN})\b[^?]*\b(?:tell me|say)\b[^?]*\Z",
        _remind,
    ),
    _rule(rf"(?:what is|what['’]s|how much is|calculate|compute)\s+(?P<sum>{_SUM})[\s=.!?]*\Z", _sum),
    _rule(rf"(?P<sum>(?!\d+(?:[-/]\d+)+\s*\Z){_SUM})[\s=?]*\Z", _sum),
    _rule(r".*[?？؟]\s*\Z", _answer),
    _rule(r"(?:what|where|who|whom|whose|when|which|why|how|tell me|search|find|look for)\b", _answer),
    _rule(r"(?:is|are|was|were|does|do|did|has|have|can|could|will|would|should)\b", _answer),
)
