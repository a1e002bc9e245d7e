#!/bin/sh
# Writes the locked requirements anew: names, versions and hashes only. Needs uv (pip install uv).
set -eu
cd "$(dirname "$0")/.."
lock() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url "$@"
}
lock --extra ml --extra llm pyproject.toml -o requirements/run.txt
for name in build dev node peer; do
    lock "requirements/$name.in" -o "requirements/$name.txt"
done
