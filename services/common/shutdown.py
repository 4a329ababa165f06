"""SIGTERM and SIGINT ask a service to stop; it finishes what it holds and leaves within seconds."""

import signal
import threading


def on_signal() -> threading.Event:
    """An event that either signal sets. Both are installed: a background job starts with SIGINT ignored."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop
