"""What a person sees before the first text, and at the end."""

from chatscale_cli.chat.answer import Answer
from chatscale_cli.chat.conversation import Conversation, Message
from chatscale_cli.gateway.events import Finished, Text, Waiting


def test_says_nothing_in_the_first_second_and_then_what_it_waits_for():
    answer = Answer(began_s=10)
    assert answer.waiting_text("tiny", 10.9) == ""
    assert answer.waiting_text("tiny", 12) == "waiting for tiny, 2 s"
    answer.take(Waiting())
    assert answer.waiting_text("tiny", 15).startswith("waiting for a replica of tiny: it wakes up")
    assert answer.take(Text(0, "hm", reasoning=True)) == ""
    assert answer.waiting_text("tiny", 16).startswith("tiny is thinking, 6 s")
    answer.take(Text(0, "hello"))
    assert answer.waiting_text("tiny", 17) == ""


def test_collects_choices_as_printable_text():
    answer = Answer(0)
    assert [answer.take(event) for event in (Text(1, "b\x1b"), Text(0, "a"), Text(1, "c"), Finished(1, "length"))] == [
        "b\u241b", "a", "c", "",
    ]  # fmt: skip
    assert (answer.text(), answer.text(1), answer.text(2)) == ("a", "b\u241bc", "")
    assert answer.remark == "the answer reached its token limit"


def test_a_conversation_goes_back_before_the_last_message():
    talk = Conversation("Be brief.").with_message("one").with_answer("two").with_message("three").with_answer("four")
    before, text = talk.before_last_message()
    assert (text, before.messages) == ("three", (Message("user", "one"), Message("assistant", "two")))
    assert Conversation().before_last_message() == (Conversation(), None)


def test_a_conversation_is_saved_as_markdown_and_json():
    talk = Conversation("S").with_message("hello").with_answer("*hi*")
    assert (
        talk.as_markdown("tiny")
        == "# Conversation with tiny\n\n## System\n\nS\n\n## You\n\nhello\n\n## Model\n\n*hi*\n"
    )
    assert '"role": "system"' in talk.as_json("tiny")
