"""Which names are sites, and which site a URL is of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common import sites
from tests import oracle

LABELS = "a" * 59 + ".com"


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://shop.example/p/1?a=b#c", "shop.example"),
        ("https://www.shop.example/", "shop.example"),
        ("HTTPS://WWW.Shop.EXAMPLE/", "shop.example"),
        ("https://shop.example:8443/", "shop.example"),
        ("https://shop.example:/", "shop.example"),
        ("https://shop.example./", "shop.example"),
        ("https://shop.example", "shop.example"),
        ("https://shop.example?a=/b", "shop.example"),
        ("https://shop.example#/b", "shop.example"),
        ("https://jane:pass@shop.example/", "shop.example"),
        ("https://jane@www.shop.example:443/", "shop.example"),
        ("https://my_shop.example/", "my_shop.example"),
        ("https://xn--mller-kva.example/", "xn--mller-kva.example"),
        ("http://localhost:3000/", "localhost"),
        ("http://192.0.2.1:8080/", "192.0.2.1"),
        ("android-app://com.example.shop/cart", "com.example.shop"),
        ("https://www2.shop.example/", "www2.shop.example"),
        ("https://www.example/", "example"),
        ("https://www./", "www"),
        (f"https://{LABELS}/", LABELS),
    ],
)
def test_a_url_is_of_the_site_that_its_host_names(url: str, site: str) -> None:
    assert sites.of_url(url) == site


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "/p/1",
        "shop.example/p/1",
        "//shop.example/p/1",
        "about:blank",
        "file:///home/jane/shop.html",
        "blob:https://shop.example/1",
        "https:///p/1",
        "https://./",
        "https://_/",
        "https://[2001:db8::1]:443/",
        "https://2001:db8::1/",
        "https://müller.example/",
        "https://shop.example:port/",
        "https://shop%2Eexample/",
        "https://shop example/",
        "https://shop.example\\p",
        f"https://a{LABELS}/",
        f"https://{'a.' * 1000}/",
        " https://shop.example/",
    ],
)
def test_a_url_without_a_host_that_is_a_name_is_of_no_site(url: str | None) -> None:
    assert sites.of_url(url) is None


@pytest.mark.parametrize(
    "name", ["shop", "shop.example", "my_shop-2", "www.shop.example", "_shop", "a" * 63, "7", "null"]
)
def test_a_short_name_is_a_site_in_any_case_and_kept_in_lower_case(name: str) -> None:
    assert sites.canonical(name) == sites.canonical(name.upper()) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "-", "_", "..", " ", "a" * 64, "shop.example:443", "https://shop.example", "shop/example", "a b", "a\n"),
        *("[::1]", "müller.example", "\u212aiosk", "\u0130stanbul", "shop\0", "jane@shop.example", "\u0661"),
    ],
)
def test_anything_else_is_none(name: str) -> None:
    assert sites.canonical(name) is None


_URLS = st.from_regex(
    r"(https?|app)://([a-z:@]{0,4}@)?(www\.)?[a-zA-Z0-9._-]{0,70}\.?(:[0-9]{0,5})?([/?#][a-z/:@?#]{0,9})?",
    fullmatch=True,
)


@given(st.one_of(_URLS, st.text("htps:/w.aA1@[]?#-_ \n\u212a", max_size=30), st.text(max_size=30)))
def test_the_quick_look_at_a_url_finds_what_taking_it_apart_step_by_step_does(url: str) -> None:
    assert sites.of_url(url) == oracle.site_of_url(url)
