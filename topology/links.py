"""The links of a running topology, one per replica: made, measured and set right, cut and healed."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from topology import calibrate_link
from topology.backing import Backing
from topology.components.component import Component
from topology.components.link import RTT, link, tell


@dataclass(frozen=True)
class _Link:
    component: Component
    control: Path
    url: str  # of the store, through the link
    direct: str  # the same without it


class Links:
    """Each replica's link to the store, `rtt_ms` long; `folder` takes their control sockets."""

    def __init__(self, backing: Backing, rtt_ms: float, folder: Path, ports: Callable[[int], list[int]]) -> None:
        self.rtt_ms = rtt_ms
        self._links: dict[str, _Link] = {}
        for replica, direct in backing.urls.items():
            leads = dict(zip(backing.far_ports, ports(len(backing.far_ports)), strict=True))
            control = folder / f"link-{secrets.token_hex(4)}.sock"
            made = link(replica, control, round(rtt_ms * 500), leads)
            self._links[replica] = _Link(made, control, backing.through(direct, leads), direct)

    @property
    def components(self) -> tuple[Component, ...]:
        """One process for each replica."""
        return tuple(each.component for each in self._links.values())

    @property
    def urls(self) -> Mapping[str, str]:
        """STORE_URL by replica, through its link."""
        return {replica: each.url for replica, each in self._links.items()}

    def tune(self) -> None:
        """Take off each link's delay what the process itself adds. Raises OSError."""
        for each in self._links.values():
            with calibrate_link.both(each.direct, each.url) as ways:
                calibrate_link.tune(ways, each.control, self.rtt_ms)

    def added_ms(self) -> dict[str, float]:
        """What each replica's link adds to a round trip now, in the median. Raises OSError."""
        found = {}
        for replica, each in self._links.items():
            with calibrate_link.both(each.direct, each.url) as ways:
                found[replica] = calibrate_link.added_ms(ways, self.rtt_ms)
        return found

    def farthest_off_ms(self) -> float:
        """What that link adds that is the farthest from what was asked. Raises OSError."""
        return max(self.added_ms().values(), key=lambda added: abs(added - self.rtt_ms))

    def cut(self, replica: str, *, refuse: bool = False) -> None:
        """Let nothing pass; see `topology.link`. Raises KeyError for a replica without a link, and OSError."""
        tell(self._links[replica].control, "refuse" if refuse else "cut")

    def heal(self, replica: str) -> None:
        """Let all pass again. Raises KeyError, OSError."""
        tell(self._links[replica].control, "heal")


def rtt_ms(options: Mapping[str, str]) -> float:
    """The round trip that is asked for; 0 without a link."""
    return float(options.get(RTT.name, RTT.default))
