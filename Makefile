# `make demo` and `make test` have no prerequisites; the other targets are parts of them, benchmarks and releases.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export PATH := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/chatscale/bin:$(PATH)

PY := .venv/bin/python

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' Makefile

.venv/.synced: requirements/dev.txt
	python3 -m hack.venv

.PHONY: browser chaos lint types contracts generate verify chart clients unit properties integration e2e images cluster install demo demo-shop test clean-cluster release lock guide bench-server bench-autoscaling bench-reaction bench-replay bench-zero-lost bench-gateway bench-gpu
lint: .venv/.synced ## ruff: rules and format
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: .venv/.synced ## mypy, strict
	$(PY) -m mypy
	$(PY) -m mypy -p hack -p tests.benchmarks

contracts: .venv/.synced ## import-linter: the layers of docs/architecture.md
	.venv/bin/lint-imports

generate: .venv/.synced ## Write every generated file anew (CRD, install.yaml, chart README, docs)
	$(PY) -m hack.generate

verify: lint types contracts ## Static checks, and that generated files are current
	$(PY) -m hack.generate --check

clients: .venv/.synced ## The client libraries that the server is tested with, in the cache
	$(PY) -m hack.clients

unit: .venv/.synced ## Tests without network, cluster or sleep
	$(PY) -m pytest tests/unit tests/contract

properties: .venv/.synced ## Search for examples that break a property test, with other examples in each run
	$(PY) -m pytest tests/unit --hypothesis-profile=search

chart: .venv/.synced ## The chart as Helm renders it
	$(PY) -m pytest tests/chart

browser: .venv/.synced ## The pages in Chromium; pictures in build/pages
	REQUIRE_BROWSER=1 $(PY) -m pytest tests/browser

cluster: .venv/.synced ## A real kind cluster with registry, Prometheus and prometheus-adapter
	python3 -m hack.cluster up

images: cluster ## Build the images and push them to the cluster's registry
	python3 -m hack.cluster images

install: images ## Install the chart into the cluster
	$(PY) -m hack.install

integration: cluster ## The operator's parts against a real API server
	$(PY) -m pytest tests/integration

e2e: images ## One file per promise, on the cluster
	$(PY) -m pytest tests/e2e

demo: images ## The whole product in one run, with a summary
	$(PY) -m hack.demo

demo-shop: images ## The sample shop: an assistant, customers in three languages, a hand-over and a sale
	$(PY) -m hack.demo_shop

# Images first: `verify` renders the chart with the helm that the bring-up builds where there is none.
# Three workers on two cores: the end-to-end tests mostly wait. tests/support/parallel.py says who runs what and when.
test: .venv/.synced clients ## Every check and test there is
	$(MAKE) images
	$(MAKE) verify
	REQUIRE_CLIENTS=1 REQUIRE_BROWSER=1 $(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder

guide: images ## Follow docs/guide/install.md on a second, plain kind cluster, then delete it
	$(PY) -m hack.guide_check

bench-server: .venv/.synced ## The server beside its peers, 55 minutes of an idle machine, with BENCH="--peers vllm" 20: docs/benchmarks/server*.md
	$(PY) -m tests.benchmarks.server $(BENCH)

bench-autoscaling: .venv/.synced ## The policy beside its peers on public traces, hours, resumable: docs/benchmarks/autoscaling.md
	$(PY) -m tests.benchmarks.autoscaling $(BENCH)

bench-reaction: .venv/.synced ## Policies on simulated flash crowds, 5 minutes (on the cluster, 50 minutes: BENCH="--kind"): docs/benchmarks/reaction.md
	$(PY) -m tests.benchmarks.reaction $(BENCH)

bench-replay: .venv/.synced ## Traffic on the cluster beside its forecast, 20 minutes after make install: docs/benchmarks/replay.md
	$(PY) -m tests.benchmarks.replay $(BENCH)

bench-zero-lost: images ## Requests lost in wakes, scale-downs and rollouts on the cluster, 20 minutes: docs/benchmarks/zero-lost.md
	$(PY) -m tests.benchmarks.zero_lost $(BENCH)

chaos: images ## Faults on the cluster that take minutes: API server away, a replica that never answers, an HPA from zero; 6 minutes
	$(PY) -m pytest tests/e2e -m chaos

bench-gateway: .venv/.synced ## The gateway beside other proxies, 6 minutes (fairness on the cluster, 7 minutes: BENCH="--kind"): docs/benchmarks/gateway.md
	$(PY) -m tests.benchmarks.gateway $(BENCH)

bench-gpu: .venv/.synced ## The server on a GPU against the limits of the card, 8 minutes: docs/benchmarks/gpu.md
	$(PY) -m tests.benchmarks.gpu $(BENCH)
	$(PY) -m tests.benchmarks.gpu --page build/gpu/gpu.json

clean-cluster: ## Delete the cluster; caches stay
	python3 -m hack.cluster down

release: .venv/.synced ## Images, packaged chart and notes of a tag: make release TAG=v1.2.3 REGISTRY=ghcr.io/owner/chatscale
	$(PY) -m hack.release --tag "$(TAG)" --registry "$(REGISTRY)"

lock: ## Resolve requirements/*.txt anew from pyproject.toml
	bash hack/lock.sh
