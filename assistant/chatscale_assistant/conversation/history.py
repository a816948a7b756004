"""What the earlier turns say about the open case. The assistant stores nothing, so it reads its own sentences. Pure."""

from dataclasses import dataclass

from chatscale_assistant.conversation.wording import Wording
from chatscale_assistant.domain.conversation import Conversation, Speaker
from chatscale_contract.assistant.extras import HandOverState


@dataclass(frozen=True, slots=True)
class History:
    """The open case so far."""

    is_first: bool
    """The assistant has not written yet."""
    has_person: bool
    """A person has written, or the client says that one answers."""
    handed_over: bool
    """The assistant has said that a person takes over."""
    misses: int
    """Questions in a row without an answer, up to the last one."""


def read_history(conversation: Conversation, wording: Wording) -> History:
    """Read the turns."""
    turns = conversation.turns
    said = [turn.text for turn in turns if turn.speaker is Speaker.ASSISTANT]
    return History(
        is_first=not said,
        has_person=conversation.hand_over is HandOverState.PERSON
        or any(turn.speaker is Speaker.PERSON for turn in turns),
        handed_over=conversation.hand_over is HandOverState.REQUESTED or any(map(wording.is_hand_over, said)),
        misses=wording.misses(turns),
    )
