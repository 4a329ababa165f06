"""Apache Kafka's jars: fetched once from Maven Central into Maven's own cache, checked against kafka.lock."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from services.common.errors import UserError

if TYPE_CHECKING:
    from jgo.maven import MavenContext

LOCK = Path(__file__).with_name("kafka.lock")
DOWNLOAD_MB = 45
_TIMEOUT_SECONDS = 60

Say = Callable[[str], None]


@dataclass(frozen=True)
class Jar:
    """One line of kafka.lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def path(self) -> Path:
        """Where Maven keeps it."""
        folder = cache().joinpath(*self.group.split("."), self.artifact, self.version)
        return folder / f"{self.artifact}-{self.version}.jar"

    def is_genuine(self, file: Path) -> bool:
        """The file has the locked content."""
        return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == self.sha256


def cache() -> Path:
    """Maven's local repository."""
    return Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")


def locked() -> list[Jar]:
    """What kafka.lock names."""
    jars = []
    for line in LOCK.read_text().splitlines():
        coordinate, digest = line.split()
        group, artifact, version = coordinate.split(":")
        jars.append(Jar(group, artifact, version, digest))
    return jars


def fetch(say: Say) -> list[Path]:
    """Bring the jars that are missing or damaged; none when all are there.

    Raises:
        UserError: a jar cannot be fetched, or is not the one that kafka.lock names.
    """
    jars = locked()
    with ThreadPoolExecutor(8) as pool:
        there = list(pool.map(lambda jar: jar.is_genuine(jar.path), jars))
    missing = [jar for jar, genuine in zip(jars, there, strict=True) if not genuine]
    if missing:
        _download(missing, f"about {DOWNLOAD_MB} MB" if len(missing) == len(jars) else "the rest", say)
    return [jar.path for jar in jars]


def _download(missing: list[Jar], size: str, say: Say) -> None:
    from jgo.maven import MavenContext  # slow to import, and needed only here

    say(f"Downloading Apache Kafka, once: {len(missing)} jars, {size}, into {cache()}")
    cache().mkdir(parents=True, exist_ok=True)
    # jgo writes in place: through a directory of our own, an interrupted download leaves no half a jar.
    with TemporaryDirectory(dir=cache(), prefix=".clickstream-") as folder, ThreadPoolExecutor(8) as pool:
        context = MavenContext(repo_cache=Path(folder), timeout=_TIMEOUT_SECONDS)
        for count, jar in enumerate(pool.map(lambda jar: _download_one(jar, context), missing), 1):
            if count % 10 == 0 or count == len(missing):
                say(f"  {count} of {len(missing)} jars ({jar.artifact})")


def _download_one(jar: Jar, context: "MavenContext") -> Jar:
    from requests import RequestException

    try:
        file = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
    except (RuntimeError, RequestException) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot fetch {jar.artifact} {jar.version} from Maven Central: {reason}") from None
    if not jar.is_genuine(file):
        raise UserError(f"{jar.artifact} {jar.version} from Maven Central is not the file that {LOCK.name} names")
    jar.path.parent.mkdir(parents=True, exist_ok=True)
    file.replace(jar.path)
    return jar
