"""Keeping processes running, with real ones."""

import sys
import time
from pathlib import Path

import pytest

from local.keeping import Keeper
from local.process import Process
from services.common.errors import UserError


def python(tmp_path: Path, code: str) -> Process:
    return Process("child", [sys.executable, "-c", code], tmp_path / "child.log")


def test_what_is_killed_is_started_again_and_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    keeper = Keeper(said.append)
    kept = keeper.keep(python(tmp_path, "import time; time.sleep(60)"))
    first = kept.process.pid
    kept.process.kill()
    keeper.wait(lambda: kept.process.running and kept.process.pid != first)
    keeper.stop([kept.process])
    assert said == ["child died (signal 9), started again"]
    assert not kept.process.running
    assert keeper.kept == []


def test_a_command_that_ends_is_repeated_until_it_succeeds(tmp_path: Path) -> None:
    tries = tmp_path / "tries"
    code = f"p = open({str(tries)!r}, 'a'); p.write('x'); p.close(); raise SystemExit(len(open(p.name).read()) < 3)"
    keeper = Keeper(lambda _: None)
    keeper.run_to_success(python(tmp_path, code))
    assert tries.read_text() == "xxx"
    assert keeper.kept == []


def test_what_ends_by_itself_runs_again_without_a_word(tmp_path: Path) -> None:
    said: list[str] = []
    keeper = Keeper(said.append)
    kept = keeper.keep(python(tmp_path, "pass"), ends_by_itself=True)
    first = kept.process.pid
    keeper.wait(lambda: kept.process.pid != first)
    keeper.stop([kept.process])
    assert said == []
    assert kept.deaths == 0


def test_what_cannot_live_ends_the_run_with_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.keeping._QUICK_DEATHS_ALLOWED", 2)
    keeper = Keeper(lambda _: None)
    keeper.keep(python(tmp_path, "raise SystemExit('no configuration')"))
    with pytest.raises(UserError, match=r"child keeps dying \(exit code 1\).*no configuration"):
        keeper.wait(lambda: False)


def test_a_configuration_error_at_once_ends_the_run_at_once(tmp_path: Path) -> None:
    keeper = Keeper(lambda _: None)
    keeper.keep(python(tmp_path, "raise SystemExit('error: PRODUCER_START lies in the future')"))
    with pytest.raises(UserError, match=r"^child: PRODUCER_START lies in the future$"):
        keeper.wait(lambda: False)


def test_what_ignores_the_signal_is_killed_at_the_deadline(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = f"import signal, time; signal.signal(15, signal.SIG_IGN); open({str(ready)!r}, 'w'); time.sleep(60)"
    process = python(tmp_path, code)
    process.start()
    deadline = time.monotonic() + 20
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not process.stop(deadline_seconds=0.2)
    assert process.exit_code == -9


def test_a_command_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ghost: cannot run /nowhere: No such file"):
        Process("ghost", ["/nowhere"], tmp_path / "log").start()
