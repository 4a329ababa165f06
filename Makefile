# Everything runs from a fresh clone with git, make and Python 3.11 or newer: `make` alone lists the targets.
PYTHON ?= python3
ARGS ?=
UV_VERSION := 0.13.8

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export UV_PYTHON_DOWNLOADS := never
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
# Services start as processes, in the tests hundreds of times: without kept bytecode, each compiles all its libraries.
unexport PYTHONDONTWRITEBYTECODE

# uv from the PATH, else one of our own.
UV := $(or $(shell command -v uv 2>/dev/null),.local/uv/bin/uv)

# The chart's tests need Helm: the PATH's, else HELM=/path, else one of our own where Go is there to build it.
HELM_VERSION := v3.19.0
HELM_TO_TEST := $(if $(HELM)$(shell command -v helm 2>/dev/null),,$(if $(shell command -v go 2>/dev/null),.local/bin/helm))

# Whole suites run in as many processes as there are cores, what is chosen by ARGS in one, which starts sooner.
WORKERS ?= $(if $(ARGS),0,auto)
PYTEST = $(BIN)/python -m pytest --numprocesses=$(WORKERS) --maxprocesses=8 --dist=worksteal

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help bench demo test test-unit test-integration test-chart lint format lock clean
.PHONY: kind-up image namespace install upgrade helm-test grafana status scale throughput logs uninstall kind-down
.PHONY: named-context e2e

help: ## List the targets
	@awk -F ':.*## ' '/^##@ / { print "\n" substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## Run the whole platform here, with a live page; ARGS="--events 200000", ARGS=--grafana, ARGS="--help"
	@$(BIN)/python -m local demo $(ARGS)

test: $(READY) $(HELM_TO_TEST) ## Run all tests, on a real broker and a real database; ARGS="-k name", WORKERS=1
	@$(PYTEST) --ignore=tests/e2e $(ARGS)

test-unit: $(READY) ## Run the tests that need neither broker nor database
	@$(PYTEST) tests/unit $(ARGS)

test-integration: $(READY) ## Run the tests on a real broker and a real database
	@$(PYTEST) tests/integration $(ARGS)

test-chart: $(READY) $(HELM_TO_TEST) ## Run the tests of the Helm chart, which need helm and no cluster; ARGS="--update-golden"
	@$(PYTEST) tests/chart $(ARGS)

bench: $(READY) ## Measure ingest against psql \copy of the same rows
	@$(BIN)/python -m tests.bench.ingest

lint: $(READY) ## Check style, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY) ## Format the code and sort the imports
	@$(BIN)/ruff check --select I --fix .
	@$(BIN)/ruff format .

lock: $(UV) ## Resolve the dependencies anew and write both lock files
	$(UV) pip compile --universal --generate-hashes --upgrade --quiet pyproject.toml -o requirements.lock
	$(UV) pip compile --universal --generate-hashes --upgrade --quiet pyproject.toml --all-extras -c requirements.lock -o requirements-dev.lock

clean: ## Remove all that the other targets made: environment, data, caches
	@if [ -e .local/demo/.clickstream ]; then \
		home=$$(readlink .local/demo/postgres); \
		case "$$home" in /var/tmp/clickstream-embedded/data-*) rm -rf "$$home";; esac; \
		rm -rf .local/demo; fi
	rm -rf $(VENV) .local/uv .local/bin .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@rmdir .local 2>/dev/null || true
	find services local tests -name __pycache__ -prune -exec rm -rf {} +

##@ Kubernetes, on the cluster of CONTEXT (kind-clickstream)
# Another cluster than kind: leave kind-up out, name its CONTEXT, push the image to its registry and say
# HELM_ARGS="--set image.registry=…".
KIND_CLUSTER ?= clickstream
# A context of the kubeconfig. Whichever is current is never used: it may be a cluster that others live on.
CONTEXT ?= kind-$(KIND_CLUSTER)
KIND_NODE_IMAGE ?=
NAMESPACE ?= clickstream
RELEASE ?= clickstream
HELM_ARGS ?=
DOCKER_BUILD_ARGS ?=
CONSUMERS ?= 4
# Brought into the cluster from Docker here, where they are, so that it need not fetch them; "" leaves them out.
PRELOAD_IMAGES ?= redpandadata/redpanda:v26.2.1 postgres:17 grafana/grafana:13.2.3

