"""values.yaml, its schema and the templates say the same."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.chart.render import CHART, CHARTS, SUBCHARTS, Object, containers, one, pods, refusal, render

every_chart = pytest.mark.parametrize("chart", CHARTS, ids=lambda path: path.name)
_PARTS = {part.name for part in SUBCHARTS}


def _values(chart: Path) -> Object:
    values: Object = yaml.safe_load((chart / "values.yaml").read_text())
    return values


def _schema(chart: Path) -> Object:
    schema: Object = json.loads((chart / "values.schema.json").read_text())
    return schema


def _leaves(values: Object, schema: Object, path: str = "") -> Iterator[tuple[str, Object | None]]:
    """Every value with its schema; resources and maps that users fill are leaves.

    An empty schema leaves the rest to a part's own.
    """
    for key, value in values.items():
        own = schema["properties"].get(key) if "properties" in schema else schema
        where = f"{path}.{key}" if path else key
        if (
            isinstance(value, dict)
            and value
            and own is not None
            and key != "resources"
            and ("properties" in own or not own)
        ):
            yield from _leaves(value, own, where)
        else:
            yield where, own


def _objects(schema: Any, path: str = "") -> Iterator[tuple[str, Object]]:
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield path, schema
        for key, value in schema.items():
            yield from _objects(value, f"{path}/{key}")


@every_chart
def test_every_value_is_in_the_schema(chart: Path) -> None:
    assert [path for path, schema in _leaves(_values(chart), _schema(chart)) if schema is None] == []
    jsonschema.validate(_values(chart), _schema(chart))


@every_chart
def test_every_name_of_the_schema_is_a_value(chart: Path) -> None:
    values = _values(chart)
    if chart in SUBCHARTS:
        # Read by the parent chart.
        values |= {"enabled": True, "external": {}}
    unknown = set(_schema(chart)["properties"]) - values.keys() - {"global"}
    assert unknown <= {"external"}


@every_chart
def test_the_schema_is_strict(chart: Path) -> None:
    jsonschema.Draft7Validator.check_schema(_schema(chart))
    loose = [
        path
        for path, schema in _objects(_schema(chart))
        if "properties" in schema and schema.get("additionalProperties") is not False
    ]
    assert loose == []


@every_chart
def test_every_value_is_explained(chart: Path) -> None:
    explained = set(_explained((chart / "values.yaml").read_text()))
    paths = [path.split(".") for path, _ in _leaves(_values(chart), _schema(chart))]
    # A comment above a map explains what is in it.
    prefixes = {".".join(names): {".".join(names[: n + 1]) for n in range(len(names))} for names in paths}
    assert [path for path, own in prefixes.items() if not own & explained] == []


def _explained(text: str) -> Iterator[str]:
    """Paths of the values that stand below a comment `# -- …`."""
    above: list[tuple[int, str]] = []
    comment = False
    for line in text.splitlines():
        key = re.match(r"( *)(\w+):( |$)", line)
        if key:
            above = [(indent, name) for indent, name in above if indent < len(key[1])] + [(len(key[1]), key[2])]
            if comment:
                yield ".".join(name for _, name in above)
        comment = line.lstrip().startswith("# -- ") or (comment and line.lstrip().startswith("#"))


@every_chart
def test_every_value_is_used(chart: Path) -> None:
    templates = "\n".join(path.read_text() for path in chart.glob("templates/**/*.*"))
    unused = []
    for path, _ in _leaves(_values(chart), _schema(chart)):
        names = path.split(".")
        if (names[0] not in _PARTS or chart != CHART) and not re.search(rf"\.{names[-1]}\b", templates):
            unused.append(path)
    assert unused == []


def test_the_parts_values_are_named_as_in_the_parts() -> None:
    for part in SUBCHARTS:
        own = set(_schema(part)["properties"])
        assert set(_schema(CHART)["properties"][part.name]["properties"]) == own | {"enabled"}
        given = _values(CHART)[part.name]
        assert given.keys() <= _values(part).keys() | {"enabled", "external"}


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"consumer": {"batchSiez": 1}}, "batchSiez"),
        ({"consumers": {}}, "consumers"),
        ({"redpanda": {"replica": 3}}, "replica"),
        ({"postgres": {"enabled": False, "extrenal": {}}}, "extrenal"),
        ({"postgres": {"external": {"hots": "a"}}}, "hots"),
        ({"grafana": {"datasource": {"sslMode": "require"}}}, "sslMode"),
        ({"consumer": {"batchSize": "many"}}, "batchSize"),
        ({"kafka": {"external": {"securityProtocol": "TLS"}}}, "securityProtocol"),
        ({"kafka": {"external": {"bootstrapServers": "kafka.example.com"}}}, "bootstrapServers"),
        ({"producer": {"lateShare": 2}}, "lateShare"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_typo_is_refused(values: Object, named: str) -> None:
    assert named in refusal(values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"redpanda": {"enabled": False}}, "set kafka.external.bootstrapServers"),
        ({"kafka": {"external": {"bootstrapServers": "a:1"}}}, "set redpanda.enabled to false"),
        (
            {
                "redpanda": {"enabled": False},
                "kafka": {"external": {"bootstrapServers": "a:1", "securityProtocol": "SASL_SSL"}},
            },
            "set kafka.external.sasl.existingSecret",
        ),
        (
            {
                "redpanda": {"enabled": False},
                "kafka": {"external": {"bootstrapServers": "a:1", "tls": {"caSecret": "b"}}},
            },
            "set it to SSL or SASL_SSL",
        ),
        ({"kafka": {"topicReplicationFactor": 3}}, "more copies than brokers"),
        ({"redpanda": {"replicas": 2}}, "use 1, 3 or 5"),
        ({"redpanda": {"replicas": 3, "mode": "dev-container"}}, "leave redpanda.mode empty"),
        ({"postgres": {"enabled": False}}, "set postgres.external.host"),
        ({"postgres": {"external": {"host": "a"}}}, "set postgres.enabled to false"),
        ({"postgres": {"external": {"pooler": {"host": "a"}}}}, "with an external PostgreSQL only"),
        (
            {"postgres": {"enabled": False, "external": {"host": "a", "owner": {"username": "b"}}}},
            "set postgres.external.caSecret",
        ),
        (
            {
                "postgres": {
                    "enabled": False,
                    "external": {"host": "a", "sslmode": "require", "owner": {"username": "b", "existingSecret": "c"}},
                }
            },
            "set it to postgres.external.host or to a read replica's",
        ),
        (
            {
                "postgres": {
                    "enabled": False,
                    "external": {"host": "a", "sslmode": "require", "owner": {"username": "b"}},
                }
            },
            "name the Secret with the password of the role that migrates",
        ),
        (
            {
                "postgres": {
                    "enabled": False,
                    "external": {"host": "a", "sslmode": "require", "owner": {"username": "b", "existingSecret": "c"}},
                },
                "grafana": {"datasource": {"host": "a"}},
            },
            "set it to [], or to where the external one is",
        ),
        ({"postgres": {"fullnameOverride": "a"}}, "name it in grafana.datasource.host too"),
        ({"consumer": {"replicas": 13}}, "further consumers would idle"),
        ({"consumer": {"replicas": 2, "autoscaling": {"hpa": {"enabled": True}}}}, "leave it null"),
        ({"consumer": {"autoscaling": {"hpa": {"enabled": True}, "keda": {"enabled": True}}}}, "enable one"),
        ({"consumer": {"autoscaling": {"maxReplicas": 20, "keda": {"enabled": True}}}}, "has 12 partitions"),
        ({"grafana": {"datasource": {"sslmode": "verify-full"}}}, "set grafana.datasource.caSecret"),
        ({"grafana": {"ingress": {"enabled": True}}}, "needs grafana.ingress.host"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_work_is_refused_with_a_remedy(values: Object, sentence: str) -> None:
    assert sentence in refusal(values)


def test_replicas_are_left_to_kubectl_scale_unless_set() -> None:
    def consumer(objects: list[Object]) -> Object:
        return next(
            item["spec"]
            for item in objects
            if item["metadata"]["name"] == "clickstream-consumer" and item["kind"] == "Deployment"
        )

    assert "replicas" not in consumer(render())
    assert consumer(render({"consumer": {"replicas": 0}}))["replicas"] == 0


def test_only_consumers_go_by_way_of_a_pooler() -> None:
    pooler = {"host": "pooler.example.com", "port": 6543, "sslmode": "disable"}
    given = ["--values", str(CHART / "ci" / "external-values.yaml")]
    objects = render({"postgres": {"external": {"pooler": pooler}}}, *given)
    through: dict[str, set[tuple[str, ...]]] = {}
    for name, pod in pods(objects):
        for container in containers(pod):
            env = {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}
            server = tuple(env.get(f"POSTGRES_{part}", "") for part in ("HOST", "PORT", "SSLMODE"))
            through.setdefault(name, set()).add(server)
    consumers = through.pop("Deployment/clickstream-consumer")
    assert consumers == {("pooler.example.com", "6543", "disable")}
    assert {server for servers in through.values() for server in servers if server[0]} == {
        ("postgres.example.com", "5432", "verify-full")
    }
    ports = {name: egress_ports(objects, name) for name in ("consumer", "aggregator", "migrate")}
    assert {name for name, open_ in ports.items() if 6543 in open_} == {"consumer"}
    assert {name for name, open_ in ports.items() if 5432 in open_} == {"aggregator", "migrate"}


def egress_ports(objects: list[Object], component: str) -> set[int]:
    """Where a component's NetworkPolicy lets it go."""
    policy = one(objects, "NetworkPolicy", f"clickstream-{component}")
    return {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
