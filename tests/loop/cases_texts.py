"""Rules 22 to 32: which code runs, what is shown of it, odd text, repetition, budgets and secrets."""

from __future__ import annotations

import json

from rlmd.clients.records import Limits
from tests.daemon_process import SECRET
from tests.model_server import Null, Status

from .runner import (
    Case,
    Check,
    Outcome,
    done,
    ended_well,
    failed,
    hides,
    py,
    remembers,
    requests,
    says,
    shows,
    steps,
    within,
)


def all_is_readable(outcome: Outcome) -> None:
    assert outcome.run.result > 50_000


def no_secret(outcome: Outcome) -> None:
    seen = [repr(outcome.run), repr(outcome.updates), repr(outcome.agent.log.recent(100))]
    seen += [request.prompt for request in outcome.requests]
    assert SECRET not in "\n".join(seen)


def prompts_under(characters: int) -> Check:
    """No call of the model was shown more."""

    def check(outcome: Outcome) -> None:
        sizes = [len(request.prompt) for request in outcome.requests]
        assert max(sizes) < characters, sizes

    return check


TEXTS: tuple[Case, ...] = (
    # 22 to 25: code and what is shown of it.
    Case(
        rule=22,
        name="fences of every kind run",
        script=[
            "```py\na = 1\n```",
            "~~~python\nb = 2\n~~~",
            "```repl\nc = 3\n```",
            "```\nd = 4\n```",
            "```PYTHON\ne = 5\n```",
            "1. So:\n   ```python\n   if True:\n       f = 6\n   ```",
            '```python\ng = """\n```\n"""\n```',
            "```python\nh = 8",
            "```python\ndone([a, b, c, d, e, f, g, h])\n```",
        ],
        expect=[done([1, 2, 3, 4, 5, 6, "\n```\n", 8]), steps(9)],
    ),
    Case(
        rule=22,
        name="a quoted fence does not run",
        script=["Do it like this:\n````markdown\n```python\nmemory.set('ran', 1)\n```\n````"],
        expect=[done(), remembers(ran=None), steps(1)],
    ),
    Case(
        rule=22,
        name="an unclosed fence that is no Python is told",
        script=["```python\nx = (1,\nand so on", "Sorry."],
        expect=[done(), says("Sorry."), shows(1, "error", "not closed")],
    ),
    Case(
        rule=23,
        name="blocks run in order and stop at an error",
        script=[
            "\n".join(map(py, ["x = 1\nprint('one')", "x += 1\n1 / 0", "memory.set('third', x)"])),
            py("done(x)"),
        ],
        expect=[
            done(2),
            remembers(third=None),
            shows(1, "one", "ZeroDivisionError at block 2, line 2", "Not run: 3 of 3 blocks"),
        ],
    ),
    Case(
        rule=24,
        name="long output keeps its ends and its error",
        script=[
            py("print('HEAD')\nprint('x' * 50_000)\nprint('TAIL')\nraise ValueError('the very error')"),
            py("done(len(log.step(1)))"),
        ],
        expect=[
            shows(
                1,
                "HEAD",
                "characters cut; log.step(1) has all",
                "TAIL",
                "ValueError at line 4: the very error",
            ),
            all_is_readable,
        ],
    ),
    Case(
        rule=25,
        name="the value of a last expression is shown",
        script=[py("x = {'a': [1]}\nx"), py("None"), py("x['a'].append(2)\nx['a'], 'b'"), py("done()")],
        expect=[done(), shows(1, "=> {'a': [1]}"), hides(2, "=>"), shows(3, "=> ([1, 2], 'b')")],
    ),
    # 26: what would never end, or take everything.
    Case(
        rule=26,
        name="an endless loop ends with the run's time",
        script=[py("memory.set('kept', 1)\nwhile True: pass")],
        limits=Limits(seconds=2),
        expect=[failed("limit", "seconds"), within(8), remembers(kept=1)],
    ),
    Case(
        rule=26,
        name="a memory bomb is one bad step",
        script=[py("a = 1\nx = []\nwhile True: x.append('a' * 100_000)"), py("done(a)"), py("done('on')")],
        expect=[
            done("on"),
            shows(1, "error", "memory_bytes", "268435456", "names from before are gone"),
            shows(2, "error", "`a`"),
            within(20),
        ],
    ),
    Case(
        rule=26,
        name="a flood of prints is bounded",
        script=[py("for n in range(20_000): print('x' * 1_000)\nprint('the end')"), py("done('on')")],
        expect=[done("on"), shows(1, "characters cut", "the end"), prompts_under(80_000), within(20)],
    ),
    # 27: text of all kinds.
    *(
        Case(
            rule=27,
            name=f"{kind} comes through unchanged",
            says=text,
            script=[
                py("x = event.text\nmemory.set('kept', {'text': x})\nmemory.set('text', x)"),
                py(f"assert x == {json.dumps(text, ensure_ascii=False)}\nreply(memory.get('kept')['text'])"),
            ],
            expect=[done(), says(text), remembers(text=text, kept={"text": text})],
        )
        for kind, text in {
            "a line end of Windows": "one\r\ntwo\rthree\n",
            "a 4-byte character": "🦜 𝒳 👩‍👩‍👧",
            "right-to-left": "שלום \u202eabc\u202c مرحبا",
            "NUL": "a\x00b",
            "a control character": "a\x01b\x7f\u2028c\ufeff",
        }.items()
    ),
    Case(
        rule=27,
        name="half a surrogate pair and NUL are refused or come through",
        script=[
            py("memory.set('half', 'a\\ud800b')"),
            py("reply('a\\ud800b')"),
            py("reply('a\\x00b')"),
            py("memory.set('nul', 'a\\x00b')"),
            "```python\nx = '\x00'\n```",
            "Text with \ud83d half.",
        ],
        always="End.",
        expect=[ended_well],
    ),
    # 30, 31: stopping what does not get on.
    Case(
        rule=30,
        name="the same failure again and again is stopped",
        script=[],
        always=py("memory.get()"),
        expect=[failed("limit", "same step failed 3 times"), requests(3)],
    ),
    Case(
        rule=30,
        name="the same answer without code again and again is stopped",
        script=[],
        always=Null(),
        expect=[failed("limit", "3 times")],
    ),
    Case(
        rule=30,
        name="other code that fails in the same way is stopped too",
        script=[py(f"x = {number}\nint('none')") for number in range(10)],
        expect=[failed("limit", "6 steps failed in the same way", "none"), requests(6)],
    ),
    Case(
        rule=30,
        name="the same step that changes nothing is stopped",
        script=[],
        always=py("print(memory.names())"),
        expect=[failed("limit", "came to the same 6 times"), requests(6)],
    ),
    Case(
        rule=30,
        name="what changes something, or sees something else, may go on",
        script=[
            *[py("memory.append('log', 'x')")] * 7,
            *[py("print(memory.size('log'))\nmemory.append('log', 'x')")] * 7,
            py("done(memory.size('log'))"),
        ],
        limits=Limits(steps=20),
        expect=[done(14)],
    ),
    Case(
        rule=31,
        name="the sixth call of a tree is never sent",
        script=[
            py("""
                async def safely(n):
                    try:
                        return await llm(str(n))
                    except RuntimeError as error:
                        return 'model calls' in str(error)
                print(await asyncio.gather(*[safely(n) for n in range(6)]))
            """)
        ],
        sub=["ok"] * 6,
        limits=Limits(model_calls=5),
        expect=[failed("limit", "model_calls"), requests(1, sub=4), shows(1, "'ok'", "True")],
    ),
    Case(
        rule=31,
        name="children share the calls of the tree",
        script=[py("x = await asyncio.gather(*[rlm(str(n)) for n in range(4)])")],
        sub=[py("x = 1")] * 8,
        limits=Limits(model_calls=5),
        expect=[failed("model_calls"), requests(1, sub=4)],
    ),
    # 32: secrets.
    Case(
        rule=32,
        name="a provider that quotes the key does not spread it",
        script=[Status(401, f"Incorrect API key provided: {SECRET}.")],
        expect=[failed("model"), no_secret, requests(1)],
    ),
    Case(
        rule=32,
        name="programs cannot come by the environment",
        script=[
            py("import os\nprint(os.environ)"),
            py("import os\nprint(os.getenv('OPENAI_API_KEY'))"),
            py("print(open('/proc/self/environ').read())"),
            "Nothing.",
        ],
        expect=[ended_well, no_secret, hides(1, SECRET), shows(3, "error")],
    ),
)
