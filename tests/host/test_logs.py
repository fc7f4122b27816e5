"""With `format = "json"` every line of standard error is one JSON object.

The kind: a line that a collector cannot read, because it did not come through our own calls: a warning, a
traceback of a thread, a library, a value that JSON has no word for, or a record that cannot be formatted.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from godkaiser.actors.safety.messages import StopAll
from godkaiser.domain.entities import Issuer
from godkaiser.host.logs import as_json, correlation_of

PROGRAM = """
import logging, threading, warnings, gc
import structlog
from godkaiser.host import logs
from godkaiser.config.settings import LogConfig
logs.set_up(LogConfig(level="debug", format="json"))
class Bad:
    def __repr__(self): raise ValueError("no text of me")
class Sad:
    def __del__(self): raise OSError("at the end")
log = structlog.get_logger("ours")
log.info("odd", nan=float("nan"), inf=-float("inf"), surrogate="\\udc80", raw=b"\\xff", it={1, 2})
log.info("two lines", text="a\\nb\\x1b[31m")
logging.getLogger("a.library").warning("of %s\\nand more", "theirs")
logging.getLogger("a.library").error("%d is wrong", "x")
warnings.warn("python warns")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("a.library").exception("theirs failed")
    log.exception("ours failed")
thread = threading.Thread(target=lambda: 1 / 0, name="worker"); thread.start(); thread.join()
Sad(); gc.collect()
log.info("bad", it=Bad())
logs.follow(lambda: ("/control/safety", None))
log.info("in an actor")
raise RuntimeError("the end")
"""


def test_each_line_is_json_whatever_it_comes_from():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    told = "\n".join(map(str, lines))
    for word in ("theirs", "python warns", "ZeroDivisionError", "worker", "at the end", "the end",
                 "log_line_lost"):  # fmt: skip
        assert word in told
    assert all({"level", "event"} <= set(line) for line in lines)
    assert next(x for x in lines if x["event"] == "in an actor")["actor"] == "/control/safety"
    assert done.returncode == 1


@pytest.mark.parametrize("value", [float("nan"), "\udc80", b"\xff", object(), {1: float("inf")}])
def test_any_value_has_a_text(value):
    assert "\n" not in as_json({"value": value})
    assert set(json.loads(as_json({"value": value}))) == {"value"}


def test_the_correlation_id_of_a_message_or_of_what_it_carries():
    issuer = Issuer("user", "x", correlation_id="c-1")
    assert correlation_of(StopAll(issuer=issuer, reason="")) == "c-1"
    assert correlation_of(issuer) == "c-1"
    assert correlation_of(object()) == correlation_of(None) == ""
