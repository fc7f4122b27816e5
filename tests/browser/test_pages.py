"""What a person sees and does in a browser, with a person's gestures."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from godkaiser.domain.entities import Approval, DeviceRecord
from godkaiser.storage.repositories import registry
from tests.browser.conftest import DESK, PHONE, check_page, go, log_in, stop_of
from tests.system.device_on_the_wire import DeviceOnTheWire
from tests.system.site import PASSWORD, Site
from tests.waiting import eventually

FAN = "ESP_A00001/25"
PAGES = (
    ("#/", ".zones .values"),
    ("#/devices", ".row"),
    ("#/devices/ESP_A00001", ".value-row .big"),
    ("#/actuators", ".row"),
    (f"#/actuators/{FAN}", ".verdict"),
    ("#/settings", ".choice"),
    ("#/nowhere", "h1"),
    ("#/devices/ESP_NOBODY", "h1"),
)
# HTML, a script that runs from right to left, and a person of several code points; as long as a name may be.
HOSTILE = ("<img src=x onerror=alert(1)> مضخة المياه 👩🏽‍🔬 " + "ä" * 100)[:100]


@pytest.mark.parametrize(
    ("device", "locale", "colours"),
    [(PHONE, "de-DE", "light"), (PHONE, "en-GB", "dark"), (DESK, "de-DE", "dark"), (DESK, "en-GB", "light")],
)  # fmt: skip
def test_every_page_is_complete_and_accessible(site, open_page, device, locale, colours):
    page = open_page(site.gateway.http_port, device=device, locale=locale, color_scheme=colours)
    expect(page.locator("input[name=username]")).to_be_focused()
    check_page(page)
    log_in(page)
    for place, there in PAGES:
        go(page, place)
        expect(page.locator(there).first).to_be_visible()
        expect(page.locator("html")).to_have_attribute("lang", locale[:2])
        check_page(page)


def test_a_wrong_password_is_told_and_nothing_typed_is_lost(site, open_page):
    page = open_page(site.gateway.http_port, allow=["401"], locale="de-DE")
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill("wrong")
    page.locator("input[name=password]").press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Der Benutzername oder das Passwort ist falsch.")
    expect(page.locator("input[name=username]")).to_have_value("admin")


def test_a_reload_and_a_second_tab_go_on_without_a_log_in(enter):
    page = enter()
    page.reload()
    expect(page.locator(".shell")).to_be_visible()
    second = page.context.new_page()
    second.goto(page.url)
    expect(second.locator(".shell")).to_be_visible()
    go(second, "#/settings")
    second.get_by_role("button", name="Log out").click()
    expect(second.locator("input[name=username]")).to_be_visible()
    expect(page.locator("input[name=username]")).to_be_visible()


def test_a_command_is_judged_before_it_is_pressed_and_followed_to_the_device(site, enter):
    page = enter()
    go(page, f"#/actuators/{FAN}")
    expect(page.locator("#verdict")).to_contain_text("Allowed: all 19 checks pass.")
    page.get_by_label("1 min", exact=True).check()
    expect(page.locator("#verdict")).to_contain_text("goes off by itself after 1 min")
    page.get_by_role("button", name="Switch on").click()
    expect(page.locator(".outcome")).to_contain_text("The device has done it.")
    expect(page.locator(".title .chip")).to_have_text("On")
    expect(page.locator(".story > li").first).to_contain_text("On for 1 min")
    expect(page.locator(".story > li").first).to_contain_text("admin")
    expect(page.locator(".card .lease").first).to_contain_text("left")
    go(page, "#/")
    tile = page.locator(".tile", has_text="Fan")
    tile.get_by_role("button", name="Switch off").click()
    expect(tile).to_have_count(0)
    go(page, f"#/actuators/{FAN}")
    expect(page.locator(".title .chip")).to_have_text("Off")


def test_what_is_not_allowed_says_why_in_the_language_of_the_page(site, enter):
    site.client.post("/actuators/emergency_stop", {"esp_id": "ESP_A00001"}, 200)
    page = enter(locale="de-DE")
    go(page, f"#/actuators/{FAN}")
    expect(page.locator("#verdict")).to_contain_text("steht unter dem Not-Halt")
    expect(page.locator("#verdict [lang=en]")).to_have_count(0)
    expect(page.get_by_role("button", name="Einschalten")).to_be_disabled()
    expect(page.get_by_role("button", name="Ausschalten")).to_be_enabled()


def test_a_stop_is_cleared_and_rules_are_let_act_again_from_the_overview(site, enter):
    site.client.post("/actuators/emergency_stop", {"esp_id": "ESP_A00001"}, 200)
    page = enter(allow=["409"])
    stopped = page.locator(".trouble", has_text="Emergency stop: device ESP_A00001")
    expect(stopped).to_contain_text("Confirmed: 1 of 1")
    expect(stop_of(page).locator("#said")).to_have_text("Stopped in part: see the overview")
    check_page(page)
    # Devices refuse a clear in the first seconds after a stop: the page tells that, or it is done.
    clear = stopped.get_by_role("button", name="Clear this stop")
    expect(async_pressed(clear, stopped)).to_have_count(0, timeout=40_000)
    expect(stop_of(page).locator("#said")).to_have_text("Ready: stops everything")
    page.get_by_role("button", name="Let rules act again").click()
    expect(page.get_by_text("Everything is fine.")).to_be_visible()


def async_pressed(button, gone):
    """Pressed until it is taken: each time the last press has been answered."""
    page = button.page
    page.on("response", lambda answer: press(button) if answer.status == 409 else None)
    press(button)
    return gone


def press(button):
    button.evaluate("button => setTimeout(() => button.click(), 1000)")


def test_a_hold_is_taken_and_released(enter):
    page = enter()
    go(page, f"#/actuators/{FAN}")
    page.get_by_role("button", name="Hold it").click()
    expect(page.get_by_text("Held by admin")).to_be_visible()
    page.get_by_role("button", name="Release it").click()
    expect(page.get_by_text("Rules may switch it.")).to_be_visible()


def test_a_viewer_sees_everything_and_no_button_that_would_be_refused(site, enter):
    body = {"username": "vera", "password": PASSWORD, "role": "viewer"}
    site.client.post("/users", body, 201)
    page = enter("vera")
    expect(page.locator(".zones .values").first).to_be_visible()
    expect(page.locator(".stop-frame")).to_have_count(0)
    for place in (f"#/actuators/{FAN}", "#/devices/ESP_A00001"):
        go(page, place)
        expect(page.locator("h1")).to_be_visible()
        names = page.locator("main button").all_inner_texts()
        assert [name for name in names if name != "Show older"] == []
    go(page, f"#/actuators/{FAN}")
    expect(page.get_by_text("Your role is viewer")).to_be_visible()


def test_a_new_device_is_approved_and_an_ended_session_loses_nothing_that_was_typed(site, enter):
    device = DeviceOnTheWire(site.broker.port, "ESP_0000AB")
    device.beat()
    eventually(lambda: site.client.call("GET", "/esp/devices/ESP_0000AB")[0] == 200)
    device.close()
    page = enter(allow=["401"])
    waiting = page.locator(".trouble", has_text="waits for approval")
    waiting.get_by_role("link").click()
    page.get_by_role("button", name="Approve").click()
    dialog = page.get_by_role("dialog", name="Approve")
    dialog.get_by_label("Reason").fill("it is the one in the cellar")
    # A new password ends every login, that of the page among them.
    assert site.client.call("PATCH", "/users/admin", {"password": PASSWORD})[0] == 200
    answer = site.client.post("/auth/login", {"username": "admin", "password": PASSWORD}, 200)
    site.client.token = answer["access_token"]
    dialog.get_by_role("button", name="Approve").click()
    again = page.get_by_role("dialog", name="Log in again")
    expect(again).to_be_visible()
    again.get_by_label("Password").fill(PASSWORD)
    again.get_by_role("button", name="Log in").click()
    expect(again).to_have_count(0)
    expect(dialog.get_by_label("Reason")).to_have_value("it is the one in the cellar")
    dialog.get_by_role("button", name="Approve").click()
    expect(dialog).to_have_count(0)
    expect(page.locator(".title .chip")).not_to_have_text("Waits for approval")
    expect(page.locator("main")).to_contain_text("Decided by")


@pytest.mark.parametrize(("device", "name"), [(PHONE, "ESP_00000A"), (DESK, "ESP_00000B")])
def test_names_are_text_whatever_is_in_them(site, enter, device, name):
    site.client.post("/esp/register", {"device_id": name, "name": HOSTILE}, 201)
    page = enter(device=device)
    for place in ("#/", "#/devices", f"#/devices/{name}"):
        go(page, place)
        expect(page.get_by_text("onerror=alert(1)").first).to_be_visible()
        assert page.locator("main img").count() == 0
        check_page(page)
    site.client.call("DELETE", f"/esp/devices/{name}")


def test_language_colours_and_degrees_are_chosen_and_kept(enter):
    page = enter()
    go(page, "#/settings")
    page.get_by_label("Deutsch").check()
    page.get_by_label("dunkel").check()
    page.get_by_label("°F").check()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-colours", "dark")
    go(page, "#/")
    expect(page.locator("h1")).to_have_text("Übersicht")
    expect(page.locator(".values").first).to_contain_text("°F")


def test_a_newer_page_on_the_gateway_is_offered(site, enter):
    page = enter()

    def newer(route):
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "page": "of another build"})

    page.route("**/api/v1/version", newer)
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.get_by_role("button", name="Reload")).to_be_visible()


def test_a_gateway_that_is_away_is_told_and_found_again(site, enter):
    page = enter(allow=["ERR_CONNECTION_REFUSED", "WebSocket", "ERR_"])
    expect(page.locator(".mark")).to_have_text("Live")
    site.stop_gateway()
    expect(page.get_by_role("alert").first).to_contain_text("No answer from the gateway")
    check_page(page)
    site.start_gateway()
    expect(page.locator(".banner")).to_have_count(0, timeout=60_000)
    expect(page.locator(".mark")).to_have_text("Live", timeout=60_000)


def test_a_thousand_devices_stay_usable(own_mosquitto, tmp_path, open_page):
    many = Site(tmp_path, own_mosquitto)
    many.stop_gateway()
    with many.gateway.database.transaction():
        for n in range(1000):
            record = DeviceRecord(
                device_id=f"ESP_{n:06d}", name=f"Bench {n}", approval=Approval.APPROVED
            )
            registry.save_device(many.gateway.database, record)
    many.gateway.database.close_all()
    many.start_gateway()
    try:
        page = open_page(many.gateway.http_port)
        log_in(page)
        go(page, "#/devices")
        expect(page.locator(".row").first).to_be_visible()
        assert page.locator(".row").count() < 100
        page.keyboard.press("End")
        expect(page.get_by_text("Bench 999", exact=True)).to_be_visible()
        assert page.locator(".row").count() < 100
        page.get_by_label("Search devices").fill("bench 77")
        expect(page.locator(".row")).to_have_count(11)
        expect(page.get_by_text(re.compile("11 of 1000"))).to_be_visible()
        check_page(page)
    finally:
        many.close()
