#!/usr/bin/env bash
# Starts a private PostgreSQL and a private Redis, runs a command with their addresses, stops them.
#
#   tests/services.sh -- cargo test --features failpoints redirect
#
# What the command finds in its environment:
#   LINKFORTY_TEST_DATABASE_URL   superuser of the private server; tests make one database each
#   LINKFORTY_TEST_REDIS_URL      the private Redis, append-only file on; its user may do what deploy/redis-users.acl says
#   LINKFORTY_TEST_REDIS_ADMIN_URL  the same, for who may do anything to it
#   LINKFORTY_TEST_PG_BIN         folder of initdb, postgres and pg_ctl, for tests that break a server of their own
#   LINKFORTY_TEST_REDIS_SERVER   path of redis-server, for the same
#   LINKFORTY_TEST_NGINX          path of nginx, for tests with a proxy in front
#   LINKFORTY_TEST_PYTHON         path of a Python that has what tests/webhooks/requirements.txt says
#   LINKFORTY_TEST_NODE_MODULES   folder of what clients/ts installs
# The exit code is the command's. The servers' logs stay in target/services/.
set -euo pipefail

if [ "${1-}" != "--" ] || [ "$#" -lt 2 ]; then
  echo "usage: tests/services.sh -- COMMAND [ARGUMENT...]" >&2
  exit 64
fi
shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
logs=${CARGO_TARGET_DIR:-$root/target}/services

# Prints the folder of the newest PostgreSQL from 15 up. Debian keeps these off the PATH.
postgres_bin() {
  local folder
  for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
    if [ -x "$folder/initdb" ] && [ "$(basename "$(dirname "$folder")")" -ge 15 ]; then
      echo "$folder"
      return
    fi
  done
  # Not Debian: whatever the PATH has.
  if command -v initdb >/dev/null; then
    dirname "$(readlink -f "$(command -v initdb)")"
  fi
}

missing=()
if [ -z "$(postgres_bin)" ]; then missing+=(postgresql); fi
if ! command -v redis-server >/dev/null; then missing+=(redis-server); fi
# Debian keeps it off the PATH of people.
nginx_path() { command -v nginx || PATH=/usr/sbin:/usr/local/sbin command -v nginx || true; }
if [ -z "$(nginx_path)" ]; then missing+=(nginx); fi
# The fault tests stop and kill servers by `kill` and `ps`, which the smallest Debian lacks.
if ! command -v ps >/dev/null || [ ! -x "$(type -P kill)" ]; then missing+=(procps); fi
# Receivers of webhooks check signatures with the package for Python, which gets a place of its own. Debian has these apart from Python.
python=$logs/python/bin/python
if [ ! -x "$python" ] && ! python3 -c 'import ensurepip, venv' 2>/dev/null; then missing+=(python3-venv); fi
if [ "${#missing[@]}" -gt 0 ]; then "$root/.ci/apt-install" "${missing[@]}"; fi
if ! "$python" -c 'import standardwebhooks' 2>/dev/null; then
  rm -rf "$logs/python"
  mkdir -p "$logs"
  python3 -m venv "$logs/python"
  "$python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$root/tests/webhooks/requirements.txt" >&2
fi
# And with the one for Node, which comes with the client's.
node_modules=$root/clients/ts/node_modules
if [ ! -d "$node_modules/standardwebhooks" ]; then
  npm ci --prefix "$root/clients/ts" --no-audit --no-fund --loglevel=error >&2
fi
pg_bin=$(postgres_bin)
redis_server=$(command -v redis-server)
nginx=$(nginx_path)

# PostgreSQL refuses to run as root, so root hands it to the user that Debian's package made.
# setpriv keeps one process where runuser would put itself between, and its --pdeathsig takes the servers
# down even when this script is killed with -9. A session of their own keeps Ctrl-C, which is meant for the
# command, away from them.
as_postgres=()
owner=$(id -un)
if [ "$(id -u)" -eq 0 ]; then
  owner=postgres
  as_postgres=(--reuid=postgres --regid=postgres --init-groups)
fi
own_session() {
  local signal=$1
  shift
  exec setsid setpriv --pdeathsig "$signal" "$@"
}

scratch=$(mktemp -d "${TMPDIR:-/tmp}/linkforty-services.XXXXXX")
postgres_pid=
redis_pid=

stop() {
  local code=$?
  trap - EXIT
  # QUIT is PostgreSQL's immediate stop: the data is thrown away a line below.
  if [ -n "$postgres_pid" ]; then kill -QUIT "$postgres_pid" 2>/dev/null || true; fi
  if [ -n "$redis_pid" ]; then kill -KILL "$redis_pid" 2>/dev/null || true; fi
  wait 2>/dev/null || true
  rm -rf "$scratch"
  exit "$code"
}
trap stop EXIT

