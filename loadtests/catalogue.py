"""The metrics by name, unit and meaning: what a threshold may ask about before a run, and a report tells after it.

Definitions are docs/file-formats.md; the values are made by `analysis.metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One figure of a cell: its name in summary.json, its name for people, its unit and what it means."""

    name: str
    title: str
    unit: str
    group: str
    meaning: str
    better: Literal["less", "more"] = "less"

    @property
    def positive(self) -> bool:
        """Whether it is a time, which scatters by factors and is estimated on logarithms."""
        return self.unit in ("ms", "us")


METRICS = (
    Metric("response_p50_ms", "response p50", "ms", "Latency", "median response time of answered requests"),
    Metric("response_p90_ms", "response p90", "ms", "Latency", "response time that 90 % stay under"),
    Metric("response_p99_ms", "response p99", "ms", "Latency", "response time that 99 % stay under"),
    Metric("response_mean_ms", "response mean", "ms", "Latency", "arithmetic mean response time of a block"),
    Metric("service_p50_ms", "service p50", "ms", "Latency", "median service time: from write to last octet"),
    Metric("throughput_rps", "throughput", "1/s", "Requests", "answered requests a second", better="more"),
    Metric("refused_ratio", "refused", "", "Requests", "401s to signed-in users, over requests sent"),
    Metric("error_ratio", "errors", "", "Requests", "wrong, late or missing answers, over requests sent"),
    Metric("auth_p50_us", "auth p50", "us", "Authentication", "time to recognise the user, store included"),
    Metric("store_p50_us", "store p50", "us", "Authentication", "time that the replica waited for the store"),
    Metric("store_p99_us", "store p99", "us", "Authentication", "the same, of the slowest request in a hundred"),
    Metric("auth_store_share", "auth on the store", "", "Authentication", "part of a check's time spent on the store"),
    Metric("store_commands_per_request", "store commands", "", "Authentication", "the store's own counters"),
    Metric(
        "store_bytes_in_per_request", "to the store", "octets", "Bytes", "read by the store per request, as it counts"
    ),
    Metric("store_bytes_out_per_request", "from the store", "octets", "Bytes", "written by the store per request"),
    Metric("request_bytes", "request", "octets", "Bytes", "sent per request, head and body"),
    Metric("response_bytes", "response", "octets", "Bytes", "received per request, head and body"),
    Metric("credential_bytes", "credential", "octets", "Bytes", "the header line that carries the credential"),
    Metric("replica_cpu_us_per_request", "replica CPU", "us", "CPU", "all replicas' CPU time per request"),
    Metric("balancer_cpu_us_per_request", "balancer CPU", "us", "CPU", "balancer's CPU time per request"),
    Metric("store_cpu_us_per_request", "store CPU", "us", "CPU", "store's CPU time per request"),
    Metric("total_cpu_us_per_request", "total CPU", "us", "CPU", "replicas, balancer and store together"),
    Metric("replica_rss_mb", "replica memory", "MB", "Memory", "resident set of one replica, mean, at the end"),
    Metric("store_memory_bytes", "store memory", "octets", "Memory", "the store's own count, at the end"),
)
BY_NAME: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}
