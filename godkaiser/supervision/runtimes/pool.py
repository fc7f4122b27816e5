"""Many actors on a few threads: for thousands of similar children that never block.

A thread for each actor is cheap while it sleeps. But under Python's global lock every runnable
thread wakes every few milliseconds to request the lock, so in a flood over a thousand devices most
time would go into waking threads (measured: 35 times the cost of a message). Here an actor with
messages waits in a queue until one of a few workers takes it for a turn.
"""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from godkaiser.supervision.incarnation import Incarnation

WORKERS = 4
MOST_WORKERS = 64
TURN = 64
"""Messages that an actor may handle before the next one's turn."""


class _Task:
    """One incarnation in the pool. The holder of `claim` has queued it or is running it."""

    __slots__ = ("begun", "claim", "life")

    def __init__(self, life: Incarnation) -> None:
        self.life = life
        self.begun = False
        self.claim = threading.Lock()


class _Worker:
    """`turns` counts up at the beginning of each turn."""

    __slots__ = ("busy", "turns", "turns_seen")

    def __init__(self) -> None:
        self.turns = 0
        self.turns_seen = -1
        self.busy = False


class Pool:
    """`relieve` is to be called now and then: it adds a worker for each worker that is blocked in a
    message; when that one returns, a surplus worker exits.
    """

    def __init__(self, workers: int = WORKERS) -> None:
        self._usual = workers
        self._wanted = workers
        self._workers: list[_Worker] = []
        self._staffing = threading.Lock()
        self._ready: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()

    def spawn(self, life: Incarnation) -> None:
        """Raises RuntimeError when the machine cannot start a thread."""
        if len(self._workers) < self._usual:
            self._hire()
        self._schedule(_Task(life))

    def stop(self) -> None:
        """Make all workers exit, each after its current turn."""
        for _ in tuple(self._workers):
            self._ready.put(None)

    def relieve(self) -> None:
        held_up = 0
        for worker in tuple(self._workers):
            held_up += worker.busy and worker.turns == worker.turns_seen
            worker.turns_seen = worker.turns
        self._wanted = min(self._usual + held_up, MOST_WORKERS)
        if held_up:
            self._hire()

    @property
    def workers(self) -> int:
        return len(self._workers)

    def _hire(self) -> None:
        with self._staffing:
            while len(self._workers) < self._wanted:
                worker = _Worker()
                name = f"actors-{len(self._workers) + 1}"
                thread = threading.Thread(target=self._work, args=(worker,), name=name, daemon=True)
                self._workers.append(worker)
                try:
                    thread.start()
                except RuntimeError:
                    self._workers.remove(worker)
                    raise

    def _goes_home(self, worker: _Worker) -> bool:
        with self._staffing:
            if len(self._workers) <= self._wanted:
                return False
            self._workers.remove(worker)
            return True

    def _work(self, worker: _Worker) -> None:
        take = self._ready.get
        while True:
            task = take()
            if task is None:
                return
            worker.turns += 1
            worker.busy = True
            self._turn(task)
            worker.busy = False
            if len(self._workers) > self._wanted and self._goes_home(worker):
                return

    def _schedule(self, task: _Task) -> None:
        if task.claim.acquire(blocking=False):
            self._ready.put(task)

    def _turn(self, task: _Task) -> None:
        life = task.life
        cell = life.cell
        asking = cell.system.asking
        asking.enter(cell)
        try:
            if not task.begun:
                task.begun = True
                if not cell.attach(life, lambda: self._schedule(task)) or not life.begin():
                    return
            goes_on = self._handle_some(life)
        finally:
            cell.mailbox.leave()
            cell.thread_left(life)
            asking.enter(None)
        if goes_on is None:
            return
        if goes_on:
            self._ready.put(task)
            return
        task.claim.release()
        # A sender since our last check found the claim taken, and left the scheduling to us.
        if len(cell.mailbox):
            self._schedule(task)

    @staticmethod
    def _handle_some(life: Incarnation) -> bool | None:
        """True if there may be more messages, False if there were none, None if the life is over."""
        cell = life.cell
        mailbox = cell.mailbox
        mailbox.read_here()
        life.thread_id = threading.get_ident()
        for _ in range(TURN):
            if cell.life is not life:
                return None
            envelope = mailbox.take()
            if envelope is None:
                life.thread_id = None
                return False
            if not life.handle(envelope):
                return None
        return True
