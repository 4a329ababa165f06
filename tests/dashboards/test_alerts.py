"""Alert rules: each is complete, stays calm on a healthy platform, fires when provoked, and clears."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from psycopg import sql

from services.common.postgres import Connection, connect
from tests.conftest import Database
from tests.dashboards.conftest import TOPIC, Filled, limit_capacity
from tests.dashboards.files import DASHBOARDS, ROOT, load
from tests.dashboards.rules import Rule, rules
from tests.integration.pipeline import settings_of

RULES = {rule.name: rule for rule in rules()}
LATER = timedelta(hours=2)
BY_SITE = ("traffic_minute", "page_day", "page_hour", "source_day", "source_hour", "session_hour", "visitor_count")


@dataclass(frozen=True)
class Platform:
    """A platform's books in the hands of a test; `now` is what rules take for the time."""

    owner: Connection
    reader: Callable[[], Connection]
    database: str
    now: datetime

    def insert(self, table: str, **values: Any) -> None:
        """A row; columns that are not named are 0, empty or null."""
        columns = self.owner.execute(
            "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'clickstream' "
            "AND table_name = %s AND is_nullable = 'NO' AND is_identity = 'NO'",
            [table],
        ).fetchall()
        blank: dict[str, Any] = {"text": "", "boolean": False, "ARRAY": [], "timestamp with time zone": self.now}
        row = {name: blank.get(kind, 0) for name, kind in columns} | values
        names = sql.SQL(", ").join(map(sql.Identifier, row))
        marks = sql.SQL(", ").join([sql.Placeholder()] * len(row))
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(sql.Identifier(table), names, marks)
        self.owner.execute(statement, [*row.values()])

    def batch(self, ago: timedelta = timedelta(seconds=5), **values: Any) -> None:
        """A batch of the ledger; sums are kept right."""
        stored = values.pop("stored", 100)
        received = stored + values.get("duplicate", 0) + values.get("dead", 0)
        columns = {"freshness_p95_seconds": 0.5, "rolled_up": True, "committed_at": self.now - ago} | values
        self.insert("ingest_batch", topic=TOPIC, partitions=[0], received=received, stored=stored, **columns)

    def firing(self, rule: Rule, after: timedelta = timedelta()) -> set[tuple[str, ...]]:
        """What fires, some time from now."""
        with self.reader() as reader:
            return rule.firing(reader, self.now + after)


@pytest.fixture
def platform(migrated: Database) -> Iterator[Platform]:
    """In perfect health."""
    limit_capacity(migrated)
    with connect(settings_of(migrated), "tests", autocommit=True) as owner:

        def reader() -> Connection:
            return connect(settings_of(migrated, "grafana_reader"), "grafana", autocommit=True)

        found = Platform(owner, reader, migrated.dbname, datetime.now(UTC))
        found.batch()
        found.insert("partition_offset", topic=TOPIC, partition=0, received=100, stored=100, topic_id="t")
        found.insert("aggregator_run", finished_at=found.now, started_at=found.now - timedelta(seconds=50))
        for days in (0, 1, 2):
            owner.execute("SELECT create_event_partition((%s AT TIME ZONE 'UTC')::date + %s)", [found.now, days])
        yield found


def _history(p: Platform) -> None:
    """Sixteen days at an even pace: 100 views, 20 carts, 6 purchases a minute, at this time of day."""
    first = (p.now - timedelta(days=16)).date()
    p.insert("visitor_count", period="day", starts_on=first, visitors=1, new_visitors=1)
    p.owner.execute(
        "INSERT INTO traffic_minute (minute, site, event_type, device_type, events) "
        "SELECT m - d * interval '1 day', 'shop.example', t.event_type, 'desktop', t.events + d %% 3 "
        "FROM generate_series(date_trunc('minute', %(now)s::timestamptz) - interval '20 minutes', "
        "date_trunc('minute', %(now)s::timestamptz), interval '1 minute') AS g (m), generate_series(0, 14) AS a (d), "
        "(VALUES ('page_view', 100), ('add_to_cart', 20), ('purchase', 6)) AS t (event_type, events)",
        {"now": p.now},
    )


def _multiply_now(p: Platform, by: float) -> None:
    p.owner.execute("UPDATE traffic_minute SET events = events * %s WHERE minute > %s", [by, p.now - LATER])


def _peak(p: Platform) -> None:
    _history(p)
    _multiply_now(p, 9)


def _hour(p: Platform, hours: int = 0) -> datetime:
    return p.now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours)


def _lag(p: Platform) -> None:
    p.owner.execute("UPDATE partition_offset SET high_watermark = 50, updated_at = %s", [p.now - timedelta(minutes=2)])


def _duplicates(p: Platform) -> None:
    p.batch(timedelta(days=2), stored=50_000, duplicate=100)
    p.batch(stored=2_000, duplicate=300)


def _page(p: Platform) -> None:
    for page, views in (("/", 700), ("/odd", 300)):
        day = p.now.date() - timedelta(days=2)
        p.insert("page_day", day=day, page_path=page, views=views * 10 if page == "/" else 30)
        p.insert("page_hour", hour=_hour(p), page_path=page, views=views if page == "/odd" else 100)


