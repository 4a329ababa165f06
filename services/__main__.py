"""`python -m services`, which the image starts without arguments: says which services there are."""

from pathlib import Path

from services.common.errors import fail

if __name__ == "__main__":
    mains = sorted(Path(__file__).parent.glob("*/__main__.py"))
    fail(f"name the service to run: {', '.join(f'services.{main.parent.name}' for main in mains)}")
