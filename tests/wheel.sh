#!/bin/sh
# Builds the wheel, installs it in an empty environment away from the checkout, and asks it about a picture.
set -eu
python="$1"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
"$python" -m build --wheel --outdir "$work" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
wheel="$(ls "$work"/*.whl)"
echo "$(basename "$wheel"): $(stat -c %s "$wheel") bytes"
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check "$wheel"
cp examples/sign.png "$work/"
cd "$work"
answer="$(venv/bin/minigemini ask sign.png "What does the sign say?")"
echo "the wheel answers: $answer"
test -n "$answer"
