# What the load runs share. Sourced, from the root of the repository.

# build BENCHES...: builds the server and these, and says in LINKFORTY_BENCH_PROGRAMS where they are.
build() {
  # The server by itself, as a release is built: beside the benches it would get what tests ask of its dependencies.
  cargo build --release --bin linkforty >&2
  cargo build --release "${@/#/--bench=}" >&2
  # Cargo knows which of the files in target/ is the newest; it says so in JSON.
  LINKFORTY_BENCH_PROGRAMS=$(
    {
      cargo build --release --bin linkforty --message-format=json
      cargo build --release "${@/#/--bench=}" --message-format=json
    } 2>/dev/null | sed -nE 's/.*"name":"([a-z_]+)".*"executable":"([^"]+)".*/\1=\2/p'
  )
  export LINKFORTY_BENCH_PROGRAMS
}

# Makes the directories, and has everything removed and ended whatever happens.
prepare() {
  out=${CARGO_TARGET_DIR:-target}/bench
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/linkforty-bench.XXXXXX")
  mkdir -p "$out"
  children=()
  trap stop_all EXIT
}
stop_all() {
  local code=$?
  trap - EXIT
  for child in "${children[@]}"; do kill -KILL "$child" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$scratch"
  exit "$code"
}

##### small tools

# Prints the value of `name=value` from stdin.
value() { tr ' ' '\n' | sed -n "s/^$1=//p" | tail -n 1; }

program() {
  local path
  path=$(value "$1" <<<"$LINKFORTY_BENCH_PROGRAMS")
  if [ -z "$path" ]; then echo "bench: cargo did not say where $1 is" >&2; exit 70; fi
  echo "$path"
}

