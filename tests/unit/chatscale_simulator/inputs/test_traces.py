"""Trace files as people have them, and as they cannot be played."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from chatscale_simulator.errors import InputError
from chatscale_simulator.inputs.traces import Traffic, load, rounded_to_s

TEXT = "arrival_s,input_tokens,output_tokens\n0.5,100,10\n1.5,200,20\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("calm.csv", TEXT.encode(), id="as it is"),
        pytest.param("calm.csv.gz", gzip.compress(TEXT.encode()), id="gzipped"),
        pytest.param("calm.csv", gzip.compress(TEXT.encode()), id="gzipped, and named as if not"),
        pytest.param("calm.csv.gz", TEXT.encode(), id="named as if gzipped"),
        pytest.param("CALM.CSV.GZ", gzip.compress(TEXT.encode()), id="in capitals"),
        pytest.param("calm", TEXT.encode(), id="no ending"),
        pytest.param("calm.csv", TEXT.encode("utf-8-sig"), id="from a spreadsheet, with a byte order mark"),
        pytest.param("calm.csv", TEXT.replace("\n", "\r\n").encode(), id="lines of Windows"),
    ],
)
def test_the_content_of_a_trace_decides_how_it_is_read(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert load(Traffic(path), 0).prompt_tokens.tolist() == [100, 200]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        pytest.param(b"", "line 1 must name the columns", id="empty"),
        pytest.param(gzip.compress(TEXT.encode())[:-9], "must be complete gzip data", id="a download cut short"),
        pytest.param("arrival_s,Länge".encode("latin-1"), "must be text in UTF-8", id="another encoding"),
        pytest.param(f'{TEXT}3,"{"1" * 200_000}'.encode(), "must be CSV", id="a stray quote"),
        pytest.param(
            TEXT.replace("0.5", "1789999999").replace("1.5", "1790000000").encode(), "found 17899", id="a clock"
        ),
        pytest.param(TEXT.replace("1.5", "1790000000").encode(), "found 1790000000", id="a clock, from line 3 on"),
    ],
)
def test_the_error_names_the_file_and_the_problem(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "odd.csv"
    path.write_bytes(content)

    with pytest.raises(InputError, match=found) as error:
        load(Traffic(path), 0)

    assert "odd.csv" in str(error.value)


def test_a_part_of_a_rounded_trace_is_spread_wherever_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "rounded.csv"
    rows = "".join(f"{at},100,10\n" for at in range(600) for _ in range(4))
    path.write_text("arrival_s,input_tokens,output_tokens\n" + rows, encoding="utf-8")

    part = load(Traffic(path, hours=(0.0501, 0.1)), 0)

    assert len(np.unique(part.arrival_s)) == len(part.arrival_s)


def test_arrivals_that_a_publisher_rounded_are_spread_and_bursts_are_not(tmp_path: Path) -> None:
    def trace(name: str, gap_s: int) -> Traffic:
        path = tmp_path / name
        rows = "".join(f"{gap_s * at},100,10\n" for at in range(60) for _ in range(9))
        path.write_text("arrival_s,input_tokens,output_tokens\n" + rows, encoding="utf-8")
        return Traffic(path)

    rounded, bursts = trace("rounded.csv", 3), trace("bursts.csv", 60)

    assert (rounded_to_s(rounded), rounded_to_s(bursts)) == (3.0, 0.0)
    assert len(np.unique(load(rounded, 0).arrival_s)) == 540
    assert len(np.unique(load(bursts, 0).arrival_s)) == 60
