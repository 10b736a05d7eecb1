"""What signed-in users occupy, how long a look-up among many takes, and that sessions expire."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from analysis.compare import MARGIN, Comparison
from analysis.drawing import panel
from analysis.estimates import CellResult
from analysis.finding import Finding
from analysis.lines import Drawing, Figure
from analysis.load import Run
from analysis.memory import READINGS, Expiry, Growth, document, expiries, growths
from analysis.palette import Ink, inks
from analysis.report.table import Entry, Table
from analysis.rows import logarithmic
from analysis.section import Section
from analysis.slope import Line
from analysis.wording import NOTHING, capital, count, interval, joined, number, percent, series, subject

PLACE = 45
_OWN = {"store_bytes": "store", "disk_blocks_bytes": "disk", "replica_rss_bytes": "replica"}
"""The readings that stand for a kind of memory each, in findings and the figure."""
_WHERE = {"store": "in the store", "disk": "on disk", "replica": "in the replica"}
_SLOPES = (
    "Octets (or files) that one more signed-in user occupies: the slope of least squares over the readings at each "
    "number of users, 0 among them, with the t interval over {of}; what there is without any user is apart. Store, by "
    "its own count: used_memory of Valkey, bytes of memcached, tables with their indexes of PostgreSQL; of all nodes. "
    "Store's processes: proportional set size, so that memory that several share counts once. Replica's process: its "
    "resident set."
)
_TIMES = (
    "Median of what the replica says that recognising a user took (Server-Timing, us), over look-ups of users drawn "
    "at random, one after the other; the interval is exact, of order statistics, over look-ups taken as independent."
)
_EXPIRIES = (
    "Users with a short idle limit, and then no request. Records are the store's own count, with what it keeps beside "
    "sessions (indexes of users, which end with the absolute limit). At last each is asked for; the interval is the "
    "exact binomial one."
)


def section(run: Run, results: Sequence[CellResult], comparisons: Sequence[Comparison]) -> Section | None:  # noqa: ARG001 - of every section
    """Return the part on memory, where the run counted sessions."""
    growth, expiry = growths(run), expiries(run)
    if not growth and not expiry:
        return None
    findings = (*_memory_findings(growth), *_time_findings(growth), *_expiry_findings(expiry))
    return Section(
        id="memory",
        title="What signed-in users occupy",
        text=tuple(f"Users were signed in by {way}: {who}." for way, who in _ways(growth).items()),
        answer=tuple(each.text for each in findings),
        findings=findings,
        tables=(*_slope_table(growth), *_time_table(growth), *_expiry_table(expiry)),
        figures=tuple(_figures(run, growth)),
        document=document(growth, expiry),
    )


def _ways(growth: Sequence[Growth]) -> dict[str, str]:
    ways = dict.fromkeys(each.way for each in growth)
    return {way: joined(series(each.cell) for each in growth if each.way == way) for way in ways}


def _slope_table(growth: Sequence[Growth]) -> list[Table]:
    rows = [
        (
            Entry(f"{series(each.cell)}: {READINGS[name]}"),
            Entry(number(line.slope.value), interval(line.slope.low, line.slope.high)),
            Entry(number(line.intercept.value), interval(line.intercept.low, line.intercept.high)),
            Entry(str(line.points)),
        )
        for each in growth
        for name, line in each.lines.items()
    ]
    over = any(line.over_blocks for each in growth for line in each.lines.values())
    note = _SLOPES.format(of="blocks" if over else "these points")
    columns = ("octets", "each user", "without any", "readings")
    return [Table("Memory against signed-in users", columns, tuple(rows), note)] if rows else []


def _time_table(growth: Sequence[Growth]) -> list[Table]:
    counts = sorted({at for each in growth for at in each.auth_us})
    rows = tuple((Entry(series(each.cell)), *(_time(each, at) for at in counts)) for each in growth)
    if not counts:
        return []
    return [Table("Time to recognise a user, among how many", ("us", *(f"{at:,}" for at in counts)), rows, _TIMES)]


def _time(growth: Growth, at: int) -> Entry:
    found = growth.auth_us.get(at)
    return Entry(number(found.value), interval(found.low, found.high)) if found else Entry(NOTHING)


def _expiry_table(expiry: Sequence[Expiry]) -> list[Table]:
    rows = []
    for each in expiry:
        before, made, left = each.keys or (None, None, None)
        rows.append(
            (
                Entry(series(each.cell)),
                Entry(f"{each.made:,}", f"idle limit {each.idle_s} s"),
                Entry(number(made), f"{number(before)} before"),
                Entry(
                    number(left),
                    "" if each.last_gone_s is None else f"the last went after {number(each.last_gone_s)} s",
                ),
                Entry(percent(each.refused.value), f"{percent(each.refused.low)} to {percent(each.refused.high)}"),
            )
        )
    columns = ("expiry", "users", "records", "left without a request", "refused at last")
    return [Table("Sessions left alone", columns, tuple(rows), _EXPIRIES)] if rows else []


def _figures(run: Run, growth: Sequence[Growth]) -> list[Figure]:
    colours = inks(run.cells)
    panels = []
    for name, what in _OWN.items():
        drawn = [each for each in growth if name in each.readings]
        if drawn:
            told = joined(f"{series(each.cell)} {number(each.lines[name].slope.value)}" for each in drawn)
            alt = f"Growth of {READINGS[name]} with signed-in users, octets each: {told}."
            with panel(f"memory-{name}", alt, height=230) as made:
                _draw(made.axes, [(each.readings[name], colours[each.cell.scheme, each.cell.store]) for each in drawn])
            panels.append(Drawing(f"{capital(what)}: MB more, against users", alt, made.svg))
    timed = [each for each in growth if each.auth_us]
    if timed:
        alt = "Median auth time in us among the most users: " + joined(
            f"{series(each.cell)} {number(each.auth_us[max(each.auth_us)].value)}" for each in timed
        )
        with panel("memory-auth", f"{alt}.", height=230) as made:
            for each in timed:
                _draw_times(made.axes, each, colours[each.cell.scheme, each.cell.store])
            logarithmic(made.axes, made.axes.xaxis)
            logarithmic(made.axes, made.axes.yaxis)
        panels.append(Drawing("Time to recognise a user (us), against users", f"{alt}.", made.svg))
    key = dict.fromkeys((colours[each.cell.scheme, each.cell.store].name, series(each.cell)) for each in growth)
    return [
        Figure(
            id="memory",
            title="Memory and look-ups against signed-in users",
            caption="Readings at rest, less the one without any user; each block is a mark.",
            reading="A straight line is a price per user. Flat is none.",
            key=tuple(key),
            panels=tuple(panels),
        )
    ] if panels else []  # fmt: skip


def _draw(axes: Axes, drawn: Sequence[tuple[tuple[tuple[int, float], ...], Ink]]) -> None:
    for readings, ink in drawn:
        start = min(value for at, value in readings if at == min(at for at, _ in readings))
        places = [at / 1000 for at, _ in readings]
        values = [(value - start) / 1e6 for _, value in readings]
        axes.plot(places, values, color=ink.light, marker=ink.marker, markersize=5, linewidth=1.5)
    axes.set_xlabel("thousand users")


def _draw_times(axes: Axes, growth: Growth, ink: Ink) -> None:
    places = list(growth.auth_us)
    values = [each.value or 0.0 for each in growth.auth_us.values()]
    lows = [each.low or value for each, value in zip(growth.auth_us.values(), values, strict=True)]
    highs = [each.high or value for each, value in zip(growth.auth_us.values(), values, strict=True)]
    axes.vlines(places, lows, highs, color=ink.light, linewidth=2)
    axes.plot(places, values, color=ink.light, marker=ink.marker, markersize=5, linewidth=1.5)


def _memory_findings(growth: Sequence[Growth]) -> list[Finding]:
    said = []
    for each in growth:
        parts = [f"{_octets(each.lines[name])} {_WHERE[what]}" for name, what in _OWN.items() if name in each.lines]
        if parts:
            said.append(f"{subject(each.cell)} {joined(parts)}")
    if not said:
        return []
    text = f"One more signed-in user occupies, in octets: {'; '.join(said)}."
    return [
        Finding("memory-slope", "finding", "Memory per signed-in user", text, tuple(each.cell.id for each in growth))
    ]


def _octets(line: Line) -> str:
    span = f" ({interval(line.slope.low, line.slope.high)})" if line.slope.low is not None else ""
    return f"{number(line.slope.value)}{span}"


def _time_findings(growth: Sequence[Growth]) -> list[Finding]:
    timed = [each for each in growth if each.auth_ratio.value is not None]
    single = [each for each in timed if each.auth_ratio.low is None]
    slower = [each for each in timed if (each.auth_ratio.low or 0.0) > 1 + MARGIN]
    rest = [each for each in timed if each not in slower and each not in single]
    made = []
    if slower:
        told = "; ".join(f"{subject(each.cell)} {_ratio(each)}" for each in slower)
        made.append(_on_time(f"Recognising a user takes longer among many: {told}.", slower))
    if rest:
        told = "; ".join(f"{subject(each.cell)} {_ratio(each)}" for each in rest)
        made.append(_on_time(f"No such growth beyond the margin of 5 % could be shown: {told}.", rest))
    if single:
        told = "; ".join(f"{subject(each.cell)} {number(each.auth_ratio.value)}" for each in single)
        text = f"Median time to recognise a user, among most over among fewest: {told} (one block, so no verdict)."
        made.append(_on_time(text, single))
    return made


def _on_time(text: str, about: Sequence[Growth]) -> Finding:
    return Finding("memory-lookup", "finding", "Look-ups among many", text, tuple(each.cell.id for each in about))


def _ratio(growth: Growth) -> str:
    few, many, ratio = min(growth.auth_us), max(growth.auth_us), growth.auth_ratio
    span = f"95 % interval {interval(ratio.low, ratio.high)}"
    return f"{number(ratio.value)} times as long among {many:,} as among {few:,} ({span})"


def _expiry_findings(expiry: Sequence[Expiry]) -> list[Finding]:
    if not expiry:
        return []
    alive = [each for each in expiry if each.refused.count < each.refused.of]
    total = sum(each.refused.of for each in expiry)
    gone = [
        f"{subject(each.cell)} {each.keys[1]:,} to {each.keys[2]:,}, the last after {number(each.last_gone_s)} s"
        for each in expiry
        if each.keys and each.last_gone_s is not None
    ]
    without = f" Records by the store's own count, without any request: {'; '.join(gone)}." if gone else ""
    ended = (
        f"not all expired: {joined(subject(each.cell) for each in alive)}"
        if alive
        else "all were refused when asked for"
    )
    text = f"Of {count(total, 'session')} left alone for longer than the idle limit {ended}.{without}"
    return [
        Finding(
            "memory-expiry", "finding", "Sessions expire by themselves", text, tuple(each.cell.id for each in expiry)
        )
    ]
