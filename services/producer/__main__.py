"""`python -m services.producer`."""

from services.common.errors import end_with_one_line
from services.producer.cli import app

end_with_one_line(app)
