"""librdkafka's configuration from our settings, and where its log lines go."""

import logging
from pathlib import Path
from typing import Any

from services.common.errors import UserError
from services.common.settings import KafkaSettings

_PROTOCOLS_WITH_SASL = ("SASL_PLAINTEXT", "SASL_SSL")


def client_config(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
    """The properties that every client of ours shares.

    Raises:
        UserError: SASL is asked for without a user name or password, or a certificate is not there.
    """
    config: dict[str, Any] = {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "client.id": client_id,
        "security.protocol": settings.kafka_security_protocol,
        "logger": logging.getLogger("librdkafka"),
        "reconnect.backoff.max.ms": 2000,
        "topic.metadata.refresh.interval.ms": 60_000,
        "allow.auto.create.topics": False,
    }
    if settings.kafka_security_protocol in _PROTOCOLS_WITH_SASL:
        if settings.kafka_sasl_username is None or settings.kafka_sasl_password is None:
            raise UserError(
                f"KAFKA_SECURITY_PROTOCOL={settings.kafka_security_protocol} needs "
                "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
            )
        config["sasl.mechanism"] = settings.kafka_sasl_mechanism
        config["sasl.username"] = settings.kafka_sasl_username
        config["sasl.password"] = settings.kafka_sasl_password.get_secret_value()
    for name, path in (
        ("ssl.ca.location", settings.kafka_ssl_ca_location),
        ("ssl.certificate.location", settings.kafka_ssl_certificate_location),
        ("ssl.key.location", settings.kafka_ssl_key_location),
    ):
        if path:
            if not Path(path).is_file():
                raise UserError(f"KAFKA_{name.replace('.', '_').upper()}: there is no file {path}")
            config[name] = path
    return config
