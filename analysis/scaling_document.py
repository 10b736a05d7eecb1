"""Scale-out for programs: what stands of each series in summary.json (docs/file-formats.md)."""

from __future__ import annotations

from typing import Any

from analysis.replica_series import as_document
from analysis.scale_out import KINDS, Curve
from analysis.usl import Usl


def document(each: Curve) -> dict[str, Any]:
    """Return one series; lists go along `replicas`."""
    law, bend = each.usl(), each.bend()
    return {
        "series": each.series.name,
        "cells": [each.results[n].cell.id for n in each.counts],
        "replicas": each.counts,
        "throughput_rps": [as_document(each.results[n].estimates["throughput_rps"]) for n in each.counts],
        "efficiency": [as_document(each.efficiency(n)) for n in each.counts],
        "demand_us": {kind: [as_document(each.demand_us(kind, n)) for n in each.counts] for kind in (*KINDS, "total")},
        "busiest": [{"kind": b.kind, "share": b.share, "of": b.of} for n in each.counts for b in (each.busiest(n),)],
        "usl": None if law is None else _law_document(law),
        "predictions": [
            {
                "replicas": found.replicas,
                "from_replicas": each.base,
                "predicted_rps": as_document(found.predicted),
                "over_measured": as_document(found.error),
                "by_demand_over_measured": as_document(found.by_demand),
                "limit": found.limit,
            }
            for found in each.predictions()
        ],
        "bend": None
        if bend is None
        else {
            "predicted": as_document(bend.predicted),
            "limit": bend.limit,
            "observed": as_document(bend.observed),
            "over_observed": as_document(bend.error),
        },
    }


def _law_document(law: Usl) -> dict[str, Any]:
    figures = {"gamma_rps": law.gamma, "sigma": law.sigma, "kappa": law.kappa}
    return {**{name: as_document(figure) for name, figure in figures.items()}, "peak": law.peak}
