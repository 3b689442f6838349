#!/bin/sh
# Installs what package-lock.json names, unless that is already there. Works from an empty clone with any npm.
set -eu
cd "$(dirname "$0")/.."

# npm writes this file last, so it is as old as the installation.
installed=node_modules/.package-lock.json
if [ -f "$installed" ] && [ ! package-lock.json -nt "$installed" ]; then
  exit 0
fi
if ! command -v npm >/dev/null 2>&1; then
  echo "setup: npm is missing; install Node.js 20 or newer from https://nodejs.org" >&2
  exit 1
fi
echo "setup: npm ci (the packages of package-lock.json, among them the Node.js that everything here runs on)"
npm ci --ignore-scripts --no-audit --no-fund
# npm keeps the time of the lock file where nothing had to be written.
touch "$installed"
