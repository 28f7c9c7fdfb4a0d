"""Characters that a text must have for a regular expression to match: they are looked for first, because
they are found many times faster.

Only what can be told at a glance: what is in groups does not count, and what is not understood at all (flags,
odd braces, classes in classes) makes it give up.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"""
      \\(?P<escaped>.)
    | (?P<open>\((?:\?(?::|=|!|<=|<!)|(?![?*])))
    | (?P<close>\))
    | \[\^?\]?(?:[^\[\]\\]|\\.)*(?P<class>\])
    | (?P<count>\{\d*,?\d*\})
    | (?P<optional>[*?])
    | (?P<other>[+.^$])
    | (?P<branch>\|)
    | (?P<plain>[^\\()\[\]{}])
    """,
    re.VERBOSE | re.DOTALL,
)
_CLASSES = "dDwWsSbBAZ"
"""Escaped letters that stand for no character of their own."""


def literals(pattern: str) -> list[list[str]]:
    """Texts such that every match has all of one of the lists, longest first; empty if that cannot be told.

    literals(r"moved to \\w+ in 19|came back")     # -> [["moved to ", " in 19"], ["came back"]]
    """
    branches, depth, at = [[""]], 0, 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None:
            return []
        runs, what, at = branches[-1], token.lastgroup, token.end()
        text = token["escaped"] or token["plain"] or ""
        if what == "escaped" and text.isalnum():
            if text not in _CLASSES:
                return []
            runs.append("")
        elif what in ("open", "close"):
            depth += 1 if what == "open" else -1
            runs.append("")
        elif depth:
            continue
        elif text:
            runs[-1] += text
        elif what == "branch":
            branches.append([""])
        else:
            if what in ("count", "optional"):
                runs[-1] = runs[-1][:-1]
            runs.append("")
    wanted = [sorted({run for run in runs if run}, key=len, reverse=True) for runs in branches]
    return wanted if all(wanted) else []
