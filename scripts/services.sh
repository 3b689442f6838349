# Sourced by verify.sh and pair.sh: installs servers that are missing, after saying so; asks first on a terminal.
# The caller defines `failed`, which says why and ends.

# Servers live in sbin, which is not on the path of every user.
PATH="$PATH:/usr/sbin:/sbin"
export PATH

# Of the packages that are named, those whose programs are missing, each after a blank.
missing_packages() {
  for package in "$@"; do
    programs=$package
    packages=$package
    case "$package" in
      mariadb-server-core) programs="mariadbd mariadb-install-db" ;;
      mariadb-client-core) programs=mariadb ;;
      nginx) packages="nginx-light libnginx-mod-stream" ;;
      php-curl)
        php -r 'exit(extension_loaded("curl") ? 0 : 1);' >/dev/null 2>&1 || printf ' php-cli php-curl'
        continue
        ;;
    esac
    for program in $programs; do
      command -v "$program" >/dev/null 2>&1 || {
        printf ' %s' "$packages"
        break
      }
    done
  done
}

# install_packages WHO YES PACKAGES: with YES "yes" it does not ask.
install_packages() {
  by_hand="run as root: apt-get install --no-install-recommends$3"
  root=""
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || failed "not installed, and there is no sudo to do it with; $by_hand"
    root="sudo"
  fi
  echo "$1: will install with apt-get:$3 (the programs only; no service is started)"
  if [ "$2" = no ] && [ -t 0 ] && [ -t 1 ]; then
    printf 'Go on? [Y/n] '
    read -r answer
    case "$answer" in
      n* | N*) failed "not installed; $by_hand" ;;
    esac
  fi
  # RUNLEVEL=1 keeps the packages from starting their services; whoever needs them starts its own, on free ports.
  $root env DEBIAN_FRONTEND=noninteractive apt-get -qq update || failed "apt-get update failed; put that right, or $by_hand"
  # shellcheck disable=SC2086
  $root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq install -y --no-install-recommends $3 >/dev/null || failed "apt-get install failed; put that right, or $by_hand"
  # Where systemd runs it starts them all the same.
  if [ -d /run/systemd/system ]; then
    for service in redis-server haproxy nginx keepalived; do
      case "$3 " in
        *" $service"[\ -]*) $root systemctl --quiet disable --now "$service" || true ;;
      esac
    done
  fi
}
