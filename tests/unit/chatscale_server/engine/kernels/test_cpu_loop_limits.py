"""The compiled loops with unusual inputs: numbers that are not finite, empty batches, many threads, long sequences."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from chatscale_server.engine.kernels.cpu import CpuKernels, LayerSizes, Places
from chatscale_server.engine.kernels.cpu_loops import scratch_floats
from hack.paths import ROOT

HEADS, KV_HEADS, WIDTH = 4, 2, 16
GROUP = HEADS // KV_HEADS
LONG = 2000
STATES = (HEADS + 2 * KV_HEADS) * WIDTH
KEY, VALUE = HEADS * WIDTH, (HEADS + KV_HEADS) * WIDTH
"""Columns of the states where keys and values begin."""


@pytest.fixture
def threads() -> Iterator[None]:
    """Two threads, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def kernels(dtype: torch.dtype = torch.float32, scale: float = 1.0) -> CpuKernels:
    """Without a rotation."""
    rotations = (torch.ones(LONG, WIDTH // 2), torch.zeros(LONG, WIDTH // 2))
    return CpuKernels(LayerSizes(48, HEADS, KV_HEADS, WIDTH, scale, 1e-5, normed=False), dtype, rotations)


def caches(rows: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(rows, KV_HEADS, WIDTH).to(dtype), torch.randn(rows, KV_HEADS, WIDTH).to(dtype)


def places(*positions: int, decodes: int | None = None) -> Places:
    """One sequence after another in the cache."""
    rows, start = [], 0
    for position in positions:
        rows.append(start + position)
        start += position + 1
    longest = max(positions, default=-1) + 1
    return Places(
        torch.tensor(positions, dtype=torch.long), torch.tensor(rows, dtype=torch.long),
        len(positions) if decodes is None else decodes, longest,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_norm_of_what_is_not_a_number_is_not_a_number(dtype):
    states = torch.randn(2, 48).to(dtype)
    states[0, 5] = torch.nan
    found = kernels(dtype).norm(states, torch.ones(48, dtype=dtype))
    assert found.isnan().any(1).tolist() == [True, False]
    assert found[0].isnan().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("column", "heads"),
    [
        pytest.param(0, [0], id="query"),
        pytest.param(KEY, [0, 1], id="key"),
        pytest.param(VALUE + WIDTH, [2, 3], id="value"),
    ],
)
def test_attention_to_what_is_not_a_number_is_not_a_number(dtype, column, heads):
    states = torch.randn(2, STATES).to(dtype)
    states[0, column] = torch.nan
    loops = kernels(dtype)
    found = loops.attend(states, places(9, 12), *caches(30, dtype), None, None, loops.scratch(13))
    assert found.view(2, HEADS, WIDTH).isnan().any(2).nonzero().tolist() == [[0, head] for head in heads]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("distance", [80.0, 87.0, 88.0, 104.0, 1e4, 1e30])
def test_far_lower_scores_do_not_count(dtype, distance):
    """Below -87, the exponential of a difference of scores is no normal number."""
    states, loops = torch.zeros(1, STATES, dtype=dtype), kernels(dtype)
    states[0, 0:KEY:WIDTH] = 1.0
    states[0, VALUE:] = 3.0
    keys, values = caches(10, dtype)
    keys[:, :, 0] = -distance
    values[:] = 5.0
    found = loops.attend(states, places(9), keys, values, None, None, loops.scratch(10))
    assert found.tolist() == [[3.0] * (HEADS * WIDTH)]


def test_equal_scores_of_a_long_sequence_give_the_mean():
    states, loops = torch.zeros(1, STATES), kernels()
    keys, values = caches(LONG)
    states[0, VALUE:] = values[-1].flatten()
    found = loops.attend(states, places(LONG - 1), keys, values, None, None, loops.scratch(LONG))
    torch.testing.assert_close(found.view(KV_HEADS, GROUP, WIDTH)[:, 0], values.mean(0), rtol=1e-5, atol=1e-6)


def test_a_batch_without_tokens_has_no_output(threads):
    loops = kernels()
    assert loops.norm(torch.empty(0, 48), torch.ones(48)).shape == (0, 48)
    found = loops.attend(torch.empty(0, STATES), places(), *caches(4), None, None, loops.scratch(0))
    assert found.shape == (0, HEADS * WIDTH)


def test_a_batch_without_decodes_only_stores_its_tokens(threads):
    states, loops, (keys, values) = torch.randn(5, STATES), kernels(), caches(40)
    own, before = states.clone(), keys.clone()
    batch = places(0, 3, 4, 5, 6, decodes=0)
    loops.attend(own, batch, keys, values, None, None, loops.scratch(0))
    stored = states[:, KEY:VALUE].view(5, KV_HEADS, WIDTH)
    torch.testing.assert_close(own, states)
    torch.testing.assert_close(keys, before.index_copy(0, batch.rows, stored))
    torch.testing.assert_close(values[batch.rows], states[:, VALUE:].view(5, KV_HEADS, WIDTH))


def test_more_threads_than_work_and_one_thread_give_the_same(threads):
    states, loops = torch.randn(4, STATES), kernels()
    keys, values = caches(60)
    found = []
    for count in (1, 2, 13):
        torch.set_num_threads(count)
        scratch = loops.scratch(20)
        found.append(loops.attend(states.clone(), places(3, 19, 7, 11), keys, values, None, None, scratch))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def columns_of_threads(longest: int, batch: Places, window: int | None = None) -> list[int]:
    """Scores of the longest row that each of two threads has computed, as its memory shows."""
    loops = kernels()
    states = torch.randn(len(batch.positions), STATES)
    scratch = loops.scratch(longest).fill_(torch.nan)
    loops.attend(states, batch, *caches(int(batch.rows.max()) + 1), None, window, scratch)
    assert len(scratch) == 2 * scratch_floats(GROUP, WIDTH, longest)
    columns = longest + 4
    return [int(own[-GROUP * columns :].view(GROUP, columns).isfinite().sum(1).max()) for own in scratch.chunk(2)]


def test_one_long_sequence_is_the_work_of_all_threads(threads):
    assert min(columns_of_threads(LONG, places(LONG - 1))) >= LONG


@pytest.mark.parametrize(("position", "window"), [pytest.param(100, None, id="short"), (LONG - 1, 64)])
def test_one_sequence_with_few_columns_is_the_work_of_one_thread(threads, position, window):
    """Waking another thread would take longer."""
    assert min(columns_of_threads(position + 1, places(position), window)) == 0


def test_the_heads_of_a_long_sequence_beside_short_ones_are_the_work_of_all_threads(threads):
    assert min(columns_of_threads(LONG, places(LONG - 1, 3, 3, 3, 3))) >= LONG


@pytest.mark.parametrize(
    "positions", [pytest.param(torch.tensor([3, 4], dtype=torch.int32), id="int32"), torch.tensor([3, 0, 4, 0])[::2]]
)
def test_places_that_the_loops_cannot_read_are_refused(positions):
    rows = torch.tensor([3, 4])
    with pytest.raises(TypeError, match="positions are"):
        Places(positions, rows, 2, 5)
    with pytest.raises(TypeError, match="rows are"):
        Places(rows, positions, 2, 5)


@pytest.mark.parametrize(
    ("heads", "kv_heads", "width"),
    [pytest.param(4, 2, 15, id="odd width"), pytest.param(4, 3, 16, id="groups of different sizes")],
)
def test_heads_that_the_loops_do_not_compute_are_refused(heads, kv_heads, width):
    rotations = torch.ones(8, width // 2), torch.ones(8, width // 2)
    with pytest.raises(ValueError, match=f"{heads} heads of {width} for {kv_heads} KV heads"):
        CpuKernels(LayerSizes(48, heads, kv_heads, width, 1.0, 1e-5, normed=False), torch.float32, rotations)


LIBRARIES = """
import torch
from chatscale_server.engine.kernels.cpu import CpuKernels, LayerSizes

torch.set_num_threads(2)
sizes = LayerSizes(48, 2, 1, 16, 1.0, 1e-5, normed=False)
CpuKernels(sizes, torch.float32, (torch.ones(8, 8), torch.ones(8, 8))).norm(torch.ones(64, 48), torch.ones(48))
print(*{line.split()[-1] for line in open("/proc/self/maps") if "libgomp" in line})
"""


def test_the_loops_use_the_openmp_library_that_torch_uses(tmp_path):
    """Even if it is that of another folder, which was loaded first: a second one would have threads of its own.

    Without a home, and without writing to the working folder.
    """
    work = tmp_path / "work"
    work.mkdir()
    first = shutil.copy(Path(torch.__file__).parent / "lib" / "libgomp.so.1", tmp_path / "libgomp.so.1")
    environment = {name: value for name, value in os.environ.items() if name not in {"HOME", "XDG_CACHE_HOME"}}
    path = os.pathsep.join([*sys.path, str(ROOT / "inference_server")])
    done = subprocess.run(
        [sys.executable, "-c", LIBRARIES], cwd=work, check=False, capture_output=True, text=True, timeout=300,
        env={**environment, "LD_PRELOAD": str(first), "PYTHONPATH": path},
    )  # fmt: skip
    assert (done.returncode, done.stdout.split()) == (0, [str(first)]), done.stderr
    assert not list(work.iterdir())
