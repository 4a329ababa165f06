"""Any web server's log: each line is recognised by what it is, with or without a prefix, or is a bad line."""

from collections.abc import Callable

from services.producer.replay import combined, prefixes
from services.producer.replay.hits import Hit
from services.producer.replay.ordering import Found
from services.producer.replay.report import BadLineError
from services.producer.replay.views import Views

NOT_A_LOG_LINE = "not a line of a web server's log in a format that is known"

Parse = Callable[[bytes], Hit | None]


class Reader:
    """Makes a page view of a line."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._parsers: tuple[Parse, ...] = (combined.parse,)

    def __call__(self, line: bytes) -> Found | None:
        """The page view, or None of a line that is counted as left out.

        Raises:
            BadLineError: not a log line, or nothing that can become a valid event.
        """
        return self._views(self._hit(line), line)

    def _hit(self, line: bytes) -> Hit:
        bare = prefixes.without(line)
        for parse in self._parsers:
            hit = parse(bare)
            if hit is not None:
                return hit
        raise BadLineError(NOT_A_LOG_LINE)
