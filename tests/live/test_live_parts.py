"""Filters, outbox, memory and audience of the live socket: pure, by property."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from godkaiser.live.audience import Audience
from godkaiser.live.client import ClientRequest
from godkaiser.live.events import TYPES, Event
from godkaiser.live.memory import MOST_EVENTS, Memory
from godkaiser.live.outbox import BATCH, MESSAGES_A_SECOND, MOST_KEPT, Outbox
from godkaiser.live.server import Introduction
from godkaiser.live.subscription import Filter, Subscription, fits, problem_of
from tests import ROOT

DEVICES = ["ESP_A", "ESP_B", "ESP_C"]
levels = st.lists(st.sampled_from(["a", "b", "", "é"]), min_size=1, max_size=4)


def reading(device, kind="ds18b20", at=1.0):
    return Event(
        type="reading", topic=f"sensor/{device}/4/{kind}", at=at, data={"value": at},
        esp_id=device, sensor_type=kind,
    )  # fmt: skip


def alarm(number=0):
    return Event(type="safety", topic="safety", at=float(number), data={"n": number})


events = st.one_of(
    st.builds(reading, st.sampled_from(DEVICES), st.sampled_from(["ds18b20", "ph"])),
    st.builds(alarm, st.integers(0, 5)),
)
maybe = st.none() | st.frozensets(st.sampled_from([*DEVICES, "ph"]), max_size=2)
filters = st.builds(
    Filter,
    types=st.none() | st.frozensets(st.sampled_from(["reading", "safety", "rule"]), max_size=2),
    esp_ids=maybe,
    sensor_types=maybe,
    topic_pattern=st.none() | st.sampled_from(["#", "sensor/+/4/#", "safety", "+/+"]),
)
subscriptions = st.builds(Subscription, st.lists(filters, min_size=1, max_size=3).map(tuple))


# ---- filters


@given(levels, levels.map(lambda p: [x if x != "b" else "+" for x in p]), st.booleans())
def test_a_pattern_fits_as_its_regular_expression_does(topic, pattern, rest):
    text = "/".join(pattern)
    wanted = "/".join("[^/]*" if x == "+" else re.escape(x) for x in pattern)
    if rest:
        text, wanted = f"{text}/#", f"{wanted}(/.*)?"
    assert fits(text, "/".join(topic)) == bool(re.fullmatch(wanted, "/".join(topic)))


def test_what_an_event_has_not_does_not_fit():
    assert Filter(esp_ids=frozenset(["ESP_A"])).lets_through(reading("ESP_A"))
    assert not Filter(esp_ids=frozenset(["ESP_A"])).lets_through(alarm())
    both = Subscription((Filter(esp_ids=frozenset(["ESP_A"])), Filter(types=frozenset(["safety"]))))
    assert both.wants(alarm())
    assert not both.wants(reading("ESP_B"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"types": ["weather"]}', "'weather' is not one of reading, actuator"),
        ('{"topicPattern": "sensor/#/x"}', "# the last level"),
        ('{"topicPattern": "sen+/x"}', "a whole level"),
    ],
)
def test_a_mistake_in_a_filter_is_told(text, words):
    wanted = Subscription((Filter(), msgspec.json.decode(text, type=Filter)))
    assert words in problem_of(wanted)
    assert problem_of(wanted).startswith("filters[1].")


@given(st.lists(st.tuples(st.integers(0, 5), subscriptions, st.booleans()), max_size=25), events)
def test_an_audience_finds_exactly_those_who_want_it(steps, event):
    """Against asking each; and nothing is left of those who went."""
    audience: Audience[int] = Audience()
    present: dict[int, Subscription] = {}
    for client, subscription, comes in steps:
        if client in present:
            audience.remove(present.pop(client), client)
        if comes:
            audience.add(subscription, client)
            present[client] = subscription
    heard = list(audience.of(event))
    assert sorted(heard) == sorted(c for c, s in present.items() if s.wants(event))
    for client, subscription in present.items():
        audience.remove(subscription, client)
    assert not audience._members and not audience._broad and not audience._of_device


# ---- what waits for a client


@settings(max_examples=200)
@given(st.lists(st.tuples(events, st.floats(0.0, 0.3)), max_size=120))
def test_alarms_all_in_order_values_the_newest_and_ten_messages_a_second(steps):
    memory, outbox, now = Memory("e"), Outbox(), 100.0
    sent, times, offered, coalesced = [], [], [], 0
    for event, pause in steps:
        now += pause
        numbered = memory.add(event)
        offered.append(numbered)
        assert outbox.offer(numbered)
        if outbox.due_at(now) <= now:
            events, lost = outbox.take(now)
            sent, coalesced = [*sent, *events], coalesced + lost
            times.append(now)
    while len(outbox):
        now = outbox.due_at(now)
        events, lost = outbox.take(now)
        sent, coalesced = [*sent, *events], coalesced + lost
        times.append(now)
    assert [e for e in sent if not e.is_value] == [e for e in offered if not e.is_value]
    values = [e for e in sent if e.is_value]
    assert len(values) + coalesced == sum(e.is_value for e in offered)
    for topic in {e.event.topic for e in offered if e.is_value}:
        numbers = [e.number for e in values if e.event.topic == topic]
        assert numbers == sorted(numbers)
        assert numbers[-1] == max(e.number for e in offered if e.event.topic == topic)
    for number, at in enumerate(times[MESSAGES_A_SECOND:]):
        assert at - times[number] >= 1.0 - 1e-6


def test_who_is_too_far_behind_is_told_so():
    memory, outbox = Memory("e"), Outbox()
    assert all(outbox.offer(memory.add(alarm(n))) for n in range(MOST_KEPT))
    assert not outbox.offer(memory.add(alarm()))
    events, _ = outbox.take(1.0)
    assert len(events) == BATCH


def test_a_busy_topic_keeps_no_other_waiting():
    memory, outbox = Memory("e"), Outbox()
    for n in range(BATCH):
        outbox.offer(memory.add(reading(f"ESP_{n}")))
    outbox.offer(memory.add(reading("ESP_0")))
    outbox.offer(memory.add(reading("ESP_last")))
    first, _ = outbox.take(1.0)
    second, _ = outbox.take(2.0)
    assert {e.event.esp_id for e in second} == {"ESP_last"}
    assert len(first) == BATCH


# ---- coming back


@given(st.lists(events, max_size=60), st.integers(0, 60), subscriptions)
def test_who_comes_back_misses_nothing(told, at, subscription):
    memory = Memory("e")
    events = [memory.add(event) for event in told]
    at = min(at, len(events))
    resumed = memory.since(f"e-{at}", subscription)
    assert resumed.problem == ""
    missed = [e for e in events[at:] if subscription.wants(e.event)]
    newest = {e.event.topic: e for e in missed if e.is_value}
    expected = [e for e in missed if not e.is_value or newest[e.event.topic] is e]
    assert list(resumed.events) == expected


@pytest.mark.parametrize(
    "event_id", ["", "x", "e-", "e--1", "e-99", "other-1", "e-" + "9" * 40, "e-\u0661"]
)
def test_an_id_that_is_none_is_told_and_nothing_is_made_up(event_id):
    memory = Memory("e")
    memory.add(alarm())
    resumed = memory.since(event_id, Subscription())
    assert resumed.problem
    assert resumed.events == ()


def test_a_gap_that_is_too_long_is_told():
    memory = Memory("e")
    for n in range(MOST_EVENTS + 5):
        memory.add(alarm(n))
    assert "more than" in memory.since("e-4", Subscription()).problem
    assert len(memory.since("e-5", Subscription()).events) == MOST_EVENTS


# ---- the page


PAGE = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")


def test_every_example_of_the_page_is_understood():
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    assert len(examples) == 4
    for example in examples:
        if "token" in example:
            assert msgspec.convert(example, Introduction).token
        elif example.get("type") == "events":
            told = Memory("1767225600")
            told._number = 4711
            made = told.add(reading("ESP_A00001"))
            assert set(json.loads(made.text)) == set(example["events"][0])
            assert json.loads(made.text)["id"] == example["events"][0]["id"]
        else:
            request = msgspec.convert(example, ClientRequest)
            filters = request.filters or (request.filter,)
            assert problem_of(Subscription(tuple(filters))) == ""


def test_the_page_names_every_type():
    assert all(f"| `{kind}` |" in PAGE for kind in TYPES)
