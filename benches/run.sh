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
    clicks_before=100000 clicks_after=${LINKFORTY_BENCH_CLICKS:-10000000} installs=1000 report_rounds=200
    report_clicks=${LINKFORTY_BENCH_CLICKS:-10000000} report_days=90 report_links=10000 report_drained=500000 report_visits=100 hooks=40000 hook_seconds=20 ;;
  quick) mode=quick pairs=1 capacity_seconds=4 latency_seconds=4 idle_seconds=10 drain_rows=100000 drain_rounds=2 starts=1
    links_in_database=100000 unknown_codes=25000 cold_links=20000 list_links=100000 list_rounds=20
    clicks_before=100000 clicks_after=${LINKFORTY_BENCH_CLICKS:-1000000} installs=300 report_rounds=50
    report_clicks=${LINKFORTY_BENCH_CLICKS:-300000} report_days=90 report_links=2000 report_drained=100000 report_visits=20 hooks=10000 hook_seconds=8 ;;
  *)
    echo "usage: benches/run.sh [quick]" >&2
    exit 64
    ;;
esac
links=10000 ruled_links=2000
connections=64
# Whatever is set for other servers is not meant for the ones started here.
unset DATABASE_URL REDIS_URL APP_ENV NODE_ENV

# shellcheck source=benches/shared/tools.sh
source benches/shared/tools.sh

if [ -z "${LINKFORTY_BENCH_PROGRAMS-}" ]; then
  command -v strace >/dev/null || .ci/apt-install strace
  command -v valgrind >/dev/null || .ci/apt-install valgrind
  benches=(null_server load start seed drain events installs choose lists analytics webhooks)
  if [ "$mode" = full ]; then benches+=(micro); fi
  build "${benches[@]}"
  exec tests/services.sh -- benches/run.sh "$@"
fi

prepare

##### who runs where

pin

##### production mode

JWT_SECRET=$(secret) SESSION_SECRET=$(secret)
export JWT_SECRET SESSION_SECRET RATE_LIMIT_ENABLED=false LOG_LEVEL=warn SHUTDOWN_DELAY_MS=0

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

##### reports

# reports NAME COMMAND...: measures them on one database.
reports() {
  local name=$1 counted
  shift
  counted=$("$@" "$(program analytics)" "$report_clicks" "$report_days" "$report_links" "$report_rounds" "$report_drained" "$report_visits" |
    tee -a /dev/stderr | tail -n 1)
  at_least "counting clicks for reports, $name" clicks/s 20000 "$(value rolled_per_second <<<"$counted")"
  note "rollups of a million clicks, $name" bytes "$(value rollup_bytes_per_million <<<"$counted")"
  at_most "an overview of 30 days at $report_clicks clicks, p99, $name" ms 50 "$(value overview_many_p99_ms <<<"$counted")"
  at_most "the same, times that of 100,000 clicks" "" 2 "$(value overview_ratio <<<"$counted")"
  note "the first such overview of a process, $name" ms "$(value overview_many_first_ms <<<"$counted")"
  note "rows that it reads" "" "$(value overview_many_rows <<<"$counted")"
  note "and bytes" "" "$(value overview_many_bytes <<<"$counted")"
  note "rows that the next one reads" "" "$(value overview_many_rows_again <<<"$counted")"
  note "and bytes" "" "$(value overview_many_bytes_again <<<"$counted")"
  at_most "a breakdown by any one dimension, p99 of the slowest, $name" ms 100 "$(value reports_many_p99_ms <<<"$counted")"
  at_most "the first of a process, the slowest" ms 100 "$(value reports_many_first_ms <<<"$counted")"
  at_least "draining clicks while they are counted, until both are done, $name" clicks/s 20000 "$(value drained_per_second <<<"$counted")"
  note "a stored click with all indexes, $name" bytes "$(value bytes_per_click <<<"$counted")"
  at_most "from a visit to an overview that shows it, p99, $name" ms 5000 "$(value report_shows_p99_ms <<<"$counted")"
  at_most "from a visit to the stream that shows it, p99, $name" ms 1000 "$(value stream_shows_p99_ms <<<"$counted")"
}
say "reports: $report_clicks clicks of $report_days days and $report_links links, on Postgres and on SQLite"
mkdir -p "$scratch/reports-postgres" "$scratch/reports-sqlite"
reports Postgres env DATABASE_URL="$(new_database bench_reports)" APP_ENV=development DATA_DIR="$scratch/reports-postgres"
psql_ "$LINKFORTY_TEST_DATABASE_URL" -c 'DROP DATABASE bench_reports'
reports SQLite env APP_ENV=development DATA_DIR="$scratch/reports-sqlite"
rm -rf "$scratch/reports-sqlite"

##### webhooks

# hooks NAME COMMAND...: measures telling endpoints on one database.
webhooks_on() {
  local name=$1 told
  shift
  told=$("$@" "$(program webhooks)" "$hooks" "$hook_seconds" | tee -a /dev/stderr | tail -n 1)
  at_least "webhook deliveries to four endpoints, receiver on the same cores, $name" deliveries/s 1000 "$(value deliveries_per_second <<<"$told")"
  at_most "the same beside a dead endpoint: how many times as long it takes" "" 1.2 "$(value dead_ratio <<<"$told")"
  at_most "from commit to the first attempt, p99, $name" ms 1000 "$(value commit_to_attempt_p99_ms <<<"$told")"
  note "the same at the median" ms "$(value commit_to_attempt_p50_ms <<<"$told")"
}
say "webhooks: $hooks deliveries, on Postgres and on SQLite"
mkdir -p "$scratch/hooks-postgres" "$scratch/hooks-sqlite"
addresses
webhooks_on Postgres env DATABASE_URL="$(new_database bench_hooks)" APP_ENV=development DATA_DIR="$scratch/hooks-postgres"
psql_ "$LINKFORTY_TEST_DATABASE_URL" -c 'DROP DATABASE bench_hooks'
addresses
webhooks_on SQLite env APP_ENV=development DATA_DIR="$scratch/hooks-sqlite"

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

table "$mode run" "$out/report.json"