median() { printf '%s\n' "$@" | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

calc() { awk "BEGIN { printf \"$1\", $2 }"; }

say() { printf '%(%T)T  %s\n' -1 "$*" >&2; }

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

# Prints the body of http://ADDRESS/PATH.
fetch() {
  exec 3<>"/dev/tcp/${1%:*}/${1#*:}" || return 1
  printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$2" "$1" >&3
  cat <&3
  exec 3<&-
}

# Waits up to 30 s until something listens.
listening() {
  for _ in $(seq 300); do
    if (exec 3<>"/dev/tcp/${1%:*}/${1#*:}") 2>/dev/null; then return; fi
    sleep 0.1
  done
  echo "bench: nothing listens on $1" >&2
  exit 70
}

# Prints the sum of the samples whose name and labels start with $1.
metric() { fetch "$ops" /metrics | awk -v name="$1" 'index($0, name) == 1 { sum += $NF } END { printf "%.0f\n", sum }'; }

# Prints the processor time of a process in microseconds.
cpu_us() { awk -v tick="$(getconf CLK_TCK)" '{ printf "%.0f\n", ($14 + $15) * 1000000 / tick }' "/proc/$1/stat"; }

# stores NICE: puts our connections to Postgres behind everybody else, or back. The drain has all the time it needs, so it
# stands back while clients are timed: on two cores they would otherwise be timed too. Where the kernel groups processes by
# session, the group's priority is the one that counts. Only root gets them back; without, the wait below is longer.
stores() {
  local pid
  for pid in $(psql_ "$LINKFORTY_TEST_DATABASE_URL" \
    -c "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'linkforty-%'"); do
    renice -n "$1" -p "$pid" >/dev/null 2>&1 || true
    if [ -w "/proc/$pid/autogroup" ]; then { echo "$1" >"/proc/$pid/autogroup"; } 2>/dev/null || true; fi
  done
}

# Waits until the drain has carried everything to the database.
drained() {
  local appended
  stores 0
  for _ in $(seq 1200); do
    appended=$(metric 'linkforty_spool_append_total{kind="click"}')
    if [ "$(metric linkforty_drain_records_total)" -ge "$appended" ]; then return; fi
    sleep 0.1
  done
  echo "bench: the spool was not drained in 120 s" >&2
  exit 70
}

psql_() { "$LINKFORTY_TEST_PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
redis_() { redis-cli -u "$LINKFORTY_TEST_REDIS_ADMIN_URL" --no-auth-warning "$@"; }

# Prints the URL of a new database.
new_database() {
  psql_ "$LINKFORTY_TEST_DATABASE_URL" -c "CREATE DATABASE $1"
  echo "${LINKFORTY_TEST_DATABASE_URL%/*}/$1"
}

rows=()
json=()
# report NAME UNIT TARGET VERDICT MEASURED: a row of the table. TARGET `-` is for information.
report() {
  rows+=("$1|$3|$5 $2|$4")
  json+=("$(printf '{"name": "%s", "unit": "%s", "target": "%s", "measured": %s, "verdict": "%s"}' "$1" "$2" "$3" "$5" "$4")")
}
at_most() { report "$1" "$2" "<= $3" "$(calc %s "($4 <= $3) ? \"kept\" : \"MISSED\"")" "$4"; }
at_least() { report "$1" "$2" ">= $3" "$(calc %s "($4 >= $3) ? \"kept\" : \"MISSED\"")" "$4"; }
note() { report "$1" "$2" - "" "$3"; }

##### who runs where

# The servers get the first half of the cores, their clients and stores the rest.
pin() {
  busy=$(cut -d ' ' -f 1 /proc/loadavg)
  cores=$(nproc)
  pin_server=() pin_client=() client_threads=1
  if [ "$cores" -ge 2 ]; then
    half=$((cores / 2))
    pin_server=(taskset -c "0-$((half - 1))")
    pin_client=(taskset -c "$half-$((cores - 1))")
    client_threads=$((cores - half))
    postgres=$(head -n 1 "$(psql_ "$LINKFORTY_TEST_DATABASE_URL" -c 'SHOW data_directory')/postmaster.pid")
    redis=$(redis_ info server | tr -d '\r' | sed -n 's/^process_id://p')
    # What it has begun already too, such as the one that writes its log: only later ones follow it.
    children_of_postgres=$(psql_ "$LINKFORTY_TEST_DATABASE_URL" -c "SELECT pid FROM pg_stat_activity
      WHERE backend_type NOT IN ('client backend', 'autovacuum worker', 'parallel worker')")
    for pid in "$postgres" $children_of_postgres "$redis"; do
      taskset -a -c -p "$half-$((cores - 1))" "$pid" >/dev/null
    done
  fi
}

##### servers

secret() { head -c 48 /dev/urandom | base64 -w 0; }

addresses() {
  links_address=127.0.0.1:$(free_port) api=127.0.0.1:$(free_port) ops=127.0.0.1:$(free_port)
  export LINKS_ADDR=$links_address API_ADDR=$api OPS_ADDR=$ops LINKS_URL=http://$links_address
}

# Starts linkforty with the given settings; its process id is in $server.
serve() {
  env "$@" "${pin_server[@]}" "$(program linkforty)" serve >>"$out/linkforty.log" 2>&1 </dev/null &
  server=$!
  children+=("$server")
  listening "$links_address"
  listening "$ops"
}

stop() {
  kill "$1"
  wait "$1" || true
}

# load ADDRESS RATE SECONDS CONNECTIONS [PATHS]
load() { "${pin_client[@]}" "$(program load)" "$1" "${5-$scratch/paths}" "$2" "$3" "$4"; }

# sound NAME FIGURES: a run with errors is no measurement.
sound() {
  if [ "$(value errors <<<"$2")" -ne 0 ] || [ "$(value rps <<<"$2")" -eq 0 ]; then
    echo "bench: $1 answered with errors: $2" >&2
    exit 70
  fi
}

# of SERVER FIELD FILE: the median of a field over the runs.
of() {
  local all
  mapfile -t all < <(grep "^server=$1 " "$3" | sed -E "s/.* $2=([^ ]+).*/\1/")
  median "${all[@]}"
}

##### the table

# table WHAT FILE: prints the rows, and writes them to a file for machines.
table() {
  local machine commit
  machine=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
  commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
  echo
  echo "linkforty $commit, $1 on $cores cores ($machine), load before: $busy, $(date -u +%F)"
  printf '%s\n' "what|promised|measured|" "${rows[@]}" |
    awk -F '|' '{ printf "%-78s  %-9s  %-18s  %s\n", $1, $2, $3, $4 }'
  {
    printf '{"commit": "%s", "date": "%s", "mode": "%s", "machine": "%s", "cores": %s, "load_before": %s, "rows": [\n' \
      "$commit" "$(date -u +%FT%TZ)" "${1%% *}" "$machine" "$cores" "$busy"
    printf '  %s' "${json[0]}"
    printf ',\n  %s' "${json[@]:1}"
    printf '\n]}\n'
  } >"$2"
  echo "also in $2"
}
