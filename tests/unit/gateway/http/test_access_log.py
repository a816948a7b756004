"""Lines of the access log are JSON, whatever a record contains."""

import json

from chatscale_contract.gateway.keys import KeyId
from chatscale_gateway.http.access_log import AccessLog, RequestRecord
from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.routing.catalog import ModelKey
from chatscale_gateway.routing.outcomes import Usage


def written(record: RequestRecord) -> dict:
    lines: list[str] = []
    AccessLog(lines.append, wall_clock=lambda: 1234.5678).write(record, 1.23456)
    assert "\n" not in lines[0]
    return json.loads(lines[0])


def test_writes_every_field():
    record = RequestRecord(
        "id", "POST", "/v1/x", 1.0, model=ModelKey("demo", "tiny"), streamed=True, status=200, held_s=0.5,
        ttft_s=0.25, client="192.0.2.1", attempts=2, pod="pod-0", outcome="completed", usage=Usage(7, 2, 3),
        caller=Caller(KeyId("demo", "shop")), overload="fallback", requested_model=ModelKey("demo", "large"),
    )  # fmt: skip
    assert written(record) == {
        "time": 1234.568, "event": "request", "request_id": "id", "client": "192.0.2.1", "model": "tiny",
        "namespace": "demo", "method": "POST", "path": "/v1/x", "status": 200, "streamed": True, "held_s": 0.5,
        "ttft_s": 0.25, "duration_s": 1.2346, "prompt_tokens": 7, "cached_tokens": 2, "generated_tokens": 3,
        "attempts": 2, "pod": "pod-0", "outcome": "completed", "code": "", "key": "demo/shop", "usage": "counted",
        "overload": "fallback", "requested_model": "large",
    }  # fmt: skip


def test_writes_a_request_of_which_little_is_known():
    line = written(RequestRecord("id", "GET", "", 1.0))
    assert (line["model"], line["ttft_s"], line["prompt_tokens"], line["status"]) == ("", None, None, 499)


def test_no_text_can_add_a_field_or_a_line():
    text = 'a","status":200\n\\\u2028\u00e9'
    record = RequestRecord(text, text, text, 1.0, model=ModelKey(text, text), pod=text, outcome=text, code=text)
    line = written(record)
    assert {
        line[name] for name in ("request_id", "method", "path", "model", "namespace", "pod", "outcome", "code")
    } == {text}
    assert line["status"] == 499
