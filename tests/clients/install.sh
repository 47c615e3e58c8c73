#!/usr/bin/env bash
# Installs the clients of others that tests speak through, exactly as package-lock.json says.
#
#   tests/clients/install.sh DIR      makes DIR/node_modules; does nothing when it is up to date
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
into=$1
command -v npm >/dev/null || { echo "clients: npm is missing; run script/bootstrap" >&2; exit 1; }

mkdir -p "$into"
stamp=$(cat "$here/package.json" "$here/package-lock.json" | sha256sum)
cp "$here"/*.mjs "$into"
if [ "$(cat "$into/installed" 2>/dev/null)" = "$stamp" ]; then
  exit 0
fi
cp "$here/package.json" "$here/package-lock.json" "$into"
if ! (cd "$into" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=3 --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=5000); then
  echo "clients: npm could not install what $here/package-lock.json names; the registry is $(npm config get registry 2>/dev/null)." >&2
  if npm ping --fetch-retries=0 >/dev/null 2>&1; then exit 1; fi
  echo "clients: that registry does not answer: the tests that need it are skipped, and ctest lists them as such" >&2
  exit 77
fi
echo "$stamp" >"$into/installed"
