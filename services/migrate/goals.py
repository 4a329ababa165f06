"""Which events are a conversion, by site: a setting, which the migration writes where the rollups read it.

GOALS is a JSON object of lists, as in `{"*": [{"event_type": "purchase"}], "blog.example": [{"event_type": "custom",
"event_name": "newsletter_signup"}, {"event_type": "page_view", "page": "/thanks*"}]}`. `*` stands for all sites that
have no goals of their own; in a page, for any characters.
"""

import json
from collections.abc import Mapping
from typing import Annotated, LiteralString

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_settings import NoDecode

from services.common import sites
from services.common.event import EventType
from services.common.postgres import Connection

EVERY_OTHER_SITE = "*"
SiteOrAll = Annotated[
    str, StringConstraints(to_lower=True, pattern=rf"^(?:\*|{sites.PATTERN})$", max_length=sites.MAX_LENGTH)
]
_READ: LiteralString = "SELECT site, event_type, event_name, page_pattern FROM clickstream.goal ORDER BY 1, 2, 3, 4"
_WRITE: LiteralString = (
    "INSERT INTO clickstream.goal (site, event_type, event_name, page_pattern) VALUES (%s, %s, %s, %s)"
)
Row = tuple[str, str, str, str]


class Goal(BaseModel):
    """Events of a type, and of a name or on a page if these are given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_type: EventType
    event_name: str = Field("", max_length=64)
    page: str = Field("", max_length=2000)


def _decoded(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON: {error}") from None


Goals = Annotated[Mapping[SiteOrAll, list[Goal]], NoDecode, BeforeValidator(_decoded)]
PURCHASES: dict[str, list[Goal]] = {EVERY_OTHER_SITE: [Goal(event_type="purchase")]}


def rows(goals: Goals) -> list[Row]:
    """As the table has them. Sites that are not named have purchases for a goal, unless `*` says otherwise.

    A site with an empty list has none: a row that no event is like tells it from one that is not named.
    """
    return sorted(
        {
            row
            for site, of_site in {**PURCHASES, **goals}.items()
            for row in [(site, str(goal.event_type), goal.event_name, goal.page) for goal in of_site]
            or [(site, "", "", "")]
        }
    )


def are_written(connection: Connection, goals: Goals) -> bool:
    """Whether the database has just these."""
    return connection.execute(_READ).fetchall() == rows(goals)


def write(connection: Connection, goals: Goals) -> None:
    """Let the database have just these, in the caller's transaction."""
    connection.execute("DELETE FROM clickstream.goal")
    with connection.cursor() as cursor:
        cursor.executemany(_WRITE, rows(goals))
