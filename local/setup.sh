#!/bin/sh
# Finds a Python that the project runs on, and lets it make .venv. A command with the right name may be a shim that
# runs nothing, so each candidate is asked for its version.
set -eu
cd "$(dirname "$0")/.."

version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

seen=""
if [ -n "${PYTHON:-}" ]; then
    set -- "$PYTHON"
else
    set -- python3.12 python3.11 python3 python
fi
for candidate; do
    found=$(version "$candidate")
    case "$found" in
    3.11 | 3.12) exec "$candidate" -P local/bootstrap.py ;;
    ?*) seen="$seen, $candidate is $found" ;;
    *) seen="$seen, $candidate does not run" ;;
    esac
done
echo "crmbet needs Python 3.11 or 3.12 (here${seen#,}): install one, or name it as in PYTHON=/usr/bin/python3.12 make" >&2
exit 1
