"""Chatwoot as channel and desk, against a stand-in that follows its public API."""

import asyncio
import json
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from chatscale.api.v1alpha1.shopassistant import Language
from chatscale_assistant.desk.chatwoot import ChatwootDesk, Incoming, read_event
from chatscale_assistant.desk.chatwoot_api import ChatwootApi
from chatscale_assistant.desk.outgoing import Outgoing, desk_session
from chatscale_assistant.desk.signature import is_signed, sign
from chatscale_assistant.domain.answer import Answer
from chatscale_assistant.domain.conversation import Conversation, Speaker, Turn
from chatscale_assistant.errors import InvalidRequestError
from chatscale_assistant.http.desk import DeskHandlers
from chatscale_assistant.http.lifecycle import Lifecycle
from chatscale_assistant.http.options import HttpOptions
from chatscale_assistant.settings import SecretFiles
from chatscale_contract.assistant.extras import HandOverState, Rung, Sentiment
from tests.unit.assistant.desk.chatwoot_stand_in import ACCOUNT, OUTGOING, TOKEN, ChatwootStandIn, serving
from tests.unit.assistant.http.fakes import running


def an_answer(text="Within 30 days.", hand_over=HandOverState.NONE):
    return Answer(text, Rung.QUOTE, Language.ENGLISH, Sentiment.NEUTRAL, hand_over=hand_over)


@dataclass
class Responder:
    result: Answer = field(default_factory=an_answer)
    seen: list[Conversation] = field(default_factory=list)
    meanwhile: object = None

    async def answer(self, conversation: Conversation) -> Answer:
        self.seen.append(conversation)
        if callable(self.meanwhile):
            self.meanwhile()
        return self.result


@asynccontextmanager
async def desk_of(folder, stand_in: ChatwootStandIn, quiet_s=0.02):
    async with serving(stand_in) as url, desk_session() as session:
        (folder / "desk").mkdir()
        for name, value in {"url": url, "apiToken": TOKEN, "accountId": ACCOUNT, "signature": "s" * 20}.items():
            (folder / "desk" / name).write_text(value)
        yield ChatwootDesk(ChatwootApi(Outgoing(session, 2.0), SecretFiles(folder)), quiet_s=quiet_s)


async def test_answers_a_customers_message(tmp_path):
    stand_in, responder = ChatwootStandIn(), Responder()
    stand_in.add("hello")
    stand_in.add("Good day", OUTGOING, sender="agent_bot")
    number = stand_in.add("When can I return it?")
    async with desk_of(tmp_path, stand_in) as desk:
        await desk.receive(Incoming(10, number), responder.answer)

    assert stand_in.sent == ["Good day", "Within 30 days."]
    assert [each.turns for each in responder.seen] == [
        (
            Turn(Speaker.CUSTOMER, "hello"),
            Turn(Speaker.ASSISTANT, "Good day"),
            Turn(Speaker.CUSTOMER, "When can I return it?"),
        )
    ]


async def test_several_quick_messages_get_one_answer(tmp_path):
    """Promise 7, also if the webhooks reach different pods."""
    stand_in, responder = ChatwootStandIn(), Responder()
    numbers = [stand_in.add(text) for text in ("my parcel", "is late", "where is it?")]
    async with desk_of(tmp_path, stand_in, quiet_s=0.1) as desk, desk_session() as session:
        other_pod = ChatwootDesk(ChatwootApi(Outgoing(session, 2.0), SecretFiles(tmp_path)), quiet_s=0.1)
        pods = [other_pod, desk, desk]
        await asyncio.gather(
            *(pod.receive(Incoming(10, number), responder.answer) for pod, number in zip(pods, numbers, strict=True)),
            return_exceptions=True,
        )

    assert stand_in.sent == ["Within 30 days."]
    assert [each.question for each in responder.seen] == ["my parcel\nis late\nwhere is it?"]


async def test_silent_once_a_person_writes_also_for_work_in_flight(tmp_path):
    """Promise 3."""
    stand_in = ChatwootStandIn()
    number = stand_in.add("question")
    responder = Responder(meanwhile=lambda: stand_in.add("I am Ann.", OUTGOING, sender="user"))
    async with desk_of(tmp_path, stand_in) as desk:
        await desk.receive(Incoming(10, number), responder.answer)

    assert responder.seen
    assert stand_in.sent == []


async def test_silent_if_a_person_takes_the_conversation_while_the_answer_is_made(tmp_path):
    """Promise 3."""
    stand_in = ChatwootStandIn()
    number = stand_in.add("question")
    responder = Responder(meanwhile=lambda: setattr(stand_in, "status", "open"))
    async with desk_of(tmp_path, stand_in) as desk:
        await desk.receive(Incoming(10, number), responder.answer)

    assert stand_in.sent == []


@pytest.mark.parametrize("status", ["open", "snoozed", "resolved"])
async def test_silent_while_people_have_the_conversation(tmp_path, status):
    stand_in, responder = ChatwootStandIn(status=status), Responder()
    number = stand_in.add("question")
    async with desk_of(tmp_path, stand_in) as desk:
        await desk.receive(Incoming(10, number), responder.answer)

    assert responder.seen == []


async def test_a_webhook_that_comes_twice_gets_one_answer(tmp_path):
    stand_in, responder = ChatwootStandIn(), Responder()
    number = stand_in.add("question")
    async with desk_of(tmp_path, stand_in) as desk:
        await desk.receive(Incoming(10, number), responder.answer)
        await desk.receive(Incoming(10, number), responder.answer)

    assert stand_in.sent == ["Within 30 days."]


