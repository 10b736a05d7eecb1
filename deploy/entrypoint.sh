#!/bin/sh
# How a container of the image starts: containers of one scaled service have one environment, so what differs between
# them, and what must not stand in an environment that everybody can inspect, is found here.
#
#   REPLICA_NAME     found from the name under which DNS knows the container's address (authscale_replica_3: replica-2)
#   STORE            redis, memcached, postgres or memory: what STORE_URL is made of, unless that is given
#   PASSWORD_FILE    the password for postgres
#   DRAIN_SECONDS    serve so long after TERM, so that who balances has seen that this one goes (0: end at once)
set -eu

fail() { echo "authscale container: $1" >&2; exit 2; }

if [ -n "${AUTH_SCHEME:-}" ]; then
  if [ -z "${REPLICA_NAME:-}" ]; then
    address=$(hostname -i 2>/dev/null | cut -d' ' -f1)
    number=$(getent -s dns hosts "${address:-127.0.0.1}" | sed -nE 's/^[^ ]+ +[^ ]*replica[._-]([0-9]+)(\..*)?$/\1/p' | head -n 1)
    if [ -n "$number" ]; then REPLICA_NAME=replica-$((number - 1)); else REPLICA_NAME=${HOSTNAME:-replica-0}; fi
    export REPLICA_NAME
  fi
  if [ -z "${STORE_URL:-}" ]; then
    case "${STORE:-redis}" in
      redis) STORE_URL=redis://valkey:6379/0 ;;
      memcached) STORE_URL=memcached://memcached:11211 ;;
      memory) STORE_URL=memory:// ;;
      postgres)
        [ -r "${PASSWORD_FILE:-}" ] || fail "STORE=postgres takes a password in PASSWORD_FILE, and it cannot be read: ${PASSWORD_FILE:-it is not set}"
        STORE_URL=postgresql://authscale:$(cat "$PASSWORD_FILE")@postgres:5432/postgres ;;
      *) fail "STORE='$STORE' is unknown; there are: redis, memcached, postgres, memory (or give STORE_URL)" ;;
    esac
    export STORE_URL
  fi
  # a cluster starts containers in any order: the user table may still be being made
  waited=0
  until [ -e "${USERS_DB:-/}" ]; do
    [ "$waited" -lt 60 ] || fail "USERS_DB=$USERS_DB was not made within 60 s"
    waited=$((waited + 1)); sleep 1
  done
fi

[ "${DRAIN_SECONDS:-0}" != 0 ] || exec "$@"
"$@" &
child=$!
trap 'sleep "$DRAIN_SECONDS"; kill -TERM "$child"' TERM INT
while :; do
  status=0
  wait "$child" || status=$?
  kill -0 "$child" 2>/dev/null || exit "$status"
done
