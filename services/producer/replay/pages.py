"""What counts as a page view in a web-server log, as log analysers have always counted.

A page view is a GET answered with success (2xx, or 304: the visitor's copy was still good) for something that is not a
feed and not an asset or a download by its extension. docs and tests count the same with a few lines of awk.
"""

import re

_ASSET = re.compile(
    r"\.(?:css|js|mjs|map|json|xml|xsl|txt|csv|log|png|jpe?g|gif|ico|svgz?|webp|avif|bmp|tiff?|woff2?|ttf|otf|eot|swf"
    r"|pdf|ps|docx?|xlsx?|pptx?|od[tsp]|epub|mobi|zip|t?gz|t?bz2?|xz|7z|rar|tar|jar|exe|msi|dmg|iso|deb|rpm|gem|apk|bin"
    r"|mp[34]|m4[av]|og[gv]|wav|flac|webm|avi|mov|mpe?g|wmv|flv)$",
    re.IGNORECASE,
)
_FEED_PATH = re.compile(r"(?:/(?:feed|rss|atom)/?|/(?:feed|rss|atom)[^/]*\.xml|\.(?:rss|atom|rdf))$", re.IGNORECASE)
_FEED_QUERY = re.compile(r"(?:^|&)(?:flav|feed|format)=(?:rss|atom|rdf)", re.IGNORECASE)


def why_not_a_page(method: str, status: int, path: str, query: str) -> str | None:
    """The kind of request that is no page view (method, redirect, error, feed, asset), or None for a page view."""
    if method != "GET":
        return "method"
    if not (200 <= status < 300 or status == 304):
        return "redirect" if 300 <= status < 400 else "error"
    if _FEED_PATH.search(path) or (query and _FEED_QUERY.search(query)):
        return "feed"
    return "asset" if _ASSET.search(path) else None
