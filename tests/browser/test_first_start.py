"""A gateway that has no administrator yet, opened in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from godkaiser.config.settings import Config, GatewayConfig, HttpConfig, MqttConfig
from godkaiser.gateway import Gateway
from tests.browser.conftest import check_page
from tests.system.site import PASSWORD


@pytest.fixture
def start_untouched(tmp_path, own_mosquitto):
    started = []

    def start(**http):
        gateway = Gateway(
            Config(
                gateway=GatewayConfig(data_dir=str(tmp_path / "var")),
                http=HttpConfig(listen="127.0.0.1:0", **http),
                mqtt=MqttConfig(host=own_mosquitto.host, port=own_mosquitto.port),
            )
        )
        gateway.start()
        started.append(gateway)
        return gateway

    yield start
    for gateway in started:
        gateway.stop()


def fill(page, name):
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password, again").fill(PASSWORD)


def test_on_the_box_itself_the_first_administrator_is_made_and_logged_in(
    start_untouched, open_page
):
    gateway = start_untouched()
    page = open_page(gateway.http_port)
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    expect(page.get_by_label("Set-up token")).to_have_count(0)
    check_page(page)
    fill(page, "anna")
    page.get_by_label("Password, again").fill("something else")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_have_text("The two passwords are not the same.")
    page.get_by_label("Password, again").fill(PASSWORD)
    page.get_by_role("button", name="Create").click()
    expect(page.locator(".shell")).to_be_visible()
    expect(page.get_by_text("No device yet")).to_be_visible()
    check_page(page)


def test_from_elsewhere_it_needs_the_token_that_was_printed(start_untouched, open_page):
    gateway = start_untouched(trusted_proxy="127.0.0.1")
    page = open_page(gateway.http_port, allow=["403"])
    fill(page, "anna")
    page.get_by_label("Set-up token").fill("a guess")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Set-up token").fill(f" {gateway.tokens.setup.token} ")
    page.get_by_role("button", name="Create").click()
    expect(page.locator(".shell")).to_be_visible()
