#!/bin/sh
# Makes the secrets of an installation, each in a file of its own, as compose.yaml and the Kubernetes manifests read them:
#   sh deploy/make-secrets.sh [FOLDER]        default: deploy/secrets
# What is there already stays as it is. Names of hosts are those of compose.yaml; change them in queue-url and sink-url.
set -eu
folder="${1:-$(dirname "$0")/secrets}"
mkdir -p "$folder"
chmod 700 "$folder"
cd "$folder"

# 64 hexadecimal digits, which need no escaping anywhere.
random() {
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

# Files are readable by all because containers read them as users of their own; the folder is not.
keep() {
  [ -s "$1" ] || {
    cat >"$1.new"
    chmod 644 "$1.new"
    mv "$1.new" "$1"
  }
}

keep redis-password <<END
$(random)
END
keep sentinel-password <<END
$(random)
END
keep mariadb-password <<END
$(random)
END
keep mariadb-root-password <<END
$(random)
END
keep token <<END
default.$(random)
END
keep admin-token <<END
$(random)
END
keep redis-auth.conf <<END
requirepass $(cat redis-password)
masterauth $(cat redis-password)
END
keep sentinel-auth.conf <<END
sentinel auth-pass syncline $(cat redis-password)
requirepass $(cat sentinel-password)
END
keep queue-url <<END
redis+sentinel://:$(cat redis-password)@sentinel-1:26379,sentinel-2:26379,sentinel-3:26379/syncline
END
keep sink-url <<END
mysql://syncline:$(cat mariadb-password)@mariadb:3306/shop
END
