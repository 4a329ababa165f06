"""Any web server's log: each line is recognised by what it is, with or without a prefix, or is a bad line."""

from collections.abc import Callable

from services.producer.replay import balancer, combined, jsonlog, prefixes
from services.producer.replay.hits import Hit
from services.producer.replay.logformat import LogFormat
from services.producer.replay.ordering import Found
from services.producer.replay.report import BadLineError
from services.producer.replay.views import Views
from services.producer.replay.w3c import Log

NOT_A_LOG_LINE = "not a line of a web server's log in a format that is known"
NOT_OF_THIS_FORMAT = "not a line of the format that --log-format says"

Parse = Callable[[bytes], Hit | None]


class Reader:
    """Makes a page view of a line of one file; a line of another format than a given one is a bad line."""

    def __init__(self, views: Views, given: LogFormat | None = None) -> None:
        self._views = views
        self._given = given
        self._w3c = Log()
        self._parsers: tuple[Parse, ...] = (combined.parse, jsonlog.parse, self._w3c.parse, balancer.parse)

    def says_nothing(self, line: bytes) -> bool:
        """Whether the line only tells of the lines after it.

        Raises:
            BadLineError: the lines after it can't be read.
        """
        return line.startswith(b"#") and self._given is None and self._w3c.is_directive(line)

    def __call__(self, line: bytes) -> Found | None:
        """The page view, or None of a line that is counted as left out.

        Raises:
            BadLineError: not a log line, or nothing that can become a valid event.
        """
        hit = self._hit_of_given(line) if self._given else self._hit(line)
        return self._views(hit, line)

    def _hit(self, line: bytes) -> Hit:
        for bare in _bared(line):
            for parse in self._parsers:
                hit = parse(bare)
                if hit is not None:
                    return hit
        raise BadLineError(NOT_A_LOG_LINE)

    def _hit_of_given(self, line: bytes) -> Hit:
        for text in _bared(line):
            hit = self._given.parse(text) if self._given else None
            if hit is not None:
                return hit
        raise BadLineError(NOT_OF_THIS_FORMAT)


def _bared(line: bytes) -> tuple[bytes, ...]:
    """The line without its wrapping, and as it is: a classic load balancer's begins with a time, as a prefix may."""
    bare = prefixes.without(jsonlog.unwrapped(line))
    return (bare,) if bare == line else (bare, line)
