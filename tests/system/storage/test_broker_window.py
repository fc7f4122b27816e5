"""A broker whose window is too small, told once with the remedy. Mosquitto 2.0.11 keeps to a window of
one; larger ones it exceeds as soon as some messages are acknowledged, later versions do not.
"""

from __future__ import annotations

import pytest

from tests.system.storage.test_hard_kill import Publisher, prepare
from tests.waiting import eventually


@pytest.mark.parametrize(("window", "warns"), [(1, True), (4000, False)])
def test_a_window_that_throttles_is_told_with_the_remedy(
    tmp_path, mosquitto_factory, make_site_with, window, warns
):
    broker = mosquitto_factory(accounts=("allow_anonymous true", f"max_inflight_messages {window}"))
    (tmp_path / "var").mkdir()
    prepare(f"sqlite:///{tmp_path / 'var' / 'godkaiser.db'}").close_all()
    site = make_site_with(broker)
    publisher = Publisher(broker.port)

    def stored_and_warned() -> bool:
        # It is told after many groups in a row without a pause of this machine among them.
        publisher.send(400)
        eventually(
            lambda: site.client.get("/system/storage")["recorder"]["stored"] == publisher.sent,
            120.0,
        )
        return bool(site.client.get("/health")["warnings"])

    if warns:
        eventually(stored_and_warned, 240.0)
    else:
        stored_and_warned()
    publisher.finish()
    # A look at health is answered for a tenth of a second: this is of the next one.
    looked_at = site.client.get("/health")["uptime_s"]
    eventually(lambda: site.client.get("/health")["uptime_s"] > looked_at)
    warnings = site.client.get("/health")["warnings"]
    assert len(warnings) == warns
    if warns:
        assert "only 1 unacknowledged messages" in warnings[0]
        assert "max_inflight_messages" in warnings[0]
