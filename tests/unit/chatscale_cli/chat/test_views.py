"""What answers look like, on a terminal and in a pipe."""

import io
import random

import pytest
from rich.console import Console

from chatscale_cli.chat.answer import Answer
from chatscale_cli.chat.views import PlainView, RichView, View
from chatscale_cli.gateway.events import Event, Finished, Text

MARKDOWN = """\
# Title

Some *text* with [a link](https://x.example/a).

1. one

2. two
   - nested

```python
def f():

    return 1
```

<b>bold</b> &#8238;abc
"""
SHOWN = """\
                   Title

Some text with a link (https://x.example/a).

 1 one

 2 two
    • nested

 def f():

     return 1

<b>bold</b> \ufffdabc
"""


def show(view: View, *events: Event, choices: int = 1) -> None:
    answer = Answer(0)
    view.begin(choices)
    for event in events:
        if text := answer.take(event):
            view.add(getattr(event, "choice", 0), text)
            view.draw("waiting")
    view.end(answer)


def parts(text: str, seed: int) -> list[Event]:
    """The text in parts of random sizes."""
    dice, found = random.Random(seed), []
    while text:
        size = dice.randint(1, 30)
        found.append(Text(0, text[:size]))
        text = text[size:]
    return found


def lines(out: io.StringIO) -> str:
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().split("\n")) + "\n"


def on_paper() -> tuple[RichView, io.StringIO]:
    """A console that keeps no drawing in between: only what stays on the screen."""
    out = io.StringIO()
    return RichView(Console(file=out, width=44, highlight=False, markup=False, emoji=False)), out


@pytest.mark.parametrize("seed", range(5))
def test_the_parts_of_a_stream_make_no_difference_for_the_markdown(seed: int):
    view, out = on_paper()
    show(view, *parts(MARKDOWN, seed))
    assert lines(out).lstrip("\n") == SHOWN


def test_several_answers_are_shown_one_after_the_other():
    view, out = on_paper()
    show(view, Text(1, "b *two*"), Text(0, "a"), Finished(0, "length"), choices=2)
    shown = [line.strip("─ ") for line in lines(out).split("\n") if line.strip()]
    assert shown == ["answer 1", "a", "answer 2", "b two", "(the answer reached its token limit)"]


def test_a_drawing_is_at_most_a_screen():
    out = io.StringIO()
    view = RichView(Console(file=out, width=40, height=10, force_terminal=True))
    view.begin(1)
    view.add(0, "".join(f"* line {number}\n" for number in range(200)))
    before = len(out.getvalue())
    view.draw("")
    drawn = out.getvalue()[before:]
    view.draw("")
    assert out.getvalue()[before:] == drawn, "an unchanged drawing is not repeated"
    view.end(Answer(0))
    assert (drawn.count("line"), "line 199" in drawn) == (8, True)


def test_a_pipe_gets_the_text_as_it_is():
    out = io.StringIO()
    show(PlainView(out), *parts(MARKDOWN, 1))
    assert out.getvalue() == MARKDOWN
