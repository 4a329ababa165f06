"""A broker that somebody else runs: Apache Kafka that lets clients in by TLS with SCRAM, or by their certificate.

Only what its access lists allow is possible, so the rights that docs/managed-services.md asks for are the rights that
suffice. E2E_KAFKA_IMAGE is the official image of Apache Kafka, or any whose program `kafka FILE --add-scram …` formats
the storage and runs a broker with that configuration.
"""

import json
import os

from tests.e2e.certificates import Authority
from tests.e2e.cluster import Manifest, Namespace
from tests.e2e.pods import configuration, pod, secret, service, volume

IMAGE = os.environ.get("E2E_KAFKA_IMAGE", "apache/kafka:4.1.0")
SCRAM_PORT, MTLS_PORT = 9093, 9094
USER, PASSWORD = "clickstream", "kafka-of-tests"
ADMIN, ADMIN_PASSWORD = "admin", "admin-of-tests"
LABELS = {"app": "kafka"}

_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9095
controller.listener.names=CONTROLLER
listeners=SCRAM://:{scram},MTLS://:{mtls},INTERNAL://127.0.0.1:9092,CONTROLLER://127.0.0.1:9095
advertised.listeners=SCRAM://{host}:{scram},MTLS://{host}:{mtls},INTERNAL://127.0.0.1:9092
listener.security.protocol.map=SCRAM:SASL_SSL,MTLS:SSL,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=INTERNAL
ssl.keystore.type=PEM
ssl.keystore.location=/certificates/keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location=/certificates/ca.crt
listener.name.mtls.ssl.client.auth=required
listener.name.mtls.ssl.principal.mapping.rules=RULE:^CN=([^,]+).*$/$1/
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.scram.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{admin}
allow.everyone.if.no.acl.found=false
auto.create.topics.enable=false
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.dirs=/data/kafka
"""
# The official image has Kafka's own scripts; `kafka` does the same where an image offers it.
_START = """
set -eu
properties=/config/kafka.properties
set -- --add-scram 'SCRAM-SHA-512=[name={user},password={password}]'
set -- "$@" --add-scram 'SCRAM-SHA-512=[name={admin},password={admin_password}]'
if [ ! -d /opt/kafka/bin ]; then
    exec kafka $properties "$@"
fi
cd /opt/kafka/bin
./kafka-storage.sh format --ignore-formatted -t "$(./kafka-storage.sh random-uuid)" -c $properties "$@"
exec ./kafka-server-start.sh $properties
"""

# What docs/managed-services.md says the account needs, and nothing more.
_GRANT = """
import json, sys
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, AdminClient
from confluent_kafka.admin import ResourcePatternType, ResourceType
config, user, rights = map(json.loads, sys.argv[1:])
bindings = [
    AclBinding(ResourceType[kind], name, ResourcePatternType.LITERAL, f"User:{user}", "*", AclOperation[operation],
               AclPermissionType.ALLOW)
    for kind, name, operations in rights for operation in operations
]
admin = AdminClient(config)
for future in admin.create_acls(bindings, request_timeout=30).values():
    future.result()
"""
_TOPIC_RIGHTS = ("CREATE", "DESCRIBE", "READ", "WRITE")
_GROUP_RIGHTS = ("READ",)


def host(namespace: str) -> str:
    """Its name in the cluster's DNS."""
    return f"kafka.{namespace}.svc.cluster.local"


def manifests(namespace: str, authority: Authority) -> list[Manifest]:
    """The broker, with a certificate for its name."""
    certificate, key = authority.server(host(namespace))
    properties = _PROPERTIES.format(scram=SCRAM_PORT, mtls=MTLS_PORT, host=host(namespace), admin=ADMIN)
    start = _START.format(user=USER, password=PASSWORD, admin=ADMIN, admin_password=ADMIN_PASSWORD)
    container = {
        "name": "kafka",
        "image": IMAGE,
        "command": ["sh", "-c", start],
        "env": [{"name": "LOG_DIR", "value": "/data/logs"}, {"name": "KAFKA_HEAP_OPTS", "value": "-Xms256m -Xmx320m"}],
        "readinessProbe": {"tcpSocket": {"port": SCRAM_PORT}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "10m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
    }
    volumes = [
        volume("certificates", secret={"secretName": "kafka"}),
        volume("config", configMap={"name": "kafka"}),
        volume("data", emptyDir={}),
        volume("tmp", emptyDir={}),
    ]
    return [
        secret("kafka", {"keystore.pem": key + certificate, "ca.crt": authority.certificate}),
        configuration("kafka", {"kafka.properties": properties}),
        service("kafka", LABELS, [SCRAM_PORT, MTLS_PORT]),
        pod("kafka", LABELS, container, volumes, user=1000),
    ]


def grant_rights(namespace: Namespace, authority: Authority, topics: list[str], group: str) -> None:
    """Let the account use the topics and the group; run in the pod `tools`, as the administrator."""
    admin = {
        "bootstrap.servers": f"{host(namespace.name)}:{SCRAM_PORT}",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": ADMIN,
        "sasl.password": ADMIN_PASSWORD,
        "ssl.ca.pem": authority.certificate,
    }
    rights = [("TOPIC", topic, _TOPIC_RIGHTS) for topic in topics] + [("GROUP", group, _GROUP_RIGHTS)]
    namespace.execute("tools", ["python", "-c", _GRANT, *map(json.dumps, (admin, USER, rights))])