# Prints a loopback port that nobody listens on. Below 32768, where the kernel starts to take the ports of
# outgoing connections: the tests open thousands of those.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      echo "$port"
      return
    fi
  done
}

# Waits until a check passes: 0 ready, 1 the process ended (its port was taken), 2 not ready in 30 s.
ready() {
  local pid=$1
  shift
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    if ! kill -0 "$pid" 2>/dev/null; then return 1; fi
    sleep 0.1
  done
  return 2
}

# A port can be taken between the look and the bind, so each server gets five tries.
start() {
  local name=$1
  for _ in 1 2 3 4 5; do
    if "start_$name"; then return; fi
  done
  echo "services: $name did not start. Its log, $logs/$name.log, ends:" >&2
  tail -n 20 "$logs/$name.log" >&2
  exit 70
}

start_postgres() {
  postgres_port=$(free_port)
  # fsync stays on: some promises are about what is on the disk, and a run must be able to disprove them.
  own_session QUIT "${as_postgres[@]}" "$pg_bin/postgres" -D "$scratch/postgres" \
    -c listen_addresses=127.0.0.1 -c port="$postgres_port" -c unix_socket_directories="$scratch" \
    -c max_connections=200 -c fsync=on -c timezone=UTC -c log_timezone=UTC \
    >"$logs/postgres.log" 2>&1 </dev/null &
  postgres_pid=$!
  # Asked through our own socket: on the port a stranger might answer.
  ready "$postgres_pid" "$pg_bin/pg_isready" -q -h "$scratch" -p "$postgres_port"
}

start_redis() {
  redis_port=$(free_port)
  own_session KILL "$redis_server" - \
    >"$logs/redis.log" 2>&1 <<CONF &
bind 127.0.0.1
port $redis_port
dir $scratch/redis
appendonly yes
save ""
$(sed "s/>PASSWORD/>$password/; s/^user default off nopass/user default on >$password/; /^user default/s/-@all/+@all/; /^user default/s/resetkeys resetchannels/allkeys allchannels/" "$root/deploy/redis-users.acl")
CONF
  redis_pid=$!
  ready "$redis_pid" answers_ping
}

answers_ping() {
  [ "$(REDISCLI_AUTH=$password redis-cli -h 127.0.0.1 -p "$redis_port" ping)" = PONG ]
}

mkdir -p "$logs" "$scratch/redis"
# Both listen on loopback, where every user of the machine can reach them, and both can write files as us.
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '%s\n' "$password" >"$scratch/password"
chown "$owner" "$scratch" "$scratch/password"

# md5, not scram: the password lives for one run, and scram's 4,096 rounds in an unoptimised client would
# be paid by every connection of every test.
setpriv "${as_postgres[@]}" "$pg_bin/initdb" -D "$scratch/postgres" -U postgres --pwfile="$scratch/password" \
  --auth-host=md5 --auth-local=md5 --encoding=UTF8 --locale=C.UTF-8 --data-checksums --no-sync \
  >"$logs/initdb.log" 2>&1 || { cat "$logs/initdb.log" >&2; exit 70; }

start postgres
start redis

export LINKFORTY_TEST_DATABASE_URL="postgres://postgres:$password@127.0.0.1:$postgres_port/postgres"
export LINKFORTY_TEST_REDIS_URL="redis://linkforty:$password@127.0.0.1:$redis_port/0"
export LINKFORTY_TEST_REDIS_ADMIN_URL="redis://default:$password@127.0.0.1:$redis_port/0"
export LINKFORTY_TEST_PG_BIN=$pg_bin
export LINKFORTY_TEST_REDIS_SERVER=$redis_server
export LINKFORTY_TEST_NGINX=$nginx
export LINKFORTY_TEST_PYTHON=$python
export LINKFORTY_TEST_NODE_MODULES=$node_modules
echo "services: PostgreSQL on 127.0.0.1:$postgres_port, Redis on 127.0.0.1:$redis_port" >&2

code=0
"$@" || code=$?

# Whatever the server asked of Redis and was refused; the tests try these on purpose.
refused=$(redis-cli -u "$LINKFORTY_TEST_REDIS_ADMIN_URL" --no-auth-warning acl log |
  sed -n '/^object$/{n;p}' | grep -vxE 'flushall|keys|config\|get|somebody_elses' || true)
if [ -n "$refused" ]; then
  echo "services: deploy/redis-users.acl does not allow what the server does:" $refused >&2
  [ "$code" -ne 0 ] || code=1
fi
exit "$code"
