"""Which loads there are: what a load model takes, what it refuses by name, and the `Load` that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loadtests.arrivals import PROCESSES
from loadtests.client import CLIENTS
from loadtests.experiment import Load
from loadtests.pacing import CLOSED, MODELS, OPEN
from topology.spec import SpecError, in_range, one_of

REQUIRED: dict[str, type | tuple[type, ...]] = {
    "scenario": str, "users": int, "warm_up_s": (int, float), "duration_s": (int, float),
}  # fmt: skip
OPTIONAL: dict[str, type | tuple[type, ...]] = {
    "model": str, "rate_rps": (int, float), "arrivals": str, "max_in_flight": int, "ramp_to_rps": (int, float),
    "steps": int, "think_s": (int, float), "warm_up_max_s": (int, float), "client": str,
    "workers": int, "remote_workers": int,
}  # fmt: skip
"""Keys of [load] in an experiment's file."""

_OF_OPEN = ("rate_rps", "arrivals", "max_in_flight", "ramp_to_rps", "steps")
_OF_CLOSED = ("think_s",)
_KNOBS = {
    "rate_rps": "rate", "ramp_to_rps": "ramp-to", "think_s": "think", "max_in_flight": "max-in-flight",
    "warm_up_max_s": "warmup-max",
}  # fmt: skip
_WARM_UP_MAX_S = 3.0
_MAX_RATE_RPS, _MAX_USERS, _MAX_SECONDS, _MAX_STEPS = 1_000_000, 20_000, 86_400, 100
_MAX_WORKERS = 256
_OF_BOTH = ("warm_up_max_s", "client", "workers", "remote_workers")


def load_of(section: Mapping[str, Any], changes: Mapping[str, Any]) -> Load:
    """The load of [load], where `changes` (of the command line) are laid over it already.

    What a file says for the other model is left alone, because only the model may have been changed; on the command
    line it is refused.

    Raises:
        SpecError: for a value that is unknown, out of its range, or of the other model.

    """
    model = section.get("model", OPEN)
    one_of("model", model, MODELS)
    for key in _OF_OPEN if model == CLOSED else _OF_CLOSED:
        if changes.get(key) is not None:
            instead = "USERS and THINK make its load" if model == CLOSED else "RATE makes its load, or MODEL=closed"
            raise SpecError(f"{_KNOBS.get(key, key)} has no meaning in {_A[model]} loop: leave it out; {instead}")
    of_model = _OF_CLOSED if model == CLOSED else _OF_OPEN
    load = {key: value for key, value in section.items() if key in {*REQUIRED, *_OF_BOTH, *of_model}}
    _above_0("duration", load["duration_s"], _MAX_SECONDS)
    every = _every_worker(load)
    in_range("users", load["users"], every, _MAX_USERS * every)
    one_of("client", load.get("client", CLIENTS[0]), CLIENTS)
    _warm_up(load)
    if model == CLOSED:
        _from_0("think", load.get("think_s", 0), _MAX_SECONDS)
        return Load(**load | {"model": model, "rate_rps": 0.0})
    _open(load)
    return Load(**load | {"model": model})


_A = {OPEN: "an open", CLOSED: "a closed"}


def _open(load: Mapping[str, Any]) -> None:
    one_of("arrivals", load.get("arrivals", "poisson"), PROCESSES)
    if "rate_rps" not in load:
        raise SpecError("an open loop needs a rate: 'rate_rps' in [load], or RATE")
    _above_0("rate", load["rate_rps"], _MAX_RATE_RPS)
    _from_0("max-in-flight", load.get("max_in_flight", 0), _MAX_USERS)
    ramp_to, steps = load.get("ramp_to_rps", 0), load.get("steps", 0)
    _from_0("ramp-to", ramp_to, _MAX_RATE_RPS)
    if steps:
        in_range("steps", steps, 2, _MAX_STEPS)
        if not ramp_to:
            raise SpecError("steps lead somewhere: name the rate of the last one with RAMP_TO")


def _every_worker(load: Mapping[str, Any]) -> int:
    here, elsewhere = load.get("workers", 1), load.get("remote_workers", 0)
    in_range("workers", here, 0, _MAX_WORKERS)
    in_range("remote-workers", elsewhere, 0, _MAX_WORKERS)
    if not here + elsewhere:
        raise SpecError("somebody must send: workers and remote-workers are both 0")
    if here + elsewhere > 1 and load.get("max_in_flight"):
        raise SpecError("max-in-flight counts the requests of one process, and workers are several: leave one out")
    return int(here + elsewhere)


def _warm_up(load: dict[str, Any]) -> None:
    """Check the warm-up; where no budget is named it is three seconds, or one round if that is longer."""
    _from_0("warmup", load["warm_up_s"], _MAX_SECONDS)
    most = load.setdefault("warm_up_max_s", max(_WARM_UP_MAX_S, load["warm_up_s"]) if load["warm_up_s"] else 0.0)
    _from_0("warmup-max", most, _MAX_SECONDS)
    if 0 < most < load["warm_up_s"]:
        raise SpecError(
            f"warmup-max ({most:g} s) must not be less than one round of warm-up, warmup ({load['warm_up_s']:g} s); "
            "0 makes one round that is not judged"
        )


def _above_0(what: str, value: float, most: float) -> None:
    if not 0 < value <= most:
        raise SpecError(f"{what} must be above 0 and at most {most}, not {value}")


def _from_0(what: str, value: float, most: float) -> None:
    if not 0 <= value <= most:
        raise SpecError(f"{what} must lie between 0 and {most}, not {value}")
