"""`make demo` as a person runs it: processes of their own, ended by a signal or by themselves."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import folder_for_everyone

DEADLINE_SECONDS = 90


@pytest.fixture
def data() -> Iterator[Path]:
    with folder_for_everyone() as folder:
        yield folder / "data"


def start(data: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "local", "demo", "--data", str(data), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_until(true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s for {what}"
        time.sleep(0.1)


def processes_of(data: Path) -> dict[int, str]:
    """What holds a file of the data directory open, a log or the lock, with its command line."""
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                files = [target_of(link) for link in (process / "fd").iterdir()]
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # it ended meanwhile
                continue
            if any(file.startswith(f"{data}/") for file in files):
                found[int(process.name)] = command
    return found


def target_of(descriptor: Path) -> str:
    """What an open file of a process is; nothing where the process, which goes on, closed it meanwhile."""
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:
        return ""


def kill_one(data: Path, name: str) -> int:
    """Kill the first process of that name that is there, also where one of them ends by itself while we look."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        for pid, command in processes_of(data).items():
            if name in command:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:  # it ended meanwhile
                    continue
                return pid
        time.sleep(0.1)
    raise AssertionError(f"waited {DEADLINE_SECONDS} s for a process of {name}")


def all_services_run(data: Path) -> bool:
    commands = " ".join(processes_of(data).values())
    needed = ("kafka.Kafka", "bin/postgres", "services.consumer", "services.aggregator", "services.producer")
    return all(name in commands for name in needed)


def balance_sheet(output: str) -> dict[str, int]:
    return {name: int(number.replace(",", "")) for name, number in re.findall(r"^  (.*?) +([\d,]+)$", output, re.M)}


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells children of a killed parent only on Linux")
def test_nothing_is_left_when_the_supervisor_is_killed_outright_and_the_next_run_starts(data: Path) -> None:
    demo = start(data, "--rate", "50")
    try:
        wait_until(lambda: all_services_run(data), "all services")
    finally:
        demo.kill()
        demo.communicate()
    wait_until(lambda: not processes_of(data), "the end of all processes")
    again = start(data, "--keep", "--rate", "50")
    try:
        wait_until(lambda: all_services_run(data), "all services, again")
    finally:
        again.terminate()
        output, _ = again.communicate(timeout=DEADLINE_SECONDS)
    assert again.returncode == 0, output
    assert not processes_of(data)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_cleanly(data: Path, number: signal.Signals) -> None:
    demo = start(data, "--rate", "50")
    try:
        wait_until(lambda: all_services_run(data), "all services")
    finally:
        demo.send_signal(number)
        output, _ = demo.communicate(timeout=DEADLINE_SECONDS)
    assert demo.returncode == 0, output
    assert "NOT BALANCED" not in output
    assert "was killed" not in output
    assert not processes_of(data)


def test_a_number_of_events_ends_with_a_verdict(data: Path) -> None:
    demo = start(data, "--events", "3000", "--seed", "1", "--duplicates", "0.05", "--invalid", "0.02")
    output, _ = demo.communicate(timeout=DEADLINE_SECONDS * 2)
    assert demo.returncode == 0, output
    counts = balance_sheet(output)
    assert counts["received"] == counts["on the topic"] == 3000
    assert counts["= stored"] == counts["raw events, recounted"] > 2700
    assert counts["+ duplicate"] > 0
    assert counts["+ dead-lettered"] > 0


def test_killing_processes_changes_no_final_number(data: Path) -> None:
    """The producer, a consumer, the broker and the database, while events flow: the same set is stored as without."""
    demo = start(data, "--events", "6000", "--rate", "500", "--seed", "2", "--invalid", "0", "--duplicates", "0")
    try:
        for victim in ("services.producer", "bin/postgres", "services.consumer", "kafka.Kafka", "services.aggregator"):
            wait_until(lambda: all_services_run(data), "all services")
            pid = kill_one(data, victim)
            wait_until(lambda pid=pid: pid not in processes_of(data), "its end")  # type: ignore[misc]
    finally:
        output, _ = demo.communicate(timeout=DEADLINE_SECONDS * 2)
    assert demo.returncode == 0, output
    assert balance_sheet(output)["= stored"] == 6000
    assert "producer died (signal 9), started again" in output
    assert "kafka died (signal 9), started again" in output


def test_a_second_demo_on_the_same_data_is_refused_in_one_line(data: Path) -> None:
    first = start(data, "--rate", "50")
    try:
        wait_until((data / "logs" / "kafka.log").exists, "the first")
        second = start(data)
        output, _ = second.communicate(timeout=DEADLINE_SECONDS)
        assert second.returncode == 1
        assert re.search(r"^error: .* is in use by another run \(process \d+\)", output, re.M), output
    finally:
        first.terminate()
        first.communicate(timeout=DEADLINE_SECONDS)


def test_an_old_log_is_replayed_kept_and_replayed_again_without_a_trace(data: Path, tmp_path: Path) -> None:
    browser = "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0"
    line = '192.0.2.{0} - - [17/May/2015:10:0{0}:00 +0000] "GET /page/{0} HTTP/1.1" 200 512 "-" "' + browser + '"\n'
    log = tmp_path / "access.log"
    log.write_text("".join(line.format(number) for number in range(5)) + "not a log line\n")
    for arguments in ([], ["--keep"]):
        demo = start(data, "--replay", str(log), *arguments)
        output, _ = demo.communicate(timeout=DEADLINE_SECONDS)
        assert demo.returncode == 0, output
        assert "6 lines, 5 events" in output
        assert "bad lines: 1" in output
        assert balance_sheet(output)["raw events, recounted"] == 5
    assert balance_sheet(output)["+ duplicate"] == 5
