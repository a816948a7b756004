from chatscale import names
from chatscale.desired.service import build_service, endpoint_url
from tests.support.chatmodels import a_chatmodel
from tests.support.golden import assert_golden


def test_builds_the_golden_service() -> None:
    assert_golden("service", build_service(a_chatmodel()))


def test_sends_requests_to_the_pods_of_every_track() -> None:
    selector = build_service(a_chatmodel("shop"))["spec"]["selector"]

    assert selector == names.pod_selector("shop")
    assert names.TRACK_LABEL not in selector


def test_the_endpoint_is_a_base_url_for_openai_clients() -> None:
    assert endpoint_url(a_chatmodel("shop")) == "http://shop.demo.svc/v1"