def _source(p: Platform) -> None:
    for source, usually, now in (("direct", 1000, 30), ("spam.example", 20, 200)):
        p.insert("source_day", day=p.now.date() - timedelta(days=2), source=source, sessions=usually)
        p.insert("source_hour", hour=_hour(p), source=source, sessions=now)


def _conversion(p: Platform) -> None:
    for days, hours in [(days, hours) for days in range(15) for hours in (1, 2)]:
        bought = 1 if days == 0 else 30 + days % 4
        p.insert("session_hour", hour=_hour(p, hours) - timedelta(days=days), sessions=600, conversions=bought)


def _robot(p: Platform) -> None:
    zero = "01900000-0000-7000-8000-000000000000"
    ids = {f"{which}_event_id": zero for which in ("entry", "exit", "min", "max")}
    at = {"started_at": p.now - timedelta(seconds=30), "ended_at": p.now - timedelta(seconds=10)}
    p.insert("session", session_id=zero, visitor_id="robot", clicks=200, events=200, **at, **ids)


def _split(p: Platform, table: str) -> None:
    """A third of each row's figures to another site: the sums stay."""
    kinds = p.owner.execute(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'clickstream' AND table_name = %s AND column_name <> 'site'",
        [table],
    ).fetchall()
    names = ", ".join(name for name, _ in kinds)
    thirds = ", ".join(f"{name} / 3" if kind == "bigint" else name for name, kind in kinds)
    rests = ", ".join(f"{name} = {name} - {name} / 3" for name, kind in kinds if kind == "bigint")
    other = f"INSERT INTO {table} (site, {names}) SELECT 'blog.example', {thirds} FROM before"
    p.owner.execute(f"WITH before AS (TABLE {table}), _ AS ({other}) UPDATE {table} SET {rests}".encode())


def _capacity(p: Platform, size_bytes: int) -> None:
    setting = sql.SQL("ALTER DATABASE {} SET clickstream.capacity_bytes = {}")
    p.owner.execute(setting.format(sql.Identifier(p.database), str(size_bytes)))


Act = Callable[[Platform], object]


def run(statement: str) -> Act:
    """As the owner."""
    return lambda p: p.owner.execute(statement.encode())


# What makes a rule fire, and what clears it; None: time alone.
CASES: dict[str, tuple[Act, Act | None]] = {
    "NoEvents": (
        run("UPDATE ingest_batch SET committed_at = committed_at - interval '6 minutes'"),
        lambda p: p.batch(),
    ),
    "FreshnessSlow": (lambda p: p.batch(freshness_p95_seconds=25), None),
    "LagHigh": (_lag, run("UPDATE partition_offset SET next_offset = high_watermark")),
    "BalanceOff": (
        run("UPDATE partition_offset SET received = received + 1"),
        run("UPDATE partition_offset SET stored = stored + 1"),
    ),
    "OffsetsLost": (lambda p: p.batch(lost=7, note="gone"), None),
    "RollupDrift": (
        lambda p: p.insert("verification", verified_at=p.now - timedelta(minutes=9), rollup="page_hour", drift_rows=2),
        lambda p: p.insert("verification", verified_at=p.now - timedelta(minutes=1), rollup="page_hour", rows=9),
    ),
    "DeadLettersMany": (lambda p: p.batch(stored=900, dead=100), None),
    "DeadLettersNewReason": (
        lambda p: p.insert("dead_letter", reason="invalid_json", failed_at=p.now - timedelta(minutes=1)),
        None,
    ),
    "DuplicatesUnusual": (_duplicates, None),
    "AggregatorLate": (
        run("UPDATE aggregator_run SET finished_at = finished_at - interval '6 minutes'"),
        lambda p: p.insert("aggregator_run", started_at=p.now, finished_at=p.now),
    ),
    "PartitionMissing": (
        lambda p: p.owner.execute(f"DROP TABLE event_{p.now + timedelta(days=1):%Y%m%d}".encode()),
        lambda p: p.owner.execute("SELECT create_event_partition(%s)", [p.now.date() + timedelta(days=1)]),
    ),
    "DatabaseNearlyFull": (lambda p: _capacity(p, 1_000_000), lambda p: _capacity(p, 10**12)),
    "ActivityUnusual": (_peak, lambda p: _multiply_now(p, 1 / 9)),
    "VisitorTooFast": (_robot, None),
    "PageDominates": (_page, run("UPDATE page_hour SET views = 100")),
    "SourceDominates": (_source, run("UPDATE source_hour SET sessions = 1000 WHERE source = 'direct'")),
    "ConversionCollapsed": (_conversion, run("UPDATE session_hour SET conversions = 31 WHERE conversions = 1")),
}


def test_every_rule_has_a_case() -> None:
    assert CASES.keys() == RULES.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_rule_fires_when_provoked_and_clears(platform: Platform, name: str) -> None:
    provoke, cure = CASES[name]
    assert not platform.firing(RULES[name])
    provoke(platform)
    assert platform.firing(RULES[name])
    if cure is None:
        assert not platform.firing(RULES[name], LATER)
    else:
        cure(platform)
        assert not platform.firing(RULES[name])


