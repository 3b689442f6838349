#!/bin/sh
# Checks and tests everything, on a machine that may have nothing but Node.js 20 and npm. Installs what is missing, after
# saying so; asks first on a terminal, unless --yes is given. The last line is the count.
set -eu
cd "$(dirname "$0")/.."
# Servers live in sbin, which is not on the path of every user.
PATH="$PATH:/usr/sbin:/sbin"
export PATH

yes=no
for argument in "$@"; do
  case "$argument" in
    --yes | -y) yes=yes ;;
    *)
      echo "usage: npm run verify -- [--yes]" >&2
      exit 2
      ;;
  esac
done

failed() {
  echo "verify: $1" >&2
  echo "0 passed, 1 failed"
  exit 1
}

missing=""
command -v redis-server >/dev/null 2>&1 || missing="$missing redis-server"
{ command -v mariadbd && command -v mariadb-install-db; } >/dev/null 2>&1 || missing="$missing mariadb-server-core"
command -v mariadb >/dev/null 2>&1 || missing="$missing mariadb-client-core"
command -v haproxy >/dev/null 2>&1 || missing="$missing haproxy"
command -v nginx >/dev/null 2>&1 || missing="$missing nginx-light libnginx-mod-stream"
command -v keepalived >/dev/null 2>&1 || missing="$missing keepalived"

if [ -n "$missing" ] && ! command -v apt-get >/dev/null 2>&1; then
  echo "verify: not installed, and there is no apt-get to do it with:$missing; tests that need them are skipped"
  missing=""
fi
if [ -n "$missing" ]; then
  root=""
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || failed "not installed:$missing; install them as root (apt-get install$missing)"
    root="sudo"
  fi
  echo "verify: will install with apt-get:$missing (the programs only; no service is started)"
  if [ "$yes" = no ] && [ -t 0 ] && [ -t 1 ]; then
    printf 'Go on? [Y/n] '
    read -r answer
    case "$answer" in
      n* | N*) failed "not installed:$missing" ;;
    esac
  fi
  # RUNLEVEL=1 keeps the packages from starting their services; the tests start their own, on free ports.
  $root env DEBIAN_FRONTEND=noninteractive apt-get -qq update || failed "apt-get update failed"
  # shellcheck disable=SC2086
  $root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq install -y --no-install-recommends $missing >/dev/null || failed "apt-get install failed"
fi

sh scripts/setup.sh || failed "npm ci failed"
exec node_modules/.bin/node scripts/verify.ts
