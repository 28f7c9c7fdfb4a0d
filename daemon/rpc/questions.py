"""The service Questions."""

from __future__ import annotations

from rlmd.memory import questions
from rlmd.memory.names import check_text
from rlmd.memory.records import Question
from rlmd.memory.store import Transaction
from rlmd.proto.rlmd.v1 import questions_pb2 as pb
from rlmd.proto.rlmd.v1.questions_pb2_grpc import QuestionsServicer

from . import convert
from .auth import caller
from .errors import about
from .names import agent_of, question_of
from .pages import cut, place, size_of
from .runs import ALL_AGENTS
from .service import Service
from .values import given


class Questions(Service, QuestionsServicer):
    async def ListQuestions(
        self, request: pb.ListQuestionsRequest, context: object
    ) -> pb.ListQuestionsResponse:
        parent = agent_of(request.parent, "parent")
        agent = None if parent == ALL_AGENTS else parent
        before, most = place(request, int), size_of(request) + 1

        def work(tx: Transaction) -> list[Question]:
            if agent is not None:
                tx.agents.get(agent)
            return tx.questions.page(agent=agent, all_states=request.show_ended, before=before, most=most)

        with about("parent"):
            found = self.store().read(work)
        page, token = cut(request, found, lambda question: question.id)
        return pb.ListQuestionsResponse(questions=map(convert.question, page), next_page_token=token)

    async def GetQuestion(self, request: pb.GetQuestionRequest, context: object) -> pb.Question:
        agent, number = _question(request.name)
        return convert.question(self.store().read(lambda tx: tx.questions.get(number, agent=agent)))

    async def AnswerQuestion(self, request: pb.AnswerQuestionRequest, context: object) -> pb.Question:
        agent, number = _question(request.name)
        store = self.store()
        store.read(lambda tx: tx.questions.get(number, agent=agent))
        check_text(request.answer, "answer", limit=questions.MAX_TEXT)
        answer = given(request.answer)
        return convert.question(await self.backend.engine.answer(store, number, answer, by=caller().name))


def _question(name: str) -> tuple[str | None, int]:
    agent, number = question_of(name)
    return None if agent == ALL_AGENTS else agent, number
