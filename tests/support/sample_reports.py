"""Reports to show, with outcomes of every kind and with texts that would like to be markup."""

from __future__ import annotations

from mlquery.conformance.report import KnownDeviation, Outcome, Report, Row

HOSTILE = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 1'>&amp;\u2028\u202e$title\0"
LONG = "x" * 400


def row(name: str, outcome: Outcome, *details: str, features: tuple[str, ...] = ("order.metric",)) -> Row:
    query = f"filter: metrics.{name} > 1"
    return Row(f"ties.{name}", "ties", f"The case {name}", features, outcome, details, query)


def rows_with(outcome: Outcome, *details: str) -> tuple[Row, ...]:
    """Return a few cases that went well and one that went as said."""
    return (
        row("a", "pass"),
        row("b", "pass", features=("filter.metric", "order.metric")),
        row("c", outcome, *details),
        row("d", "refused-as-declared", features=("join.or",)),
        row("e", "skipped", "the target cannot be told the time", features=("experiment.filter.creation_time",)),
        row("f", "pass", features=()),
    )


def report(
    product: str, rows: tuple[Row, ...], *deviations: KnownDeviation, dialect: str = "oss", target: str = ""
) -> Report:
    target = target or f"sqlite:///{product}.db"
    return Report(target, product, "1.2.3", dialect, "2026-11-26T04:10:09Z", "9f2c41d07ab3", rows, deviations)


GOOD = report("Good", rows_with("pass"))
NO_CLOCK = KnownDeviation("no clock", "it cannot be told", "https://x.invalid/1")
BAD = report("Bad", rows_with("fail", "expected rows a, b, not b, a"), NO_CLOCK)
QUOTED = row("g", "fail", "rows, not, told", features=("key.quoted",))
ODD = report("Odd", (*rows_with("errored", "no answer in 30 s"), QUOTED))
AZURE = report("Good", rows_with("refused-as-declared"), dialect="azure")
EVIL = report(
    HOSTILE,
    (
        Row(
            f"ties.{HOSTILE}",
            HOSTILE,
            HOSTILE,
            (HOSTILE, "join.or"),
            "fail",
            (f"expected {HOSTILE}",),
            HOSTILE,
        ),
        Row(f"ties.{LONG}", LONG, LONG, (LONG,), "errored", (LONG, "\ud800"), f"filter: {LONG}"),
    ),
    KnownDeviation(HOSTILE, LONG, "javascript:window.broken=1"),
    KnownDeviation(HOSTILE, LONG, f"https://x.invalid/'\"{HOSTILE}"),
    dialect=HOSTILE,
    target=f"http://{LONG}",
)
