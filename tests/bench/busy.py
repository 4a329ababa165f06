"""The time that a process was at work: what others do on the machine does not count."""

from pathlib import Path

from services.common.postgres import Connection


def server_ns(connection: Connection) -> int:
    """Nanoseconds of the connection's process at the server, which must be on this machine (proc_pid_schedstat)."""
    return int(Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text().split()[0])
