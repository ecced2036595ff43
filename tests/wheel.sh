#!/bin/sh
# Builds the wheel, installs it in an empty environment away from the checkout: it must answer as the checkout does.
# The embedded model is named, because a pulled `small` would answer instead, and reads text by a package the wheel does not need.
# Usage: wheel.sh PYTHON CONSTRAINTS
set -eu
python="$1"
constraints="$2"
question="What does the sign say?"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
expected="$("$python" -m minigemini ask --model nano examples/sign.png "$question")"
"$python" -m build --wheel --outdir "$work" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
wheel="$(ls "$work"/*.whl)"
echo "$(basename "$wheel"): $(wc -c <"$wheel") bytes"
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check -c "$constraints" "$wheel"
cp examples/sign.png "$work/"
cd "$work"
answer="$(venv/bin/minigemini ask --model nano sign.png "$question")"
echo "the wheel answers: $answer"
test -n "$answer" && test "$answer" = "$expected"
