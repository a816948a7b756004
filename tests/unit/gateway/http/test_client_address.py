"""The client's address behind trusted proxies, and nothing that a client can invent."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatscale_gateway.http.client_address import client_address, parse_address

PROXIES = tuple(ipaddress.ip_network(text) for text in ("10.0.0.0/8", "fd00::/8"))
trusted = st.ip_addresses(network="10.0.0.0/8").map(str)
outside = st.ip_addresses(v=4).filter(lambda address: address not in PROXIES[0]).map(str)
anything = st.lists(st.text(max_size=60), max_size=5)


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "expected"),
    [
        pytest.param("203.0.113.9", ["198.51.100.1"], "203.0.113.9", id="a peer that is no proxy"),
        pytest.param("10.0.0.1", [], "10.0.0.1", id="a proxy without the header"),
        pytest.param("10.0.0.1", ["198.51.100.1"], "198.51.100.1", id="one proxy"),
        pytest.param("10.0.0.1", ["198.51.100.1, 10.0.0.2"], "198.51.100.1", id="two proxies"),
        pytest.param("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1", id="an entry that the client invented"),
        pytest.param("10.0.0.1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1", id="two headers"),
        pytest.param("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1", id="text of a proxy ends the chain"),
        pytest.param("10.0.0.1", ["unknown, 10.0.0.3"], "10.0.0.3", id="text before a trusted proxy"),
        pytest.param("10.0.0.1", ["10.0.0.2, 10.0.0.3"], "10.0.0.2", id="all are trusted"),
        pytest.param("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1", id="with a port"),
        pytest.param("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1", id="IPv6 with a port"),
        pytest.param("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1", id="a mapped proxy"),
        pytest.param("fd00::1", ["2001:DB8::1"], "2001:db8::1", id="IPv6"),
        pytest.param("", ["198.51.100.1"], "", id="no peer"),
    ],
)
def test_finds_the_right_most_address_that_is_no_trusted_proxy(peer: str, forwarded_for: list[str], expected: str):
    assert client_address(peer, forwarded_for, PROXIES) == expected


@given(peer=outside, headers=anything)
def test_nothing_counts_from_a_peer_that_is_no_trusted_proxy(peer: str, headers: list[str]):
    assert client_address(peer, headers, PROXIES) == str(ipaddress.ip_address(peer))


@given(peer=trusted, headers=anything)
def test_without_trusted_proxies_it_is_the_peer(peer: str, headers: list[str]):
    assert client_address(peer, headers, ()) == peer


@given(invented=anything, client=outside, hops=st.lists(trusted, max_size=4))
def test_no_text_of_a_client_changes_the_address_that_the_first_proxy_saw(
    invented: list[str], client: str, hops: list[str]
):
    chain = [*invented, ", ".join([client, *hops])]

    assert client_address("10.0.0.1", chain, PROXIES) == client


@given(peer=st.text(max_size=40) | trusted, headers=anything)
def test_the_result_is_an_address_or_empty(peer: str, headers: list[str]):
    found = client_address(peer, headers, PROXIES)

    assert not found or str(ipaddress.ip_address(found)) == found


@given(st.ip_addresses(), st.integers(min_value=0, max_value=65535))
def test_reads_addresses_with_and_without_ports(address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int):
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    with_port = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"

    assert parse_address(str(address)) == parse_address(with_port) == (mapped or address)


@pytest.mark.parametrize(
    "text", ["", "localhost", "1.2.3", "1.2.3.4:", "1.2.3.4:x", "[::1", "[::1]x", '1.2.3.4"', "[]"]
)
def test_anything_else_is_no_address(text: str):
    assert parse_address(text) is None
