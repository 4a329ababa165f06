"""The package itself, which the image starts when it is given no service."""

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def test_who_names_no_service_is_told_in_one_line_which_there_are() -> None:
    command = [sys.executable, "-m", "services"]
    told = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == (
        "error: name the service to run: services.aggregator, services.check, services.consumer, services.migrate, "
        "services.producer\n"
    )
