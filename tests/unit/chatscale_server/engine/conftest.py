"""Models on disk, made once per session."""

import os
from pathlib import Path

import pytest

from inference_server.convert_gguf import ensure_converted
from tests.unit.chatscale_server.tiny_models import save_model


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Folder of a model by family; made on first use."""
    root = tmp_path_factory.mktemp("models")

    def folder(family: str) -> Path:
        path = root / family
        return path if path.exists() else save_model(family, path)

    return folder


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The real model, converted once per machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return ensure_converted(cache / "chatscale" / "models" / "SmolLM2-135M-Instruct")
