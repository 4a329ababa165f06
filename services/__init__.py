"""The platform's services: each package runs as one process, `python -m services.<name>`."""

__version__ = "0.1.0"
