"""What a visitor can do, prepared as JSON members: event types, clicked elements, forms."""

from services.producer.simulate.draw import members


def _type(event_type: str) -> bytes:
    return f'"event_type":"{event_type}"'.encode()


def _custom(name: str) -> bytes:
    return _type("custom") + members(event_name=name)


def _click(element: str) -> bytes:
    return members(element=element)


def _form(name: str) -> bytes:
    return members(element=f"{name}-form", properties={"form": name})


PAGE_VIEW = _type("page_view")
CLICK = _type("click")
SCROLL = _type("scroll")
SEARCH = _type("search")
PRODUCT_VIEW = _type("product_view")
ADD_TO_CART = _type("add_to_cart")
REMOVE_FROM_CART = _type("remove_from_cart")
BEGIN_CHECKOUT = _type("begin_checkout")
PURCHASE = _type("purchase")
FORM_SUBMIT = _type("form_submit")
NEWSLETTER_SIGNUP = _custom("newsletter_signup")
VIDEO_PLAY = _custom("video_play")
WISHLIST_ADD = _custom("wishlist_add")
SHARE = _custom("share")

ON_BANNER = _click("hero-banner")
ON_MENU = _click("nav-category")
ON_LOGO = _click("logo")
ON_FOOTER = _click("footer-link")
ON_SEARCH_BOX = _click("search-box")
ON_CARD = _click("product-card")
ON_RELATED = _click("related-product")
ON_TEASER = _click("blog-teaser")
ON_FILTER = _click("filter")
ON_GALLERY = _click("image-gallery")
ON_SIZES = _click("size-selector")
ON_ADD_BUTTON = _click("add-to-cart")
ON_CART_ICON = _click("cart-icon")
ON_REMOVE = _click("remove-item")
ON_CHECKOUT = _click("checkout-button")
ON_PAY = _click("pay-now")

DEPTHS = [members(properties={"depth_percent": percent}) for percent in (25, 50, 75, 90, 100)]
NEWSLETTER_FORM = _form("newsletter")
ADDRESS_FORM = _form("shipping")
CONTACT_FORM = _form("contact")
