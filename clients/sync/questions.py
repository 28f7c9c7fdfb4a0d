# Generated from clients/aio/questions.py by scripts/unasync.py. Do not edit.
"""What agents ask, and the answers."""

from __future__ import annotations

import json
from typing import Any

from rlmd.clients import decode
from rlmd.clients.check import check_bool, check_int, check_str
from rlmd.clients.records import Question
from rlmd.proto.rlmd.v1 import questions_pb2
from rlmd.proto.rlmd.v1.questions_pb2_grpc import QuestionsStub

from .connection import Connection

ANY_AGENT = "-"


class Questions:
    """The questions of your agents."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = QuestionsStub(connection.channel)

    def list(self, *, agent: str = "", ended: bool = False, n: int = 100) -> list[Question]:
        """Questions, newest first: those that wait for an answer, with `ended` the others too.

        Args:
            agent: Only of this agent; empty means of all.
            n: How many at most.

        Raises:
            NotFound: there is no such agent.
        """
        parent = f"agents/{check_str(agent, 'agent') or ANY_AGENT}"
        most = check_int(n, "n", 0)
        request = questions_pb2.ListQuestionsRequest(
            parent=parent, show_ended=check_bool(ended, "ended"), page_size=min(most, 1000)
        )
        found: list[Question] = []
        if not most:
            return found
        for message in self._connection.pages(self._stub.ListQuestions, request, "questions"):
            found.append(decode.question(message))
            if len(found) == most:
                break
        return found

    def get(self, id: str) -> Question:
        """One question.

        Raises:
            NotFound: there is no such question.
        """
        request = questions_pb2.GetQuestionRequest(name=_name(id))
        return decode.question(self._connection.call(self._stub.GetQuestion, request))

    def answer(self, id: str, answer: Any) -> Question:
        """Answer a question, so that its run goes on. The first answer wins.

        Args:
            answer: A text as a person writes it, or the value itself: True, 7, {"name": "Ann"}.

        Raises:
            NotFound: there is no such question.
            InvalidInput: the answer is not what the question asks for; the remedy says what would be.
            PreconditionFailed: somebody has answered, or it is no longer asked.
        """
        text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        request = questions_pb2.AnswerQuestionRequest(name=_name(id), answer=text)
        return decode.question(self._connection.call(self._stub.AnswerQuestion, request))


def _name(id: str) -> str:
    return f"agents/{ANY_AGENT}/questions/{check_str(id, 'question')}"
