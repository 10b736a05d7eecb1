"""A topology: everything that runs in one cell, as values; and which combinations there are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from servers import schemes, stores
from servers.options import Option
from servers.settings import MAX_SPIN_US, MAX_WORK_MS
from servers.users import CHEAPEST, HashCost
from topology import balancer
from topology.components.link import RTT
from topology.quota import REPLICA_CPUS, STORE_CPUS, QuotaError, quota_of

NO_STORE = "none"
MAX_REPLICAS = 64
MAX_THREADS = 64
USUAL_THREADS = 4
TLS = Option("tls", "", "off", "whether clients speak TLS to the balancer", ("off", "on"))
SPIN = Option(
    "spin_us", "AUTH_SPIN_US", "0", "us of CPU burnt in every auth check, to see whether a known cost is found",
    high=MAX_SPIN_US,
)  # fmt: skip
BALANCER = Option("balancer", "", balancer.usual(), "what stands before the replicas", balancer.BALANCERS)
WORK = Option(
    "work_ms", "WORK_MS", "0", "ms that GET /me waits besides, as an application waits for its database",
    high=MAX_WORK_MS, surrounds=True,
)  # fmt: skip
WORK_CPU = Option(
    "work_cpu_ms", "WORK_CPU_MS", "0", "ms of CPU that GET /me uses besides, as an application computes",
    high=MAX_WORK_MS, surrounds=True,
)  # fmt: skip
HASH_COST = Option(
    "hash_cost", "", CHEAPEST, "argon2id cost of the passwords: fast, owasp or t=2,m=19456,p=1",
    parse=HashCost.parse, surrounds=True,
)  # fmt: skip
LIFE = Option(
    "life_s", "", "0", "seconds that what a client sends with each request is good for; 0: its scheme's own",
    high=86_400, surrounds=True,
)  # fmt: skip
COMMON_OPTIONS = (TLS, SPIN, BALANCER, WORK, WORK_CPU, HASH_COST, LIFE, REPLICA_CPUS)
# of a topology whose store is a server of its own
STORE_OPTIONS = (STORE_CPUS, RTT)
_NO_SERVER = (None, "folder")  # what a store needs that is none


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
    threads: int = USUAL_THREADS
    settings: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)  # name to value; what is not there has its default

    def __post_init__(self) -> None:
        one_of("scheme", self.scheme, scheme_names())
        one_of("policy", self.policy, balancer.policies())
        in_range("replicas", self.replicas, 1, MAX_REPLICAS)
        in_range("threads", self.threads, 1, MAX_THREADS)
        known = option_names(self.scheme, self.store)
        for name, value in self.options.items():
            one_of(f"option of {self.scheme} on {self.store}", name, known)
            try:
                known[name].check(value)
            except ValueError as error:
                raise SpecError(str(error)) from error
        able = balancer.facts(self.balancer).policies
        if self.policy not in able:
            raise SpecError(f"{self.balancer} cannot balance by {self.policy}, but by: {', '.join(able)}")
        try:
            for kind in ("replica", "store"):
                quota_of(kind, self.options)
        except QuotaError as error:
            raise SpecError(str(error)) from error
        facts = schemes.facts()[self.scheme]
        if missing := facts.missing():
            raise SpecError(missing)
        if uses_store(self.scheme, self.options):
            one_of("store", self.store, store_names())
            if facts.stores:
                one_of(f"store of {self.scheme}", self.store, facts.stores)
        elif self.store != NO_STORE:
            raise SpecError(f"scheme {self.scheme} uses no store, so its store is {NO_STORE!r}, not {self.store!r}")

    @property
    def id(self) -> str:
        """The name of the cell, the same in every run that has it."""
        threads = "" if self.threads == USUAL_THREADS else f".threads-{self.threads}"
        said = "".join(f".{name}-{value}" for name, value in self.unusual.items())
        said = said.replace("=", "").replace(",", "")  # of a hash cost; an id is a folder's name, and stands in lists
        return f"{self.scheme}-{self.store}-{self.replicas}r-{self.policy}{threads}{said}"

    @property
    def unusual(self) -> dict[str, str]:
        """The options that differ from their defaults, in the order of their declaration."""
        known = option_names(self.scheme, self.store)
        return {
            name: self.options[name]
            for name, option in known.items()
            if self.options.get(name, option.default) != option.default
        }

    @property
    def every_option(self) -> dict[str, str]:
        """Every option that the scheme, the store or any topology has, and its value here."""
        known = option_names(self.scheme, self.store)
        return {name: self.options.get(name, option.default) for name, option in known.items()}

    def option(self, name: str) -> str | None:
        """The value of an option; None when neither scheme nor store has it."""
        return self.every_option.get(name)

    @property
    def tls(self) -> bool:
        """Whether clients speak TLS to the balancer."""
        return self.option(TLS.name) == "on"

    @property
    def balancer(self) -> str:
        """What stands before the replicas."""
        return self.every_option[BALANCER.name]

    @property
    def sticky(self) -> bool:
        """Whether the balancer keeps each user with one replica, as long as that one serves."""
        return self.policy == balancer.STICKY

    @property
    def scheme_settings(self) -> dict[str, str]:
        """The scheme's and the store's options as variables of a replica's environment."""
        known = option_names(self.scheme, self.store)
        return {known[name].variable: value for name, value in self.every_option.items() if known[name].variable}

    @property
    def life_settings(self) -> dict[str, str]:
        """What makes a credential live for `life_s`: an access token's where there is one, else every limit."""
        life = self.every_option[LIFE.name]
        if life == LIFE.default:
            return {}
        known = option_names(self.scheme, self.store)
        if "access_ttl_s" in known:
            return {known["access_ttl_s"].variable: life}
        return dict.fromkeys(("SESSION_IDLE_SECONDS", "SESSION_ABSOLUTE_SECONDS", "TOKEN_TTL_SECONDS"), life)

    @property
    def ends_at_once(self) -> bool:
        """Whether a credential stops counting when its user signs out; else it is good until it expires.

        It does where the store says who sends a request, and where a scheme keeps a store for that alone (a denylist).
        """
        facts = schemes.facts()[self.scheme]
        return facts.recognises_by_store or (not facts.uses_store and self.store != NO_STORE)

    @property
    def accepts_everywhere(self) -> bool:
        """Whether every replica accepts what another issued: all state is shared, or travels with the request."""
        by_store = schemes.facts()[self.scheme].recognises_by_store
        return self.store == NO_STORE or not by_store or stores.facts()[self.store].shared

    @property
    def lags(self) -> bool:
        """Whether a replica may accept what another issued, or refuse what another ended, a moment later only."""
        return self.accepts_everywhere and self.store != NO_STORE and stores.facts()[self.store].lags


def scheme_names() -> tuple[str, ...]:
    """Every scheme that is registered."""
    return tuple(schemes.facts())


def store_names() -> tuple[str, ...]:
    """Every store that is registered."""
    return tuple(stores.facts())


def uses_store(scheme: str, options: Mapping[str, str]) -> bool:
    """Whether the scheme keeps state on the server's side with these options."""
    return schemes.facts()[scheme].needs_store(options)


def option_names(scheme: str, store: str) -> dict[str, Option]:
    """Every option of a topology of this scheme and store: those of each, and those of any topology."""
    facts = stores.facts().get(store)
    of_store = facts.options if facts else ()
    served = STORE_OPTIONS if facts and facts.needs not in _NO_SERVER else ()
    return {option.name: option for option in (*schemes.facts()[scheme].options, *of_store, *COMMON_OPTIONS, *served)}


def every_option() -> dict[str, Option]:
    """Every option that any scheme, store or topology has."""
    of_schemes = [option for facts in schemes.facts().values() for option in facts.options]
    of_stores = [option for facts in stores.facts().values() for option in facts.options]
    return {option.name: option for option in (*of_schemes, *of_stores, *COMMON_OPTIONS, *STORE_OPTIONS)}


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
