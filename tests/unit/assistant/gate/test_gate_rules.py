"""Arguments, schemas, pins, proposals and conventions for tools of any shop."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale.api.v1alpha1.shopassistant import ToolServer
from chatscale_assistant.domain.conversation import Customer
from chatscale_assistant.domain.evidence import ToolCall, ToolResult
from chatscale_assistant.evaluation.retail_world import ask, confirmed
from chatscale_assistant.gate.canonical import MAX_BYTES, InvalidArgumentsError, canonical_arguments
from chatscale_assistant.gate.decisions import Allowed, Refusal
from chatscale_assistant.gate.gate import Gate, fact_key
from chatscale_assistant.gate.pins import ToolDescription, digest_tools
from chatscale_assistant.gate.proposals import CODE, LIFETIME, InvalidProposalError, Signer
from chatscale_assistant.gate.schemas import ArgumentSchema
from chatscale_assistant.gate.servers import IDEMPOTENCY_PARAMETER, guard_server
from chatscale_contract.assistant.extras import RequestExtras
from chatscale_contract.assistant.tool_calls import ACCESS_META
from tests.support.shop_tools import SIGNING_KEY, is_yes

NOW = datetime(2026, 1, 5, 10, 0, 30, tzinfo=UTC)
SIGNER = Signer(SIGNING_KEY)
CALL = ToolCall("s", "cancel", {"order_id": "#W1", "items": ["a", "b"]})


def tool(name, *parameters, meta=None, **types) -> ToolDescription:
    properties = {each: {"type": "string"} for each in parameters} | types
    return ToolDescription(name, "Text.", {"type": "object", "properties": properties}, meta=meta or {})


def gate_of(*tools, writes=(), pinned="") -> Gate:
    names = [each.name for each in tools]
    config = ToolServer.model_validate({"name": "s", "mcp": "http://s", "allow": names, "writes": list(writes)})
    tools = [replace(each, annotations={"idempotentHint": True}) for each in tools]
    return Gate(SIGNER, is_yes).with_server(guard_server(config, tools, pinned))


def result(call, data) -> ToolResult:
    return ToolResult(call, data, "", NOW)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"a": "x\u200by"}, id="zero width"),
        pytest.param({"a": "\u202etxt"}, id="bidirectional"),
        pytest.param({"a": "\ud800"}, id="surrogate"),
        pytest.param({"a\u0000": "x"}, id="hidden in a name"),
        pytest.param({"é": 1, "e\u0301": 2}, id="two names that look the same"),
        pytest.param({"a": float("nan")}, id="NaN"),
        pytest.param({"a": b"x"}, id="bytes"),
        pytest.param({1: "x"}, id="name is a number"),
        pytest.param({"a": [[[[[[["deep"]]]]]]]}, id="deep"),
        pytest.param({"a": ["x"] * 300}, id="many"),
        pytest.param({"a": "x" * 9000}, id="long"),
        pytest.param([("a", 1)], id="list"),
    ],
)
def test_arguments_that_nobody_can_confirm_are_refused(arguments):
    with pytest.raises(InvalidArgumentsError):
        canonical_arguments(arguments)


def test_equal_arguments_have_one_form():
    one = canonical_arguments({"b": ("x", "e\u0301"), "a": {"d": 1, "c": None}})
    other = canonical_arguments({"a": {"c": None, "d": 1}, "b": ["x", "é"]})
    assert one == other
    assert one[1] == '{"a":{"c":null,"d":1},"b":["x","é"]}'


def test_types_do_not_share_a_form():
    forms = {canonical_arguments({"a": each})[1] for each in (1, "1", True, 1.0, None, "null", "true", [1], {"a": 1})}
    assert len(forms) == 9


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        pytest.param({"properties": {"a": {}}}, {"b": 1}, id="unknown argument"),
        pytest.param({"properties": {"a": {}}, "additionalProperties": True}, {"b": 1}, id="allowed by the schema"),
        pytest.param({"type": "object"}, {"a": 1}, id="no parameters"),
        pytest.param(
            {"properties": {"a": {"type": "object", "properties": {"b": {}}}}}, {"a": {"c": 1}}, id="unknown, nested"
        ),
        pytest.param(
            {"properties": {"a": {"type": "array", "items": {"properties": {"b": {}}}}}},
            {"a": [{"c": 1}]},
            id="in a list",
        ),
        pytest.param({"properties": {"a": {"type": "integer"}}}, {"a": True}, id="truth value as a number"),
        pytest.param({"properties": {"a": {"$ref": "http://127.0.0.1:1/x"}}}, {"a": 1}, id="reference to an address"),
        pytest.param({"properties": {"a": {"$ref": "#/$defs/A"}}}, {"a": 1}, id="missing definition"),
    ],
)  # fmt: skip
def test_arguments_fit_the_schema_and_no_more(schema, arguments):
    with pytest.raises(InvalidArgumentsError):
        ArgumentSchema(schema).check(arguments)


@pytest.mark.parametrize("schema", [{"type": "array"}, {"type": 7}, {"properties": []}])
def test_a_malformed_schema_closes_the_server(schema):
    gate = gate_of(ToolDescription("cancel", "x", schema))
    assert "tool cancel" in gate.servers["s"].closed


def test_other_tools_of_a_server_do_not_change_the_digest():
    first, second = tool("a", "x"), tool("b", "y")
    assert digest_tools([first, second], ["a"]) == digest_tools([second, first, tool("c")], ["a"])
    assert digest_tools([first], ["a"]) != digest_tools([replace(first, title="t")], ["a"])


def test_a_missing_or_doubled_tool_closes_the_server():
    config = ToolServer.model_validate({"name": "s", "mcp": "http://s", "allow": ["a", "b"]})
    assert "does not offer b" in guard_server(config, [tool("a")], "").closed
    assert "names a tool twice" in guard_server(config, [tool("a"), tool("a"), tool("b")], "").closed


def test_a_code_binds_everything():
    proposal = SIGNER.propose(CALL, "c1", "talk", NOW)
    assert CODE.fullmatch(proposal.code)
    assert NOW + LIFETIME <= proposal.expires < NOW + LIFETIME + timedelta(minutes=1)
    assert SIGNER.proposal_of_code(proposal.code, CALL, "c1", "talk") == proposal
    others = [
        (replace(CALL, arguments={**CALL.arguments, "order_id": "#W2"}), "c1", "talk"),
        (replace(CALL, arguments={**CALL.arguments, "items": ["b", "a"]}), "c1", "talk"),
        (replace(CALL, tool="refund"), "c1", "talk"),
        (replace(CALL, server="t"), "c1", "talk"),
        (CALL, "c2", "talk"),
        (CALL, "c1", "talk2"),
    ]
    assert [SIGNER.proposal_of_code(proposal.code, *each) for each in others] == [None] * len(others)
    assert Signer(bytes(32)).proposal_of_code(proposal.code, CALL, "c1", "talk") is None


def test_a_later_proposal_has_another_code():
    codes = {SIGNER.propose(CALL, "c1", "talk", NOW + timedelta(minutes=each)).code for each in range(5)}
    assert len(codes) == 5


def test_a_token_opens_to_its_proposal():
    proposal = SIGNER.propose(CALL, "c1", "talk", NOW)
    assert SIGNER.open(proposal.token) == proposal


def test_a_client_can_send_back_the_token_of_the_longest_arguments():
    proposal = SIGNER.propose(ToolCall("s", "cancel", {"a": "x" * (MAX_BYTES - 8)}), "c" * 256, "t" * 128, NOW)
    assert SIGNER.open(RequestExtras(pending=proposal.token).pending) == proposal


@given(st.text(max_size=60), st.integers(0, 200))
def test_no_other_token_opens(noise, place):
    token = SIGNER.propose(CALL, "c1", "talk", NOW).token
    changed = token[:place] + noise + token[place + len(noise) :]
    for each in (noise, changed) if changed != token else (noise,):
        with pytest.raises(InvalidProposalError):
            SIGNER.open(each)


def test_a_short_signing_key_is_refused():
    with pytest.raises(ValueError, match="has 16 bytes, expected at least 32"):
        Signer(bytes(16))


GET = tool("get_parcel", "parcel_id")
HOLD = tool("hold_parcel", "parcel_id")


def decide(gate, call, owner, customer="c1"):
    conversation = ask(customer, "talk")
    attempt = confirmed(gate, call, conversation)
    facts = {}
    while needed := gate.facts_needed(call, conversation.customer, facts):
        facts |= {fact_key(each): result(each, {"customer_id": owner}) for each in needed}
    return gate.check_write(call, attempt.conversation, facts, conversation.now)


def test_the_owner_of_an_object_is_read_by_convention():
    gate = gate_of(GET, HOLD, writes=["hold_parcel"])
    call = ToolCall("s", "hold_parcel", {"parcel_id": "p1"})
    assert isinstance(decide(gate, call, "c1"), Allowed)
    assert decide(gate, call, "c2").reason is Refusal.NOT_OWNED
    assert decide(gate, call, None).reason is Refusal.NOT_OWNED


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(tool("hold_parcel", "parcel_no"), id="nothing names the customer"),
        pytest.param(tool("hold_all", "customer_id", "voucher_id"), id="an object that nobody reads"),
    ],
)
def test_a_write_without_a_rule_stays_closed(written):
    gate = gate_of(GET, written, writes=[written.name])
    arguments = dict.fromkeys(written.input_schema["properties"], "c1")
    assert decide(gate, ToolCall("s", written.name, arguments), "c1").reason is Refusal.UNBOUND


@pytest.mark.parametrize(
    ("schema", "arguments"),
    [
        pytest.param({"parcel": {}}, {"parcel": "p2"}, id="without an ending"),
        pytest.param({"parcelNumber": {}}, {"parcelNumber": "p2"}, id="by number"),
        pytest.param({"id": {}}, {"id": "p2"}, id="id alone"),
        pytest.param({"request": {}}, {"request": {"parcel_id": "p2"}}, id="in an object without properties"),
        pytest.param({"lines": {"type": "array"}}, {"lines": [{"invoice_no": "i2"}]}, id="in a list"),
    ],
)  # fmt: skip
def test_an_object_that_stands_beside_the_customer_needs_an_owner_too(schema, arguments):
    described = ToolDescription("x", "Text.", {"type": "object", "properties": {"customer_id": {}, **schema}})
    own = {"customer_id": "c1"}
    writing = gate_of(GET, described, writes=["x"])
    assert isinstance(decide(writing, ToolCall("s", "x", own), "c1"), Allowed)
    for owner in ("c1", "c2"):
        refused = decide(writing, ToolCall("s", "x", own | arguments), owner)
        assert refused.reason in {Refusal.UNBOUND, Refusal.NOT_OWNED} or owner == "c1"
    read = ToolCall("s", "x", own | arguments)
    assert gate_of(described).check_result(read, result(read, {"total": 5}), Customer("c1")) is not None


def test_a_nested_object_is_read_by_convention():
    written = tool("hold", request={"type": "object", "properties": {"parcel_id": {"type": "string"}}})
    gate = gate_of(GET, written, writes=["hold"])
    call = ToolCall("s", "hold", {"request": {"parcel_id": "p1"}})
    assert isinstance(decide(gate, call, "c1"), Allowed)
    assert decide(gate, call, "c2").reason is Refusal.NOT_OWNED


def test_plain_data_beside_the_customer_needs_no_owner():
    written = tool("set_address", "customer_id", "zip_code", "phone_number", "city")
    call = ToolCall(
        "s", "set_address", dict.fromkeys(("zip_code", "phone_number", "city"), "x") | {"customer_id": "c1"}
    )
    assert isinstance(decide(gate_of(written, writes=["set_address"]), call, "c1"), Allowed)


def test_a_write_that_could_run_twice_closes_the_server():
    # Two pods that get the same yes at the same time share no memory: only the shop's server can do a key once.
    config = ToolServer.model_validate({"name": "s", "mcp": "http://s", "allow": ["refund"], "writes": ["refund"]})
    plain = tool("refund", "customer_id")
    assert "refund is in spec.tools[].writes and could run twice" in guard_server(config, [plain], "").closed
    hinted = replace(plain, annotations={"idempotentHint": True})
    assert guard_server(config, [hinted], "").closed == ""
    keyed = tool("refund", "customer_id", IDEMPOTENCY_PARAMETER)
    assert guard_server(config, [keyed], "").closed == ""


def test_a_tool_with_a_well_known_name_is_not_vouched_for_in_other_parameters():
    written = tool("modify_user_address", "user_id", "order_number", "city")
    call = ToolCall("s", "modify_user_address", {"user_id": "c1", "order_number": "#W2", "city": "x"})
    assert decide(gate_of(written, writes=["modify_user_address"]), call, "c1").reason is Refusal.UNBOUND


def test_a_list_of_objects_is_checked_one_by_one():
    written = tool("merge", parcel_ids={"type": "array", "items": {"type": "string"}})
    gate = gate_of(GET, written, writes=["merge"])
    call = ToolCall("s", "merge", {"parcel_ids": ["p1", "p2"]})
    assert len(gate.facts_needed(call, Customer("c1"), {})) == 2
    assert isinstance(decide(gate, call, "c1"), Allowed)
    assert decide(gate, call, "c2").reason is Refusal.NOT_OWNED


def test_a_server_declares_whose_object_a_parameter_names():
    meta = {ACCESS_META: {"owned": {"code": {"tool": "track", "parameter": "code", "owner": "customer_id"}}}}
    gate = gate_of(tool("track", "code"), tool("stop", "code", meta=meta), writes=["stop"])
    call = ToolCall("s", "stop", {"code": "x"})
    assert isinstance(decide(gate, call, "c1"), Allowed)
    assert decide(gate, call, "c2").reason is Refusal.NOT_OWNED


@pytest.mark.parametrize("declared", [{"x": 1}, {"public": "yes"}, {"owned": {"a": {}}}, {"owned": []}, "public"])
def test_malformed_access_rules_close_the_server(declared):
    assert gate_of(tool("track", "code", meta={ACCESS_META: declared})).servers["s"].closed


@pytest.mark.parametrize(
    ("described", "public"),
    [
        pytest.param(tool("get_product", "product_id"), True, id="product"),
        pytest.param(tool("search_catalogue", "query"), True, id="search"),
        pytest.param(tool("list_stores"), True, id="stores"),
        pytest.param(tool("get_order_items", "order_id"), False, id="items of an order"),
        pytest.param(tool("list_products", "email"), False, id="by e-mail address"),
        pytest.param(tool("export_everything"), False, id="unknown noun"),
        pytest.param(tool("sync_products"), False, id="unknown verb"),
        pytest.param(tool("export_everything", meta={ACCESS_META: {"public": True}}), True, id="declared"),
    ],
)
def test_unknown_customers_use_tools_about_products_only(described, public):
    arguments = dict.fromkeys(described.input_schema["properties"], "x")
    decision = gate_of(described).check_read(ToolCall("s", described.name, arguments), None, {})
    assert isinstance(decision, Allowed) is public


@pytest.mark.parametrize(
    ("data", "allowed"),
    [
        pytest.param([{"customer_id": "c1"}, {"customer_id": "c1"}], True, id="own"),
        pytest.param([{"customer_id": "c1"}, {"customer_id": "c2"}], False, id="one of another customer"),
        pytest.param([{"customer_id": "c1"}, {}], False, id="one without owner"),
        pytest.param([], False, id="empty"),
        pytest.param({"customer": {"id": "c1", "name": "Sara"}}, True, id="owner is an object"),
        pytest.param({"customer_id": "c1", "notes": [{"userId": "c2"}]}, False, id="nested"),
        pytest.param("c1's parcels", False, id="text"),
    ],
)
def test_results_that_name_another_customer_or_none_are_withheld(data, allowed):
    call = ToolCall("s", "list_mine", {})
    refused = gate_of(tool("list_mine")).check_result(call, result(call, data), Customer("c1"))
    assert (refused is None) is allowed


def test_a_parameter_for_the_key_is_filled_by_the_gate():
    written = tool("hold_parcel", "parcel_id", IDEMPOTENCY_PARAMETER)
    gate = gate_of(GET, written, writes=["hold_parcel"])
    call = ToolCall("s", "hold_parcel", {"parcel_id": "p1"})
    decision = decide(gate, call, "c1")
    assert decision.call.arguments == {"parcel_id": "p1", IDEMPOTENCY_PARAMETER: decision.idempotency_key}
    own = replace(call, arguments={**call.arguments, IDEMPOTENCY_PARAMETER: "mine"})
    assert decide(gate, own, "c1").reason is Refusal.INVALID_ARGUMENTS
