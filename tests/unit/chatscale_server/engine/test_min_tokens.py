"""The mask that keeps an output from ending too early."""

from hypothesis import given
from hypothesis import strategies as st

from chatscale_server.engine.min_tokens import MinTokens


@given(barred=st.sets(st.integers(0, 19), max_size=19), remaining=st.integers(0, 5))
def test_the_barred_tokens_and_no_others_are_masked_until_there_are_enough(barred, remaining):
    constraint = MinTokens(barred, 20, remaining)
    for _ in range(remaining):
        mask = constraint.allowed()
        assert mask == constraint.allowed(), "a repeated step gets the same mask"
        assert not barred or {at for at in range(20) if not mask[at]} == barred
        constraint.accept(19)
    assert (constraint.allowed(), constraint.problem) == (b"", None)
