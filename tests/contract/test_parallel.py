"""The order of a parallel run: one worker for the tests that need the operator alone, the longest files first."""

from pathlib import Path

from tests.support.parallel import LONGEST, needs_operator_alone, position

E2E = Path(__file__).parents[1] / "e2e"


def test_tests_that_need_the_operator_alone_are_the_work_of_one_worker():
    assert needs_operator_alone("tests/integration/test_operator.py")
    marked = {
        path.name for path in E2E.glob("test_*.py") if "\npytestmark = pytest.mark.operator_alone" in path.read_text()
    }
    assert len(marked) > 3
    assert all(needs_operator_alone(f"tests/e2e/{name}") for name in marked)
    assert not needs_operator_alone("tests/e2e/test_serves_a_chat.py")
    assert not needs_operator_alone("tests/contract/test_parallel.py")


def test_end_to_end_tests_come_last_and_the_longest_of_them_first():
    files = [
        "tests/e2e/test_hpa_scales.py", f"tests/e2e/{LONGEST[1]}", "tests/unit/x.py", f"tests/e2e/{LONGEST[0]}",
        "tests/e2e/test_upgrades_and_uninstalls.py",
    ]  # fmt: skip
    assert sorted(files, key=position) == [files[4], files[2], files[3], files[1], files[0]]


def test_the_longest_files_exist():
    assert [name for name in LONGEST if not (E2E / name).is_file()] == []
