"""What a line that nobody can read looks like, told to the person who has to say what it is."""

import ipaddress
import re

LOOKED_AT_BYTES = 4096
_SHOWN_CHARACTERS = 160
_KINDS = (
    (r"\{", "a JSON object: of a log's, the client's address, time, method, path and status must be there"),
    (r"\[[\[{\"]", "a JSON array: replay reads one object a line"),
    (r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\w+\]", "the error log of nginx: replay the access log"),
    (r"\d{4}/\d\d/\d\d \S+\t\w+\t", "Caddy's console log, whose times have no zone: let Caddy log as JSON"),
    (r"\[[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d [^\]]*\] \[", "the error log of Apache: replay the access log"),
    (r"#(?:Software|Version|Date|Fields|Remark)", "a W3C extended log"),
    (r"<", "XML or HTML"),
    (r".*\[\d\d/[A-Z][a-z]{2}/\d{4}:", "a web server's log with fields of its own: say --log-format"),
    (r"\S+ (?:stdout|stderr) P ", "a part of a line that a container runtime has cut"),
    (r"\d{4}-\d\d-\d\d[ \t]\d\d:\d\d:\d\d[ \t]\S+", "a W3C extended log (IIS, CloudFront) without its #Fields line"),
    (r"(?:[^,\t;|]*[,\t;|]){3,}", "a table: say --format csv"),
)
_kinds = tuple((re.compile(pattern), name) for pattern, name in _KINDS)
_maybe_address = re.compile(r"[0-9A-Fa-f.:]*[.:][0-9A-Fa-f.:]*")
_mail = re.compile(r"[^\s\"'<>@,;:]+@[^\s\"'<>@,;:]+")
_user = re.compile(r"(?<= )(?!- \[)[^\s\[\]\"]+(?= \[\d\d/)")
_query = re.compile(r"\?[^\s\"]+")


def like(line: bytes) -> str:
    """A line's kind, and what to do about it."""
    text = line.decode("utf-8", "replace")
    if sum(not character.isprintable() or character == "\ufffd" for character in text) > len(text) / 8:
        return "no text"
    known = next((name for pattern, name in _kinds if pattern.match(text)), None)
    return known or "nothing that is known (a web server's log, NDJSON of our own event, CSV)"


def masked(line: bytes) -> str:
    """The line's beginning without addresses, users and queries, since logs of programs are read by others."""
    text = line.decode("utf-8", "replace")[: 4 * _SHOWN_CHARACTERS]
    text = "".join(character if character.isprintable() else "�" for character in text)
    for pattern, replacement in ((_query, "?…"), (_mail, "<mail>"), (_user, "<user>")):
        text = pattern.sub(replacement, text)
    text = _maybe_address.sub(lambda found: "<address>" if _is_address(found[0]) else found[0], text)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _is_address(text: str) -> bool:
    for part in (text, text.rpartition(":")[0]):  # without a port
        try:
            ipaddress.ip_address(part)
        except ValueError:
            continue
        return True
    return False
