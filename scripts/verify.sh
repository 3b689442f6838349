#!/bin/sh
# Checks and tests everything, on a machine that may have nothing but Node.js 20 and npm. Installs what is missing, after
# saying so; asks first on a terminal, unless --yes is given. The last line is the count.
set -eu
cd "$(dirname "$0")/.."
. scripts/services.sh

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

missing="$(missing_packages redis-server mariadb-server-core mariadb-client-core haproxy nginx curl keepalived openssl php-curl chromium-headless-shell)"
if [ -n "$missing" ] && ! command -v apt-get >/dev/null 2>&1; then
  echo "verify: not on the path, and there is no apt-get to install it with (names of Debian's packages):$missing; tests that need them are skipped"
elif [ -n "$missing" ]; then
  install_packages verify "$yes" "$missing"
fi

sh scripts/setup.sh || failed "npm ci failed"
exec node_modules/.bin/node scripts/verify.ts
