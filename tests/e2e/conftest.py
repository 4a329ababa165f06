"""Where the tests run: a cluster that the environment names, with the images loaded. Nothing else is touched.

E2E_CONTEXT        context of the kubeconfig (KUBECONFIG), `make e2e CONTEXT=…`; without it the tests are skipped
E2E_NAMESPACE      namespace to make anew and delete (clickstream-e2e); a second one gets -managed appended. One that
                   the tests did not make, and so label, is never deleted: they fail
E2E_HELM_ARGS      more arguments for every install, such as --set image.tag=…
E2E_CHART          chart to install (charts/clickstream)
E2E_KEEP           set: what was installed stays after the last test
E2E_KAFKA_IMAGE    image of the external broker; see managed_kafka.py
E2E_POSTGRES_IMAGE image of the external PostgreSQL (postgres:17)
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.cluster import Namespace

KEEP = bool(os.environ.get("E2E_KEEP"))
_NAME = os.environ.get("E2E_NAMESPACE", "clickstream-e2e")


@pytest.fixture(scope="session")
def context() -> str:
    """The cluster, by its kubeconfig context: never whichever happens to be current."""
    given = os.environ.get("E2E_CONTEXT")
    if not given:
        pytest.skip("E2E_CONTEXT names no cluster: run `make e2e CONTEXT=…`")
    if shutil.which("helm") is None:
        pytest.fail("helm is missing: https://helm.sh/docs/intro/install/")
    return given


@pytest.fixture(scope="module")
def namespace(context: str) -> Iterator[Namespace]:
    """An empty namespace that enforces the restricted Pod Security Standard."""
    with fresh(_NAME, context) as made:
        yield made


@pytest.fixture(scope="module")
def managed(context: str) -> Iterator[Namespace]:
    """Another namespace, where somebody else runs a broker and a database."""
    with fresh(f"{_NAME}-managed", context) as made:
        yield made


@contextmanager
def fresh(name: str, context: str) -> Iterator[Namespace]:
    """A namespace made anew, deleted afterwards."""
    made = Namespace(name, context)
    made.create()
    yield made
    if not KEEP:
        made.delete()
