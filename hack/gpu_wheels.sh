#!/usr/bin/env bash
# Downloads what the server needs beside torch on a GPU machine without package registries, as wheels for Python 3.12.
#
#   hack/gpu_wheels.sh FOLDER
#
# The versions are those of requirements/server.txt. On the GPU machine:
#   python3 -m pip install --no-index --no-deps --target /tmp/site FOLDER/*.whl && export PYTHONPATH=/tmp/site
set -euo pipefail
folder="${1:?a folder for the wheels}"
locked="$(dirname "$0")/../requirements/server.txt"
names="pydantic pydantic-core pydantic-settings annotated-types typing-inspection typing-extensions python-dotenv
python-json-logger llguidance transformers"
pins=()
for name in $names; do
  pins+=("$(sed -nE "s/^($name==[^ ]+).*/\1/p" "$locked")")
done
platforms=()
for minor in {17..39}; do # pip compares the glibc version of a wheel's name exactly
  platforms+=(--platform "manylinux_2_${minor}_x86_64")
done
mkdir -p "$folder"
rm -f "$folder"/*.whl # two versions of a package would stop the installation
python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
  "${platforms[@]}" --platform manylinux2014_x86_64 --dest "$folder" "${pins[@]}"
du -ch "$folder"/*.whl
