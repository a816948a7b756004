"""The options of the reference article as fields of a request."""

import argparse
import json
from typing import Any

import pytest

from chatscale_cli.chat.generation import Generation
from chatscale_cli.chat.options import add_options
from chatscale_cli.errors import CommandError
from chatscale_server.http.chat_schema import ChatBody
from chatscale_server.http.schema import parse_request

ARTICLE = ["--max-length", "1000", "--num-return-sequences", "1", "--do-sample", "--top-k", "50", "--top-p", "0.95"]


def parsed(*arguments: str) -> Generation:
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_options(parser)
    return Generation.from_options(parser.parse_args(["tiny", *arguments]))


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        pytest.param([], {"stream": True}, id="none"),
        pytest.param(
            ARTICLE,
            {"max_length": 1000, "n": 1, "do_sample": True, "top_k": 50, "top_p": 0.95, "stream": True},
            id="article",
        ),
        pytest.param(
            ["--num-beams", "4", "--num-return-sequences", "2", "--max-tokens", "9", "--no-do-sample"],
            {"num_beams": 4, "n": 2, "max_tokens": 9, "do_sample": False, "stream": False},
            id="beams",
        ),
        pytest.param(["--temperature", "0"], {"temperature": 0.0, "stream": True}, id="greedy"),
    ],
)
def test_the_server_takes_the_fields(arguments: list[str], fields: dict[str, Any]):
    found = parsed(*arguments).fields()
    assert found == fields
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], **found}
    assert parse_request(ChatBody, json.dumps(body).encode()).choices_per_prompt == fields.get("n", 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["--num-beams", "4", "--do-sample"], "--do-sample cannot be combined", id="beams-sample"),
        pytest.param(["--num-beams", "4", "--top-p", "0.9"], "--top-p cannot be combined", id="beams-top-p"),
        pytest.param(["--num-beams", "4", "--top-k", "3"], "--top-k cannot be combined", id="beams-top-k"),
        pytest.param(["--num-beams", "4", "--temperature", "1"], "--temperature cannot", id="beams-temperature"),
        pytest.param(["--num-beams", "2", "--num-return-sequences", "3"], r"at most --num-beams \(2\)", id="more"),
        pytest.param(["--no-do-sample", "--temperature", "1"], "--no-do-sample requires", id="greedy"),
        pytest.param(["--do-sample", "--temperature", "0"], "--do-sample requires", id="sample"),
    ],
)
def test_a_wrong_combination_is_refused_before_a_message_is_typed(arguments: list[str], message: str):
    with pytest.raises(CommandError, match=message):
        parsed(*arguments)


def test_two_limits_are_refused_also_without_the_parser():
    with pytest.raises(CommandError, match="cannot be combined"):
        Generation(max_tokens=1, max_length=2).check()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--top-p", "0"], ["--top-p", "1.1"], ["--top-p", "nan"], ["--temperature", "2.1"], ["--temperature", "hot"],
        ["--top-k", "-1"], ["--num-beams", "65"], ["--max-tokens", "0"], ["--max-length", "9999999999"],
        ["--num-return-sequences", "129"],
    ],
)  # fmt: skip
def test_values_outside_the_limits_of_the_server_are_refused(arguments: list[str]):
    with pytest.raises(argparse.ArgumentError, match="must be a"):
        parsed(*arguments)


def test_one_limit_of_tokens_is_allowed():
    parser = argparse.ArgumentParser(exit_on_error=False)
    add_options(parser)
    with pytest.raises(argparse.ArgumentError, match="not allowed with"):
        parser.parse_args(["--max-tokens", "1", "--max-length", "2"])
