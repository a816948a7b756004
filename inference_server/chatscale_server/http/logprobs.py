"""Scores in the two shapes that OpenAI has for them. Pure."""

from collections.abc import Callable, Iterable
from typing import Any

from chatscale_server.engine.request import Score

TokenBytes = Callable[[int], bytes]


def chat_logprobs(scores: Iterable[Score], token_bytes: TokenBytes) -> dict[str, Any]:
    """`choices[].logprobs` of a chat."""

    def entry(token: int, logprob: float) -> dict[str, Any]:
        spelling = token_bytes(token)
        return {"token": _text(spelling), "logprob": logprob, "bytes": list(spelling)}

    content = [
        {**entry(score.token, score.logprob), "top_logprobs": [entry(*likely) for likely in score.top]}
        for score in scores
    ]
    return {"content": content, "refusal": None}


def text_logprobs(scores: Iterable[Score], token_bytes: TokenBytes, offset: int) -> dict[str, Any]:
    """`choices[].logprobs` of a plain completion; `offset` is the length of the text before the answer.

    The chosen token is always among the likeliest ones, so there may be one more than asked for.
    """
    scores = list(scores)
    tops = []
    for score in scores:
        top: dict[str, float] = {}
        for token, logprob in (*score.top, (score.token, score.logprob)):
            # Parts of characters all read alike: the likeliest of them stays.
            top.setdefault(_text(token_bytes(token)), logprob)
        tops.append(top)
    return {
        "tokens": [_text(token_bytes(score.token)) for score in scores],
        "token_logprobs": [score.logprob for score in scores],
        "top_logprobs": tops,
        "text_offset": [offset + score.offset for score in scores],
    }


def _text(spelling: bytes) -> str:
    return spelling.decode(errors="replace")
