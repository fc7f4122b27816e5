"""A real browser on a real gateway. A test fails when its page has logged an error or scrolls sideways."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import axe_playwright_python
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.conftest import need
from tests.provision.install import find
from tests.provision.servers import Mosquitto, free_port
from tests.system.site import PASSWORD, Site

expect.set_options(timeout=20_000)
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
PHONE, DESK = "Pixel 7", "desk"
EMERGENCY = "kaiser/broadcast/emergency"


@pytest.fixture(scope="session")
def playwright():
    need("chromium")
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright) -> Iterator[Browser]:
    # Root may not use Chromium's own sandbox, and containers have little shared memory.
    flags = ["--no-sandbox", "--disable-dev-shm-usage"]
    launched = playwright.chromium.launch(executable_path=find("chromium"), args=flags)
    yield launched
    launched.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Two benches, measuring, their rules switched off. Each test leaves no stop behind."""
    broker = Mosquitto(tmp_path_factory.mktemp("broker"))
    broker.start()
    listen = f"127.0.0.1:{free_port()}"
    made = Site(tmp_path_factory.mktemp("site"), broker, devices=2, listen=listen)
    made.disable_rules()
    made.start_fleet(interval_s=0.5)
    made.wait_in_sync()
    yield made
    made.close()
    broker.stop()


@pytest.fixture
def open_page(browser, playwright):
    """Opens pages in contexts of their own; `allow` are parts of console messages that belong to the test."""
    with contextlib.ExitStack() as stack:
        watched = []

        def open_page(port, *, device=DESK, locale="en-GB", allow=(), **options) -> Page:
            shape = playwright.devices[PHONE] if device == PHONE else {}
            if device == DESK:
                shape = {"viewport": {"width": 1280, "height": 860}}
            context = browser.new_context(**{**shape, "locale": locale, **options})
            stack.callback(context.close)
            page = context.new_page()
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
            page.on("dialog", lambda dialog: errors.append(f"a dialog: {dialog.message}"))
            watched.append((errors, allow))
            page.goto(f"http://127.0.0.1:{port}/")
            return page

        yield open_page
        for errors, allow in watched:
            unexpected = [text for text in errors if not any(part in text for part in allow)]
            assert unexpected == []


@pytest.fixture
def enter(site, open_page):
    """A page of somebody who is logged in."""

    # The server has closed a connection that was idle while other tests ran: the next request opens one.
    site.client.close()

    def enter(name="admin", **options) -> Page:
        page = open_page(site.gateway.http_port, **options)
        log_in(page, name)
        return page

    return enter


def log_in(page, name="admin", password=PASSWORD):
    page.locator("input[name=username]").fill(name)
    page.locator("input[name=password]").fill(password)
    page.locator("input[name=password]").press("Enter")
    expect(page.locator(".shell")).to_be_visible()


def go(page, place):
    """By the address, as a bookmark would."""
    page.evaluate("place => { location.hash = place; }", place)


def stop_of(page):
    """The frame of the stop button."""
    return page.frame_locator(".stop-frame")


def check_page(page):
    """No violation that axe finds, and nothing wider than the screen."""
    page.evaluate(AXE)
    # The frame is a document of its own, which axe does not look into from here.
    found = page.evaluate("() => axe.run({exclude: ['.stop-frame']})")
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.fixture
def on_the_wire(site):
    """Set when the broadcast of a stop comes from the broker."""
    heard = threading.Event()
    listens = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda *_: heard.set()
    client.on_subscribe = lambda *_: listens.set()
    client.connect(site.broker.host, site.broker.port)
    client.loop_start()
    client.subscribe(EMERGENCY, 1)
    assert listens.wait(20)
    yield heard
    client.disconnect()
    client.loop_stop()
