#!/usr/bin/env bash
# Measures what docs/performance.md promises and prints one table: promise, measured, kept or missed.
#
#   make bench                 everything, about 9 minutes once it is built
#   make bench ARGS=quick      shorter runs, about 2 minutes
#
# The figures also go to target/bench/report.json. A missed promise is a result and exits 0; only what could not be
# measured exits otherwise. Ratios compare two servers in one run on the same cores; all else is as good as the machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1-} in
  '') mode=full pairs=3 capacity_seconds=8 latency_seconds=6 idle_seconds=10 drain_rows=200000 drain_rounds=5 starts=3
    links_in_database=1000000 unknown_codes=100000 cold_links=50000 list_links=1000000 list_rounds=50
    clicks_before=100000 clicks_after=${LINKFORTY_BENCH_CLICKS:-10000000} installs=1000 ;;
  quick) mode=quick pairs=1 capacity_seconds=4 latency_seconds=4 idle_seconds=10 drain_rows=100000 drain_rounds=2 starts=1
    links_in_database=100000 unknown_codes=25000 cold_links=20000 list_links=100000 list_rounds=20
    clicks_before=100000 clicks_after=${LINKFORTY_BENCH_CLICKS:-1000000} installs=300 ;;
  *)
    echo "usage: benches/run.sh [quick]" >&2
    exit 64
    ;;
esac
links=10000 ruled_links=2000
connections=64
# Whatever is set for other servers is not meant for the ones started here.
unset DATABASE_URL REDIS_URL APP_ENV NODE_ENV

if [ -z "${LINKFORTY_BENCH_PROGRAMS-}" ]; then
  command -v strace >/dev/null || .ci/apt-install strace
  command -v valgrind >/dev/null || .ci/apt-install valgrind
  # The server by itself, as a release is built: beside the benches it would get what tests ask of its dependencies.
  cargo build --release --bin linkforty >&2
  benches=(null_server load start seed drain events installs choose lists)
  if [ "$mode" = full ]; then benches+=(micro); fi
  cargo build --release "${benches[@]/#/--bench=}" >&2
  # Cargo knows which of the files in target/ is the newest; it says so in JSON.
  LINKFORTY_BENCH_PROGRAMS=$(
    {
      cargo build --release --bin linkforty --message-format=json
      cargo build --release "${benches[@]/#/--bench=}" --message-format=json
    } 2>/dev/null | sed -nE 's/.*"name":"([a-z_]+)".*"executable":"([^"]+)".*/\1=\2/p'
  )
  export LINKFORTY_BENCH_PROGRAMS
  exec tests/services.sh -- benches/run.sh "$@"
fi

out=${CARGO_TARGET_DIR:-target}/bench
scratch=$(mktemp -d "${TMPDIR:-/tmp}/linkforty-bench.XXXXXX")
mkdir -p "$out"
children=()
stop_all() {
  local code=$?
  trap - EXIT
  for child in "${children[@]}"; do kill -KILL "$child" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$scratch"
  exit "$code"
}
trap stop_all EXIT

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
cores=$(nproc)
pin_server=() pin_client=() client_threads=1
if [ "$cores" -ge 2 ]; then
  half=$((cores / 2))
  pin_server=(taskset -c "0-$((half - 1))")
  pin_client=(taskset -c "$half-$((cores - 1))")
  client_threads=$((cores - half))
  postgres=$(head -n 1 "$(psql_ "$LINKFORTY_TEST_DATABASE_URL" -c 'SHOW data_directory')/postmaster.pid")
  redis=$(redis_ info server | tr -d '\r' | sed -n 's/^process_id://p')
  for pid in "$postgres" "$redis"; do taskset -a -c -p "$half-$((cores - 1))" "$pid" >/dev/null; done
fi
busy=$(cut -d ' ' -f 1 /proc/loadavg)

##### production mode

secret() { head -c 48 /dev/urandom | base64 -w 0; }
JWT_SECRET=$(secret) SESSION_SECRET=$(secret)
export JWT_SECRET SESSION_SECRET RATE_LIMIT_ENABLED=false LOG_LEVEL=warn SHUTDOWN_DELAY_MS=0

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

