"""ChatModels to simulate, on disk: only what matters to the case is named. And the flags to do it with."""

import argparse
from pathlib import Path
from typing import Any

import yaml

from chatscale_simulator.inputs.traces import Traffic
from chatscale_simulator.options import add_options


def write_chatmodel(folder: Path, *, server: dict[str, Any] | None = None, **spec: Any) -> Path:
    """A file with one GPU model called shop."""
    path = folder / "shop.yaml"
    manifest = {
        "apiVersion": "chatscale.dev/v1alpha1",
        "kind": "ChatModel",
        "metadata": {"name": "shop"},
        "spec": {
            "model": {"uri": "hf://example/shop"},
            "resources": {"limits": {"nvidia.com/gpu": 1}},
            "server": server or {},
            **spec,
        },
    }
    path.write_text(yaml.safe_dump(manifest), encoding="utf-8")
    return path


def write_traffic(folder: Path, requests: int = 900) -> Traffic:
    """A request every two seconds."""
    path = folder / "calm.csv"
    rows = "".join(f"{2 * at},500,100\n" for at in range(requests))
    path.write_text("arrival_s,input_tokens,output_tokens\n" + rows, encoding="utf-8")
    return Traffic(path)


def options_of(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(flags)
