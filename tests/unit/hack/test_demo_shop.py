"""The demo of the sample shop says what its customers got, and what did not happen."""

import gzip
import hashlib
import hmac
import http.client
import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from chatscale.api.v1alpha1 import ChatModel
from chatscale.api.v1alpha1.shopassistant import ShopAssistant
from chatscale_contract.assistant.extras import AnswerExtras, CitationExtra, HandOverState, Rung, Sentiment
from hack.demo.steps import StepFailedError
from hack.demo_shop import receiver, script, world
from hack.demo_shop.customer import Reply, read_reply
from hack.demo_shop.story import Exchange, Sale, shortcomings, summary
from hack.shop.tools import describe_tools

CITATION = CitationExtra(source="policy", title="Returns", quote="Within 30 days.", version="1")


def extras(**fields: Any) -> AnswerExtras:
    return AnswerExtras(
        **{"rung": Rung.TEMPLATE, "language": "en", "sentiment": Sentiment.NEUTRAL, "citations": (CITATION,), **fields}
    )


def a_reply(seconds: float = 0.1, status: int = 200, **fields: Any) -> Reply:
    return Reply("text", extras(**fields), seconds, status)


GOOD = [Exchange("en", "Where is it?", a_reply())]
REFUSED = Reply("busy", None, 0.1, 503)


def test_a_demo_in_which_everything_happened_lacks_nothing():
    assert shortcomings(GOOD, 1, Sale([a_reply()] * 10)) == []


@pytest.mark.parametrize(
    ("exchanges", "cases", "sale", "message"),
    [
        pytest.param([Exchange("en", "q", REFUSED)], 1, Sale([a_reply()]), "'q' got no answer: 503", id="refused"),
        pytest.param(
            [Exchange("fr", "q", a_reply())], 1, Sale([a_reply()]), "answered in en, not in fr", id="language"
        ),
        pytest.param(
            [Exchange("en", "q", a_reply(rung=Rung.QUOTE))],
            1,
            Sale([a_reply()]),
            "no answer came from a tool",
            id="tool",
        ),
        pytest.param(GOOD, 0, Sale([a_reply()]), "the desk received no case", id="desk"),
        pytest.param(GOOD, 1, Sale([]), "nobody was answered in the sale", id="empty sale"),
        pytest.param(GOOD, 1, Sale([a_reply()], lost=2), "2 requests of the sale failed", id="lost"),
        pytest.param(GOOD, 1, Sale([REFUSED]), "1 requests of the sale failed", id="5xx"),
        pytest.param(GOOD, 1, Sale([a_reply(3.0)]), "the p99 of the sale is 3.00 s", id="slow"),
        pytest.param(GOOD, 1, Sale([a_reply(citations=())]), "neither a source nor a hand-over", id="loose"),
    ],
)
def test_names_what_did_not_happen(exchanges: list[Exchange], cases: int, sale: Sale, message: str):
    assert message in "; ".join(shortcomings(exchanges, cases, sale))


def test_a_hand_over_needs_no_source():
    assert a_reply(citations=(), hand_over=HandOverState.REQUESTED).is_grounded


def test_an_exchange_shows_question_answer_rung_and_sources():
    shown = "\n".join(Exchange("en", "Where?", a_reply()).lines())

    assert "customer (en): Where?" in shown
    assert "rung template, language en, sentiment neutral, 0.10 s" in shown
    assert "[source policy: Returns “Within 30 days.”]" in shown


def test_the_summary_counts_rungs_and_replicas():
    sale = Sale([a_reply(), a_reply(rung=Rung.QUOTE), a_reply()], replicas=(1, 2, 3, 1))

    text = "\n".join(summary(GOOD, 1, sale))

    assert "rungs in the sale: template 2, quote 1" in text
    assert "from 1 to 3" in text
    assert "1 case received" in text


def test_an_answer_without_extras_is_no_answer_of_an_assistant():
    with pytest.raises(StepFailedError, match="no object 'chatscale'"):
        read_reply({"choices": [{"message": {"content": "hi"}}]}, 200, 0.1)


def test_the_objects_of_the_shop_are_valid_and_name_tools_that_exist():
    assistant, model = world.shop_assistant(), world.chat_model("registry/server:1")
    ShopAssistant.model_validate({"metadata": assistant["metadata"], "spec": assistant["spec"]})
    ChatModel.model_validate({"metadata": model["metadata"], "spec": model["spec"]})

    (tools,) = assistant["spec"]["tools"]
    writing = {each["name"] for each in describe_tools() if not each["annotations"]["readOnlyHint"]}
    assert set(tools["allow"]) <= {each["name"] for each in describe_tools()}
    assert set(tools["writes"]) == set(tools["allow"]) & writing


def test_the_data_of_the_shop_fits_into_a_config_map():
    manifest = world.compressed_file("shop-data", "db.json", b"{}" * 1000)

    assert gzip.decompress(b64decode(manifest["binaryData"]["db.json.gz"])) == b"{}" * 1000


def test_the_script_has_three_languages_a_return_and_an_angry_customer():
    languages = {line.language for scene in script.SCENES for line in scene.lines}

    assert languages == {"en", "zh", "fr"}
    assert {"return", "angry"} <= {scene.name for scene in script.SCENES}


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(receiver, "SIGNATURE", "secret")
    monkeypatch.setattr(receiver, "CASES", receiver.Cases())
    server = ThreadingHTTPServer(("127.0.0.1", 0), receiver.Desk)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def post(port: int, case: dict[str, Any], key: str, secret: bytes = b"secret") -> int:
    body = json.dumps(case).encode()
    signature = "sha256=" + hmac.new(secret, b"1." + body, hashlib.sha256).hexdigest()
    headers = {"X-Chatscale-Timestamp": "1", "X-Chatscale-Signature": signature, "Idempotency-Key": key}
    return request(port, "POST", body, headers)[0]


def request(port: int, method: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, "/cases", body, headers or {})
    response = connection.getresponse()
    found = response.status, json.loads(response.read())
    connection.close()
    return found


def test_the_desk_takes_signed_cases_once(desk: int):
    assert post(desk, {"id": "a"}, "1") == 200
    assert post(desk, {"id": "a again"}, "1") == 200
    assert post(desk, {"id": "b"}, "2", b"another secret") == 401

    assert request(desk, "GET") == (200, [{"id": "a"}])
