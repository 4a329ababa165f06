"""Paths for a server that runs as somebody else."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from local import reach


def test_a_private_directory_on_the_way_closes_what_is_below(tmp_path: Path) -> None:
    closed = tmp_path / "home" / "clone"
    closed.mkdir(parents=True)
    (tmp_path / "home").chmod(0o700)
    assert not reach.may_enter(closed)


def test_the_way_is_open_when_every_directory_is() -> None:
    assert reach.may_enter(Path("/usr/bin"))
    assert reach.may_read(Path("/usr/bin/env"))


def test_two_that_copy_the_programs_at_once_both_have_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "_SHELTER", tmp_path / "shelter")
    package = tmp_path / "closed" / "package"
    package.mkdir(parents=True)
    (package / "program").write_text("run")
    package.parent.chmod(0o700)
    copytree, together = shutil.copytree, Barrier(2)

    def copy(*arguments: Any, **named: Any) -> None:
        copytree(*arguments, **named)
        together.wait(20)  # neither has been faster

    monkeypatch.setattr(shutil, "copytree", copy)
    with ThreadPoolExecutor(2) as pool:
        copies = list(pool.map(reach.package_for_everyone, [package] * 2))
    assert [(one / "program").read_text() for one in copies] == ["run"] * 2
    assert [path.name for path in (tmp_path / "shelter").iterdir()] == [copies[0].parent.name]


def test_forgetting_data_in_our_shelter_removes_it_and_the_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "_SHELTER", tmp_path / "shelter")
    (tmp_path / "clone").mkdir(0o700)
    folder = tmp_path / "clone" / "postgres"
    home = reach.data_for_everyone(folder)
    home.mkdir()
    (home / "PG_VERSION").write_text("18")
    assert reach.data_for_everyone(folder) == home
    assert (folder / "PG_VERSION").exists()
    reach.forget(folder)
    assert not home.exists()
    assert not folder.is_symlink()


def test_forgetting_a_link_that_somebody_made_leaves_what_it_leads_to(tmp_path: Path) -> None:
    home = tmp_path / "elsewhere"
    home.mkdir()
    (home / "PG_VERSION").write_text("18")
    link = tmp_path / "postgres"
    link.symlink_to(home)
    reach.forget(link)
    assert (home / "PG_VERSION").exists()
    assert not link.is_symlink()


def test_forgetting_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    reach.forget(tmp_path / "never")