def test_runs_that_fail_make_the_aggregator_late(platform: Platform) -> None:
    run("UPDATE aggregator_run SET finished_at = finished_at - interval '6 minutes'")(platform)
    platform.insert("aggregator_run", started_at=platform.now, finished_at=platform.now, error="no pass could begin")
    assert platform.firing(RULES["AggregatorLate"])


@pytest.mark.parametrize("name", ["ActivityUnusual", "PageDominates", "SourceDominates", "ConversionCollapsed"])
def test_a_rule_reads_the_sum_over_all_sites(platform: Platform, name: str) -> None:
    provoke, _ = CASES[name]
    provoke(platform)
    with platform.reader() as reader:
        of_one_site = RULES[name].values(reader, platform.now)
        assert any(map(RULES[name].fires, of_one_site.values()))
        for table in BY_SITE:
            _split(platform, table)
        assert RULES[name].values(reader, platform.now) == of_one_site


def test_a_healthy_platform_with_a_history_is_calm(platform: Platform) -> None:
    _history(platform)
    assert {name for name, rule in RULES.items() if platform.firing(rule)} == set()


def test_silence_where_there_used_to_be_visitors_is_unusual(platform: Platform) -> None:
    _history(platform)
    platform.owner.execute("DELETE FROM traffic_minute WHERE minute > %s", [platform.now - LATER])
    assert platform.firing(RULES["ActivityUnusual"]) >= {("page views",), ("carts",)}


def test_a_new_platform_has_no_opinion_on_what_is_unusual(platform: Platform) -> None:
    _history(platform)
    platform.owner.execute("UPDATE visitor_count SET starts_on = %s", [platform.now.date() - timedelta(days=3)])
    _multiply_now(platform, 9)
    assert not platform.firing(RULES["ActivityUnusual"])


def test_a_reason_known_for_days_is_not_new(platform: Platform) -> None:
    for days in (3, 0):
        ago = timedelta(days=days, minutes=1)
        platform.insert("dead_letter", reason="invalid_json", failed_at=platform.now - ago)
    assert not platform.firing(RULES["DeadLettersNewReason"])


def test_one_lost_partition_is_not_hidden_by_others(platform: Platform) -> None:
    later = replace(platform, now=platform.now + timedelta(minutes=3))
    platform.insert(
        "partition_offset", topic=TOPIC, partition=1, high_watermark=5, updated_at=platform.now, topic_id="t"
    )
    assert later.firing(RULES["LagHigh"])


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_rule_runs_on_real_data_and_never_lacks_an_answer(filled: Filled, rule: Rule) -> None:
    with filled.reader() as reader:
        assert rule.values(reader, filled.until)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_rule_is_complete(rule: Rule) -> None:
    dashboards = {load(file)["uid"]: load(file) for file in DASHBOARDS}
    panels = {panel["id"] for panel in dashboards[rule.raw["dashboardUid"]]["panels"]}
    assert rule.raw["panelId"] in panels
    assert rule.raw["condition"] == "B"
    assert [node["datasourceUid"] for node in rule.raw["data"]] == ["clickstream-postgres", "__expr__"]
    assert rule.raw["labels"]["severity"] in ("warning", "critical")
    assert rule.raw["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert "reporting." in rule.sql
    assert "now()" not in rule.sql
    runbook = ROOT / "docs" / "runbooks" / f"{rule.name}.md"
    assert rule.raw["annotations"]["runbook_url"] == f"${{RUNBOOKS_URL}}{runbook.name}"
    text = runbook.read_text()
    parts = [text.index(part) for part in (f"# {rule.name}\n", "## What it means", "## First look", "## Remedy")]
    assert all(a < b for a, b in pairwise(parts))


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_a_runbook_says_what_its_rule_says(rule: Rule) -> None:
    runbooks = ROOT / "docs" / "runbooks"
    text, index = (runbooks / f"{rule.name}.md").read_text(), (runbooks / "README.md").read_text()
    description, severity = rule.raw["annotations"]["description"], rule.raw["labels"]["severity"]
    assert f"\n{description}\n" in text
    assert f"| severity | {severity} |" in text
    lasting = "at once" if rule.raw["for"] == "0s" else f"for {rule.raw['for']}"
    assert f" {rule.threshold:g}, {lasting} |" in text
    assert f"| [{rule.name}]({rule.name}.md) | {severity} | {description} |" in index


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_an_outage_is_told_once_it_lasts_and_resolves_nothing(rule: Rule) -> None:
    """A failed evaluation is an error only after the rule's `for`: one that fires at once must not take it for one."""
    assert rule.raw["execErrState"] == ("KeepLast" if rule.raw["for"] == "0s" else "Error")


def test_uids_are_used_once_and_every_runbook_has_a_rule() -> None:
    assert len({rule.raw["uid"] for rule in RULES.values()}) == len(RULES)
    runbooks = {file.stem for file in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README"}
    assert {name for name in runbooks if not name.startswith("Clickstream")} == RULES.keys()  # those are Prometheus'
