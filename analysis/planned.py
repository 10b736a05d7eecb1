"""A plan as values: figures with intervals and with how each was obtained, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from analysis.load import Cell
from analysis.plan_question import Question

FORMAT = 1
FAR = 10.0
"""Factor beyond what was run above which a figure is called far extrapolated."""
How = Literal["measured", "modelled", "extrapolated", "refused"]


@dataclass(frozen=True)
class Planned:
    """A figure of a plan.

    Attributes:
        name: in plan.json, with its unit.
        title: for people.
        value, low, high: None where it is refused; the interval is what the 95 % interval of the demands gives.
        how: `measured` is a measured figure times the load; `modelled` a law or a simulation; `extrapolated` the same,
            for more than was run; `refused` no figure.
        note: from what, or why there is none.
        factor: by how much it goes beyond what was run; None where that has no meaning.

    """

    name: str
    title: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    how: How
    note: str
    factor: float | None = None

    @property
    def far(self) -> bool:
        """Whether it goes so far beyond what was run that it is an order of magnitude."""
        return self.factor is not None and self.factor > FAR


def refused(name: str, title: str, unit: str, why: str) -> Planned:
    """Return a figure that the data do not carry."""
    return Planned(name, title, unit, None, None, None, "refused", why)


@dataclass(frozen=True)
class SeriesPlan:
    """The plan for one scheme, store, policy and set of options; without figures where `refusal` says why."""

    cell: Cell
    figures: tuple[Planned, ...] = ()
    refusal: str = ""
    cautions: tuple[str, ...] = ()

    def figure(self, name: str) -> Planned | None:
        """Return the figure of that name."""
        return next((each for each in self.figures if each.name == name), None)


@dataclass(frozen=True)
class Plan:
    """The answer to a question from one run."""

    question: Question
    run: Mapping[str, Any]
    series: tuple[SeriesPlan, ...]

    def document(self) -> dict[str, Any]:
        """Return plan.json."""
        asked = self.question
        return {
            "format": FORMAT,
            "run": self.run.get("id"),
            "question": {
                "rps": asked.rps,
                "users": asked.users,
                "slo": str(asked.objective) if asked.objective else None,
                "headroom": asked.headroom,
                "replica_cpus": asked.replica_cpus,
                "target_utilisation": asked.target,
            },
            "series": [
                {
                    "scheme": each.cell.scheme,
                    "store": each.cell.store,
                    "policy": each.cell.policy,
                    "options": dict(each.cell.options),
                    "refusal": each.refusal or None,
                    "cautions": list(each.cautions),
                    "figures": {
                        figure.name: {
                            **{key: value for key, value in asdict(figure).items() if key not in ("name", "title")},
                            "far": figure.far,
                        }
                        for figure in each.figures
                    },
                }
                for each in self.series
            ],
        }
