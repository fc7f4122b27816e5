"""Which files of `devices.d` and `rules.d` are read.

The kind: a declaration that silently is none (an interlock in a file that a power cut has emptied, a
folder that cannot be listed), or one that nobody meant (what an editor leaves beside a file).
"""

from __future__ import annotations

import os

import pytest

from godkaiser.config.declared_files import listing
from godkaiser.config.mistakes import ConfigError
from tests.config.reading import read_rules, read_site

DEVICE = '[devices.ESP_4F3A9C]\nname = "Tank"\n'
READERS = pytest.mark.parametrize("read", [read_site, read_rules])


def test_what_editors_and_admins_leave_beside_a_file_is_ignored(tmp_path):
    (tmp_path / "tank.toml").write_text(DEVICE)
    left = (".tank.toml", ".tank.toml.swp", "#tank.toml#", "tank.toml~", "tank.toml.bak", "4913",
            "tank.toml.example", "tank.toml.dpkg-dist", "TANK.TOML")  # fmt: skip
    for name in left:
        (tmp_path / name).write_text("no [ TOML")
    # Emacs's lock: a link to nowhere.
    (tmp_path / ".#tank.toml").symlink_to("admin@host.1234")
    assert [d.device_id for d in read_site(tmp_path).devices] == ["ESP_4F3A9C"]
    assert set(listing(tmp_path).ignored) == {*left, ".#tank.toml"}


@READERS
@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b"# all of it is a comment\n", b"\0" * 300, b"rules = []\n", b"[devices]\n",
     b"interlocks = []\nstop_inputs = []\n"],
)  # fmt: skip
def test_a_file_that_declares_nothing_is_refused(tmp_path, read, content):
    (tmp_path / "tank.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"tank\.toml"):
        read(tmp_path)


@READERS
def test_a_folder_a_pipe_or_a_dangling_link_in_the_place_of_a_file_is_refused(tmp_path, read):
    (tmp_path / "a.toml").mkdir()
    os.mkfifo(tmp_path / "b.toml")
    (tmp_path / "c.toml").symlink_to("nowhere")
    with pytest.raises(ConfigError) as caught:
        read(tmp_path)
    assert [m.file.rpartition("/")[2] for m in caught.value.mistakes] == [
        "a.toml",
        "b.toml",
        "c.toml",
    ]


@READERS
def test_a_folder_that_is_none_is_refused(tmp_path, read):
    (tmp_path / "rules.d").write_text("")
    with pytest.raises(ConfigError, match="expected a folder that can be read"):
        read(tmp_path / "rules.d")
