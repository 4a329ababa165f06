"""One visit: from page to page along the shop's links, perhaps to the cart, perhaps through the checkout."""

from collections.abc import Callable

from services.producer.simulate import actions
from services.producer.simulate.draw import Random01, members
from services.producer.simulate.shop import CURRENCY, Page, Product, Shop, decimal_text
from services.producer.simulate.sources import Origin

# Visits of people end; this only bounds the rarest.
MOST_PAGES = 60
# How likely one goes a step further, for an average visitor on an average device from an average source.
TO_CART, FROM_CART_TO_CHECKOUT, THROUGH_SHIPPING, THROUGH_PAYMENT = 0.105, 0.45, 0.72, 0.83
LIKELIEST = 0.95

Step = tuple[int, bytes]


class Journey:
    """Walks a visit to its end; `steps` are its events: milliseconds since the step before, and JSON members."""

    def __init__(self, shop: Shop, origin: Origin, appetite: float, draw: Random01) -> None:
        self._shop = shop
        self._draw = draw
        self._appetite = appetite
        self._product: Product | None = None
        self._cart: dict[Product, int] = {}
        self._before = origin.referrer
        self._here = b""
        self.steps: list[Step] = []
        self._rooms: dict[str, Callable[[], str]] = {
            "home": self._home,
            "category": self._category,
            "product": self._look,
            "search": self._search,
            "blog": self._blog,
            "help": self._help,
            "cart": self._review_cart,
            "checkout": self._check_out,
        }
        room = self._rooms[origin.landing.pick(draw())]()
        if draw() >= origin.bounce:
            self._walk(room)
        else:
            self.steps = self.steps[: 1 + (draw() < 0.3)]

    def _walk(self, room: str) -> None:
        for _ in range(MOST_PAGES):
            if room == "exit":
                return
            room = self._rooms[room]()

    def _chance(self, likely: float) -> bool:
        return self._draw() < likely

    def _tempted(self, likely: float) -> bool:
        """Like `_chance`, more likely for those who buy readily."""
        return self._draw() < min(LIKELIEST, likely * self._appetite)

    def _open(self, page: Page) -> None:
        self._here = page.about + self._before
        self._before = page.as_referrer
        self._do(actions.PAGE_VIEW, b"", 9_000)

    def _do(self, event: bytes, details: bytes, mean_ms: int) -> None:
        """An event on this page, after thinking for a while: most are quick, a few take minutes."""
        wait = 400 + int(mean_ms * (1.0 / (1.02 - self._draw()) ** 0.5 - 0.98))
        self.steps.append((wait, event + self._here + details))

    def _click(self, element: bytes) -> None:
        self._do(actions.CLICK, element, 6_000)

    def _scroll(self, likely: float) -> None:
        if self._chance(likely):
            self._do(actions.SCROLL, actions.DEPTHS[int(self._draw() * 5)], 7_000)

    def _home(self) -> str:
        self._open(self._shop.home)
        self._scroll(0.35)
        number = self._draw()
        if number < 0.36:
            return self._leave_by(actions.ON_MENU, "category")
        if number < 0.56:
            return self._leave_by(actions.ON_SEARCH_BOX, "search")
        if number < 0.70:
            return self._leave_by(actions.ON_BANNER, "product")
        if number < 0.78:
            return self._leave_by(actions.ON_TEASER, "blog")
        return "help" if number < 0.81 else "exit"

    def _leave_by(self, element: bytes, room: str) -> str:
        if self._chance(0.6):
            self._click(element)
        return room

    def _category(self) -> str:
        number, page = self._shop.categories.pick(self._draw())
        self._open(page)
        self._scroll(0.5)
        if self._chance(0.25):
            self._click(actions.ON_FILTER)
        going = self._draw()
        if going < 0.66:
            self._product = self._shop.shelves[number].pick(self._draw())
            return self._leave_by(actions.ON_CARD, "product")
        return "category" if going < 0.78 else "home" if going < 0.82 else "exit"

    def _look(self) -> str:
        product = self._product or self._shop.products.pick(self._draw())
        self._product = None
        self._open(product.page)
        self._do(actions.PRODUCT_VIEW, product.line(1), 100)
        self._scroll(0.45)
        if self._chance(0.3):
            self._click(actions.ON_GALLERY if self._chance(0.6) else actions.ON_SIZES)
        if self._chance(0.09):
            self._do(actions.VIDEO_PLAY, members(product_id=product.product_id), 12_000)
        if self._chance(0.03):
            self._do(actions.WISHLIST_ADD, members(product_id=product.product_id), 5_000)
        if self._tempted(TO_CART):
            return self._put_in_cart(product)
        return self._wander(product)

    def _wander(self, product: Product) -> str:
        going = self._draw()
        if going < 0.30:
            self._product = self._shop.shelves[product.category].pick(self._draw())
            return self._leave_by(actions.ON_RELATED, "product")
        if going < 0.50:
            return self._leave_by(actions.ON_MENU, "category")
        if going < 0.57:
            return self._leave_by(actions.ON_SEARCH_BOX, "search")
        return self._leave_by(actions.ON_LOGO, "home") if going < 0.61 else "exit"

    def _put_in_cart(self, product: Product) -> str:
        quantity = 1 if self._chance(0.86) else 2 + int(self._draw() * 2)
        self._click(actions.ON_ADD_BUTTON)
        self._do(actions.ADD_TO_CART, product.line(quantity), 150)
        self._cart[product] = self._cart.get(product, 0) + quantity
        return self._leave_by(actions.ON_CART_ICON, "cart") if self._chance(0.62) else self._wander(product)

    def _search(self) -> str:
        query = self._shop.searches.pick(self._draw())
        found = int(self._draw() ** 2 * 40)
        self._open(self._shop.search)
        self._do(actions.SEARCH, members(properties={"query": query, "results": found}), 200)
        self._scroll(0.3)
        if found and self._chance(0.62):
            return self._leave_by(actions.ON_CARD, "product")
        return "search" if self._chance(0.3) else "exit"

    def _blog(self) -> str:
        self._open(self._shop.articles.pick(self._draw()))
        self._scroll(0.8)
        self._scroll(0.5)
        if self._chance(0.03):
            self._do(actions.FORM_SUBMIT, actions.NEWSLETTER_FORM, 9_000)
            self._do(actions.NEWSLETTER_SIGNUP, b"", 200)
        if self._chance(0.08):
            self._do(actions.SHARE, b"", 15_000)
        going = self._draw()
        return "blog" if going < 0.2 else self._leave_by(actions.ON_CARD, "product") if going < 0.42 else "exit"

    def _help(self) -> str:
        page = self._shop.help.pick(self._draw())
        self._open(page)
        self._scroll(0.4)
        if page.path.endswith("contact") and self._chance(0.4):
            self._do(actions.FORM_SUBMIT, actions.CONTACT_FORM, 40_000)
        return self._leave_by(actions.ON_FOOTER, "home") if self._chance(0.3) else "exit"

    def _review_cart(self) -> str:
        self._open(self._shop.cart)
        if self._cart and self._chance(0.14):
            product, quantity = self._cart.popitem()
            self._click(actions.ON_REMOVE)
            self._do(actions.REMOVE_FROM_CART, product.line(quantity), 150)
        if self._cart and self._tempted(FROM_CART_TO_CHECKOUT):
            return self._leave_by(actions.ON_CHECKOUT, "checkout")
        return "category" if self._chance(0.3) else "exit"

    def _check_out(self) -> str:
        self._open(self._shop.shipping)
        self._do(actions.BEGIN_CHECKOUT, self._total(), 100)
        if not self._tempted(THROUGH_SHIPPING):
            return "cart" if self._chance(0.15) else "exit"
        self._do(actions.FORM_SUBMIT, actions.ADDRESS_FORM, 25_000)
        self._open(self._shop.payment)
        if not self._tempted(THROUGH_PAYMENT):
            return "exit"
        self._click(actions.ON_PAY)
        return self._buy()

    def _buy(self) -> str:
        self._open(self._shop.thanks)
        order = members(properties={"order_id": f"O-{int(self._draw() * 0x1000000000000):012x}"})
        for product, quantity in self._cart.items():
            self._do(actions.PURCHASE, product.line(quantity) + order, 1)
        self._cart = {}
        return "home" if self._chance(0.1) else "exit"

    def _total(self) -> bytes:
        cents = sum(product.price_cents * quantity for product, quantity in self._cart.items())
        return members(quantity=sum(self._cart.values()), value=decimal_text(cents), currency=CURRENCY)
