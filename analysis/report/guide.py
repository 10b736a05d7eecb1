"""What the reader of any run must know: how to read the figures, and what they cannot say."""

from __future__ import annotations

from analysis.compare import MARGIN
from analysis.load import Run
from loadtests import load_words

_OPEN = (
    (
        "Open loop",
        (
            "Requests are sent when a schedule says so, whether or not earlier ones were answered, as users who "
            "do not know of each other send them. A closed loop, a fixed number of users who wait, slows down with the "
            "server and flatters it; the two never compare."
        ),
    ),
    (
        "Response time and service time",
        (
            "Service time counts from the write to the last octet. Response time also counts how long a request waited "
            "because its user was still busy; leaving that out is called coordinated "
            "omission, and hides the worst of a "
            "slow server."
        ),
    ),
)
_CLOSED = (
    (
        "Closed loop",
        (
            "A fixed number of users, each of whom sends its next request when the last one is answered and its think "
            "time is over. A slow server slows its own load down, so this shows how much a system can serve, and not "
            "how long users wait who come whenever they like; it never compares with an open loop."
        ),
    ),
    (
        "Response time and service time",
        (
            "Both count from the write to the last octet: nobody comes while a user waits, so no wait is left out and "
            "none is added."
        ),
    ),
    (
        "Throughput",
        (
            "Requests answered within the measured phase, over its length. Here it is a result, and more is better; "
            "faster means a higher throughput."
        ),
    ),
)
_CHANGING = (
    (
        "Changing rate",
        (
            "The rate went from one value to another over each measured phase. Figures of the whole phase mix its "
            "rates; what each gave is in the table by step."
        ),
    ),
)
_EVERY = (
    (
        "Block and interval",
        (
            "A block runs every cell once on fresh servers, in random order. Requests of one "
            "block share its luck, so a "
            "block counts once, however many requests it has. A 95 % interval is Student's t "
            "over blocks (on logarithms "
            "for times): of 20 such intervals, 19 hold the true value."
        ),
    ),
    (
        "Verdicts",
        (
            "Comparisons are paired by block. Faster or slower: the paired t test, corrected for all comparisons that "
            "answer the same question on the "
            f"metric (Holm 1979), is below 5 %. Equivalent: the whole interval lies within {100 * MARGIN:g} %. "
            "Inconclusive: this run cannot tell. Unstable: the difference is no larger than one that this run found "
            "between two identical cells. Of CPU the report says less and more."
        ),
    ),
    (
        "Cannot be measured here",
        (
            "Fewer blocks of the cell are valid than half of those that it ran: what is left would be the "
            "machine's quiet moments, so no figure is given."
        ),
    ),
    (
        "Refused",
        (
            "401 answers to users who are signed in, over requests sent. Cells with any are not compared: a refusal is "
            "cheaper than an answer."
        ),
    ),
    (
        "Auth and store time",
        "Measured inside the replica and sent in the Server-Timing header of each answer. Auth includes the store.",
    ),
    (
        "Exact",
        "The value was the same in every block: octets on the socket and the store's counters do not scatter.",
    ),
)

_MACHINE = (
    "Everything ran on one machine over loopback: a store that is far away costs more than here.",
    (
        "Load generator, balancer, store and replicas share one machine. Without a quota, more replicas on the same "
        "cores is contention, not scaling."
    ),
    (
        "A trial lasts seconds. Its p99 rests on the slowest few requests of each block, so small differences in p99 "
        "mean nothing, and slow effects such as memory growth do not show."
    ),
)
_PLAIN = "HTTP/1.1 without TLS: HTTP/2 would shrink a repeated header to about a byte."
_SOME_TLS = (
    "HTTP/1.1, with TLS only where a cell says so: HTTP/2 would shrink a repeated header to about a byte. Connections "
    "are kept, so the price of TLS is that of encrypting, not of handshakes."
)
_ALL_TLS = (
    "HTTP/1.1 over TLS in every cell: HTTP/2 would shrink a repeated header to about a byte. Connections are kept, so "
    "handshakes are not in the figures."
)
_LAG = (
    "A store that lags is as late as one machine makes it: between machines the copies are further behind, and more "
    "requests meet one that does not know the session yet."
)
_CONTAINERS = (
    "Servers ran in containers: every request passed the engine's own proxy of a published port and a virtual network, "
    "so these times compare with those of other runs in containers alone."
)
_LOAD = (
    "Connections are kept alive and the endpoint does almost no work, which makes authentication a larger share of a "
    "request than in most applications."
)


def reading(run: Run) -> tuple[tuple[str, str], ...]:
    """Return how to read the figures of this run, by its load model."""
    if load_words.is_closed(run.load):
        return (*_CLOSED, *_EVERY)
    return (*_OPEN, *(_CHANGING if run.load.get("ramp_to_rps") else ()), *_EVERY)


def limits(run: Run) -> tuple[str, ...]:
    """Return what the figures of this run cannot say, by what its cells were."""
    secured = [cell.options.get("tls") == "on" for cell in run.cells]
    wire = _ALL_TLS if all(secured) else _SOME_TLS if any(secured) else _PLAIN
    late = (_LAG,) if any(cell.lags for cell in run.cells) else ()
    contained = (_CONTAINERS,) if run.document.get("launcher") == "compose" else ()
    return (*_MACHINE, *contained, wire, *late, _LOAD)
