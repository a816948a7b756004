"""Compares what transformers has loaded with the model's architecture.

transformers initialises a tensor that the files lack at random, and leaves a tensor that the architecture lacks unused.
It only logs that. Such a model answers with noise, or as another model than its author trained, so it is refused.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from chatscale_contract.server.exit_codes import ExitCode
from chatscale_server.engine.weight_files import TensorHeader, WeightFiles, listed
from chatscale_server.errors import StartupError

log = logging.getLogger(__name__)

_MASK: Final = re.compile(r"(^|\.)(attn|attention)\.(masked_)?bias$")
"""Causal masks that old versions of transformers saved with GPT-2, GPT-Neo and GPT-J. They are constants."""
_BUFFERS: Final = re.compile(r"rotary_emb\.inv_freq|(^|\.)(position_ids|token_type_ids|num_batches_tracked)$")
"""Buffers that hold constants or counters, in the files of old versions of transformers."""
_REPORT_ROW: Final = re.compile(r"^(\S+)\s*\|\s*CONVERSION\b", re.MULTILINE)
"""A row of transformers' report: the name of a tensor that cannot be made from those in the files."""
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


class LoadReport(logging.Handler):
    """Collects the report that transformers logs while it loads weights."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self._text += _COLOUR.sub("", record.getMessage()) + "\n"

    @property
    def not_converted(self) -> list[str]:
        """Names of tensors that transformers could not make from those in the files."""
        return sorted(set(_REPORT_ROW.findall(self._text)))


def load_network(
    kind: Any, folder: Path, weights: WeightFiles, *, unused: Sequence[re.Pattern[str]] = (), **options: Any
) -> Any:
    """`kind.from_pretrained(folder, **options)` with complete weights.

    kind: an auto class of transformers.  unused: see `check_loaded`.  Raises StartupError(MODEL_UNSUPPORTED) if the
    weights do not match, and the errors of transformers.
    """
    with _load_report() as report:
        try:
            network, info = kind.from_pretrained(
                folder, use_safetensors=not weights.pickled, local_files_only=True, output_loading_info=True,
                ignore_mismatched_sizes=True, **options,
            )  # fmt: skip
        except RuntimeError as error:
            # E.g. transformers merges the experts of a layer, and one expert is missing.
            if names := report.not_converted:
                log.error("weights do not match", extra={"not_converted": names})  # noqa: TRY400 - its message has no names
                raise _mismatch(folder, f"{_count(names)} incomplete in the files: {listed(names)}") from error
            raise
    check_loaded(folder, network, info, weights, unused)
    return network


def check_loaded(
    folder: Path,
    network: Any,
    info: Mapping[str, Any],
    weights: WeightFiles,
    unused: Sequence[re.Pattern[str]] = (),
) -> None:
    """Raises StartupError(MODEL_UNSUPPORTED) with the names of tensors that are missing, unused or of another shape.

    info: from `from_pretrained(..., output_loading_info=True, ignore_mismatched_sizes=True)`. It is already without
    tied weights and without what the family's own lists name.  unused: names that this server leaves out on purpose.
    """
    allowed = (_BUFFERS, *unused)
    missing = sorted(info["missing_keys"])
    surplus = sorted(
        name
        for name in info["unexpected_keys"]
        if not any(pattern.search(name) for pattern in allowed) and not _is_mask(name, weights.tensors.get(name))
    )
    shapes = sorted((name, tuple(held), tuple(expected)) for name, held, expected in info["mismatched_keys"])
    integers = _integers(network, weights, set(info["unexpected_keys"]))
    problems = [
        *([f"{_count(missing)} missing from the files: {listed(missing)}"] if missing else []),
        *([f"{_count(surplus)} not used by {type(network).__name__}: {listed(surplus)}"] if surplus else []),
        *([f"wrong shapes: {listed([_shape(*row) for row in shapes])}"] if shapes else []),
        *([f"not in a floating-point format: {listed(integers)}"] if integers else []),
        *map(str, info["error_msgs"]),
    ]
    if problems:
        fields = {"missing": missing, "unused": surplus, "shapes": [_shape(*row) for row in shapes]}
        log.error("weights do not match", extra={**fields, "not_floating": integers})
        raise _mismatch(folder, "; ".join(problems))


@contextmanager
def _load_report() -> Iterator[LoadReport]:
    """Take transformers' report out of the log: it is a table in colours, and only in it are some names."""
    logger, report = logging.getLogger("transformers.modeling_utils"), LoadReport()
    propagated = logger.propagate
    logger.addHandler(report)
    logger.propagate = False
    try:
        yield report
    finally:
        logger.removeHandler(report)
        logger.propagate = propagated


def _mismatch(folder: Path, why: str) -> StartupError:
    return StartupError(ExitCode.MODEL_UNSUPPORTED, f"model {folder}: the weights do not match config.json: {why}")


def _is_mask(name: str, tensor: TensorHeader | None) -> bool:
    """True for a causal mask (1, 1, tokens, tokens) or the scalar beside it. Their names alone could be a bias."""
    if tensor is None or not _MASK.search(name):
        return False
    return tensor.shape in {(), (1,)} or (tensor.shape[:2] == (1, 1) and tensor.shape[2:3] == tensor.shape[3:])


def _integers(network: Any, weights: WeightFiles, unexpected: set[str]) -> list[str]:
    """Tensors with integers or 8-bit floats, without those that are no weights.

    transformers converts them without their scale. A tensor that the model holds as integers is a buffer.
    """
    ignored = [re.compile(pattern) for pattern in network._keys_to_ignore_on_load_unexpected or ()]  # noqa: SLF001
    buffers = {name for name, buffer in network.named_buffers() if not buffer.is_floating_point()}
    return sorted(
        f"{name} ({tensor.dtype})"
        for name, tensor in weights.tensors.items()
        if not tensor.floating
        and name not in unexpected
        and name not in buffers
        and not any(pattern.search(name) for pattern in (_BUFFERS, *ignored))
    )


def _shape(name: str, held: tuple[int, ...], expected: tuple[int, ...]) -> str:
    return f"{name} has {list(held)}, expected {list(expected)}"


def _count(names: list[str]) -> str:
    return f"{len(names)} tensor{'s' if len(names) > 1 else ''}"
