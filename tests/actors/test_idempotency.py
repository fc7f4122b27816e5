"""A command with an Idempotency-Key is given once, whatever crashes between its steps."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from godkaiser.actors.access.idempotency import IdempotencyActor
from godkaiser.actors.access.messages import BeginOnce, EndOnce
from godkaiser.domain.idempotency import Kept
from godkaiser.errors.requests import KeyInDoubt, KeyInUse, KeyReused
from godkaiser.storage.files.notes_file import NotesFile
from godkaiser.supervision import (
    ActorCrashed,
    ActorSystem,
    Backoff,
    ChildSpec,
    ThreadedRuntime,
    supervisor,
)
from tests.waiting import eventually

PATH = "/notes"
NOW = 1.7e9


class Notes:
    """The actor in a tree of its own, over restarts of the process."""

    def __init__(self, file):
        self._file = file
        self.start()

    def start(self):
        child = ChildSpec(name="notes", factory=lambda: IdempotencyActor(self._file))
        tree = supervisor("root", [child], intensity=None, backoff=Backoff(base_s=0.0, max_s=0.001))
        self.system = ActorSystem(tree, ThreadedRuntime())
        self.system.start()
        assert self.system.ready.wait(10)

    def ask(self, message):
        return self.system.handle(PATH).ask(message, timeout_s=10.0)

    def crash(self):
        number = self.system.info(PATH).incarnation
        self.system.crash(PATH)
        eventually(lambda: self.system.info(PATH).incarnation > number)


@pytest.fixture
def notes(tmp_path):
    made = Notes(tmp_path / "commands.notes")
    yield made
    made.system.stop()


def place_of(key):
    return ("user:olga", key)


class OnceMachine(RuleBasedStateMachine):
    """`under_way` holds the attempts whose request still waits; a restart of the process ends all requests."""

    keys = st.sampled_from(["a", "b"])
    digests = st.sampled_from([b"one", b"two"])

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.notes = Notes(self.folder / "commands.notes")
        self.known = {}
        self.under_way = {}
        self.number = 0

    @rule(key=keys, digest=digests)
    def begin(self, key, digest):
        self.number += 1
        begun = Kept(digest, NOW, attempt=str(self.number))
        message = BeginOnce(place=place_of(key), begun=begun)
        kept = self.known.get(key)
        if kept is None:
            assert self.notes.ask(message) is None
            self.known[key] = self.under_way[key] = begun
        elif kept.digest != digest:
            with pytest.raises(KeyReused):
                self.notes.ask(message)
        elif kept.answer is not None:
            assert self.notes.ask(message) == kept.answer
        else:
            with pytest.raises(KeyInUse if key in self.under_way else KeyInDoubt):
                self.notes.ask(message)

    @rule(key=keys, how=st.sampled_from(["answered", "refused", "in doubt"]))
    def end(self, key, how):
        begun = self.under_way.pop(key, None)
        if begun is None:
            return
        left = begun
        if how == "answered":
            left = Kept(begun.digest, NOW, (202, begun.attempt.encode()), begun.attempt)
        elif how == "refused":
            left = None
        self.notes.ask(EndOnce(place=place_of(key), begun=begun, left=left))
        if left is None:
            del self.known[key]
        else:
            self.known[key] = left

    @rule()
    def crash(self):
        self.notes.crash()

    @rule()
    def restart_the_process(self):
        self.notes.system.stop()
        self.under_way.clear()
        self.notes.start()

    def teardown(self):
        self.notes.system.stop()
        shutil.rmtree(self.folder)


TestOnce = OnceMachine.TestCase
TestOnce.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)


def test_a_note_in_the_midst_of_which_it_crashed_is_taken_back_by_its_request(notes, monkeypatch):
    """It is in the file, and its request heard of a crash: it gives nothing, and says so."""
    add = NotesFile.add
    faults = [RuntimeError("of the test")]

    def fail(self, note, *, flush=False):
        add(self, note, flush=flush)
        if faults:
            raise faults.pop()

    monkeypatch.setattr(NotesFile, "add", fail)
    begun = Kept(b"one", NOW, attempt="1")
    with pytest.raises(ActorCrashed):
        notes.ask(BeginOnce(place=place_of("a"), begun=begun))
    again = Kept(b"one", NOW, attempt="2")
    with pytest.raises(KeyInUse):
        notes.ask(BeginOnce(place=place_of("a"), begun=again))
    notes.ask(EndOnce(place=place_of("a"), begun=begun, left=None))
    assert notes.ask(BeginOnce(place=place_of("a"), begun=again)) is None


def test_the_end_of_an_attempt_says_nothing_of_another_one(notes):
    first, second = Kept(b"one", NOW, attempt="1"), Kept(b"one", NOW, attempt="2")
    assert notes.ask(BeginOnce(place=place_of("a"), begun=first)) is None
    notes.ask(EndOnce(place=place_of("a"), begun=first, left=None))
    assert notes.ask(BeginOnce(place=place_of("a"), begun=second)) is None
    # It was asked for, given up, and told once more.
    notes.ask(EndOnce(place=place_of("a"), begun=first, left=None))
    with pytest.raises(KeyInUse):
        notes.ask(BeginOnce(place=place_of("a"), begun=Kept(b"one", NOW, attempt="3")))
