"""Which site or app an event is of: a short lower-case name, such as the host of its pages.

An event says so itself, or else its URL does. What says neither is of the site that the consumer's DEFAULT_SITE names.
"""

import re
from functools import lru_cache

MAX_LENGTH = 63
# A name without any letter or digit is what logs and tables write for nothing: `-`, `_`.
PATTERN = r"[._-]*[A-Za-z0-9][A-Za-z0-9._-]*"
DEFAULT = "default"

_is_name = re.compile(PATTERN, re.ASCII).fullmatch
_authority = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)").match
_host = re.compile(r"(?:.*@)?([^:@]+)(?::\d*)?", re.ASCII | re.DOTALL).fullmatch


def canonical(name: str) -> str | None:
    """The name in lower case; None if it is not one."""
    return name.lower() if _is_name(name) and len(name) <= MAX_LENGTH else None


@lru_cache(maxsize=1024)
def of_host(host: str) -> str | None:
    """The name of a host, as it stands in a URL or a header: without user, port, final dot and `www.`.

    None where that is no name: an IPv6 address, letters beyond ASCII, more than 63 characters.
    """
    parts = _host(host)
    return canonical(parts[1].lower().removesuffix(".").removeprefix("www.")) if parts else None


def of_url(url: str | None) -> str | None:
    """The name of a URL's host; None without one."""
    if not url:
        return None
    path_at = url.find("/", url.find("://") + 3)  # many URLs begin alike: each beginning is looked at once
    return _of_origin(url if path_at < 0 else url[:path_at])


@lru_cache(maxsize=1024)
def _of_origin(origin: str) -> str | None:
    parts = _authority(origin)
    return of_host(parts[1]) if parts else None


def of_event(site: str | None, page_url: str | None) -> str | None:
    """What an event says of its site, itself or by its URL; None if neither says it."""
    return canonical(site) if site is not None else of_url(page_url)
