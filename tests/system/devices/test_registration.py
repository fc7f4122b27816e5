"""Devices that appear by heartbeat: answered first, saved soon, never forgotten."""

from __future__ import annotations

from godkaiser import paths
from godkaiser.errors.storage import DatabaseUnavailable
from godkaiser.storage.repositories import registry
from tests.waiting import eventually


def test_devices_that_boot_together_are_saved_in_one_transaction(make_site):
    site = make_site(approval="auto")
    site.start_fleet(devices=20)
    eventually(lambda: site.fleet.registered == 20)
    eventually(lambda: len(registry.load_devices(site.gateway.database)) == 20)
    site.stop_gateway()
    site.start_gateway()
    assert len(site.client.get("/esp/devices")["data"]) == 20


def test_a_device_that_was_not_yet_saved_survives_a_crash_of_the_registrar(make_site, monkeypatch):
    site = make_site(approval="auto")

    def away(*_):
        raise DatabaseUnavailable(reason="it is away")

    with monkeypatch.context() as patch:
        patch.setattr(registry, "save_device", away)
        site.start_fleet(devices=2)
        # Registered and answered all the same.
        eventually(lambda: site.fleet.registered == 2)
        assert registry.load_devices(site.gateway.database) == []
        site.client.post("/system/actors/crash", {"path": paths.REGISTRAR}, 202)
        eventually(lambda: site.gateway.system.info(paths.REGISTRAR).restarts == 1)
    saved = eventually(lambda: registry.load_devices(site.gateway.database))
    assert {record.registered_by for record in saved} == {"heartbeat"}
    eventually(lambda: len(registry.load_devices(site.gateway.database)) == 2)
