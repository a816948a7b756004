"""Golden files: what a builder makes, reviewed as a change of the product when it changes.

To write them anew: CHATSCALE_UPDATE_GOLDEN=1 python -m pytest tests/unit/chatscale/desired
"""

import os
from pathlib import Path
from typing import Any

import yaml

GOLDEN = Path(__file__).parents[1] / "data" / "golden"


def assert_golden(name: str, manifest: dict[str, Any]) -> None:
    path = GOLDEN / f"{name}.yaml"
    text = yaml.safe_dump(manifest, sort_keys=False, width=120)
    if os.environ.get("CHATSCALE_UPDATE_GOLDEN") == "1":
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs from what is built now"
