"""Real clients work with their default settings. See `harness` for how to add one."""

import os

import pytest

from hack.clients import client_environment, find_node
from tests.unit.chatscale_server.clients.__main__ import FAILS, MISSING, PAGE, WORKS, page
from tests.unit.chatscale_server.clients.harness import CLIENTS, FAMILIES, NOT_YET, Client, Family, run_client


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
async def test_a_client_works_with_its_defaults(client: Client, family: Family, tmp_path):
    if not client_environment().is_complete:
        assert not os.environ.get("REQUIRE_CLIENTS"), "python -m hack.clients installs the clients"
        pytest.skip("the clients are not installed: python -m hack.clients")
    if client.program.endswith(".cjs") and not find_node():
        pytest.skip("there is no node with npm")
    found = await run_client(client, family, tmp_path)
    assert set(found) == {str(case) for case in client.cases}
    expected = {case for name, case in NOT_YET if name == client.name}
    failed = {case: error for case, error in found.items() if error and case not in expected}
    assert failed == {}
    assert all(found[case] for case in expected), "works now: remove it from NOT_YET"


def test_the_page_has_a_row_for_each_client_and_family_and_shows_what_does_not_work_yet():
    results = {
        (client.name, family.name): {case: NOT_YET.get((client.name, case), "") for case in client.cases}
        for client in CLIENTS
        for family in FAMILIES
    }
    assert PAGE.read_text(encoding="utf-8") == page(results)
    assert {WORKS, FAILS, MISSING} >= {cell for row in table_rows() for cell in row[2:]}


def table_rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
