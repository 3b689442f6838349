#!/bin/sh
# Starts two nodes with everything around them, to be killed at will (docs/pair.md). Installs what is missing, after saying
# so; asks first on a terminal, unless --yes is given.
set -eu
cd "$(dirname "$0")/.."
. scripts/services.sh

yes=no
for argument in "$@"; do
  shift
  case "$argument" in
    --yes | -y) yes=yes ;;
    --help | -h)
      echo "usage: npm run pair -- [--yes] [--mode standby|active] [--seconds N]"
      exit 0
      ;;
    *) set -- "$@" "$argument" ;;
  esac
done

failed() {
  echo "pair: $1" >&2
  exit 1
}

missing="$(missing_packages redis-server mariadb-server-core haproxy)"
if [ -n "$missing" ]; then
  command -v apt-get >/dev/null 2>&1 || failed "not on the path, and there is no apt-get to install it with (names of Debian's packages):$missing"
  install_packages pair "$yes" "$missing"
fi

sh scripts/setup.sh || failed "npm ci failed"
exec node_modules/.bin/node test/pair/pair.ts "$@"
