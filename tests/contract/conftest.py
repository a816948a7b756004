"""The published schema, for tests that compare other parts with it."""

from typing import Any

import pytest

from chatscale.api.crd import chatmodel_crd


@pytest.fixture(scope="session")
def spec_schema() -> dict[str, Any]:
    (version,) = chatmodel_crd()["spec"]["versions"]
    return version["schema"]["openAPIV3Schema"]["properties"]["spec"]
