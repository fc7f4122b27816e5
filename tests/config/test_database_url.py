"""URLs of databases. The kind: a character with a meaning that cuts a path, or shows a piece of a password."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from godkaiser.config.database_url import parse, sqlite_url
from godkaiser.config.loading import load

SECRET = "s3cr3t-piece"


@given(
    st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
)
@example("a#1")
@example("a?b")
@example("100%41")
@example("with blank")
def test_a_data_folder_of_any_name_has_a_database_of_its_own(name):
    path = Path("/data") / name / "godkaiser.db"
    assert parse(sqlite_url(path)).path == path


@pytest.mark.parametrize("name", ["a#1", "a#2", "b?x", "c%41", "d e"])
def test_the_default_database_is_in_the_data_folder_whatever_its_name(tmp_path, name):
    config = tmp_path / "godkaiser.toml"
    config.write_text(f'[gateway]\ndata_dir = "{tmp_path / name}"\n')
    assert parse(load(config, {}).database_url).path == tmp_path / name / "godkaiser.db"


@pytest.mark.parametrize(
    "password", ["pa/ss", "pa#ss", "pa?ss", "p@ss", "p@x/y", "pa:ss", "p%ss", "/", "#", "a[b]c", ""]
)
def test_a_password_may_stand_as_it_is(password):
    found = parse(f"postgresql://user:{password}@db.example:5433/name?sslmode=require")
    assert (found.user, found.password, found.host, found.port, found.name) == (
        "user", password, "db.example", 5433, "name",
    )  # fmt: skip
    assert found.options == {"sslmode": "require"}
    assert found.shown == "postgresql://db.example:5433/name"


@given(st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])))
def test_an_encoded_password_is_any_text(password):
    found = parse(f"postgresql://user:{quote(password, safe='')}@[::1]/name")
    assert (found.password, found.host) == (password, "::1")


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}@host",
        f"postgresql://user:{SECRET}@host:port/name",
        f"postgresql://user:{SECRET}@host:99999/name",
        f"postgresql://user:{SECRET}:5432/name",
        f"postgresql://user:a/{SECRET}@host/name/more",
        f"postgresql://user:{SECRET}@host/name#fragment",
        f"postgresql://user:{SECRET}@host/name?sslmode",
        f"postgresql:/user:{SECRET}@host/name",
        "sqlite:///data#1/godkaiser.db",
        "sqlite:///data?mode=ro",
    ],
)
def test_what_is_refused_shows_no_piece_of_it(url):
    with pytest.raises(ValueError, match=r"^(a|the|options) ") as refusal:
        parse(url)
    assert SECRET not in str(refusal.value)
