import pytest

from chatscale_gateway.routing.outcomes import FAULTS, Failure, Outcome, classify, may_try_again


@pytest.mark.parametrize(
    ("status", "failure", "outcome"),
    [
        pytest.param(200, None, Outcome.COMPLETED, id="answer"),
        pytest.param(400, None, Outcome.CLIENT_ERROR, id="4xx"),
        pytest.param(429, None, Outcome.BACKPRESSURE, id="full"),
        pytest.param(503, None, Outcome.BACKPRESSURE, id="loading or draining"),
        pytest.param(500, None, Outcome.SERVER_ERROR, id="5xx"),
        pytest.param(None, Failure.CONNECTION, Outcome.NOT_CONNECTED, id="refused"),
        pytest.param(200, Failure.CONNECTION, Outcome.BROKEN, id="lost in the stream"),
        pytest.param(None, Failure.TIMEOUT, Outcome.NO_ANSWER, id="accepts and never answers"),
        pytest.param(200, Failure.TIMEOUT, Outcome.BROKEN, id="stream that stalls"),
        pytest.param(200, Failure.CLIENT_LEFT, Outcome.CLIENT_LEFT, id="client left"),
        pytest.param(None, Failure.SHUTDOWN, Outcome.CUT_OFF, id="shutdown"),
    ],
)
def test_classifies_an_attempt(status, failure, outcome):
    assert classify(status, failure) is outcome


def test_an_attempt_has_a_status_or_a_failure():
    with pytest.raises(ValueError, match="needs a failure"):
        classify(None, None)


def test_promise_16_answers_4xx_429_and_503_are_no_faults():
    assert {Outcome.NOT_CONNECTED, Outcome.NO_ANSWER, Outcome.BROKEN, Outcome.SERVER_ERROR} == FAULTS


def test_tries_again_only_what_no_replica_has_begun():
    assert [outcome for outcome in Outcome if may_try_again(outcome, 1)] == [
        Outcome.BACKPRESSURE,
        Outcome.NOT_CONNECTED,
    ]
    assert [outcome for outcome in Outcome if may_try_again(outcome, 2)] == [Outcome.BACKPRESSURE]
