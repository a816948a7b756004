"""Where Debian packages come from is read from the machine, in both of apt's formats."""

import pytest

from hack.cluster.apt_sources import Source, parse_deb822, parse_one_line, sources_for
from hack.cluster.errors import BringUpError

DEB822 = """\
Types: deb
# snapshot of some day
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb deb-src
URIs: http://mirror.test/debian-security/
Suites: bookworm-security
Components: main contrib

Enabled: no
Types: deb
URIs: http://other.test/debian
Suites: bookworm
Components: main
"""


def test_reads_stanzas_and_skips_comments_and_disabled_ones():
    assert list(parse_deb822(DEB822)) == [
        Source("http://mirror.test/debian", ("bookworm", "bookworm-updates"), ("main",)),
        Source("http://mirror.test/debian-security/", ("bookworm-security",), ("main", "contrib")),
    ]


def test_reads_one_line_entries_with_options():
    text = "# deb http://no.test x main\ndeb [signed-by=/k.gpg arch=amd64] http://mirror.test/d bookworm main contrib\n"
    assert list(parse_one_line(text)) == [Source("http://mirror.test/d", ("bookworm",), ("main", "contrib"))]


def test_puts_the_release_first_and_leaves_third_parties_out():
    security = Source("http://m.test/security/", ("bookworm-security",), ("main",))
    release = Source("http://m.test/debian", ("bookworm", "bookworm-backports"), ("main",))
    stranger = Source("http://x.test/repo", ("stable",), ("main",))
    other_components = Source("http://y.test/repo", ("bookworm",), ("nightly",))
    assert sources_for("bookworm", [security, stranger, other_components, release]) == [
        Source("http://m.test/debian", ("bookworm",), ("main",)),
        Source("http://m.test/security", ("bookworm-security",), ("main",)),
    ]


def test_says_what_is_missing_when_no_source_has_the_release():
    with pytest.raises(BringUpError, match="No apt source for Debian bookworm"):
        sources_for("bookworm", [Source("http://m.test/s", ("bookworm-security",), ("main",))])


def test_renders_one_line_per_suite():
    source = Source("http://m.test/d", ("bookworm", "bookworm-updates"), ("main", "contrib"))
    assert list(source.lines()) == [
        "deb http://m.test/d bookworm main contrib",
        "deb http://m.test/d bookworm-updates main contrib",
    ]
