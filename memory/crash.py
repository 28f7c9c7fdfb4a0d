"""Places at which a process ends itself with SIGKILL: for the crash suite, and nowhere else.

A test names one in `RLMD_TEST_CRASH`. So it hits the moment between a commit and what follows it, which a
kill from outside meets by chance only. Without the variable a place costs a comparison.
"""

from __future__ import annotations

import os
import signal

_PLACE = os.environ.get("RLMD_TEST_CRASH", "")


def reached(place: str, what: str = "") -> None:
    """End the process here, if the place is the one that was named: as `after call`, or `after call ask`."""
    if _PLACE and _PLACE in (place, f"{place} {what}"):
        os.kill(os.getpid(), signal.SIGKILL)
