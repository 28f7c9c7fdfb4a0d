"""Whether a run gets anywhere: one that does the same again and again is stopped before its limits are.

Each step is paid. A model that has run into a corner writes the same code, or other code that meets the same
error, until its steps are over; nothing that it learns between can get it out.
"""

from __future__ import annotations

from .observe import Observation
from .tokens import line

SAME_FAULT = 3
"""Times that the same code may fail in the same way, one after another."""
SAME_ERROR = 6
"""Times that whatever code may fail in the same way."""
SAME_STEP = 6
"""Times that the same code may come to the same, without an error and without any effect."""


class Progress:
    """What one run has done of late. Tell it each step."""

    def __init__(self) -> None:
        self._code = ""
        self._fault = ""
        self._came_to = ""
        self._same_code = self._same_fault = 0

    def stuck(self, code: str, observation: Observation, *, effects: bool) -> str:
        """Why the run is to be stopped after this step; empty if it is not."""
        fault = observation.fault
        came_to = fault or observation.full.partition("\n")[2]  # The first line has the step's number.
        again = code == self._code and came_to == self._came_to and not (effects and not fault)
        self._same_code = self._same_code + 1 if again else 1
        self._same_fault = self._same_fault + 1 if fault and fault == self._fault else 1
        self._code, self._fault, self._came_to = code, fault, came_to
        if fault and self._same_code >= SAME_FAULT:
            return f"limit: the same step failed {SAME_FAULT} times in the same way ({line(fault, 200)})"
        if fault and self._same_fault >= SAME_ERROR:
            return f"limit: {SAME_ERROR} steps failed in the same way ({line(fault, 200)})"
        if not fault and self._same_code >= SAME_STEP:
            return f"limit: the same step came to the same {SAME_STEP} times and changed nothing"
        return ""
