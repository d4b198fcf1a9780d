# The two commands: `make demo` and `make test`. They make .venv themselves; nothing else needs to be installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# torch and what is held against it: gigabytes on most machines, so `make demo` does without. TORCH='torch --index-url …' takes another build.
TORCH ?= torch==2.13.0
LOCAL := $(VENV)/.installed-local
CODE := kimi_agent tools local_backend examples benchmarks tests
WORKERS ?= 2
# The slow tests wait more than they compute: for processes to start, and for time-outs.
SLOW_WORKERS ?= 4


# Else each worker of each run of the tests compiles all of them again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check rest format fmt lint types imports unit docs test-pythons test-lower-bounds loop-coverage faults peers conformance drills test-flags test-engine bench bench-parsers benchmark-embedded clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 20

demo: $(STAMP)  ## a real model, a real tool call: fetches the embedded model once and asks it for the weather
	@$(BIN)/kimi-backend fetch
	$(BIN)/kimi-agent run --model embedded --tool examples/weather.py:get_weather \
	  "What's the weather like in Beijing today? Use the tool to check."

test: check peers  ## everything: `make check`, then the tests that need real servers, time or a real model
	$(BIN)/python -m pytest -n $(SLOW_WORKERS) -m "slow and not real_model and not drill"
	$(BIN)/python -m pytest -m real_model

check: $(LOCAL)  ## the fast part, under two minutes; the type checker works while tests wait
	@$(MAKE) --no-print-directory -j2 --output-sync=target types rest

rest: format lint imports unit

format: $(LOCAL)  ## nothing that `make fmt` would change
	$(BIN)/ruff format --check --quiet $(CODE)

fmt: $(STAMP)  ## formats the code
	$(BIN)/ruff check --fix --select I --quiet $(CODE)
	$(BIN)/ruff format --quiet $(CODE)

lint: $(LOCAL)  ## ruff, and the size limits of files and functions
	$(BIN)/ruff check $(CODE)
	$(BIN)/python tests/house.py

types: $(LOCAL)  ## basedpyright, strict
	$(BIN)/basedpyright

imports: $(LOCAL)  ## imports point downwards only
	$(BIN)/lint-imports --no-cache

unit: $(LOCAL)  ## the fast tests
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow and not real_model and not drill"

drills: $(LOCAL)  ## long drills of the backend: conversions that are killed, memory that must not grow, the whole of K2, huge clusters
	$(BIN)/python -m pytest -m drill

loop-coverage: $(STAMP)  ## no branch of the loop and the dispatcher is unvisited
	$(BIN)/python -m coverage run -m pytest -q tests/test_loop.py tests/test_journal.py tests/test_agent.py tests/test_robustness.py tests/test_slips.py tests/tooling/test_dispatch.py tests/tooling/test_repeat.py tests/test_hooks.py tests/test_healing.py tests/test_healing_bounds.py tests/output
	$(BIN)/python -m coverage report -m --fail-under=100 --include='kimi_agent/loop.py,kimi_agent/again.py,kimi_agent/tooling/dispatch.py'

docs: $(STAMP)  ## the documentation site, in dist/site; any warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

test-pythons: $(STAMP)  ## the fast tests under every supported Python that is there; with CI=true all must be
	$(BIN)/python tests/other_environments.py pythons

test-lower-bounds: $(STAMP)  ## the fast tests on the lowest versions that pyproject.toml allows
	$(BIN)/python tests/other_environments.py lower-bounds

bench: $(STAMP)  ## what the library costs beside a bare loop, and whether the targets hold; benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks.overhead

bench-parsers: $(STAMP)  ## how fast Kimi K2's own text is read, and whether the targets hold
	$(BIN)/python -m benchmarks.parsers

CASES ?=
ADAPTER ?= benchmarks/faults_adapter.py
faults: $(STAMP)  ## recorded faults of endpoints, played to this library; CASES= and ADAPTER= override
	$(BIN)/kimi-agent faults --adapter $(ADAPTER) $(if $(CASES),--cases $(CASES)) -v

peers: $(STAMP)  ## fetches, once, the MCP servers and programs of others that tests talk to: node, servers, the Inspector, the suite
	@$(BIN)/python -m tests.peers

conformance: $(STAMP)  ## the official MCP suite against our server and our client; docs/mcp-conformance.md
	$(BIN)/python -m tests.conformance.run

test-flags: $(LOCAL)  ## what we write for SGLang and vLLM, against their own parsers; makes their environments (5 GB, Python 3.11)
	$(BIN)/python tests/engine_environments.py flags-test

test-engine: $(LOCAL)  ## a real vLLM on the CPU serves tiny checkpoints that call tools; makes its environment (3.5 GB, Python 3.11)
	$(BIN)/python tests/engine_environments.py engine-test

benchmark-embedded: $(STAMP)  ## the figures of docs/embedded.md; takes about an hour
	$(BIN)/python benchmarks/embedded.py

$(STAMP): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(LOCAL): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,local,test-local]'
	@touch $@

clean:  ## removes .venv, caches and what was built
	rm -rf $(VENV) dist .pytest_cache .ruff_cache .coverage
