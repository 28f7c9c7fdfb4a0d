"""The rules of the loop, each with examples: rule, what the model answers, what must come of it.

Rules keep the numbers by which they are known. What needs a daemon that is killed is in test_crash.py, what
needs two runs at once or a cancel in test_together.py.
"""

from __future__ import annotations

from .cases_minds import MINDS
from .cases_steps import STEPS
from .cases_texts import TEXTS

CASES = (*STEPS, *MINDS, *TEXTS)
