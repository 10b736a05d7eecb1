"""Numbers and cells in words, the same in every report: three significant digits, units, plain names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from analysis.compare import Comparison
from analysis.estimates import Estimate
from analysis.load import NO_STORE, USUAL_THREADS, Cell

SCHEMES = {
    "token": "tokens",
    "session": "sessions",
    "hybrid": "hybrid tokens",
    "signed_cookie": "Flask's signed cookies",
    "flask-session": "Flask-Session",
    "flask-jwt-extended": "Flask-JWT-Extended",
    "control": "control (no authentication)",
}
STORES = {
    "memory": " in per-process memory",
    "file": " in files",
    "sqlite": " in SQLite",
    "postgres": " on PostgreSQL",
    "redis": " on Redis",
    "redis-cluster": " on a Redis cluster",
    "replicated": " on replicated Redis",
}
"""Names in sentences; a scheme or store that has none here goes by its own."""
_COUNTS = {"shards": "{} shards"}
_OPTIONS = {
    **_COUNTS,
    "algorithm": "{}",
    "carrier": "{}",
    "claims_bytes": "{} B claims",
    "revocation": "{}",
    "verify_cache": "verify cache",
    "tls": "TLS",
    "balancer": "{}",
    "spin_us": "{} us planted",
    "access_ttl_s": "access {} s",
    "token_ttl_s": "life {} s",
    "grace_s": "grace {} s",
    "work_ms": "{} ms of work",
    "work_cpu_ms": "{} ms of computing",
    "hash_cost": "hash {}",
    "life_s": "life {} s",
    "replica_cpus": "{} cores each",
    "store_cpus": "store {} cores",
    "store_rtt_ms": "store {} ms away",
    "persistence": "{}",
    "cluster_copies": "{} copy each",
}
"""Options in words; one that has none here goes by its name and value. Only what is not the default is told."""

NOTHING = "–"  # noqa: RUF001 - a dash, as in a printed table
"""Shown where a metric does not apply."""


def number(value: float | None, digits: int = 3) -> str:
    """Return a value with `digits` significant digits, thousands parted: 0.0123, 1.25, 338, 1,200,000."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    exact = math.isclose(value, round(value), rel_tol=1e-9)
    text = f"{value:,.0f}" if exact else f"{value:,.{decimals}f}"
    return text.replace("-", "−")  # noqa: RUF001 - a minus sign, not a hyphen


def setting(value: float | None) -> str:
    """Return a number that was chosen, not measured, as it was written: 2.5, 200."""
    return NOTHING if value is None else f"{value:g}"


def percent(share: float | None) -> str:
    """Return a share as a percentage: 0.75 is `75 %`, 0.0042 is `0.42 %`."""
    return NOTHING if share is None else f"{number(100 * share, 2)} %"


def with_unit(figure: tuple[float, float, float], unit: str) -> tuple[str, str]:
    """Return a value (of value, low, high) with its unit, and its interval; a share `of …` is told as a percentage."""
    scale, told = (100, f"% {unit}") if unit.startswith("of ") else (1, unit)
    value, low, high = (scale * each for each in figure)
    return f"{number(value)} {told}".strip(), interval(low, high)


def value_text(estimate: Estimate, unit: str) -> str:
    """Return the value alone; a metric without a unit whose name is a ratio is given by the caller as a share."""
    return number(estimate.value) + (f" {unit}" if unit and estimate.value is not None else "")


def interval(low: float | None, high: float | None) -> str:
    """Return `0.70 to 0.87`; `exact` where it has no width, and a dash without an interval."""
    if low is None or high is None:
        return NOTHING
    return "exact" if low == high else f"{number(low)} to {number(high)}"


def ratio_text(comparison: Comparison) -> str:
    """Return `ratio 0.78, 95 % interval 0.70 to 0.87`."""
    span = interval(comparison.low, comparison.high)
    known = f"95 % interval {span}" if comparison.low is not None else "one block, so no interval"
    return f"ratio {number(comparison.ratio)}, {known}"


def change(ratio: float) -> str:
    """Return a ratio as a change: 0.78 is `22 % lower`, 1.3 is `30 % higher`; a factor above twofold."""
    if ratio >= 2:  # noqa: PLR2004 - "120 % higher" is harder to read than "2.2 times"
        return f"{number(ratio, 2)} times as high"
    return f"{number(100 * abs(ratio - 1), 2)} % {'lower' if ratio < 1 else 'higher'}"


