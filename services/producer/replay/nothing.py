"""Words that data writes where it has nothing: they must not become a visitor or a page of that name."""

_WORDS = frozenset(
    ("", "-", "\\n", "null", "(null)", "<null>", "none", "nil", "nan", "na", "n/a", "#n/a", "<na>", "nat", "undefined")
)


def is_nothing(text: str, field: str = "") -> bool:
    """Whether the text stands for nothing; as a country, NA is Namibia."""
    return text.lower() in _WORDS and not (field == "country" and text == "NA")
