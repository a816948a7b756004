"""`make bench-gpu` runs end to end without a GPU, and its limits and goals are computed right."""

import json
import subprocess
import sys

import pytest

from hack.paths import ROOT
from tests.benchmarks.gpu.load import _Reader
from tests.benchmarks.gpu.page import page
from tests.benchmarks.gpu.results import figures
from tests.benchmarks.gpu.sampling_section import rows
from tests.benchmarks.gpu.server import parse_metrics
from tests.benchmarks.gpu.shapes import LLAMA_1B, LLAMA_8B, Limits

H100 = Limits(3.05e12, 790e12)


@pytest.mark.parametrize(
    ("shape", "clients", "tokens_per_s"),
    [
        pytest.param(LLAMA_8B, 1, 201, id="8b alone"),
        pytest.param(LLAMA_8B, 32, 5188, id="8b at 32"),
        pytest.param(LLAMA_8B, 64, 8632, id="8b at 64"),
        pytest.param(LLAMA_1B, 1, 1220, id="1b alone"),
        pytest.param(LLAMA_1B, 64, 51686, id="1b at 64"),
    ],
)
def test_the_limit_of_a_loop_is_that_of_the_earlier_measurements(shape, clients, tokens_per_s):
    assert H100.loop_tokens_per_s(shape, clients, 200, 128) == pytest.approx(tokens_per_s, rel=0.01)


def test_the_page_compares_each_goal_with_the_run_and_names_what_is_missing():
    found = {
        "machine": {"device": "cuda", "revision": "unknown"},
        "limits": {"torch": "2.11.0", "paged_varlen_attn": False},
        "sections": {
            "8b": [
                {"clients": 1, "share_of_limit": 0.7, "tokens_per_s": 132.0},
                {"clients": 32, "share_of_limit": 0.5},
            ],
            "first_crowd": [{"ratio": 1.2}],
            "tight_memory": [{"kept": True}, {"kept": False}],
        },
    }
    text = page(found, "abc123")
    assert "| 8b, 1 clients, share_of_limit | >= 0.65 | 0.7 | yes |" in text
    assert "| 8b, 32 clients, share_of_limit | >= 0.62 | 0.5 | no |" in text
    assert "| 8b, 64 clients, share_of_limit | >= 0.6 | not measured | no |" in text
    assert "| TTFT p95, first 32 against next 32 | <= 1.5 | 1.2 | yes |" in text
    assert "| tight memory: serve or refuse | all | 1 of 2 | no |" in text
    assert "torch 2.11.0 has no `varlen_attn` with a block table" in text
    assert "| revision | abc123 |" in text
    assert "| 1 | 70 % | 132 | 88 | 1.5 |" in text


async def test_a_reader_counts_tokens_and_text_however_the_bytes_are_cut():
    events = b"".join(
        b'data: {"choices":[{"delta":{"content":"%s"},"finish_reason":null}]}\n\n' % text
        for text in (b"", b" ab", b" cd")
    )
    usage = b'data: {"choices":[],"usage":{"prompt_tokens": 3, "completion_tokens": 2}}\n\ndata: [DONE]\n\n'
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + events + usage + b"\r\n0\r\n\r\n"
    for size in (1, 7, 1000):
        reader = _Reader()
        reader.connection_made(_Transport(reader, response, size))
        answer = await reader.send(b"")
        assert (answer.prompt_tokens, answer.tokens, answer.problem) == (3, 2, "")
        assert answer.sent_s <= answer.first_s <= answer.last_s
        assert len(answer.gaps_s) == (0 if size == 1000 else 1)


async def test_a_refused_request_is_a_problem_of_its_own():
    reader = _Reader()
    refusal = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nfull"
    reader.connection_made(_Transport(reader, refusal, 9))
    answer = await reader.send(b"")
    assert answer.problem == "HTTP 429: full"
    assert figures([answer]) == {"failed": 1, "first_problem": "HTTP 429: full"}


def test_metrics_are_read_by_name_and_the_labels_that_differ():
    text = '# HELP x\na_total{model_name="m",chatmodel=""} 2.0\nb{model_name="m",batch_size="32"} 0.5\nc 1\n'
    assert parse_metrics(text) == {"a_total": 2.0, "b{batch_size=32}": 0.5, "c": 1.0}


def test_sampling_fails_on_one_difference_and_lists_all_times():
    found = {
        "differences": ["top_p: row 3 got 7"], "waits": [], "chi_square": 250.0, "chi_square_limit": 330.5,
        "rows": [{"rows": 1, "logits": "flat", "sampling": "greedy", "kernel_ms": 0.1}],
    }  # fmt: skip
    summary, *times = rows(found)
    assert (summary["kept"], summary["first_problem"]) == (False, "top_p: row 3 got 7")
    assert [(row["case"], row["kernel_ms"]) for row in times] == [("greedy, flat logits", 0.1)]


def test_the_whole_script_runs_on_a_cpu_with_tiny_shapes(tmp_path):
    command = (sys.executable, "-m", "tests.benchmarks.gpu", "--tiny", "--device", "cpu", "--output", str(tmp_path))
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=480)
    assert done.returncode == 0, done.stdout + done.stderr
    sections = json.loads((tmp_path / "gpu.json").read_text())["sections"]
    assert all(row["kept"] for section in ("equality", "tight_memory") for row in sections[section])
    assert [row["lost"] for row in sections["drain"]] == [0]
    assert {row["failure"] for row in sections["time"]} == {""}
    assert not [row for table in sections.values() for row in table if row.get("failed")]
    assert {"start", "first_crowd", "decode_step", "1b", "prefill", "mixed", "sampled"} <= set(sections)
    assert "| clients |" in (tmp_path / "gpu.md").read_text()


class _Transport:
    """Answers each request with the same bytes, in pieces."""

    def __init__(self, reader: _Reader, response: bytes, size: int) -> None:
        self.reader, self.response, self.size = reader, response, size

    def write(self, _data: bytes) -> None:
        for at in range(0, len(self.response), self.size):
            self.reader.data_received(self.response[at : at + self.size])

    def close(self) -> None:
        pass
