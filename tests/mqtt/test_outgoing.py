"""The books of what is published, whatever the broker answers and in whatever order things happen."""

from __future__ import annotations

import random

import pytest

from godkaiser.mqtt.gate import Fate
from godkaiser.mqtt.outgoing import WINDOW, Outgoing, Publication

TOPICS = 3
SEEDS, STEPS = 150, 300
WHAT = {"on": 6, "off": 4, "stop": 1, "publish": 8, "pubrec": 12, "again": 2, "release": 10, "end": 10,
        "revoke": 1, "sweep": 1}  # fmt: skip


class Broker:
    """What was sent and is not answered; the ids in the order in which they were sent."""

    def __init__(self):
        self.unanswered: list[int] = []
        self.answered: list[int] = []
        self.unreleased: set[int] = set()
        self.unconfirmed: list[int] = []


class Run:
    def __init__(self):
        ids = iter(range(1, 10**6))
        self.outgoing = Outgoing(lambda: next(ids))
        self.broker = Broker()
        self.epoch = 0
        self.count = 0
        self.names: dict[int, tuple[str, int, int]] = {}
        self.fates: dict[int, list[Fate]] = {}
        self.released: list[int] = []
        self.number_of: dict[int, int] = {}

    def add(self, kind, topic):
        self.count += 1
        number, epoch = self.count, self.epoch
        self.names[number] = (kind, topic, epoch)
        self.fates[number] = []
        publication = Publication(
            f"t{topic}", str(number).encode(), 1 if kind == "stop" else 2, False,
            (lambda: self.epoch == epoch) if kind == "on" else None,
            self.fates[number].append,
        )  # fmt: skip
        assert self.outgoing.add(publication) == ""

    def publish(self):
        while (taken := self.outgoing.next_publication(1.0)) is not None:
            packet_id, publication = taken
            number = int(publication.payload)
            self.names[-packet_id] = self.names[number]
            if publication.qos == 1:
                self.broker.unconfirmed.append(packet_id)
                continue
            if self.names[number][0] == "on":
                assert self.names[number][2] == self.epoch
            self.broker.unanswered.append(packet_id)
            self.broker.unreleased.add(packet_id)
            self.number_of[packet_id] = number
        assert len(self.broker.unreleased) <= WINDOW

    def pubrec(self, *, again=False):
        if again and self.broker.answered:
            self.outgoing.note_pubrec(self.broker.answered[-1])
        elif self.broker.unanswered:
            packet_id = self.broker.unanswered.pop(0)
            self.broker.answered.append(packet_id)
            self.outgoing.note_pubrec(packet_id)

    def release(self):
        packet_id = self.outgoing.next_release()
        if packet_id is None:
            return
        kind, _topic, epoch = self.names[-packet_id]
        assert kind != "on" or epoch == self.epoch
        self.outgoing.note_released(packet_id)
        if packet_id in self.broker.unreleased:
            self.broker.unreleased.discard(packet_id)
            self.broker.unconfirmed.append(packet_id)
            self.released.append(self.number_of[packet_id])

    def end(self, which):
        if self.broker.unconfirmed:
            self.outgoing.note_end(
                self.broker.unconfirmed.pop(which % len(self.broker.unconfirmed))
            )

    def tell(self):
        while self.outgoing.fates:
            listener, fate = self.outgoing.fates.popleft()
            listener(fate)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_each_publication_has_one_fate_and_nothing_void_is_released(seed):
    run, chance = Run(), random.Random(seed)
    # Some brokers answer slowly, so that the window fills; some sites are stopped often.
    weights = {what: weight * chance.choice([0.2, 1.0, 3.0]) for what, weight in WHAT.items()}
    for what in chance.choices(list(weights), list(weights.values()), k=STEPS):
        number = chance.randrange(TOPICS)
        if what in {"on", "off", "stop"}:
            for _ in range(chance.choice([1, 1, 10])):
                run.add(what, number)
        elif what == "revoke":
            run.epoch += 1
        elif what == "sweep":
            run.outgoing.sweep()
        elif what == "end":
            run.end(number)
        elif what == "again":
            run.pubrec(again=True)
        else:
            getattr(run, what)()
        run.tell()
    run.outgoing.end()
    run.tell()
    assert all(len(fates) == 1 for fates in run.fates.values())
    released = set(run.released)
    for number, (fate,) in run.fates.items():
        assert fate is not Fate.WITHHELD or number not in released
    for topic in range(TOPICS):
        order = [number for number in run.released if run.names[number][1] == topic]
        last_off = max((n for n in order if run.names[n][0] == "off"), default=0)
        if last_off == 0:
            continue
        # What was called before the last OFF of an actuator is not released after it.
        assert all(number > last_off for number in order[order.index(last_off) + 1 :])
