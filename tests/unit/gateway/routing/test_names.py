import pytest

from chatscale.api.v1alpha1.routing import RoutingSpec
from chatscale_contract.openai.errors import ApiError
from chatscale_gateway.routing.catalog import Catalog, Model, ModelKey
from chatscale_gateway.routing.names import NameIndex, alias_conflicts
from tests.support.gateway_world import a_model


def catalog(*models: Model) -> Catalog:
    return Catalog(models={model.key: model for model in models})


def aliased(namespace: str, name: str, *aliases: str, served_name: str | None = None) -> Model:
    return a_model(ModelKey(namespace, name), routing=RoutingSpec(aliases=list(aliases)), served_name=served_name)


TINY = aliased("demo", "tiny", "gpt-4o", "shared", served_name="Qwen/tiny")
OTHER = aliased("shop", "tiny", "shared")
BIG = aliased("shop", "big", "demo/tiny", "tiny")
NAMES = NameIndex(catalog(TINY, OTHER, BIG))


@pytest.mark.parametrize(
    ("name", "namespace", "found"),
    [
        pytest.param("demo/tiny", None, TINY, id="full name before an alias of another model"),
        pytest.param("big", None, BIG, id="bare name"),
        pytest.param("tiny", "shop", OTHER, id="the preferred namespace wins"),
        pytest.param("Qwen/tiny", None, TINY, id="served name"),
        pytest.param("gpt-4o", "shop", TINY, id="alias, from another namespace too"),
    ],
)
def test_resolves_a_name(name, namespace, found):
    assert NAMES.resolve(name, namespace) is found


def test_lists_the_full_names_of_an_ambiguous_name():
    with pytest.raises(ApiError) as error:
        NAMES.resolve("tiny", "elsewhere")
    assert error.value.status == 404
    assert "`demo/tiny`, `shop/tiny`" in str(error.value)


def test_gives_an_alias_of_two_models_to_neither():
    with pytest.raises(ApiError) as error:
        NAMES.resolve("shared", "demo")
    assert (error.value.status, error.value.code) == (404, "model_not_found")
    assert alias_conflicts(catalog(TINY, OTHER, BIG)) == {"shared": (TINY.key, OTHER.key)}


def test_answers_an_unknown_model_as_openai_does():
    with pytest.raises(ApiError) as error:
        NAMES.resolve("nothing" * 1000)
    assert error.value.status == 404
    body = error.value.body()["error"]
    assert (body["type"], body["code"], body["param"]) == ("invalid_request_error", "model_not_found", "model")
    assert len(body["message"]) < 300


def test_promise_5_knows_models_without_replicas():
    assert NAMES.models == (TINY, BIG, OTHER)
