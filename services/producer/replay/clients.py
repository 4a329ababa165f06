"""Which address is the client's: the first public one of a forwarded list, in one spelling; never a guess."""

import ipaddress
import re
from functools import lru_cache

from services.producer.replay.report import BadLineError

NO_CLIENT = "which word is the client's address is not certain: --log-format says it"
TWO_CLIENTS = "two addresses could be the client's: --log-format says which is"

_INSIDE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("0.0.0.0/8", "::/127", "fc00::/7", "fe80::/10"),
    )
)
# RFC 7239, section 6: who forwards may hide an address.
_HIDDEN = ("-", "unknown", "")
_with_port = re.compile(r"(?:\[([^\]]+)\]|([^:]+))(?::\d{1,5})?").fullmatch
_name = re.compile(r"(?=.*[A-Za-z])[\w-]+(?:\.[\w-]+)*\.?", re.ASCII).fullmatch


@lru_cache(maxsize=65_536)
def address(text: str) -> str | None:
    """The IP address in its one spelling, without port, brackets and zone; None if it is none."""
    if parts := _with_port(text):
        text = parts[1] or parts[2]
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(ip, "ipv4_mapped", None) or ip)


@lru_cache(maxsize=65_536)
def first_of(listed: str) -> str | None:
    """The client of `client, proxy, proxy`: the first public address, else the first; None if it is no such list."""
    found = []
    for entry in listed.split(","):
        if (entry := entry.strip().strip('"')) not in _HIDDEN:
            ip = address(entry)
            if ip is None:
                return None
            found.append(ip)
    return next((ip for ip in found if is_public(ip)), found[0] if found else None)


@lru_cache(maxsize=65_536)
def is_public(client: str) -> bool:
    """Whether the client is one of the Internet, not of somebody's own network; a host name is nobody's own."""
    try:
        ip = ipaddress.ip_address(client)
    except ValueError:
        return True
    return not any(ip in network for network in _INSIDE)


def behind(ip: str, forwarded: str | None) -> str:
    """The client, if `forwarded` stands beside the address that asked: our own proxy's address makes way for it.

    Raises:
        BadLineError: both may be the client, since anyone can send a forwarded list.
    """
    client = first_of(forwarded) if forwarded else None
    if client is None or client == ip:
        return ip
    if is_public(ip) == is_public(client):
        raise BadLineError(TWO_CLIENTS)
    return ip if is_public(ip) else client


def named(text: str) -> str | None:
    """A client where the format says that this is one: an address, or the host name that a look-up found."""
    return first_of(text) or (text.lower() if _name(text) else None)
