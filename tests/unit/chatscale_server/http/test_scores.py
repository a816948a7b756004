"""Log-probabilities in responses of both routes."""

import threading
from typing import Any

from typing_extensions import override

from chatscale_server.engine.simulated import SimulatedEngine
from tests.unit.chatscale_server.builders import FAST
from tests.unit.chatscale_server.http.scripted_engine import HELLO, a_client


async def test_scores_of_a_chat_name_each_token_whole_and_streamed():
    asked: Any = {"model": "m", "messages": HELLO, "max_tokens": 3, "logprobs": True, "top_logprobs": 2}
    async with a_client() as (client, _server):
        whole = (await client.chat.completions.create(**asked)).choices[0]
        stream = await client.chat.completions.create(**asked, stream=True)
        chunks = [chunk.choices[0] async for chunk in stream]
        scores = whole.logprobs.content
        assert "".join(score.token for score in scores) == whole.message.content
        assert [bytes(score.bytes).decode() for score in scores] == [score.token for score in scores]
        assert [score.logprob for score in scores] == [0.0] * 3
        assert [len(score.top_logprobs) for score in scores] == [2] * 3
        assert scores[0].top_logprobs[0].token == scores[0].token
        assert [score for chunk in chunks if chunk.logprobs for score in chunk.logprobs.content] == scores
        without = await client.chat.completions.create(**{**asked, "top_logprobs": None})
        assert [score.top_logprobs for score in without.choices[0].logprobs.content] == [[]] * 3
        assert (await client.chat.completions.create(model="m", messages=HELLO)).choices[0].logprobs is None


class Spelling(SimulatedEngine):
    """Notes which thread asks for the bytes of a token."""

    def __init__(self) -> None:
        super().__init__(FAST)
        self.threads: list[int] = []

    @override
    def token_bytes(self, token: int) -> bytes:
        self.threads.append(threading.get_ident())
        return super().token_bytes(token)


async def test_a_large_whole_answer_is_built_once_and_off_the_loop():
    engine = Spelling()
    async with a_client(engine) as (client, _server):
        chat = await client.chat.completions.create(
            model="m", messages=HELLO, max_tokens=60, logprobs=True, top_logprobs=2
        )
        scores = chat.choices[0].logprobs.content
        assert (len(scores), len(engine.threads)) == (60, sum(1 + len(score.top_logprobs) for score in scores))
        await client.completions.create(model="m", prompt="Once", max_tokens=60, logprobs=2)
        assert threading.get_ident() not in engine.threads


async def test_scores_of_a_completion_have_the_older_shape():
    asked: Any = {"model": "m", "prompt": "Once", "max_tokens": 3, "logprobs": 2}
    async with a_client() as (client, _server):
        choice = (await client.completions.create(**asked)).choices[0]
        scores = choice.logprobs
        assert "".join(scores.tokens) == choice.text
        assert scores.text_offset == [0, len(scores.tokens[0]), len(scores.tokens[0] + scores.tokens[1])]
        assert (scores.token_logprobs, [len(top) for top in scores.top_logprobs]) == ([0.0] * 3, [2] * 3)
        assert [top[token] for top, token in zip(scores.top_logprobs, scores.tokens, strict=True)] == [0.0] * 3
        stream = await client.completions.create(**asked, stream=True)
        chunks = [chunk.choices[0].logprobs async for chunk in stream if chunk.choices[0].logprobs]
        assert [token for chunk in chunks for token in chunk.tokens] == scores.tokens
        assert [offset for chunk in chunks for offset in chunk.text_offset] == scores.text_offset
        chosen = (await client.completions.create(**{**asked, "logprobs": 0})).choices[0].logprobs
        assert chosen.top_logprobs == [{token: 0.0} for token in scores.tokens]
