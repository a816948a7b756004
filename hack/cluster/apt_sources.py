"""Where this machine gets its Debian packages from.

The images of the long way are installed from the same place as the host: no
mirror is written down in the repository.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.errors import BringUpError


@dataclass(frozen=True, slots=True)
class Source:
    """One mirror and what it holds."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Render in apt's one-line format."""
        for suite in self.suites:
            yield f"deb {self.uri} {suite} {' '.join(self.components)}"


def parse_deb822(text: str) -> Iterator[Source]:
    """Read a .sources file: stanzas of `Field: values`, comments anywhere."""
    for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", text)):
        fields = {
            name.lower(): value.split() for name, value in re.findall(r"(?m)^([A-Za-z-]+):((?:[^\n]|\n[ \t])*)", stanza)
        }
        if "deb" in fields.get("types", []) and fields.get("enabled", ["yes"]) != ["no"]:
            for uri in fields.get("uris", []):
                yield Source(uri, tuple(fields.get("suites", [])), tuple(fields.get("components", [])))


def parse_one_line(text: str) -> Iterator[Source]:
    """Read a .list file: `deb [options] URI suite components...`."""
    for uri, suite, components in re.findall(r"(?m)^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)[ \t]+(.+)$", text):
        yield Source(uri, (suite,), tuple(components.split()))


def sources_for(codename: str, sources: Iterable[Source]) -> list[Source]:
    """Keep what belongs to the release; the one with the release itself first, for debootstrap.

    Third-party sources, whose keys the images lack, name other suites or have
    other components than Debian's and are left out.
    """
    kept = [
        Source(source.uri.rstrip("/"), suites, source.components)
        for source in sources
        if "main" in source.components
        and (suites := tuple(s for s in source.suites if re.fullmatch(rf"{codename}(-updates|-security)?", s)))
    ]
    kept.sort(key=lambda source: codename not in source.suites)
    if not kept or codename not in kept[0].suites:
        raise BringUpError(f"No apt source for Debian {codename} in /etc/apt: the node image is made of its packages.")
    return kept


def sources_of_this_machine(etc: Path = Path("/etc")) -> tuple[str, list[Source]]:
    """Return the release's codename and its sources."""
    release = (etc / "os-release").read_text(encoding="utf-8")
    found = re.search(r"(?m)^VERSION_CODENAME=(\S+)", release)
    if found is None or not re.search(r"(?m)^ID=debian$", release):
        raise BringUpError("Without a container registry the node image is made from Debian; this is another system.")
    sources: list[Source] = []
    for path in [etc / "apt/sources.list", *sorted((etc / "apt/sources.list.d").glob("*"))]:
        if path.suffix == ".sources":
            sources += parse_deb822(path.read_text(encoding="utf-8"))
        elif path.suffix == ".list" and path.is_file():
            sources += parse_one_line(path.read_text(encoding="utf-8"))
    return found.group(1), sources_for(found.group(1), sources)