async def test_a_hand_over_is_always_said_to_the_customer(tmp_path):
    """Promise 1: the conversation is open before the text is sent, and a failed send is repeated."""
    stand_in = ChatwootStandIn(fail_sends=1)
    number = stand_in.add("I want a person")
    async with desk_of(tmp_path, stand_in) as desk:

        async def respond(conversation):
            assert await desk.hand_over(conversation, summary="wants a person", language=Language.ENGLISH, reason="x")
            return an_answer("A colleague takes over.", HandOverState.REQUESTED)

        await desk.receive(Incoming(10, number), respond)

    assert stand_in.status == "open"
    assert stand_in.notes == ["wants a person"]
    assert stand_in.sent == ["A colleague takes over."]


async def test_a_finished_case_starts_afresh(tmp_path):
    """Promise 4."""
    stand_in, responder = ChatwootStandIn(), Responder()
    stand_in.add("old question")
    stand_in.add("I am Ann, done.", OUTGOING, sender="user")
    number = stand_in.add("new question")
    async with desk_of(tmp_path, stand_in) as desk:
        await desk.receive(Incoming(10, number), responder.answer)

    assert [each.turns for each in responder.seen] == [(Turn(Speaker.CUSTOMER, "new question"),)]
    assert stand_in.sent == ["Within 30 days."]


async def test_private_notes_are_no_part_of_the_conversation(tmp_path):
    stand_in, responder = ChatwootStandIn(), Responder()
    number = stand_in.add("question")
    stand_in.add("angry customer", OUTGOING, sender="user", private=True)
    async with desk_of(tmp_path, stand_in) as desk:
        await desk.receive(Incoming(10, number), responder.answer)

    assert [each.question for each in responder.seen] == ["question"]


async def test_whether_a_person_answers_is_read_from_chatwoot(tmp_path):
    stand_in = ChatwootStandIn()
    mine, other = (Conversation(each, (), None) for each in ("chatwoot-10", "case-1"))  # type: ignore[arg-type]
    async with desk_of(tmp_path, stand_in) as desk:
        pending = await desk.has_person(mine)
        stand_in.status = "open"
        open_now = await desk.has_person(mine)
        elsewhere = await desk.has_person(other)
        (tmp_path / "desk/apiToken").write_text("wrong")
        unknown = await desk.has_person(mine)

    assert (pending, open_now, elsewhere, unknown) == (False, True, False, True)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"event": "message_updated"}, id="another event"),
        pytest.param({"message_type": "outgoing"}, id="of the assistant"),
        pytest.param({"private": True}, id="note"),
        pytest.param({"conversation": {"id": 10, "status": "open"}}, id="of people"),
        pytest.param({"conversation": None}, id="none"),
    ],
)
def test_other_events_need_no_answer(change):
    stand_in = ChatwootStandIn()
    event = stand_in.event(stand_in.add("x"))

    assert read_event(event) == Incoming(10, 101)
    assert read_event({**event, **change}) is None


def test_a_body_that_is_no_event_is_refused():
    with pytest.raises(InvalidRequestError):
        read_event({"id": 1})


@asynccontextmanager
async def webhook(folder, stand_in):
    """A server with the webhook's route, and a function that posts an event."""
    options = HttpOptions(drain_delay_s=0.0, grace_period_s=1.0)
    async with desk_of(folder, stand_in) as desk, asyncio.TaskGroup() as group:
        responder = Responder()
        handlers = DeskHandlers(
            desk, responder, lambda: SecretFiles(folder).read("desk/signature"), group,
            Lifecycle(options, lambda: True), options,
        )  # fmt: skip
        async with running(desk=handlers.receive) as world:

            async def post(event, *, key="s" * 20, age_s=0):
                raw, timestamp = json.dumps(event).encode(), str(int(time.time()) - age_s)
                headers = {"X-Chatwoot-Timestamp": timestamp, "X-Chatwoot-Signature": sign(key, timestamp, raw)}
                async with world.session.post(world.url + "/v1/desk/chatwoot", data=raw, headers=headers) as response:
                    return response.status

            yield post, responder


async def test_a_signed_webhook_is_acknowledged_at_once_and_answered_later(tmp_path):
    stand_in = ChatwootStandIn()
    number = stand_in.add("question")
    async with webhook(tmp_path, stand_in) as (post, _):
        assert await post(stand_in.event(number)) == 200
        assert stand_in.sent == []

    assert stand_in.sent == ["Within 30 days."]


@pytest.mark.parametrize(("key", "age_s"), [("wrong", 0), ("s" * 20, 400)])
async def test_a_webhook_with_a_wrong_or_old_signature_is_refused(tmp_path, key, age_s):
    stand_in = ChatwootStandIn()
    number = stand_in.add("question")
    async with webhook(tmp_path, stand_in) as (post, responder):
        assert await post(stand_in.event(number), key=key, age_s=age_s) == 401

    assert responder.seen == []


def test_a_signature_with_bytes_that_are_no_text_fits_nothing():
    assert not is_signed("s" * 20, "100", b"{}", "sha256=\udcff", now_s=100.0)


async def test_a_failure_of_one_message_does_not_end_the_others(tmp_path):
    stand_in = ChatwootStandIn()
    number = stand_in.add("question")
    async with webhook(tmp_path, stand_in) as (post, responder):
        responder.meanwhile = lambda: 1 / 0
        await post(stand_in.event(number))
        await asyncio.sleep(0.2)
        responder.meanwhile = None
        await post(stand_in.event(number))

    assert stand_in.sent == ["Within 30 days."]
