import pytest
from pydantic import ValidationError

from chatscale.api.v1alpha1 import AutoscalingMode, ChatModel, ResourceRequirements, ScaleToZero
from tests.support.chatmodels import a_chatmodel


def test_no_autoscaling_block_means_fixed_and_a_block_means_operator() -> None:
    assert a_chatmodel().spec.autoscaling.mode is AutoscalingMode.FIXED
    assert a_chatmodel(autoscaling={"maxReplicas": 3}).spec.autoscaling.mode is AutoscalingMode.OPERATOR


def test_the_served_name_defaults_to_the_objects_name() -> None:
    assert a_chatmodel("shop").served_name == "shop"
    assert a_chatmodel("shop", model={"uri": "hf://a/b", "servedName": "helper"}).served_name == "helper"


def test_unknown_fields_of_a_newer_version_are_ignored() -> None:
    assert a_chatmodel(routing={"strategy": "LeastLoad"}).spec == a_chatmodel().spec


def test_what_was_read_can_be_written_back() -> None:
    chatmodel = a_chatmodel(
        autoscaling={"maxReplicas": 3, "source": {"type": "Prometheus", "prometheusURL": "http://p"}}
    )

    written = chatmodel.model_dump(mode="json", by_alias=True, exclude_none=True)

    assert written["spec"]["autoscaling"]["source"]["prometheusURL"] == "http://p"
    assert ChatModel.model_validate(written) == chatmodel


@pytest.mark.parametrize("amount", ["1", "500m", "1.5", ".5", "16Gi", "2k", "1e3", "1E3", "-1", "3n", 4])
def test_accepts_quantities(amount: str | int) -> None:
    assert ResourceRequirements(limits={"cpu": amount}).limits == {"cpu": amount}


@pytest.mark.parametrize("amount", ["", "16 gigs", "1KiB", "Gi", "1.2.3", "1Gi\n", "1" * 65])
def test_rejects_what_is_not_a_quantity(amount: str) -> None:
    with pytest.raises(ValidationError, match=r"limits\.cpu"):
        ResourceRequirements(limits={"cpu": amount})


def test_a_model_never_scales_to_zero_unless_its_spec_says_so() -> None:
    assert a_chatmodel(autoscaling={"maxReplicas": 3}).spec.autoscaling.scale_to_zero is None
    assert a_chatmodel(autoscaling={"maxReplicas": 3, "scaleToZero": {}}).spec.autoscaling.scale_to_zero == (
        ScaleToZero(idle_seconds=600)
    )


@pytest.mark.parametrize("seconds", [9, 86_401])
def test_the_idle_time_has_bounds(seconds: int) -> None:
    with pytest.raises(ValidationError, match="idleSeconds"):
        ScaleToZero.model_validate({"idleSeconds": seconds})
