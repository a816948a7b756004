"""How an encoder's token states become one vector per input, read from the checkpoint's sentence-transformers files.

A wrong pooling gives vectors that look right and find the wrong texts. So every part that the files name is computed,
or the checkpoint is refused with the part's name.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from chatscale_server.engine.checkpoint import MODULES_FILE, unsupported

log = logging.getLogger(__name__)

Pool = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(rows, tokens, size) float32 states and (rows, tokens, 1) mask of 0 and 1 -> (rows, size)."""


def _first(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:  # noqa: ARG001 - rows are padded at the end
    return states[:, 0]


def _last(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return states[torch.arange(len(states)), mask[:, :, 0].sum(1).long() - 1]


def _highest(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return states.masked_fill(mask == 0, -1e9).amax(1)


def _mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (states * mask).sum(1) / mask.sum(1)


def _mean_by_root(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return (states * mask).sum(1) / mask.sum(1).sqrt()


def _weighted_mean(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Later tokens count more: the weight is the position, from 1."""
    weights = mask * torch.arange(1, states.shape[1] + 1, dtype=states.dtype, device=states.device)[None, :, None]
    return (states * weights).sum(1) / weights.sum(1)


_MODES: Final[dict[str, Pool]] = {
    "cls": _first, "max": _highest, "mean": _mean, "mean_sqrt_len_tokens": _mean_by_root,
    "weightedmean": _weighted_mean, "lasttoken": _last,
}  # fmt: skip
"""By the name in `pooling_mode`, in the order in which sentence-transformers joins several."""
_FLAGS: Final = {
    "pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}  # fmt: skip
_PREFIX: Final = "pooling_mode_"


@dataclass(frozen=True, slots=True)
class Pooling:
    """The modules after the encoder."""

    modes: tuple[str, ...] = ("mean",)
    """Names in `_MODES`. The vectors of several are joined. Mean is sentence-transformers' default."""
    normalise: bool = False
    max_tokens: int | None = None
    """Longest input, with special tokens, if the checkpoint states it."""
    lower_case: bool = False
    """Texts are changed to lower case before they are tokenized."""
    prompt: str = ""
    """Text before every input."""

    def apply(self, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Vectors (rows, size * modes) float32. states: (rows, tokens, size). mask: (rows, tokens), 1 for a token."""
        states, mask = states.float(), mask[:, :, None].float()
        vectors = torch.cat([_MODES[mode](states, mask) for mode in self.modes], dim=1)
        return torch.nn.functional.normalize(vectors, dim=1) if self.normalise else vectors


def read_pooling(folder: Path) -> Pooling:
    """Read `modules.json` and the files that it names. Raises StartupError(MODEL_UNSUPPORTED).

    A checkpoint without `modules.json` gets the mean of its tokens, as in sentence-transformers, with a WARNING.
    """
    if not (folder / MODULES_FILE).exists():
        log.warning("pooling not configured", extra={"file": MODULES_FILE, "pooling": "mean", "normalise": False})
        return Pooling()
    kinds, paths = _read_modules(folder)
    match kinds:
        case ["Transformer", "Pooling"] | ["Transformer", "Pooling", "Normalize"]:
            modes, includes_prompt = _read_modes(folder, paths[1])
        case _:
            expected = "Transformer, Pooling and optionally Normalize"
            raise unsupported(folder, f"{MODULES_FILE} has the modules {', '.join(kinds)}; {expected} are supported")
    if paths[0]:
        raise unsupported(folder, f'{MODULES_FILE} has the encoder in "{paths[0]}"; it must be in the folder itself')
    settings = _read_object(folder, "sentence_bert_config.json")
    max_tokens = settings.get("max_seq_length")
    if max_tokens is not None and (not isinstance(max_tokens, int) or max_tokens < 1):
        raise unsupported(folder, f"sentence_bert_config.json: max_seq_length must be a number from 1: {max_tokens!r}")
    prompt = _read_prompt(folder)
    if prompt and not includes_prompt:
        raise unsupported(folder, "the pooling leaves out the tokens of the default prompt, which is not supported")
    return Pooling(
        modes=modes,
        normalise=kinds[-1] == "Normalize",
        max_tokens=max_tokens,
        lower_case=settings.get("do_lower_case") is True,
        prompt=prompt,
    )


def _read_modules(folder: Path) -> tuple[list[str], list[str]]:
    """Class names and folders of the modules, in order."""
    found = _read_json(folder, MODULES_FILE)
    rows = found if isinstance(found, list) else []
    if not rows or not all(isinstance(row, dict) and isinstance(row.get("type"), str) for row in rows):
        raise unsupported(folder, f"{MODULES_FILE} must be a list of modules with a type")
    paths = [str(row.get("path") or "") for row in rows]
    if outside := [path for path in paths if Path(path).is_absolute() or ".." in Path(path).parts]:
        raise unsupported(folder, f"{MODULES_FILE} names folders outside the model: {', '.join(outside)}")
    return [row["type"].rsplit(".", 1)[-1] for row in rows], paths


def _read_modes(folder: Path, path: str) -> tuple[tuple[str, ...], bool]:
    """The pooling modes, and whether they include the tokens of the prompt.

    Newer files have one `pooling_mode`, older ones a flag per mode.
    """
    name = f"{path}/config.json" if path else "config.json"
    if not (folder / name).exists():
        raise unsupported(folder, f"{MODULES_FILE} names {name}, which does not exist")
    config = _read_object(folder, name)
    stated = config.get("pooling_mode")
    flags = [key for key, value in config.items() if key.startswith(_PREFIX) and value is True]
    if stated is None:
        chosen: list[Any] = [_FLAGS.get(flag) for flag in flags]
    else:
        chosen = stated if isinstance(stated, list) else [stated]
    modes = tuple(mode for mode in _MODES if mode in chosen)
    if not modes or len(modes) < len(chosen):
        found = stated or flags or "none"
        raise unsupported(folder, f"{name} has the pooling {found}; supported are {', '.join(_MODES)}")
    return modes, config.get("include_prompt") is not False


def _read_prompt(folder: Path) -> str:
    """The default prompt of the checkpoint."""
    name = "config_sentence_transformers.json"
    config = _read_object(folder, name)
    chosen, prompts = config.get("default_prompt_name"), config.get("prompts") or {}
    if chosen is None:
        return ""
    if not isinstance(prompts, dict) or not isinstance(prompts.get(chosen), str):
        raise unsupported(folder, f"{name}: there is no prompt {chosen!r}")
    return str(prompts[chosen])


def _read_object(folder: Path, name: str) -> dict[str, Any]:
    """A JSON object; empty if there is no such file."""
    if not (folder / name).exists():
        return {}
    found = _read_json(folder, name)
    if not isinstance(found, dict):
        raise unsupported(folder, f"{name} must be an object")
    return found


def _read_json(folder: Path, name: str) -> Any:
    try:
        return json.loads((folder / name).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise unsupported(folder, f"{name} cannot be read: {error}") from error
