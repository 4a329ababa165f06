"""The shop: its pages, its products and what they are called. It is the same shop in every run, whatever the seed.

Each site is a shop of its own, with the same pages and products.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from faker import Faker

from services.producer.simulate.draw import Weighted, by_rank, members
from services.producer.site import SHOP, Site

SHOP_SEED = 20_240_229
NAME = "Fern & Flint"
CURRENCY = "EUR"
PRODUCTS_PER_CATEGORY = 30
ARTICLES = 60

_CATEGORIES = {
    "shoes": (39, 189, ("Sneaker", "Boot", "Sandal", "Loafer", "Running Shoe")),
    "jackets": (59, 349, ("Parka", "Rain Jacket", "Fleece", "Down Jacket", "Windbreaker")),
    "bags": (19, 159, ("Backpack", "Tote", "Duffel", "Messenger Bag", "Hip Pack")),
    "camping": (12, 499, ("Tent", "Sleeping Bag", "Stove", "Headlamp", "Hammock")),
    "kitchen": (8, 129, ("Kettle", "Pan", "Chef's Knife", "Moka Pot", "Lunch Box")),
    "home": (9, 249, ("Lamp", "Blanket", "Cushion", "Candle", "Wall Clock")),
    "cycling": (15, 399, ("Helmet", "Bike Light", "Pannier", "Jersey", "Lock")),
    "electronics": (19, 599, ("Headphones", "Power Bank", "Speaker", "Smart Watch", "E-Reader")),
    "books": (7, 49, ("Field Guide", "Cookbook", "Atlas", "Novel", "Travel Journal")),
    "gifts": (5, 89, ("Gift Card", "Mug", "Puzzle", "Card Game", "Poster")),
}
_HELP = {"shipping": "Shipping", "returns": "Returns", "sizes": "Size guide", "contact": "Contact", "about": "About us"}


class Page:
    """A page, with its part of an event prepared as JSON members."""

    __slots__ = ("about", "as_referrer", "path", "url")

    def __init__(self, site: Site, path: str, title: str) -> None:
        self.path = path
        self.url = (site.address or f"https://{site.name}") + path
        self.about = members(site=site.name, page_path=path, page_url=self.url, page_title=f"{title} | {NAME}")
        self.as_referrer = members(referrer=self.url)


@dataclass(frozen=True, slots=True)
class Product:
    """What can be bought. `price_cents` is for one."""

    product_id: str
    price_cents: int
    page: Page
    category: int

    def line(self, quantity: int) -> bytes:
        """Product, quantity and the total of the line, as JSON members."""
        value = decimal_text(self.price_cents * quantity)
        return members(product_id=self.product_id, quantity=quantity, value=value, currency=CURRENCY)


class Shop:
    """All pages, the popular ones first in their pools."""

    def __init__(self, site: Site = SHOP) -> None:
        faker = Faker("en_US")
        faker.seed_instance(SHOP_SEED)
        shuffle = random.Random(SHOP_SEED).shuffle
        page = partial(Page, site)
        self.home = page("/", "Home")
        self.search = page("/search", "Search")
        self.cart = page("/cart", "Your cart")
        self.account = page("/account/login", "Sign in")
        self.shipping = page("/checkout/shipping", "Shipping")
        self.payment = page("/checkout/payment", "Payment")
        self.thanks = page("/checkout/thank-you", "Thank you")
        self.help = by_rank([page(f"/help/{name}", title) for name, title in _HELP.items()])
        categories = [page(f"/c/{name}", name.capitalize()) for name in _CATEGORIES]
        shelves = [_shelf(faker, page, number) for number in range(len(_CATEGORIES))]
        self.categories = by_rank(list(enumerate(categories)), 0.7)
        self.shelves: list[Weighted[Product]] = [by_rank(shelf) for shelf in shelves]
        products = [product for shelf in shelves for product in shelf]
        shuffle(products)
        self.products = by_rank(products)
        titles = [faker.unique.catch_phrase() for _ in range(ARTICLES)]
        self.articles = by_rank([page(f"/blog/{_slug(title)}", title) for title in titles])
        words = sorted({noun.lower() for _, _, nouns in _CATEGORIES.values() for noun in nouns})
        shuffle(words)
        self.searches = by_rank([*words, *(f"{faker.color_name().lower()} {word}" for word in words)])


def decimal_text(cents: int) -> str:
    """An amount as the event has it: 19.90."""
    return f"{cents // 100}.{cents % 100:02d}"


def _shelf(faker: Faker, page: Callable[[str, str], Page], category: int) -> list[Product]:
    name = list(_CATEGORIES)[category]
    cheapest, dearest, nouns = _CATEGORIES[name]
    products = []
    for number in range(PRODUCTS_PER_CATEGORY):
        title = f"{faker.last_name()} {nouns[number % len(nouns)]} {faker.color_name()}"
        euros = cheapest + int((dearest - cheapest) * faker.random.random() ** 2)
        product_id = f"{name[:3].upper()}-{number + 101}"
        products.append(Product(product_id, euros * 100 + 90, page(f"/p/{_slug(title)}", title), category))
    return products


def _slug(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower().replace("'", "")).split())
