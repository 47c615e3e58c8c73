#!/usr/bin/env bash
# One throw-away PostgreSQL for the tests: postgres.sh start|stop FILE. FILE receives its connection string.
# Its data lies below /tmp, where the postgres user can reach it when run as root. It is stopped by its own pid.
set -euo pipefail
action=$1 file=$(realpath -m "$2")
bin=$(dirname "$(command -v postgres || ls -d /usr/lib/postgresql/*/bin/postgres | sort -V | tail -n 1)")

as_owner() {
  if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --init-groups "$@"; else "$@"; fi
}

stop() {
  [ -f "$file" ] || return 0
  local dir
  dir=$(sed -n 's/^host=\([^ ]*\) .*/\1/p' "$file")
  case $dir in /tmp/tallyd-test-pg.*) ;; *) rm -f "$file"; return 0 ;; esac
  if [ -f "$dir/data/postmaster.pid" ]; then
    as_owner "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
  fi
  rm -rf "$dir" "$file"
}

start() {
  stop
  local dir
  dir=$(mktemp -d /tmp/tallyd-test-pg.XXXXXX)
  chmod 755 "$dir"
  [ "$(id -u)" != 0 ] || chown postgres "$dir"
  cd /
  as_owner "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$dir/initdb.log" 2>&1
  # fsync is off here; tests about durability start a server of their own.
  as_owner "$bin/pg_ctl" -D "$dir/data" -l "$dir/data/server.log" -w -t 60 -o "-c listen_addresses='' -k $dir -c fsync=off \
    -c full_page_writes=off -c jit=off -c max_connections=200 -c shared_buffers=64MB -c deadlock_timeout=100ms" start >/dev/null
  mkdir -p "$(dirname "$file")"
  echo "host=$dir user=postgres dbname=postgres" >"$file"
}

"$action"
