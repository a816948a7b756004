#!/usr/bin/env bash
# Resolve the extras of pyproject.toml into hashed lock files; images and .venv install from these.
set -euo pipefail
cd "$(dirname "$0")/.."
uv=$(python3 -c 'from hack.venv import find_uv; print(find_uv())')
common=(--quiet --generate-hashes --no-header --no-annotate --python-version 3.11 --python-platform x86_64-manylinux_2_28)
"$uv" pip compile pyproject.toml --extra dev "${common[@]}" -o requirements/dev.txt
for extra in operator gateway assistant simulated server; do
    extras=(--extra "$extra")
    case "$extra" in simulated | server | gateway | assistant) extras+=(--extra otel) ;; esac
    # The same versions as in development: what was tested is what ships.
    "$uv" pip compile pyproject.toml "${extras[@]}" -c requirements/dev.txt "${common[@]}" -o "requirements/$extra.txt"
done
# The clients of the tests conflict with the project's own versions: an environment of their own (hack/clients.py).
"$uv" pip compile requirements/clients/python.in "${common[@]}" -o requirements/clients/python.txt
