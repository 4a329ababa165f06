"""`python -m services.consumer`: run the consumer, or look after dead letters."""

import typer

from services.common import log, monitoring, shutdown
from services.common.errors import end_with_one_line
from services.common.settings import load
from services.consumer import dead_letters
from services.consumer.run import Runner
from services.consumer.settings import ConsumerSettings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
app.add_typer(dead_letters.app, name="dead-letters")


@app.command()
def run() -> None:
    """Store every event of the topic exactly once, until SIGTERM or SIGINT."""
    settings: ConsumerSettings = load(ConsumerSettings)
    logger = log.configure(settings, "consumer")
    stop = shutdown.on_signal()
    health = monitoring.Health()
    monitoring.serve(settings.monitoring_port, health)
    logger.info("consumer starts", topic=settings.kafka_topic, group=settings.consumer_group_id)
    Runner(settings, logger, health, stop).run()
    logger.info("consumer stopped")


if __name__ == "__main__":
    end_with_one_line(app)
