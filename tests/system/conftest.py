from __future__ import annotations

import pytest

from tests.system.site import PASSWORD, Client, Site


@pytest.fixture
def make_site(tmp_path, own_mosquitto):
    """Builds sites, and takes them down."""
    sites = []

    def make(**options):
        site = Site(tmp_path, own_mosquitto, **options)
        sites.append(site)
        return site

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def make_site_with(tmp_path):
    """Builds sites on a broker that the test has chosen, and takes them down."""
    sites = []

    def make(broker, folder=tmp_path, **options):
        site = Site(folder, broker, **options)
        sites.append(site)
        return site

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def site(make_site):
    """Two benches of the greenhouse, configured and measuring, with their rules switched off."""
    made = make_site(devices=2)
    made.disable_rules()
    made.start_fleet(interval_s=0.2)
    made.wait_in_sync()
    return made


@pytest.fixture
def log_in(site):
    """Logs people in, and hangs up for them at the end; without a name, for nobody."""
    clients = []

    def log_in(name="", password=PASSWORD):
        client = Client(site.gateway.http_port)
        clients.append(client)
        if name:
            answer = client.post("/auth/login", {"username": name, "password": password}, 200)
            client.token, client.refresh = answer["access_token"], answer["refresh_token"]
        return client

    yield log_in
    for client in clients:
        client.close()