def signed_percent(ratio: float | None) -> str:
    """Return a ratio as a signed change: 1.02 is `+2 %`, 0.95 is `−5 %`."""  # noqa: RUF002 - the minus is meant
    if ratio is None:
        return NOTHING
    if math.isclose(ratio, 1, abs_tol=1e-9):
        return "0 %"  # the last bit of a sum is no difference
    sign = "+" if ratio >= 1 else "−"  # noqa: RUF001 - a minus sign, not a hyphen
    return f"{sign}{number(100 * abs(ratio - 1), 2)} %"


def signed(value: float) -> str:
    """Return a difference with its sign: `+12.1`, `−3`."""  # noqa: RUF002 - the minus is meant
    sign = "+" if value >= 0 else "−"  # noqa: RUF001 - a minus sign, not a hyphen
    return f"{sign}{number(abs(value))}"


def count(n: int, noun: str) -> str:
    """Return `1 replica`, `4 replicas`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def replicas_text(n: int) -> str:
    """Return `4 replicas`; of services whose replicas are not known, which is 0, `every system`."""
    return count(n, "replica") if n else "every system"


def at_replicas(n: int) -> str:
    """Return ` at 4 replicas`, for the end of a phrase; nothing where the number is not known."""
    return f" at {count(n, 'replica')}" if n else ""


def count_of(value: float, noun: str) -> str:
    """Return a measured number of things: `1 command`, `1.02 commands`."""
    return f"{number(value)} {noun}{'' if value == 1 else 's'}"


def options_text(options: Mapping[str, str]) -> str:
    """Return options in words: `ES256, cookie`, `touch never`, `TLS`; empty for none."""
    words = {**_OPTIONS, **{name: text.removesuffix("s") for name, text in _COUNTS.items() if options.get(name) == "1"}}
    return ", ".join(words.get(name, f"{name.replace('_', ' ')} {{}}").format(_plain(v)) for name, v in options.items())


def _told(cell: Cell) -> str:
    """Return options and, where it is not the usual one, the number of threads in words."""
    threads = (f"{cell.threads} threads",) if cell.threads != USUAL_THREADS else ()
    return ", ".join((*threads, *filter(None, (options_text(cell.options),))))


def option_value(name: str, value: str) -> str:
    """Return one option in words."""
    return options_text({name: value})


def _plain(value: str) -> str:
    return f"{int(value):,}" if value.isdecimal() else value


def series(cell: Cell) -> str:
    """Return what a cell measures apart from its replicas: `session · redis, touch never`, `token ES256, cookie`."""
    if cell.is_target:
        return cell.scheme
    told = _told(cell)
    if cell.store == NO_STORE:
        return f"{cell.scheme} {told}" if told else cell.scheme
    return f"{cell.scheme} · {cell.store}" + (f", {told}" if told else "")


def label(cell: Cell, *, policy: bool = False) -> str:
    """Return a cell's short name: `session · redis ×4`, with `(A/A)` for the duplicate."""  # noqa: RUF002 - a times sign
    parts = [series(cell)] + ([] if cell.is_target else [f"×{cell.replicas}"])  # noqa: RUF001 - a times sign
    parts += [cell.policy] if policy else []
    parts += ["(A/A)"] if cell.duplicate_of else []
    return " ".join(parts)


def subject(cell: Cell) -> str:
    """Return a cell as the subject of a sentence: `tokens`, `sessions on Redis`, `tokens (ES256)`, `control`."""
    if cell.is_target:
        return cell.scheme
    told = _told(cell)
    place = "" if cell.store == NO_STORE else STORES.get(cell.store, f" on {cell.store}")
    return SCHEMES.get(cell.scheme, cell.scheme) + place + (f" ({told})" if told else "")


def store_name(cell: Cell) -> str:
    """Return the store for people: `Redis`, `per-process memory`."""
    return STORES.get(cell.store, cell.store).removeprefix(" on ").removeprefix(" in ")


def joined(parts: Iterable[str]) -> str:
    """Return `a`, `a and b`, `a, b and c`."""
    listed = list(parts)
    return listed[0] if len(listed) == 1 else ", ".join(listed[:-1]) + " and " + listed[-1] if listed else ""


def capital(sentence: str) -> str:
    """Return the sentence with its first letter raised and the rest as it is."""
    return sentence[:1].upper() + sentence[1:]
