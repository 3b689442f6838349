#!/bin/sh
# Fetches the C library of Debian 13 into node_modules/.cache, for the one thing here that needs a newer one than Debian 12
# has: uWebSockets.js, of which the tests want to see the real one. Nothing is installed; a process is given it by
#   FOLDER/ld-linux-x86-64.so.2 --library-path FOLDER node ...
# Prints FOLDER. Fails, saying why, where there is no apt or no network.
set -eu
cd "$(dirname "$0")/.."
cache="$PWD/node_modules/.cache/newer-libc"
library="$cache/root/usr/lib/x86_64-linux-gnu"

if [ -e "$cache/complete" ]; then
  echo "$library"
  exit 0
fi
failed() {
  echo "newer-libc: $1" >&2
  exit 1
}
[ "$(uname -sm)" = "Linux x86_64" ] || failed "only for Linux on x86-64"
command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1 || failed "there is no apt-get to fetch it with"

# The archive that this machine uses already, so that a mirror or a proxy is respected.
archive="$(apt-get indextargets --format '$(SITE) $(ORIGIN)' 'Created-By: Packages' 2>/dev/null | sed -n 's/ Debian$//p' | grep -v security | head -n 1)"
rm -rf "$cache"
mkdir -p "$cache/lists/partial" "$cache/archives/partial" "$cache/packages" "$cache/root"
echo "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${archive:-http://deb.debian.org/debian} trixie main" >"$cache/sources.list"
cat >"$cache/apt.conf" <<END
Dir::Etc::SourceList "$cache/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$cache/lists";
Dir::Cache "$cache";
Dir::Cache::Archives "$cache/archives";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
APT::Sandbox::User "";
END
export APT_CONFIG="$cache/apt.conf"
apt-get -qq update >"$cache/log" 2>&1 || failed "apt-get update failed: $(tail -n 1 "$cache/log")"
(cd "$cache/packages" && apt-get -qq download libc6 libstdc++6 libgcc-s1) >>"$cache/log" 2>&1 || failed "apt-get download failed: $(tail -n 1 "$cache/log")"
for package in "$cache"/packages/*.deb; do
  dpkg -x "$package" "$cache/root" || failed "cannot unpack $package"
done
rm -rf "$cache/lists" "$cache/archives" "$cache/packages"
touch "$cache/complete"
echo "$library"