: >"$out/linkforty.log"
database=$(new_database bench)
production=(DATABASE_URL="$database" REDIS_URL="$LINKFORTY_TEST_REDIS_URL"
  FRONTEND_URL=https://dash.example.com DATA_DIR="$scratch/production" ACCEPTED_RISKS=database_superuser)
mkdir -p "$scratch/production"
addresses
env "${production[@]}" "$(program linkforty)" migrate up >>"$out/linkforty.log"
env "${production[@]}" "$(program linkforty)" user bootstrap >/dev/null

say "production mode: making $links links"
serve "${production[@]}" CACHE_SOFT_TTL_SECONDS=600
env "${production[@]}" "$(program linkforty)" key create --name bench --scopes links.read,links.write --secret-only >"$scratch/key"
"$(program seed)" "$api" "$scratch/key" "$links" >"$scratch/paths"
"$(program seed)" "$api" "$scratch/key" "$ruled_links" rules >"$scratch/ruled-paths"

# A million in all, the others copies of one that was made through the API. Random ids would make Postgres slow and prove nothing.
say "filling up to $links_in_database links"
psql_ "$database" >/dev/null <<SQL
DO \$\$
DECLARE
  others text;
BEGIN
  SELECT string_agg(quote_ident(column_name), ', ') INTO others FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = 'links' AND column_name NOT IN ('id', 'short_code');
  EXECUTE format('INSERT INTO links (id, short_code, %1\$s)
      SELECT overlay(id::text PLACING lpad(to_hex(number), 12, ''0'') FROM 25)::uuid, ''cold-'' || number, %1\$s
      FROM (SELECT * FROM links WHERE routing_rules IS NULL LIMIT 1) AS one,
        generate_series(1, $((links_in_database - links - ruled_links))) AS number', others);
END \$\$;
ANALYZE links;
SQL
seq -f '/cold-%.0f' 1 "$cold_links" >"$scratch/cold-paths"
seq -f '/unknown-%.0f' 1 "$unknown_codes" >"$scratch/unknown-paths"

# load ADDRESS RATE SECONDS CONNECTIONS [PATHS]
load() { "${pin_client[@]}" "$(program load)" "$1" "${5-$scratch/paths}" "$2" "$3" "$4"; }

# sound NAME FIGURES: a run with errors is no measurement.
sound() {
  if [ "$(value errors <<<"$2")" -ne 0 ] || [ "$(value rps <<<"$2")" -eq 0 ]; then
    echo "bench: $1 answered with errors: $2" >&2
    exit 70
  fi
}

# Asks for every link once.
warm() {
  local seen
  for paths in "$scratch/paths" "$scratch/ruled-paths"; do
    seen=$(load "$links_address" once 0 4 "$paths")
    sound linkforty "$seen"
  done
  drained
}
say "warming"
warm

##### what a warm hit asks of others

say "counting what a warm hit asks of the stores"
postgres_log=${CARGO_TARGET_DIR:-target}/services/postgres.log
psql_ "$LINKFORTY_TEST_DATABASE_URL" -c "ALTER SYSTEM SET log_line_prefix = 'app=%a '" \
  -c "ALTER SYSTEM SET log_statement = 'all'" -c 'SELECT pg_reload_conf()' >/dev/null
sleep 1
# asked COMMAND...: runs it and counts what the server asks meanwhile, in $queries, $drains, $commands.
asked() {
  local from
  from=$(wc -c <"$postgres_log")
  redis_ config resetstat >/dev/null
  "$@"
  commands=$(redis_ info commandstats | tr -d '\r' |
    awk -F '[_:=,]' '/^cmdstat_/ && $2 !~ /^(info|config|auth|hello)/ { sum += $4 } END { print sum + 0 }')
  tail -c "+$((from + 1))" "$postgres_log" >"$scratch/statements"
  queries=$(grep -cE '^app=linkforty-(api|lookup) LOG: ' "$scratch/statements" || true)
  drains=$(grep -cE '^app=linkforty-drain LOG: ' "$scratch/statements" || true)
}
# What it asks when nobody asks it: health, sweeps. As long as the load below.
asked sleep 4.6
idle_queries=$queries idle_commands=$commands
strace -f -q -e trace=fsync,fdatasync,sync_file_range,msync -o "$scratch/strace" -p "$server" &
tracer=$!
children+=("$tracer")
sleep 1
hit() { counted=$(load "$links_address" 1000 4 4); }
asked hit
kill "$tracer"
wait "$tracer" || true
psql_ "$LINKFORTY_TEST_DATABASE_URL" -c 'ALTER SYSTEM RESET log_statement' -c 'SELECT pg_reload_conf()' >/dev/null
sound linkforty "$counted"
hits=$(value total <<<"$counted")
# a_hit COUNT IDLE: how many of them there were for each hit, to two places.
a_hit() { calc %.2f "($1 > $2) ? ($1 - $2) / $hits : 0"; }
own_threads=$(grep -lE '^spool-' "/proc/$server"/task/*/comm | sed -E 's|.*/task/([0-9]+)/comm|\1|' | paste -sd '|')
syncs=$(grep -c sync "$scratch/strace" || true)
request_syncs=$(grep sync "$scratch/strace" | grep -cvE "^(${own_threads:-none}) " || true)
at_most "database statements of a warm hit ($queries in $hits hits, $idle_queries at rest)" "" 0 "$(a_hit "$queries" "$idle_queries")"
at_most "Redis commands of a warm hit ($commands in $hits hits, $idle_commands at rest)" "" 0 "$(a_hit "$commands" "$idle_commands")"
at_most "disk flushes of a warm hit, by threads that answer ($syncs by the spool's)" "" 0 "$(a_hit "$request_syncs" 0)"
note "statements of the drain meanwhile" "" "$drains"
stop "$server"

##### cold links, unknown codes, memory

# missed COMMAND...: runs it and prints how many visits the process's memory had no answer for.
missed() {
  local visits hits
  visits=$(metric linkforty_visits_total) hits=$(metric 'linkforty_link_cache_hits_total{level="process"}')
  "$@" >"$scratch/missed"
  sound linkforty "$(<"$scratch/missed")"
  visits=$(($(metric linkforty_visits_total) - visits))
  echo $((visits - $(metric 'linkforty_link_cache_hits_total{level="process"}') + hits))
}
say "cold links, unknown codes"
redis_ flushdb >/dev/null
rm -f "$scratch/production/hot.snap"
addresses
serve "${production[@]}" CACHE_SOFT_TTL_SECONDS=600
psql_ "$LINKFORTY_TEST_DATABASE_URL" -c "ALTER SYSTEM SET log_statement = 'all'" -c 'SELECT pg_reload_conf()' >/dev/null
sleep 1
head -n 2000 "$scratch/cold-paths" >"$scratch/some-cold-paths"
cold() { counted=$(load "$links_address" once 0 4 "$scratch/some-cold-paths"); }
asked sleep 2
idle_queries=$queries
asked cold
psql_ "$LINKFORTY_TEST_DATABASE_URL" -c 'ALTER SYSTEM RESET log_statement' -c 'SELECT pg_reload_conf()' >/dev/null
sound linkforty "$counted"
hits=$(value total <<<"$counted")
at_most "database statements of a cold hit ($queries in $hits hits, $idle_queries at rest)" "" 1 "$(a_hit "$queries" "$idle_queries")"
warm
warm_again() { load "$links_address" once 0 4; }
before=$(missed warm_again)
if [ "$before" -ne 0 ]; then echo "bench: $before links are not warm" >&2; exit 70; fi
seen=$(load "$links_address" once 0 8 "$scratch/unknown-paths")
sound linkforty "$seen"
if [ "$(value unknown <<<"$seen")" -ne "$unknown_codes" ]; then echo "bench: some unknown codes are known: $seen" >&2; exit 70; fi
at_most "warm links of $links evicted by $unknown_codes unknown codes" "" 0 "$(missed warm_again)"
# So much that the drain has all the memory it will want: what follows is the links'.
seen=$(load "$links_address" max 3 8)
sound linkforty "$seen"
drained
resident() { awk '/^VmRSS/ { print $2 * 1024 }' "/proc/$server/status"; }
before=$(resident)
seen=$(load "$links_address" once 0 8 "$scratch/cold-paths")
sound linkforty "$seen"
drained
at_most "memory per cached link (of $((cold_links - 2000)) more)" bytes 1024 "$(calc %.0f "($(resident) - $before) / ($cold_links - 2000)")"
stop "$server"

##### capacity

null_address=127.0.0.1:$(free_port)
"${pin_server[@]}" "$(program null_server)" "$null_address" &
null=$!
children+=("$null")
listening "$null_address"
addresses
serve "${production[@]}"
warm

# capacity NAME PROCESS ADDRESS PATHS: one run; appends to $scratch/capacity.
capacity() {
  local before seen after stored total
  stores 19
  before=$(cpu_us "$2")
  seen=$(load "$3" max "$capacity_seconds" "$connections" "$4")
  after=$(cpu_us "$2")
  sound "$1" "$seen"
  if [ "$1" != null ]; then drained; fi
  stored=$(cpu_us "$2")
  total=$(value total <<<"$seen")
  echo "server=$1 rps=$(value rps <<<"$seen") us=$(calc %.2f "($after - $before) / $total")" \
    "stored_us=$(calc %.2f "($stored - $before) / $total")" | tee -a "$scratch/capacity" >&2
}

# as_wrk_counts NAME ADDRESS
as_wrk_counts() {
  local seen
  stores 19
  seen=$("${pin_client[@]}" wrk -t "$client_threads" -c "$connections" -d "${capacity_seconds}s" --latency \
    -s benches/redirect.lua "http://$2" -- "$scratch/paths" | tail -n 1)
  sound "$1" "$seen"
  echo "server=$1 $seen" | tee -a "$scratch/wrk" >&2
}

say "capacity: $pairs pairs of $capacity_seconds s"
for _ in $(seq "$pairs"); do
  capacity null "$null" "$null_address" "$scratch/paths"
  capacity linkforty "$server" "$links_address" "$scratch/paths"
  capacity ruled "$server" "$links_address" "$scratch/ruled-paths"
done
as_wrk_counts null "$null_address"
as_wrk_counts linkforty "$links_address"
drained
# of SERVER FIELD FILE: the median of a field over the runs.
of() {
  local all
  mapfile -t all < <(grep "^server=$1 " "$3" | sed -E "s/.* $2=([^ ]+).*/\1/")
  median "${all[@]}"
}
null_rps=$(of null rps "$scratch/capacity") our_rps=$(of linkforty rps "$scratch/capacity")
null_us=$(of null us "$scratch/capacity") our_us=$(of linkforty us "$scratch/capacity")
ruled_rps=$(of ruled rps "$scratch/capacity") ruled_us=$(of ruled us "$scratch/capacity")
at_least "requests/s of warm redirects with capture over the null server's" "" 0.6 "$(calc %.2f "$our_rps / $null_rps")"
at_least "the same by processor time a request" "" 0.6 "$(calc %.2f "$null_us / $our_us")"
at_least "requests/s with 20 rules on the link, of $links_in_database links, over the null server's" "" 0.75 "$(calc %.2f "$ruled_rps / $null_rps")"
at_least "the same by processor time a request" "" 0.75 "$(calc %.2f "$null_us / $ruled_us")"
note "warm redirects with 20 rules on the link" "requests/s" "$ruled_rps"
note "the same as wrk counts requests" "" "$(calc %.2f "$(of linkforty rps "$scratch/wrk") / $(of null rps "$scratch/wrk")")"
note "warm redirects with capture" "requests/s" "$our_rps"
note "null server" "requests/s" "$null_rps"
note "processor time of a redirect" "us" "$our_us"
note "processor time of a redirect until its click is in Postgres" "us" "$(of linkforty stored_us "$scratch/capacity")"
note "processor time of an answer of the null server" "us" "$null_us"

##### latency at half capacity

rate=$((our_rps / 2))
say "latency at $rate requests/s: $pairs pairs of $latency_seconds s"
latency() {
  local seen
  stores 19
  seen=$(load "$2" "$rate" "$latency_seconds" 16)
  sound "$1" "$seen"
  echo "server=$1 $seen" | tee -a "$scratch/latency" >&2
}
for _ in $(seq "$pairs"); do
  latency null "$null_address"
  latency linkforty "$links_address"
  drained
done
null_p99=$(of null p99_us "$scratch/latency") our_p99=$(of linkforty p99_us "$scratch/latency")
at_most "p99 at half our capacity ($rate/s) over the null server's at the same rate" "" 3 "$(calc %.2f "$our_p99 / $null_p99")"
note "p50 at that rate" "us" "$(of linkforty p50_us "$scratch/latency")"
note "p99 at that rate" "us" "$our_p99"
note "p99 of the null server at that rate" "us" "$null_p99"
stop "$server"
kill "$null"

##### the drain

say "drain: $drain_rounds rounds of $drain_rows clicks"
stored=$(DATABASE_URL=$(new_database bench_drain) APP_ENV=development DATA_DIR=$scratch/drain \
  "$(program drain)" "$drain_rows" "$drain_rounds" | tee -a /dev/stderr | tail -n 1)
at_most "click record in the spool, p50" us 20 "$(value record_p50_us <<<"$stored")"
note "click record in the spool, p99" us "$(value record_p99_us <<<"$stored")"
at_least "drain into Postgres" clicks/s 40000 "$(value rows_per_second <<<"$stored")"
at_most "a stored click with all its indexes, at $(value rows <<<"$stored") clicks" bytes 300 "$(value bytes_per_click <<<"$stored")"
note "what the dictionary, hourly counts and totals add to each" bytes "$(value extra_bytes_per_click <<<"$stored")"

##### events

say "events: $capacity_seconds s of calls with 250 events each, on Postgres and on SQLite"
mkdir -p "$scratch/events-postgres" "$scratch/events-sqlite"
addresses
told=$(DATABASE_URL=$(new_database bench_events) APP_ENV=development DATA_DIR=$scratch/events-postgres \
  "$(program events)" "$capacity_seconds" 250 8 | tee -a /dev/stderr | tail -n 1)
at_least "events acknowledged durable over gRPC, caller on the same cores" events/s 20000 "$(value acknowledged_per_second <<<"$told")"
note "the same until they are in Postgres" events/s "$(value stored_per_second <<<"$told")"
note "a call with 250 events, p99" ms "$(value p99_ms <<<"$told")"
note "records of that size in the spool alone, a sync for each wait" records/s "$(value raw_per_second <<<"$told")"
note "the same in batches of 250" records/s "$(value raw_batch_per_second <<<"$told")"
addresses
told=$(APP_ENV=development DATA_DIR=$scratch/events-sqlite \
  "$(program events)" "$capacity_seconds" 250 8 | tee -a /dev/stderr | tail -n 1)
at_least "the same, embedded" events/s 20000 "$(value acknowledged_per_second <<<"$told")"
note "until they are in SQLite" events/s "$(value stored_per_second <<<"$told")"

##### installs

say "installs: $installs of each kind with $clicks_before and with $clicks_after clicks stored"
mkdir -p "$scratch/installs"
addresses
DATABASE_URL=$(new_database bench_installs) APP_ENV=development DATA_DIR=$scratch/installs TRUSTED_PROXIES=127.0.0.1/32 \
  "$(program installs)" "$clicks_before,$clicks_after" "$installs" | tee /dev/stderr >"$scratch/told"
psql_ "$LINKFORTY_TEST_DATABASE_URL" -c 'DROP DATABASE bench_installs'
few=$(grep "^clicks=$clicks_before " "$scratch/told") many=$(grep "^clicks=$clicks_after " "$scratch/told")
asked=$(tail -n 1 "$scratch/told")
at_most "ReportInstall of a new install, p99 with $clicks_after clicks, its own the oldest" ms 10 "$(value new1_p99_ms <<<"$many")"
at_most "the same over the p99 with $clicks_before clicks" "" 1.5 "$(calc %.2f "$(value new1_p99_ms <<<"$many") / $(value new1_p99_ms <<<"$few")")"
note "the same at the median" ms "$(value new1_p50_ms <<<"$many")"
note "the same, p99 of eight at once" ms "$(value new8_p99_ms <<<"$many")"
note "ReportInstall of an install without a click, p99" ms "$(value organic1_p99_ms <<<"$many")"
note "ReportInstall of a known install, p99" ms "$(value repeat1_p99_ms <<<"$many")"
note "statements of a new install" "" "$(value new_statements <<<"$asked")"
note "statements of an install without a click" "" "$(value organic_statements <<<"$asked")"
note "statements of a known install" "" "$(value repeat_statements <<<"$asked")"

##### lists

say "lists: pages of a workspace with $list_links links, on Postgres and on SQLite"
mkdir -p "$scratch/lists-postgres" "$scratch/lists-sqlite"
listed=$(DATABASE_URL=$(new_database bench_lists) APP_ENV=development DATA_DIR=$scratch/lists-postgres \
  "$(program lists)" "$list_links" "$list_rounds" | tee -a /dev/stderr | tail -n 1)
at_most "a page of links, p99 of the slowest question, at $(value list_links <<<"$listed") links, Postgres" ms 50 "$(value list_p99_ms <<<"$listed")"
psql_ "$LINKFORTY_TEST_DATABASE_URL" -c 'DROP DATABASE bench_lists'
listed=$(APP_ENV=development DATA_DIR=$scratch/lists-sqlite \
  "$(program lists)" "$list_links" "$list_rounds" | tee -a /dev/stderr | tail -n 1)
at_most "the same on SQLite" ms 50 "$(value list_p99_ms <<<"$listed")"
rm -rf "$scratch/lists-sqlite"

##### embedded mode

say "embedded mode: $starts starts"
addresses
embedded=(DATA_DIR="$scratch/embedded" APP_ENV=development)
unset JWT_SECRET SESSION_SECRET
serve "${embedded[@]}"
env "${embedded[@]}" "$(program linkforty)" key create --name bench --scopes links.read,links.write --secret-only >"$scratch/key"
"$(program seed)" "$api" "$scratch/key" 100 >"$scratch/embedded-paths"
stop "$server"
for number in $(seq "$starts"); do
  rest=1
  if [ "$number" -eq "$starts" ]; then rest=$idle_seconds; fi
  seen=$(env "${embedded[@]}" "$(program start)" "$links_address" "$(head -n 1 "$scratch/embedded-paths")" "$rest" \
    "$(program linkforty)" serve 2>>"$out/linkforty.log" | tail -n 1)
  echo "server=embedded $seen" | tee -a "$scratch/starts" >&2
done
at_most "from exec to the first redirect, embedded, existing database" ms 500 "$(of embedded first_redirect_ms "$scratch/starts")"
at_most "memory after $idle_seconds s at rest, embedded" MiB 60 "$(value rss_idle_mib <<<"$seen")"
note "memory at the first redirect, embedded" MiB "$(of embedded rss_start_mib "$scratch/starts")"

##### single steps

# counted TIMES: how many instructions choosing so many times takes, start and end of the program included.
counted() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null --log-file="$scratch/valgrind" "$(program choose)" "$1"
  sed -nE 's/.*Collected *: *([0-9]+).*/\1/p' "$scratch/valgrind"
}
say "single steps"
note "instructions of choosing for a link with 20 rules" "" "$(calc %.0f "($(counted 2000) - $(counted 1000)) / 1000")"
if [ "$mode" = full ]; then
  "${pin_server[@]}" "$(program micro)" --bench 2>/dev/null | tee "$out/micro.txt" >&2
  # Between the two bounds that criterion gives.
  chosen=$(sed -nE '/^redirect\/choose 20 rules/,$ s/.*time: *\[[0-9.]+ [^ ]+ ([0-9.]+) ([^ ]+) .*/\1 \2/p' "$out/micro.txt" | head -n 1 |
    awk '{ print $2 == "ns" ? $1 / 1000 : $1 }')
  at_most "choosing for a link with 20 rules, p50" us 3 "$chosen"
fi

##### attribution

say "attribution: a population of which everything is known"
simulated=$("$(program linkforty)" simulate attribution | tee "$out/attribution.txt" | tee -a /dev/stderr | sed -n 's/^all  *//p')
at_least "credited installs that are right, in the simulator" % 99 "$(awk '{ print $6 + 0 }' <<<"$simulated")"
note "installs after a click that are credited to it" % "$(awk '{ print $3 + 0 }' <<<"$simulated")"

##### the table

machine=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
echo
echo "linkforty $commit, $mode run on $cores cores ($machine), load before: $busy, $(date -u +%F)"
printf '%s\n' "what|promised|measured|" "${rows[@]}" |
  awk -F '|' '{ printf "%-78s  %-9s  %-18s  %s\n", $1, $2, $3, $4 }'
{
  printf '{"commit": "%s", "date": "%s", "mode": "%s", "machine": "%s", "cores": %s, "load_before": %s, "rows": [\n' \
    "$commit" "$(date -u +%FT%TZ)" "$mode" "$machine" "$cores" "$busy"
  printf '  %s' "${json[0]}"
  printf ',\n  %s' "${json[@]:1}"
  printf '\n]}\n'
} >"$out/report.json"
echo "also in $out/report.json"
