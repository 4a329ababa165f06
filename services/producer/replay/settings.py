"""The replay's settings; each is an option of the command too."""

from typing import Literal

from pydantic import Field, SecretStr

from services.producer.settings import SendingSettings
from services.producer.site import SiteOption


class ReplaySettings(SendingSettings):
    """How files become events."""

    monitoring_port: int = Field(
        0, ge=0, le=65535, description="port of /healthz, /readyz and /metrics; 0: any free one"
    )
    producer_format: Literal["log", "ndjson", "csv"] | None = Field(
        None, description="log (of a web server), ndjson or csv; unset: by the file's name and its first line"
    )
    producer_log_format: str = Field("", description="a log's fields, in the notation of nginx or of Apache")
    producer_columns: str = Field("", description="CSV without a header: the columns' names, COLUMN,…")
    producer_delimiter: str = Field(
        "", pattern=r'^(|tab|[^\s"A-Za-z0-9])$', description="CSV: what stands between fields, a character or tab"
    )
    producer_map: str = Field("", description="CSV: FIELD=COLUMN,…")
    producer_map_event: str = Field("", description="CSV: THEIRS=OURS,… for the names of event types")
    producer_speed: str = Field(
        "max",
        pattern=r"^(max|real|x(0\.\d*[1-9]\d*|[1-9]\d{0,8}(\.\d+)?))$",
        description="max, real (as long as it took), or a multiple such as x60",
    )
    producer_bots: Literal["drop", "keep"] = Field("drop", description="drop or keep what crawlers asked for")
    producer_source: str = Field(
        "replay", min_length=1, max_length=128, description="name of the data; part of every derived id"
    )
    producer_site: SiteOption = Field(
        None,
        validate_default=False,
        description="site of events that name none, part of every derived id: its name or https://its.address",
    )
    producer_visitor_key: SecretStr = Field(
        SecretStr(""), description="secret that makes pseudonyms of addresses; the same one for the same ids"
    )
