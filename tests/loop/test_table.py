"""Which examples hold which rule of the loop: none is without one."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import pytest

from .cases import CASES

RULES: Mapping[int, str] = {
    1: "a message without text is refused, stored nowhere, and asks no model",
    2: "the event stands unchanged in every call of the model",
    3: "identity first, every callable function described, also after folding",
    4: "names last from step to step, memory over runs, channels and kill -9",
    5: "an exception is an observation with type, message and line",
    6: "done ends the run at once",
    7: "a malformed done or reply does not end the run",
    8: "text without code is a reply",
    9: "limits are exact, and a run that met one has failed",
    10: "limits cannot be raised from code",
    11: "at depth 0 there is no recursion",
    12: "a sub-call's text is in no prompt unless printed",
    13: "a gathered batch keeps its order and takes as long as its slowest",
    14: "a failing child fills only its slot",
    15: "children see nothing but what they are passed",
    16: "a child may have another model, and its usage counts above",
    17: "a step is on disk before the next call of the model",
    18: "the journal is only added to, children form a subtree",
    19: "folding is marked and loses nothing",
    20: "what passes is tried again, what does not is told; no answer ends a run",
    21: "usage is exact over children and tries",
    22: "fences of every kind",
    23: "blocks run in order until one ends the run or fails",
    24: "long output keeps its ends, its error, and is readable in whole",
    25: "the value of a last expression is shown",
    26: "endless loops, memory bombs and floods are bounded, and nobody else notices",
    27: "odd text comes through unchanged, or is refused clearly",
    28: "a late result is never another call's",
    29: "runs and users never see each other",
    30: "a model that repeats what fails is stopped",
    31: "a budget holds for the tree",
    32: "a secret is nowhere",
}
ELSEWHERE: Mapping[int, tuple[str, ...]] = {
    1: ("test_rules.test_a_message_that_cannot_be_is_refused",),
    4: (
        "test_crash.test_effects_are_had_once_and_names_are_there_again",
        "test_process.test_answers_without_a_provider_and_keeps_its_memory_over_a_kill",
    ),
    13: ("test_recursion.test_a_hundred_children_come_back_in_order",),
    17: ("test_crash.test_a_step_is_on_disk_before_the_next_model_call_and_the_run_goes_on",),
    26: ("test_together.test_a_flood_and_an_endless_loop_do_not_hold_up_others",),
    28: ("test_together.test_a_late_result_is_never_credited_to_another_call",),
    29: (
        "test_together.test_two_runs_of_an_agent_do_not_see_each_other",
        "test_together.test_two_users_do_not_see_each_other",
    ),
    31: ("test_recursion.test_a_tree_of_many_shares_one_budget",),
    32: ("test_rules.test_the_key_is_nowhere_on_disk",),
}
"""Examples that need a kill, two runs at once or a cancel: module and name of the test."""


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_an_example(rule: int) -> None:
    tests = ELSEWHERE.get(rule, ())
    for test in tests:
        module, _, name = test.partition(".")
        assert callable(getattr(importlib.import_module(f"tests.loop.{module}"), name))
    assert tests or [case for case in CASES if case.rule == rule], RULES[rule]


def test_cases_are_of_known_rules_and_told_apart() -> None:
    labels = [case.label for case in CASES]
    assert len(set(labels)) == len(labels)
    assert {case.rule for case in CASES} | ELSEWHERE.keys() == RULES.keys()
