"""What a user agent says: crawler or not, browser, operating system and kind of device; each is looked at once."""

import re
from functools import lru_cache
from typing import NamedTuple

from crawlerdetect import CrawlerDetect  # type: ignore[import-untyped]
from ua_parser import parse

from services.common.event import DeviceType

_NAME_MAX_LENGTH = 64
# Thousands of patterns look at it, and some take time that grows with the square of the length.
_LOOKED_AT_LENGTH = 512
# Load balancers, orchestrators and monitors that crawlerdetect doesn't know.
_HEALTH_CHECK = re.compile(
    r"health[-_ ]?(?:check(?:s|er)?|probe)\b|^(?:Envoy/HC|Prometheus/|Blackbox[ -]Exporter|HAProxy|Amazon CloudFront)"
    r"|^(?:Azure Traffic Manager|Load Balancer Agent|AlwaysOn$|ReadyForRequest/|Cloudflare-Traffic-Manager|k6/)"
    r"|^Datadog/Synthetics|\(internal dummy connection\)|^internal dummy connection",
    re.IGNORECASE,
)
_TABLET = re.compile(r"iPad|Tablet(?! PC)|Kindle|Silk/|PlayBook|Android(?!.*(?:Mobile|Mini|Mobi))", re.IGNORECASE)
_MOBILE = re.compile(
    r"Mobi|iPhone|iPod|Android|Windows Phone|BlackBerry|BB10|Opera Mini|Symbian|MIDP|KAIOS|webOS", re.IGNORECASE
)
_DESKTOP = re.compile(r"Windows NT|Windows 9|Macintosh|X11|Linux|CrOS|Win98|OpenBSD|FreeBSD", re.IGNORECASE)


class Agent(NamedTuple):
    """A user agent; `browser` and `os` are families without versions."""

    crawler: bool
    browser: str | None
    os: str | None
    device_type: DeviceType


_crawlers = CrawlerDetect()


def describe(user_agent: str) -> Agent:
    """What is known of a user agent; nothing for an empty one."""
    return _describe(user_agent[:_LOOKED_AT_LENGTH])


@lru_cache(maxsize=16_384)
def _describe(user_agent: str) -> Agent:
    crawler = _crawlers.is_crawler(user_agent) or _HEALTH_CHECK.search(user_agent) is not None
    known = parse(user_agent)
    return Agent(
        crawler,
        known.user_agent.family[:_NAME_MAX_LENGTH] if known.user_agent else None,
        known.os.family[:_NAME_MAX_LENGTH] if known.os else None,
        "other" if crawler else _device_type(user_agent),
    )


def _device_type(user_agent: str) -> DeviceType:
    if _TABLET.search(user_agent):
        return "tablet"
    if _MOBILE.search(user_agent):
        return "mobile"
    return "desktop" if _DESKTOP.search(user_agent) else "other"
