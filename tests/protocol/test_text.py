"""Text from outside. The kind: characters that one place takes and the next one cannot store or show."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from godkaiser.protocol.text import UNFIT, fit, fit_json


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("a\0b", "a\ufffdb"),
        ("\x1b[2J", "\ufffd[2J"),
        ("\x9b2J", "\ufffd2J"),
        ("half \ud800 pair", "half \ufffd pair"),
        ("turned \u202e round", "turned \ufffd round"),
        ("two\nlines\tand 21 °C 😀", "two\nlines\tand 21 °C 😀"),
    ],
)
def test_what_cannot_be_stored_or_acts_on_a_terminal_is_replaced(given_, wanted):
    assert fit(given_) == wanted
    assert msgspec.json.decode(fit_json(json.dumps({"reason": given_}).encode())) == {
        "reason": wanted
    }
    raw = json.dumps({"reason": given_}, ensure_ascii=False).encode(errors="surrogatepass")
    if "\ud800" not in given_:
        assert msgspec.json.decode(fit_json(raw)) == {"reason": wanted}


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=40))
def test_any_text_can_be_stored_and_decoded_afterwards(text):
    document = fit_json(json.dumps([text]).encode())
    (found,) = msgspec.json.decode(document)
    assert found == fit(json.loads(json.dumps(text)))
    found.encode()
    assert UNFIT.search(found) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_utf_8_afterwards_and_clean_ones_stay_as_they_are(payload):
    found = fit_json(payload)
    found.decode()
    if payload.isascii() and not re.search(rb"[\\\x7f]", payload):
        assert found == payload


def test_an_escaped_backslash_is_not_the_beginning_of_an_escape():
    document = rb'{"path": "C:\\u0000"}'
    assert fit_json(document) == document
