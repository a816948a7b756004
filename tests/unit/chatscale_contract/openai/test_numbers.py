import pytest

from chatscale_contract.openai.numbers import read_whole_number


@pytest.mark.parametrize(
    ("value", "found"),
    [(5, 5), (5.0, 5), ("5", 5), (" 5.0 ", 5), (-1, -1), ("-1", -1), (0, 0), (10**400, 10**400), (5.5, None),
     ("5.5", None), ("many", None), ("", None), ("nan", None), ("inf", None), ("9" * 33, None), (True, None),
     (None, None), ([5], None), (float("inf"), None)],
)  # fmt: skip
def test_reads_what_a_lenient_runtime_reads(value, found):
    assert read_whole_number(value) == found
