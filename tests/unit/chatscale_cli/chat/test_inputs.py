"""What a typed line means."""

import pytest

from chatscale_cli.chat.inputs import HELP, Action, Do, Say, Unknown, read_input


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        pytest.param("  \n ", None, id="empty"),
        pytest.param("hello\nyou ", Say("hello\nyou"), id="message"),
        pytest.param("exit", Do(Action.EXIT), id="exit"),
        pytest.param("/exit", Do(Action.EXIT), id="slash-exit"),
        pytest.param("exit now", Say("exit now"), id="exit-in-a-sentence"),
        pytest.param("/system You are\nbrief.", Do(Action.SYSTEM, "You are\nbrief."), id="system"),
        pytest.param("/model  demo/tiny ", Do(Action.MODEL, "demo/tiny"), id="model"),
        pytest.param("/save a b.md", Do(Action.SAVE, "a b.md"), id="save"),
        pytest.param("/rest", Unknown("rest"), id="typing-error"),
        pytest.param("/etc/hosts has a line", Say("/etc/hosts has a line"), id="path"),
        pytest.param(" /reset as text", Say("/reset as text"), id="space-before-slash"),
    ],
)
def test_reads_a_line(line: str, meaning: object):
    assert read_input(line) == meaning


def test_help_names_every_command():
    assert [action for action in Action if f"/{action}" not in HELP] == []
