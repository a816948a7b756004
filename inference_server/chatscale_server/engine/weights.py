"""Finds a model's files, and checks that weights and cache fit into memory before any weights are loaded."""

import logging
from pathlib import Path
from typing import Final

from chatscale_contract.server.endpoints import MODEL_MOUNT_PATH
from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.errors import StartupError

log = logging.getLogger(__name__)

PROCESS_BYTES: Final = 500 * 2**20
"""Python, torch and transformers without a model need about 250 MiB; the rest is for activations."""
_FILES: Final = ("*.safetensors", "*.safetensors.index.json", "config.json", "generation_config.json", "*.jinja",
                 "tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json",
                 "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json",
                 "*_Pooling/config.json")  # fmt: skip
_PICKLED: Final = ("pytorch_model*.bin", "pytorch_model.bin.index.json")
_CODE: Final = ("*.py",)


def find_model(
    uri: str,
    revision: str | None,
    mount: Path = Path(MODEL_MOUNT_PATH),
    *,
    pickled: bool = False,
    code: bool = False,
) -> Path:
    """The folder with the model's files; `hf://` models are downloaded. Raises StartupError(MODEL_NOT_FOUND).

    `pickled` and `code`: download pickled weights and Python files too.
    """
    scheme, _, rest = uri.partition("://")
    if scheme == "hf":
        return _download(rest, revision, [*_FILES, *(_PICKLED if pickled else ()), *(_CODE if code else ())])
    folder = mount / rest if scheme == "pvc" else Path(rest)
    if ".." in folder.parts:
        raise StartupError(ExitCode.MODEL_NOT_FOUND, f"model {uri}: the path must not contain '..'")
    if not folder.is_dir():
        raise StartupError(ExitCode.MODEL_NOT_FOUND, f"model {uri}: there is no folder {folder}")
    if not (folder / "config.json").is_file():
        raise StartupError(ExitCode.MODEL_NOT_FOUND, f"model {uri}: {folder} has no config.json")
    return folder


def _download(repository: str, revision: str | None, files: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = f"model hf://{repository}"
    try:
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=files))
    except GatedRepoError as error:
        reason = "the repository is gated, and the token has no access"
        raise StartupError(ExitCode.MODEL_NOT_FOUND, f"{name}: {reason}") from error
    except RevisionNotFoundError as error:
        raise StartupError(ExitCode.MODEL_NOT_FOUND, f'{name}: there is no revision "{revision}"') from error
    except RepositoryNotFoundError as error:
        reason = "there is no such repository, or it needs a token"
        raise StartupError(ExitCode.MODEL_NOT_FOUND, f"{name}: {reason}") from error
    except HFValidationError as error:
        raise StartupError(ExitCode.MODEL_NOT_FOUND, f"{name}: not a repository name: {error}") from error
    except Exception as error:  # errors of the hub, its HTTP client, the disk, or a failed download
        raise StartupError(ExitCode.MODEL_NOT_FOUND, f"{name}: the hub cannot be reached: {error}") from error
    # The hub's cache names a snapshot's folder by its commit. Log it: it identifies the weights and can be pinned.
    log.info("model found", extra={"uri": f"hf://{repository}", "revision": revision, "commit": folder.name})
    return folder


def check_fit(*, weight_bytes: int, kv_bytes: int, available_bytes: int, what: str, where: str) -> None:
    """Raises StartupError(MODEL_TOO_LARGE) with the memory needed and the settings to change."""
    needed = weight_bytes + kv_bytes + PROCESS_BYTES
    if needed > available_bytes:
        raise StartupError(
            ExitCode.MODEL_TOO_LARGE,
            f"model {what} needs {_gib(needed)} ({_gib(weight_bytes)} weights, {_gib(kv_bytes)} KV cache, "
            f"{_gib(PROCESS_BYTES)} process), {where} is {_gib(available_bytes)}: raise it, or lower "
            "spec.server.maxConcurrency or spec.server.maxModelLen",
        )


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"
