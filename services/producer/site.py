"""`--site`: what a site is called, and where its pages are."""

import re
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from services.common import sites

_is_address = re.compile(r"https?://[^\s/?#@]+/?", re.IGNORECASE).fullmatch


class Site(NamedTuple):
    """A site; `address` (https://shop.example) stands before the paths of its pages, if it is known."""

    name: str
    address: str | None = None


SHOP = Site("shop.example")


def parse(text: str) -> Site:
    """The site of a name, or of an address whose host is one.

    Raises:
        ValueError: it is neither.
    """
    text = text.strip()
    name = sites.of_url(text) if _is_address(text) else sites.canonical(text)
    if name is None:
        raise ValueError("must be a site's name or its address, such as shop.example or https://shop.example")
    return Site(name, text.rstrip("/") if _is_address(text) else None)


def parse_all(texts: str) -> tuple[Site, ...]:
    """The sites of a list, each once, in their order.

    Raises:
        ValueError: one is neither a name nor an address.
    """
    return tuple({site.name: site for site in map(parse, texts.split(","))}.values())


SiteOption = Annotated[Site | None, NoDecode, BeforeValidator(parse)]
SitesOption = Annotated[tuple[Site, ...], NoDecode, BeforeValidator(parse_all)]
