"""The body of GET /v1/models is one that OpenAI's own client reads."""

from openai.pagination import SyncPage
from openai.types import Model

from chatscale_contract.openai.models import model_list, model_object


def test_openai_s_client_reads_the_list():
    body = model_list([model_object("a", 7), model_object("b", 8, max_model_len=4096)])
    page = SyncPage[Model].model_validate(body, strict=True)
    assert [(model.id, model.created, model.object, model.owned_by) for model in page.data] == [
        ("a", 7, "model", "chatscale"), ("b", 8, "model", "chatscale"),
    ]  # fmt: skip
    assert body["object"] == "list"


def test_a_model_without_a_known_context_length_does_not_state_one():
    assert "max_model_len" not in model_object("a", 7)
    assert model_object("a", 7, max_model_len=4096)["max_model_len"] == 4096


def test_a_model_states_its_weights_as_vllm_does():
    assert "root" not in model_object("a", 7)
    assert model_object("a", 7, root="hf://o/m@abc")["root"] == "hf://o/m@abc"
