"""Actors that share a few threads are handled as those with a thread of their own."""

from __future__ import annotations

import threading
from collections import defaultdict

import pytest

from godkaiser.supervision import (
    Actor,
    Backoff,
    Intensity,
    MailboxSpec,
    Overflow,
    StartChild,
    ThreadedRuntime,
    supervisor,
)
from godkaiser.supervision.runtimes.pool import WORKERS, Pool
from tests.supervision.parts import PATIENCE_S, Poison, child, diary, root, threaded
from tests.waiting import eventually

LENIENT = {"intensity": Intensity(1_000_000, 1.0), "backoff": Backoff(base_s=0.0)}


@pytest.mark.parametrize("pooled", [False, True])
def test_a_storm_of_crashes_on_real_threads_loses_and_doubles_nothing(pooled):
    """Three senders, fifty actors, one message in fifty a poison."""
    pages: dict[str, list] = defaultdict(list)
    names = [f"n{n}" for n in range(50)]
    mailbox = MailboxSpec(capacity=50, overflow=Overflow.BLOCK, block_timeout_s=PATIENCE_S)
    children = [diary(name, pages[name], pooled=pooled, mailbox=mailbox) for name in names]
    with threaded(root(*children, **LENIENT)) as system:
        handles = {name: system.handle(f"/{name}") for name in names}
        sent: dict[tuple[int, str], list] = defaultdict(list)

        def send(who):
            for n in range(2000):
                name = names[(n * 7 + who) % len(names)]
                if n % 50 == who:
                    handles[name].tell(Poison())
                else:
                    sent[who, name].append((who, n))
                    handles[name].tell((who, n))

        senders = [threading.Thread(target=send, args=(who,)) for who in range(3)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(60)
        for name in names:
            handles[name].ask("last", timeout_s=PATIENCE_S)
        for (who, name), numbers in sent.items():
            assert [p for p in pages[name] if isinstance(p, tuple) and p[0] == who] == numbers
        assert system.dead_letters.counts() == {"crashed": 120}


def test_never_two_messages_of_one_actor_at_once():
    under_way = [0]
    most = [0]

    def count(_actor):
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        under_way[0] -= 1

    with threaded(root(diary("a", pooled=True), **LENIENT)) as system:
        handle = system.handle("/a")

        def send():
            for _ in range(3000):
                handle.tell(count)

        senders = [threading.Thread(target=send) for _ in range(4)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(60)
        handle.ask("last", timeout_s=PATIENCE_S)
        assert system.info("/a").handled >= 12_001
        assert most[0] == 1


def test_many_actors_take_few_threads():
    before = threading.active_count()
    with threaded(root(**LENIENT)) as system:
        boss = system.handle("/")
        handles = [
            boss.ask(StartChild(diary(f"n{n}", pooled=True)), timeout_s=PATIENCE_S)
            for n in range(500)
        ]
        for handle in handles:
            handle.ask("hello", timeout_s=PATIENCE_S)
        assert threading.active_count() - before <= WORKERS + 4


def test_actors_that_are_held_up_get_the_others_a_worker_more():
    """Nobody in the pool should wait; if all workers do, the pool grows, and shrinks again."""
    release = threading.Event()
    blockers = [diary(f"b{n}", pooled=True) for n in range(WORKERS)]
    with threaded(root(*blockers, diary("free", pooled=True), **LENIENT)) as system:
        pool: Pool = system.runtime._pool
        for n in range(WORKERS):
            system.handle(f"/b{n}").tell(lambda _actor: release.wait(60))
        eventually(lambda: all(system.info(f"/b{n}").busy_s > 0 for n in range(WORKERS)))
        assert system.handle("/free").ask("hello", timeout_s=PATIENCE_S) == "hello"
        assert pool.workers > WORKERS
        release.set()
        eventually(
            lambda: (
                system.handle("/free").ask("again", timeout_s=PATIENCE_S)
                and pool.workers == WORKERS
            )
        )


def test_the_time_of_a_start_does_not_run_while_it_waits_for_a_worker():
    """Thousands that start together were given up while they waited for their turn."""
    gate = threading.Event()

    class Slow(Actor):
        def on_start(self):
            assert gate.wait(PATIENCE_S)

    fleet = [child(f"slow{n}", Slow, pooled=True, start_timeout_s=1e9) for n in range(WORKERS)]
    late = diary("late", pooled=True, start_timeout_s=0.05)
    tree = root(supervisor("many", dynamic=[*fleet, late]))
    with threaded(tree, ThreadedRuntime(stall_check_s=1e9)) as system:
        # The only messages that the supervisor has got so far: the time of the late one is over.
        eventually(lambda: system.info("/many").handled >= 2)
        gate.set()
        eventually(lambda: system.info("/many/late").state == "running")
        assert system.info("/many/late").incarnation == 1
