"""The platform's services: each package runs as one process, `python -m services.<name>`."""