VERSION := $(shell awk '$$1 == "appVersion:" { gsub(/"/, "", $$2); print $$2 }' charts/clickstream/Chart.yaml)
IMAGE := clickstream:$(VERSION)
CHART := charts/clickstream
KUBECTL := kubectl --context '$(CONTEXT)' --namespace $(NAMESPACE)
HELM_HERE := helm --kube-context '$(CONTEXT)' --namespace $(NAMESPACE)

# $(call need,TOOL,HOW TO GET IT): end with one line if a tool is missing.
need = @command -v $(1) >/dev/null 2>&1 || { echo "error: $(1) is missing: $(2)" >&2; exit 1; }
need_docker = $(call need,docker,install Docker Engine: https://docs.docker.com/engine/install/)
need_kind = $(call need,kind,https://kind.sigs.k8s.io/docs/user/quick-start/#installation$(comma) or: go install sigs.k8s.io/kind@latest)
need_kubectl = $(call need,kubectl,https://kubernetes.io/docs/tasks/tools/#kubectl)
need_helm = $(call need,helm,https://helm.sh/docs/intro/install/$(comma) version 3.14 or newer)
comma := ,

# An empty name would mean the current context: get-contexts refuses it too.
define need_cluster
$(need_kubectl)
@kubectl config get-contexts '$(CONTEXT)' >/dev/null 2>&1 || { \
	echo "error: no context '$(CONTEXT)' in the kubeconfig: run make kind-up, or name one by CONTEXT=: $$(kubectl config get-contexts --output=name | paste -sd' ' -)" >&2; exit 1; }
endef

kind-up: image ## Make a local cluster with the images in it; KIND_CLUSTER, KIND_NODE_IMAGE, PRELOAD_IMAGES
	$(need_kind)
	$(need_kubectl)
	@kind get clusters 2>/dev/null | grep -qx '$(KIND_CLUSTER)' || \
		kind create cluster --name '$(KIND_CLUSTER)' --config kind-config.yaml --wait 3m $(if $(KIND_NODE_IMAGE),--image '$(KIND_NODE_IMAGE)')
	@kubectl config get-contexts 'kind-$(KIND_CLUSTER)' >/dev/null 2>&1 || kind export kubeconfig --name '$(KIND_CLUSTER)'
	@for image in $(PRELOAD_IMAGES); do \
		docker image inspect "$$image" >/dev/null 2>&1 || docker pull --quiet "$$image" || \
		{ echo "error: $$image can't be had: leave it out with PRELOAD_IMAGES=, and the cluster fetches it" >&2; exit 1; }; done
	@kind load docker-image --name '$(KIND_CLUSTER)' '$(IMAGE)' $(PRELOAD_IMAGES)
	@$(MAKE) --no-print-directory namespace CONTEXT='kind-$(KIND_CLUSTER)'

image: ## Build the image of the services; DOCKER_BUILD_ARGS
	$(need_docker)
	@docker info >/dev/null 2>&1 || { echo "error: no answer from Docker: start it, or allow yourself to use it" >&2; exit 1; }
	@echo "Building $(IMAGE)"
	@docker build --quiet $(DOCKER_BUILD_ARGS) --tag '$(IMAGE)' . >/dev/null

# One that is there already may hold pods of others: the standard is enforced only in one made here.
namespace:
	$(need_cluster)
	@$(KUBECTL) get namespace $(NAMESPACE) >/dev/null 2>&1 || { \
		$(KUBECTL) create namespace $(NAMESPACE) >/dev/null && \
		$(KUBECTL) label namespace $(NAMESPACE) pod-security.kubernetes.io/enforce=restricted >/dev/null; }

install: namespace ## Install the chart; HELM_ARGS="--set producer.rate=500", CONTEXT, NAMESPACE, RELEASE
	$(need_helm)
	@$(HELM_HERE) install $(RELEASE) $(CHART) $(HELM_ARGS)

upgrade: ## Upgrade the release to this chart; what was set stays set; HELM_ARGS
	$(need_helm)
	$(need_cluster)
	@$(HELM_HERE) upgrade $(RELEASE) $(CHART) --reset-then-reuse-values $(HELM_ARGS)

helm-test: ## Prove that events flow: marked ones are sent and waited for
	$(need_helm)
	$(need_cluster)
	@$(HELM_HERE) test $(RELEASE) || { $(KUBECTL) logs pod/$(RELEASE)-test; exit 1; }

grafana: ## Open Grafana at http://localhost:3000; ends with Ctrl-C
	$(need_cluster)
	@echo "http://localhost:3000/  user admin  password $$($(KUBECTL) get secret $(RELEASE)-grafana-admin \
		--output=go-template='{{ index .data "admin-password" | base64decode }}')"
	@(sleep 2; xdg-open http://localhost:3000/ || open http://localhost:3000/) >/dev/null 2>&1 &
	@$(KUBECTL) port-forward service/$(RELEASE)-grafana 3000:3000

status: ## Pods, the pipeline's balance and the last runs of the aggregator
	$(need_cluster)
	@$(KUBECTL) get pods,cronjobs,pvc --selector app.kubernetes.io/instance=$(RELEASE)
	@$(KUBECTL) exec $(RELEASE)-postgres-0 -- psql --username postgres --dbname clickstream --quiet \
		--command 'SELECT sum(received) received, sum(stored) stored, sum(duplicate) duplicate, sum(dead) dead, sum(lost) lost, sum(imbalance) imbalance, sum(lag_messages) lag FROM reporting.partition_offset' \
		--command 'SELECT run_id, started_at::timestamp(0), passes, events, round(seconds::numeric, 1) seconds, error FROM reporting.aggregator_run ORDER BY run_id DESC LIMIT 5'

scale: ## Scale the consumer; CONSUMERS=4
	$(need_cluster)
	@$(KUBECTL) scale deployment/$(RELEASE)-consumer --replicas=$(CONSUMERS)
	@$(KUBECTL) rollout status deployment/$(RELEASE)-consumer --timeout=5m

throughput: $(READY) ## Scale the consumer 1, 2, 4 under load, and write what it did under docs/benchmarks
	$(need_cluster)
	@$(BIN)/python -m tests.bench.throughput --context '$(CONTEXT)' --namespace $(NAMESPACE) --release $(RELEASE) $(ARGS)

logs: ## Follow the logs of the services
	$(need_cluster)
	@$(KUBECTL) logs --follow --prefix --tail=20 --max-log-requests=50 \
		--selector 'app.kubernetes.io/instance=$(RELEASE),app.kubernetes.io/name=clickstream'

uninstall: ## Remove the release; volumes and the passwords of their data stay
	$(need_helm)
	$(need_cluster)
	@$(HELM_HERE) uninstall $(RELEASE)

kind-down: ## Delete the local cluster with all its data
	$(need_kind)
	@kind delete cluster --name '$(KIND_CLUSTER)'

# The default is not enough here: whoever lets namespaces be made and deleted says where.
named-context:
	@[ '$(origin CONTEXT)' != file ] || { \
		echo "error: e2e makes and deletes namespaces: name the cluster's context, make e2e CONTEXT=$(CONTEXT)" >&2; exit 1; }

e2e: named-context $(READY) ## Run the end-to-end tests on a cluster that you name; CONTEXT=kind-clickstream, ARGS="-k name"
	$(need_helm)
	$(need_cluster)
	@E2E_CONTEXT='$(CONTEXT)' $(BIN)/python -m pytest tests/e2e $(ARGS)

$(READY): requirements-dev.lock | $(UV)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11 or missing: install Python 3.11 or newer, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@[ -x $(BIN)/python ] || { echo "Making $(VENV), once: Python packages, about 95 MB"; $(UV) venv --quiet --python $(PYTHON) $(VENV); }
	@$(UV) pip install --require-hashes --requirement requirements-dev.lock
	@touch $@

.local/bin/helm:
	@echo "Building Helm $(HELM_VERSION), once"
	@mkdir -p $(@D)
	@GOBIN="$(CURDIR)/$(@D)" GOFLAGS= go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

.local/uv/bin/uv:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "error: $(PYTHON) is missing or lacks venv: install it (Debian, Ubuntu: apt install python3-venv), or install uv" >&2; exit 1; }
	@echo "Fetching uv $(UV_VERSION), once: 25 MB"
	@$(PYTHON) -m venv .local/uv
	@.local/uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
