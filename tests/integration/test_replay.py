"""Replay as a command, with real pipes and a real broker: what it delivers, and how it ends."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

from msgspec.json import decode

from services.producer.replay.weblog import NOT_A_LOG_LINE
from tests.integration.test_producer import stored
from tests.unit.producer.replaying import REAL_LOG, log_line, replay_files, write


def replay(broker: str, topic: str, *args: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run `replay` to its end; `given` comes through a pipe as standard input."""
    settings = {"KAFKA_BOOTSTRAP_SERVERS": broker, "KAFKA_TOPIC": topic, "LOG_FORMAT": "json"}
    command = [sys.executable, "-m", "services.producer", "replay", *args]
    return subprocess.run(command, input=given, env=os.environ | settings, capture_output=True, timeout=60, check=False)


def test_a_packed_log_comes_through_a_pipe(broker: str, topic: str) -> None:
    ended = replay(broker, topic, "-", given=gzip.compress(REAL_LOG.read_bytes()))
    assert (ended.returncode, ended.stderr) == (0, b"")
    sent = sorted(value for _, _, value in stored(broker, topic))
    assert sent == sorted(message.value for message in replay_files(REAL_LOG).messages)
    report = decode(next(line for line in ended.stdout.splitlines() if b'"replayed"' in line))
    counted = sum(
        (*report["skipped"].values(), *report["passed_over"].values()), report["events"] + report["bad_lines"]
    )
    assert counted == report["lines"] == 490


def test_a_log_of_which_nothing_can_be_read_ends_with_one_line_and_exit_code_1(
    broker: str, topic: str, tmp_path: Path
) -> None:
    unreadable = write(tmp_path / "error.log", *["2015/05/17 10:05:03 [error] 1#1: client: 203.0.113.7"] * 3)
    ended = replay(broker, topic, str(unreadable), str(write(tmp_path / "access.log", log_line())))
    assert ended.returncode == 1
    assert ended.stderr.decode().splitlines() == [
        f"error: {unreadable}: 3 of 3 lines could not be read. Line 1: {NOT_A_LOG_LINE}; it looks like the error log "
        "of nginx: replay the access log. The line: 2015/05/17 10:05:03 [error] 1#1: client: <address>"
    ]
    assert len(stored(broker, topic)) == 1, "what could be read is sent"
