"""Print the event's JSON Schema: `python -m services.common.schema > docs/event.schema.json`."""

import json
import sys

from services.common.event import json_schema


def text() -> str:
    """The document as it is committed: fields in the event's order."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
