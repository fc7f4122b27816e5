"""The stop button of the page, down to the wire. The first test stops the site, and it stays so: a second stop goes
onto the wire as the first one does.
"""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import PHONE, stop_of


def test_a_press_reaches_the_wire_while_the_page_hangs_and_is_confirmed(site, enter, on_the_wire):
    page = enter()
    button = stop_of(page).locator("#press")
    expect(button).to_be_enabled()
    expect(stop_of(page).locator("#said")).to_have_text("Ready: stops everything")
    box = button.bounding_box()
    frame = next(frame for frame in page.frames if frame.url.endswith("/stop"))
    # From here on the page answers nothing any more, neither to the test: the frame is asked by itself.
    page.evaluate("setTimeout(() => { for (;;); }, 0)")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert on_the_wire.wait(20)
    expect(frame.locator("#said")).to_have_text("Stopped: confirmed 2 of 2")
    assert site.client.get("/safety/status")["stops"][0]["by"] == "user:admin"


def test_the_keyboard_reaches_it_and_presses_it(enter, on_the_wire):
    page = enter(locale="de-DE")
    button = stop_of(page).get_by_role("button", name="Not-Halt: alles aus")
    expect(button).to_be_enabled()
    page.get_by_role("link", name="Zum Not-Halt springen").press("Enter")
    page.keyboard.press("Tab")
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    assert on_the_wire.wait(20)
    expect(stop_of(page).get_by_role("status")).to_contain_text("bestätigt 2 von 2")


def test_a_finger_that_scrolls_over_it_presses_nothing(enter, on_the_wire):
    page = enter(device=PHONE)
    button = stop_of(page).locator("#press")
    expect(button).to_be_enabled()
    box = page.locator(".stop-frame").bounding_box()
    session = page.context.new_cdp_session(page)
    place = {"x": box["x"] + 60, "y": box["y"] + box["height"] / 2}
    session.send(
        "Input.synthesizeScrollGesture", {**place, "yDistance": -200, "gestureSourceType": "touch"}
    )
    session.send(
        "Input.synthesizeScrollGesture", {**place, "yDistance": 15, "gestureSourceType": "touch"}
    )
    expect(stop_of(page).locator("#said")).to_have_text("Stopped: confirmed 2 of 2")
    assert not on_the_wire.is_set()
    button.tap()
    assert on_the_wire.wait(20)


def test_without_an_answer_it_points_to_the_hard_wired_stop_and_goes_on_trying(enter, on_the_wire):
    page = enter(allow=["ERR_", "WebSocket"])
    expect(stop_of(page).locator("#press")).to_be_enabled()
    page.context.set_offline(True)
    stop_of(page).locator("#press").click()
    expect(stop_of(page).locator("#said")).to_contain_text("Press the hard-wired stop!")
    assert not on_the_wire.is_set()
    page.context.set_offline(False)
    assert on_the_wire.wait(20)
    expect(stop_of(page).locator("#said")).to_have_text("Stopped: confirmed 2 of 2")
