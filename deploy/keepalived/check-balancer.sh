#!/bin/sh
# Whether HAProxy runs on this machine and has a node to connect to. Goes to /usr/local/bin, executable by all.
# Where the statistics are (BALANCER_STATS_BIND of haproxy.cfg) may be given as an argument.
exec curl --silent --fail --output /dev/null --max-time 1 "http://${1:-127.0.0.1:9509}/alive"
