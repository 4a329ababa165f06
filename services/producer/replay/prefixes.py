"""What others put before a log line: syslog (RFC 3164 and 5424), container runtimes, Docker Compose, kubectl."""

import re

_COLOUR = rb"(?:\x1b\[[\d;]*m)*"
_ISO = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)"
_BSD = rb"[A-Z][a-z]{2} [ \d]\d (?:\d{4} )?\d\d:\d\d:\d\d(?:\.\d{1,9})?"
_TAG = rb"[^\s:\[]+(?:\[\d+\])?: "
_prefix = re.compile(
    _COLOUR
    + rb"(?:[\w.-]+ *\| )?"  # docker compose logs
    + _COLOUR
    + rb"(?:\[pod/[^\]\s]+\] )?"  # kubectl logs --prefix
    + rb"(?:<\d{1,3}>)?(?:"
    + rb"1 %s \S+ \S+ \S+ \S+ (?:-|(?:\[[^\]]*\])+) (?:\xef\xbb\xbf)?" % _ISO  # RFC 5424
    + rb"|%s (?:stdout|stderr) F " % _ISO  # CRI
    + rb"|%s (?:\S+(?<!:) )?%s" % (_ISO, _TAG)  # rsyslog
    + rb"|%s (?:\S+(?<!:) )?(?:%s)?" % (_BSD, _TAG)  # RFC 3164
    + rb"|%s " % _ISO  # docker logs --timestamps
    + rb")?"
).match


def without(line: bytes) -> bytes:
    """The line without what stands before it; the line itself if nothing known does."""
    found = _prefix(line)
    return line[found.end() :] if found else line
