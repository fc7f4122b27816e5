"""A storm: a random tree under random traffic, crashes and stops, all from one seed.

Producers send numbered words to workers, which pass each on to a sink. Actors die in the midst of
their messages and between them, supervisors too, and give up when it is too much. After it all must
be accounted for: `run` returns what went wrong, which is nothing.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import msgspec

from godkaiser.supervision import (
    Actor,
    ActorCrashed,
    ActorStopped,
    ActorSystem,
    AskCycle,
    AskTimeout,
    Backoff,
    Chances,
    ChildSpec,
    Intensity,
    LifeStep,
    MailboxSpec,
    Overflow,
    Restart,
    RestartChild,
    SimulatedRuntime,
    StartChild,
    Strategy,
    supervisor,
)
from tests.supervision.parts import is_settled

ROBUST = Intensity(1_000_000, 1.0)


class Word(msgspec.Struct, frozen=True):
    sender: str
    number: int


class Question(msgspec.Struct, frozen=True):
    number: int


class Go(msgspec.Struct, frozen=True):
    """To a producer: send this many words."""

    words: int


class Ledger:
    """What the world outside the actors saw; it does not crash with them."""

    def __init__(self) -> None:
        self.sent: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.handled: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.passed_on: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.numbers: dict[str, int] = defaultdict(int)
        self.wrong: list[str] = []
        self.under_way: set[str] = set()
        self.asked = 0
        self.ended = 0


class Worker(Actor):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def on_start(self) -> None:
        self._sink = self.context.handle("/sink")
        # Whatever a predecessor was in the midst of, it is no more.
        self._ledger.under_way.discard(self.context.path)

    def on_receive(self, message: Any) -> Any:
        me, ledger = self.context.path, self._ledger
        if me in ledger.under_way:
            ledger.wrong.append(f"{me} handles two messages at once")
        ledger.under_way.add(me)
        if isinstance(message, Word):
            self._sink.tell((me, message))
            # Refused to one that was given up as stuck meanwhile, and the message with it.
            self.context.publish("last", message)
            ledger.handled[message.sender, me].append(message.number)
        ledger.under_way.discard(me)
        return message


class Sink(Actor):
    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self._ledger = ledger

    def on_receive(self, message: Any) -> None:
        worker, word = message
        self._ledger.passed_on[word.sender, worker].append(word.number)


class Producer(Actor):
    def __init__(self, ledger: Ledger, targets: list[str], choices: random.Random) -> None:
        super().__init__()
        self._ledger = ledger
        self._targets = targets
        self._choices = choices

    def on_receive(self, message: Go) -> None:
        # One that was given up while it sent may go on beside its successor: two senders.
        me, ledger = f"{self.context.path}#{self.context.incarnation}", self._ledger
        for _ in range(message.words):
            target = self._choices.choice(self._targets)
            handle = self.context.handle(target)
            ledger.numbers[me] += 1
            number = ledger.numbers[me]
            if self._choices.random() < 0.1:
                self._ask(handle, number)
            else:
                handle.tell(Word(me, number))
                ledger.sent[me, target].append(number)

    def _ask(self, handle: Any, number: int) -> None:
        ledger = self._ledger
        ledger.asked += 1
        try:
            answer = handle.ask(Question(number), timeout_s=5.0)
        except (ActorCrashed, ActorStopped, AskTimeout, AskCycle):
            pass
        else:
            if answer != Question(number):
                ledger.wrong.append(f"asked {number} and was answered {answer}")
        finally:
            ledger.ended += 1


class Storm:
    def __init__(self, seed: int) -> None:
        self.choices = choices = random.Random(seed)
        self.ledger = ledger = Ledger()
        crash = choices.choice([0.0, 0.02, 0.1])
        self.runtime = SimulatedRuntime(
            seed,
            Chances(interrupt=choices.choice([0.0, 0.1, 0.4]), crash=crash),
            may_crash=lambda path: path.startswith(("/crew", "/talk")),
        )
        self.workers: list[str] = []
        groups = [self._group(n) for n in range(choices.randrange(1, 4))]
        work = supervisor("crew", groups, intensity=ROBUST, backoff=Backoff(base_s=0.0))
        producers = [
            ChildSpec(
                name=f"p{n}",
                factory=lambda n=n: Producer(ledger, self.workers, random.Random(seed * 31 + n)),
                mailbox=MailboxSpec(overflow=Overflow.BLOCK),
            )
            for n in range(choices.randrange(1, 4))
        ]
        self.producers = [f"/talk/{p.name}" for p in producers]
        talk = supervisor("talk", producers, intensity=ROBUST)
        sink = ChildSpec(name="sink", factory=lambda: Sink(ledger))
        self.system = ActorSystem(
            supervisor("root", [sink, work, talk], intensity=ROBUST), self.runtime
        )

    def _group(self, number: int) -> ChildSpec:
        choices = self.choices
        children = [self._worker(f"/crew/g{number}", n) for n in range(choices.randrange(1, 5))]
        return supervisor(
            f"g{number}",
            children,
            strategy=choices.choice(list(Strategy)),
            intensity=choices.choice([ROBUST, Intensity(3, 5.0), Intensity(0, 1.0)]),
            backoff=Backoff(base_s=choices.choice([0.0, 0.05]), healthy_after_s=1.0),
        )

    def _worker(self, group: str, number: int) -> ChildSpec:
        overflow = self.choices.choice([Overflow.REFUSE, Overflow.BLOCK])
        self.workers.append(f"{group}/w{number}")
        return ChildSpec(
            name=f"w{number}",
            factory=lambda: Worker(self.ledger),
            retry_budget=self.choices.choice([0, 0, 2]),
            restart=self.choices.choice([Restart.PERMANENT, Restart.PERMANENT, Restart.TRANSIENT]),
            mailbox=MailboxSpec(capacity=self.choices.choice([3, 1000]), overflow=overflow),
        )

    def run(self) -> list[str]:
        """What went wrong."""
        self.system.start()
        if not self.runtime.run_until(self.system.ready.is_set, 3600.0):
            return ["it never became ready"]
        for _ in range(self.choices.randrange(3, 12)):
            self._disturb()
            for producer in self.producers:
                self.system.handle(producer).tell(Go(self.choices.randrange(1, 12)))
            self.runtime.run_for(self.choices.choice([0.0005, 0.01, 1.0]))
        self.runtime.calm()
        if not self.runtime.run_until(lambda: is_settled(self.system), 3600.0):
            unsettled = [i.path for i in self.system.tree() if i.state != "running"]
            return [f"it never settled: {unsettled}"]
        return [*self.ledger.wrong, *self._accounts(), *self._lives(), *self._end()]

    def _disturb(self) -> None:
        what = self.choices.random()
        group = f"/crew/g{self.choices.randrange(4)}"
        if self.system.find(group) is None:
            return
        if what < 0.2:
            self.system.crash(self.choices.choice([group, "/crew", "/talk"]))
        elif what < 0.35:
            name = self.choices.choice(self.workers).rpartition("/")[2]
            self.system.handle(group).tell(RestartChild(name))
        elif what < 0.5:
            number = len(self.workers)
            self.system.handle(group).tell(StartChild(self._worker(group, number)))
            self.runtime.run_until(lambda: self.system.find(self.workers[-1]) is not None, 60.0)
            if self.system.find(self.workers[-1]) is None:
                # The group was stopping at the time and refused.
                self.workers.pop()

    def _accounts(self) -> list[str]:
        """All that was sent was handled, once and in order, or is a dead letter."""
        wrong = []
        dead: dict[tuple[str, str], list[int]] = defaultdict(list)
        for letter in self.system.dead_letters.list(100_000):
            if isinstance(letter.message, Word):
                dead[letter.message.sender, letter.path].append(letter.message.number)
        for line, sent in self.ledger.sent.items():
            handled = self.ledger.handled[line]
            if handled != sorted(set(handled)):
                wrong.append(f"{line}: twice or out of order: {handled}")
            lost = set(sent) - set(handled) - set(dead[line])
            if lost:
                wrong.append(f"{line}: lost {sorted(lost)}")
            unexplained = set(handled) & set(dead[line])
            if unexplained:
                wrong.append(f"{line}: both handled and dead: {sorted(unexplained)}")
            passed_on = self.ledger.passed_on[line]
            if not set(handled) <= set(passed_on) or len(passed_on) != len(set(passed_on)):
                wrong.append(f"{line}: the sink has {passed_on} of {handled}")
        if self.system.dead_letters.counts().get("stopped"):
            wrong.append("a mailbox did not outlast the restart of its supervisor")
        if self.ledger.asked != self.ledger.ended:
            wrong.append(f"{self.ledger.asked} asked, {self.ledger.ended} came to an end")
        return wrong

    def _lives(self) -> list[str]:
        """Each path has one life after the other, each begun and ended once."""
        wrong = []
        alive: dict[str, int] = {}
        for event in self.system.events.recent():
            if event.step in {LifeStep.STARTED, LifeStep.RESTARTED}:
                if event.path in alive:
                    wrong.append(f"{event.path} was started while it lived")
                alive[event.path] = event.incarnation
            elif event.step in {LifeStep.CRASHED, LifeStep.STOPPED, LifeStep.STUCK}:
                if event.detail.startswith(("in on_stop", "in on_failure")):
                    continue
                alive.pop(event.path, None)
        return wrong

    def _end(self) -> list[str]:
        """The ordered stop ends everybody and forgets them all."""
        if not self.system.stop(3600.0):
            return ["it never stopped"]
        if self.system.cells():
            return [f"still there: {[cell.path for cell in self.system.cells()]}"]
        return []
