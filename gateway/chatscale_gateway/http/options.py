"""Limits and times of the HTTP front. The process's settings set some of them; tests set others."""

from dataclasses import dataclass

from chatscale_gateway.http.client_address import Network


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """All durations are in seconds, all sizes in bytes."""

    max_body_bytes: int = 16 * 1024**2
    """Larger bodies get 413."""
    max_header_bytes: int = 16 * 1024
    """Names and values of all headers of a request. More gets 431."""
    max_bodies_bytes: int = 256 * 1024**2
    """Bodies of all requests together, from their first byte until the request ends. More gets 429."""
    request_timeout_s: float = 30.0
    """Time for a client to send the headers, and again for the body."""
    write_timeout_s: float = 30.0
    """A client that acknowledges no bytes for this long is disconnected."""
    idle_timeout_s: float = 620.0
    """Idle keep-alive connections. Longer than the idle timeout of load balancers (600 s at GCP), so that these close
    first: otherwise a request can meet a connection that the gateway closes."""
    keep_alive_s: float = 5.0
    """A waiting stream gets its first keep-alive after this time, and then one in each such period."""
    endpoint_delay_s: float = 10.0
    """From SIGTERM until no new connection is accepted: load balancers need time to remove the endpoint."""
    grace_period_s: float = 600.0
    """After it, what still runs is ended. Shorter than the pod's terminationGracePeriodSeconds."""
    path_prefix: str = ""
    """Clients may put it before every path, such as `/llm`: for an ingress that does not remove it."""
    pages: bool = True
    """Serve the chat page, the live page and their files."""
    live_period_s: float = 1.0
    """Between two snapshots of the live state."""
    live_key_check_s: float = 5.0
    """The stream of a key that was revoked ends within this time."""
    max_live_viewers: int = 100
    """Open streams of the live state. A snapshot of ten models has about 10 kB."""
    max_live_viewers_per_key: int = 25
    """So that one key cannot take all places."""
    trusted_proxies: tuple[Network, ...] = ()
    """Proxies whose `X-Forwarded-For` the access log uses."""
    cors_origins: frozenset[str] = frozenset()
    """Origins whose pages may call the API, such as `https://shop.example`. `*`: all."""
