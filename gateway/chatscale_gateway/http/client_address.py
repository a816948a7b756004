"""The network address of a client behind trusted proxies. Pure.

The address is for the access log only. It is never an identity: that comes from the API key.
"""

import ipaddress
from collections.abc import Iterable, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(peer: str, forwarded_for: Iterable[str], trusted: Sequence[Network]) -> str:
    """The right-most address in the chain that is no trusted proxy, in its canonical form; empty if the peer has none.

    peer: the other end of the connection. forwarded_for: the values of all `X-Forwarded-For` headers, in their order.
    Each proxy appends the address of its own peer, so an entry counts only if every entry to its right is a trusted
    proxy. Text that is no address ends the chain: then it is the proxy that sent it. If all are trusted, the left-most.
    """
    found = parse_address(peer)
    if found is None:
        return ""
    if not trusted or not _is_trusted(found, trusted):
        return str(found)
    entries = [entry for value in forwarded_for for entry in value.split(",")]
    for entry in reversed(entries):
        address = parse_address(entry)
        if address is None:
            break
        found = address
        if not _is_trusted(found, trusted):
            break
    return str(found)


def parse_address(text: str) -> Address | None:
    """An IP address, with or without a port; None for anything else. `::ffff:192.0.2.1` is 192.0.2.1."""
    text = text.strip()
    if text.startswith("["):
        text, end, port = text[1:].partition("]")
        if not end or (port and not _is_port(port)):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(":" + port):
            return None
    try:
        # A zone (fe80::1%eth0) may contain any text.
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_port(text: str) -> bool:
    return text[0] == ":" and text[1:].isascii() and text[1:].isdigit()


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)
