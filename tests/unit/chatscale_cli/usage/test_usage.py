"""`chatscale usage`: a bill from the lines that the gateway writes."""

import argparse
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from chatscale_cli.__main__ import main
from chatscale_cli.errors import CommandError
from chatscale_cli.usage.command import write_report
from chatscale_cli.usage.options import add_options
from chatscale_cli.usage.prices import read_prices
from chatscale_contract.gateway.keys import KeyId
from chatscale_contract.money import Price
from chatscale_contract.sysexits import SysExit
from chatscale_gateway.http.access_log import AccessLog, RequestRecord
from chatscale_gateway.keys.caller import Caller
from chatscale_gateway.routing.catalog import ModelKey
from chatscale_gateway.routing.outcomes import Usage

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
PRICES = {
    "demo/large": Price("EUR", None, Decimal("0.10"), Decimal("0.01"), Decimal("0.30")),
    "demo/small": Price("USD", None, Decimal("0.2")),
}


SOME = Usage(1000, 400, 500)


def a_line(key: str = "shop", model: str = "large", usage: Usage | None = SOME, hours: int = 1) -> str:
    """As the gateway writes it, so many hours ago."""
    lines: list[str] = []
    record = RequestRecord("id", "POST", "/v1/x", 1.0, caller=Caller(KeyId("demo", key)),
                           model=ModelKey("demo", model), status=200, usage=usage)  # fmt: skip
    AccessLog(lines.append, wall_clock=lambda: NOW.timestamp() - 3600 * hours).write(record, 1.0)
    return lines[0]


def report(*arguments: str, lines: list[str], prices: dict[str, Price] = PRICES) -> tuple[str, str]:
    parser = argparse.ArgumentParser()
    add_options(parser)
    out, info = io.StringIO(), io.StringIO()
    write_report(parser.parse_args([*arguments]), lines, prices, NOW, out, info)
    return out.getvalue(), info.getvalue()


def test_adds_up_the_lines_that_the_gateway_writes():
    lines = [a_line(), a_line(), a_line("batch", "small", Usage(10, 0, 5, estimated=True)), a_line(usage=None)]
    out, info = report("--format", "json", lines=lines)
    nothing = {"estimated_requests": 0, "unpriced_requests": 0}
    assert json.loads(out)["rows"] == [
        {"key": "demo/batch", "model": "demo/small", "requests": 1, "prompt_tokens": 10, "cached_tokens": 0,
         "generated_tokens": 5, **nothing, "estimated_requests": 1, "cost": {"USD": "0.000002"}},
        {"key": "demo/shop", "model": "demo/large", "requests": 2, "prompt_tokens": 2000, "cached_tokens": 800,
         "generated_tokens": 1000, **nothing, "cost": {"EUR": "0.000428"}},
    ]  # fmt: skip
    assert info == ""


def test_a_million_small_amounts_make_the_exact_sum():
    price = Price("EUR", None, Decimal("0.1"), None, Decimal("0.3"))
    out, _ = report("--format", "json", lines=[a_line(usage=Usage(1, 0, 1))] * 1000, prices={"demo/large": price})
    assert json.loads(out)["total"]["cost"] == {"EUR": "0.0004000"}


def test_damaged_lines_are_counted_and_reported():
    bad = ["{", "no json", '{"event":"request"}', '{"event":"request","model":1}', "[1]", a_line()[:-9],
           "{" * 100_000, a_line().replace(":1000,", ":-1,"),
           a_line().replace('"time":', '"time":1e999,"x":')]  # fmt: skip
    out, info = report("--format", "json", lines=[a_line(), *bad, "", '{"event":"ready"}'])
    assert json.loads(out)["total"]["requests"] == 1
    assert info == "chatscale: damaged lines that are not counted: 9\n"


@pytest.mark.parametrize("prefix", ["", "[pod/chatscale-gateway-1/gateway] "])
def test_other_lines_of_a_gateway_that_logs_text_are_not_damaged(prefix: str):
    line = '12:00:00 INFO    chatscale_gateway.main: ready fields={"a": 1}'
    out, info = report("--format", "json", lines=[prefix + line, prefix + a_line()])
    assert json.loads(out)["total"]["requests"] == 1
    assert info == ""


def test_counts_the_requests_of_a_time_range():
    lines = [a_line(hours=hours) for hours in (1, 3, 30)]
    found = [
        json.loads(report("--format", "json", *flags, lines=lines)[0])["total"]["requests"]
        for flags in ([], ["--since", "24h"], ["--since", "24h", "--until", "2h"], ["--since", "2026-11-27T10:00:00Z"])
    ]
    assert found == [3, 2, 1, 1]


def test_a_table_has_a_row_for_each_group_and_the_total():
    out, info = report("--by", "key", lines=[a_line(), a_line(model="free")])
    assert [line.split() for line in out.splitlines()] == [
        ["KEY", "REQUESTS", "PROMPT_TOKENS", "CACHED_TOKENS", "GENERATED_TOKENS", "ESTIMATED_REQUESTS", "COST"],
        ["demo/shop", "2", "2,000", "800", "1,000", "0", "0.000214", "EUR"],
        ["total", "2", "2,000", "800", "1,000", "0", "0.000214", "EUR"],
    ]
    assert "requests that the cost leaves out" in info


def test_csv_has_a_column_for_each_currency_and_no_formula():
    line = a_line("batch", "small").replace("demo/batch", "=1+1")
    out, _ = report("--by", "key", "--format", "csv", lines=[a_line(), line])
    assert out.splitlines() == [
        "key,requests,prompt_tokens,cached_tokens,generated_tokens,estimated_requests,unpriced_requests,cost_EUR,cost_USD",
        "'=1+1,1,1000,400,500,0,0,,0.0002",
        "demo/shop,1,1000,400,500,0,0,0.000214,",
    ]


def test_reads_standard_output_of_kubectl_and_prices_of_manifests(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "log").write_text(f"[pod/gateway-1/gateway] {a_line()}\n")
    manifest = (
        "kind: ChatModel\nmetadata: {name: large, namespace: demo}\nspec: {price: {inputPerMillionTokens: '1'}}\n"
    )
    (tmp_path / "m.yaml").write_text(manifest)
    assert main(["usage", str(tmp_path / "log"), "--prices", str(tmp_path / "m.yaml")]) == 0
    assert "0.001000 EUR" in capsys.readouterr().out
    assert main(["usage", str(tmp_path / "gone")]) == SysExit.BAD_SETTINGS


def test_a_price_that_is_a_number_is_refused_with_its_field():
    manifest = {"kind": "ChatModel", "metadata": {"name": "a", "namespace": "b"}, "spec": {"price": {"gpuHour": 2.5}}}
    with pytest.raises(CommandError, match=r"ChatModel b/a: spec.price.gpuHour: .* found 2.5"):
        read_prices([manifest])
