"""A topology: everything that runs in one cell, as values; and which combinations there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from servers import schemes, stores
from topology.components.haproxy import POLICIES

NO_STORE = "none"
MAX_REPLICAS = 64
MAX_THREADS = 64


class SpecError(ValueError):
    """A topology that cannot be; says which value and which ones there are."""


@dataclass(frozen=True)
class Topology:
    """Scheme, store, replicas, policy, threads per replica, and further settings of `servers.settings`.

    Raises:
        SpecError: for a combination that does not exist.

    """

    scheme: str
    store: str
    replicas: int
    policy: str = "roundrobin"
    threads: int = 4
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        one_of("scheme", self.scheme, scheme_names())
        one_of("policy", self.policy, POLICIES)
        in_range("replicas", self.replicas, 1, MAX_REPLICAS)
        in_range("threads", self.threads, 1, MAX_THREADS)
        if uses_store(self.scheme):
            one_of("store", self.store, store_names())
        elif self.store != NO_STORE:
            raise SpecError(f"scheme {self.scheme} uses no store, so its store is {NO_STORE!r}, not {self.store!r}")

    @property
    def id(self) -> str:
        """The name of the cell, the same in every run that has it."""
        return f"{self.scheme}-{self.store}-{self.replicas}r-{self.policy}"

    @property
    def accepts_everywhere(self) -> bool:
        """Whether every replica accepts what another issued: all state is shared, or travels with the request."""
        return self.store == NO_STORE or stores.facts()[self.store].shared


def scheme_names() -> tuple[str, ...]:
    """Every scheme that is registered."""
    return tuple(schemes.facts())


def store_names() -> tuple[str, ...]:
    """Every store that is registered."""
    return tuple(stores.facts())


def uses_store(scheme: str) -> bool:
    """Whether the scheme keeps state on the server's side."""
    return schemes.facts()[scheme].uses_store


def one_of(what: str, value: str, known: Iterable[str]) -> str:
    """`value`, if it is known; otherwise a SpecError that names the known ones and the nearest."""
    known = tuple(known)
    if value in known:
        return value
    near = difflib.get_close_matches(value, known, n=1)
    guess = f" (did you mean {near[0]!r}?)" if near else ""
    raise SpecError(f"{what} {value!r} is unknown{guess}; there are: {', '.join(known)}")


def in_range(what: str, value: int, low: int, high: int) -> int:
    """`value`, if it lies in [low, high]; otherwise a SpecError that says so."""
    if not low <= value <= high:
        raise SpecError(f"{what} must lie between {low} and {high}, not {value}")
    return value
