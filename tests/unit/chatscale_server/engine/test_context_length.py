"""No request changes the output of another one in its batch, whatever positions the model family uses."""

import random
from dataclasses import replace

import pytest

from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.engine.loading import load_model, plan_load
from chatscale_server.engine.request import Request, Sampling
from chatscale_server.engine.warm_up import warm_up
from chatscale_server.errors import StartupError
from tests.unit.chatscale_server.engine.engine_runs import SETTINGS, expected, loaded, run
from tests.unit.chatscale_server.tiny_models import CONTEXT, ORIGINAL, SCALED_FAMILIES, save_model

LONGROPE = tuple(family for family in SCALED_FAMILIES if family.endswith("longrope"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("scaled")
    return lambda family: root / family if (root / family).exists() else save_model(family, root / family)


def requests_up_to(limit: int) -> list[Request]:
    """Short prompts beside prompts that end at the limit of the context."""
    rng = random.Random(11)
    sizes = [(3, 20), (limit - 8, 8), (5, 20), (limit - 20, 20), (20, 20), (1, limit - 1), (limit // 2, 12)]
    return [
        Request(id=str(at), prompt=tuple(rng.randrange(256) for _ in range(prompt)), max_tokens=tokens,
                sampling=Sampling(temperature=0.0))
        for at, (prompt, tokens) in enumerate(sizes)
    ]  # fmt: skip


@pytest.mark.parametrize("family", SCALED_FAMILIES)
def test_short_and_long_requests_in_one_batch_answer_as_generate_does_one_by_one(models, family):
    engine, info = loaded(models(family))
    assert info.max_model_len == (ORIGINAL if family in LONGROPE else CONTEXT)
    requests = requests_up_to(info.max_model_len)
    wanted = {request.id: expected(models(family), request.prompt, request.max_tokens) for request in requests}
    assert run(engine, requests) == wanted


@pytest.mark.parametrize("family", LONGROPE)
def test_a_context_beyond_the_original_length_of_longrope_is_refused(models, family):
    with pytest.raises(StartupError, match="CHATSCALE_MAX_MODEL_LEN must be within 64 tokens, found 65") as caught:
        loaded(models(family), max_model_len=ORIGINAL + 1)
    assert caught.value.code == ExitCode.BAD_SETTINGS


@pytest.mark.parametrize("family", LONGROPE)
def test_the_self_check_finds_a_model_whose_long_requests_change_short_ones(models, family):
    """Whatever the configuration is called: here the limit is taken away."""
    plan = plan_load(models(family), SETTINGS.model_copy(update={"model_uri": f"file://{models(family)}"}))
    plan = replace(plan, max_model_len=CONTEXT)
    with pytest.raises(StartupError, match="a long request changes the output of a short one") as caught:
        warm_up(load_model(plan), plan)
    assert caught.value.code == ExitCode.MODEL_UNSUPPORTED
