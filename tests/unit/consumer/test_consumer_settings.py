"""The consumer's settings: what a person may get wrong is named."""

import pytest

from services.common.errors import UserError
from services.common.settings import load
from services.consumer.settings import ConsumerSettings


def settings(**given: object) -> ConsumerSettings:
    return load(ConsumerSettings, kafka_bootstrap_servers="b:9092", postgres_host="p", postgres_user="u", **given)


def test_the_default_site_is_a_name_in_lower_case(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings().default_site == "default"
    monkeypatch.setenv("DEFAULT_SITE", "Shop.Example")
    assert settings().default_site == "shop.example"


@pytest.mark.parametrize("site", ["-", "shop example", "https://shop.example", "a" * 64, "müller.example", "shop\n"])
def test_a_default_site_that_is_no_name_is_refused_at_the_start(site: str) -> None:
    with pytest.raises(UserError, match=r"^DEFAULT_SITE: "):
        settings(default_site=site)
