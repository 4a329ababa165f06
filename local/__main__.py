"""`python -m local`."""

from local.cli import app
from services.common.errors import end_with_one_line

if __name__ == "__main__":
    end_with_one_line(app)
