import json

from chatscale_contract.gateway.demand import GatewayDemand, KeyUse, ModelDemand

REPORT = GatewayDemand(
    "gateway-0",
    "i",
    3,
    draining=False,
    models={"demo/tiny": ModelDemand(held=2, no_wake_held=1, no_wake_placed=4, in_flight_by_pod={"uid": 1})},
    keys={"demo/shop": KeyUse(concurrency=1, requests=2, spent_output=3, reserved_output=4, missing_output=5.5)},
)


def test_a_report_is_read_as_it_was_written():
    assert GatewayDemand.from_json(json.loads(json.dumps(REPORT.to_json()))) == REPORT


def test_an_older_gateway_reports_no_keys():
    older = REPORT.to_json()
    del older["keys"]
    del older["models"]["demo/tiny"]["no_wake_held"]
    found = GatewayDemand.from_json(older)
    assert (found.keys, found.models["demo/tiny"].no_wake_held) == ({}, 0)


def test_a_newer_gateway_may_report_more():
    newer = REPORT.to_json()
    newer["keys"]["demo/shop"]["weight"] = 7
    assert GatewayDemand.from_json(newer) == REPORT


def test_a_key_that_is_not_valid_hides_no_demand():
    broken = REPORT.to_json()
    broken["keys"] |= {"demo/a": {"requests": -1}, "demo/b": "x", "demo/c": {"spent_input": "9"}}
    assert GatewayDemand.from_json(broken) == REPORT
