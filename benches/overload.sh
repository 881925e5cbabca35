#!/usr/bin/env bash
# Calls a server ten times as often as it can answer, lets one workspace call fifty times as often as another, and prints one table: promise,
# measured, kept or missed. Exits with 1 when one is missed.
#
#   make bench-overload              about 4 minutes once it is built
#   make bench-overload ARGS=5       parts of 5 seconds instead of 10
#
# The server has the first half of the cores; the callers and the stores share the rest. A store that waits for its callers' processor answers
# fewer calls, so the callers stand back behind the stores; still the peak and what is answered at ten times the peak are both as good as that, and what is promised is one over the other.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-10}
links=1000
connections=64
unset DATABASE_URL REDIS_URL APP_ENV NODE_ENV

if [ -z "${LINKFORTY_BENCH_PROGRAMS-}" ]; then
  benches=(null_server load seed overload)
  # shellcheck source=benches/shared/tools.sh
  source benches/shared/tools.sh
  build "${benches[@]}"
  exec tests/services.sh -- benches/overload.sh "$@"
fi

# shellcheck source=benches/shared/tools.sh
source benches/shared/tools.sh
prepare
pin

##### production mode, with every layer on and limits that nobody reaches

JWT_SECRET=$(secret) SESSION_SECRET=$(secret)
export JWT_SECRET SESSION_SECRET LOG_LEVEL=warn SHUTDOWN_DELAY_MS=0 RATE_LIMIT_ENABLED=true RATE_LIMIT_MAX=100000000
: >"$out/linkforty.log"
database=$(new_database bench_overload)
production=(DATABASE_URL="$database" REDIS_URL="$LINKFORTY_TEST_REDIS_URL"
  FRONTEND_URL=https://dash.example.com DATA_DIR="$scratch/production" ACCEPTED_RISKS=database_superuser)
mkdir -p "$scratch/production"
addresses
env "${production[@]}" "$(program linkforty)" migrate up >>"$out/linkforty.log"
env "${production[@]}" "$(program linkforty)" user bootstrap >/dev/null
second=$(psql_ "$database" -c "INSERT INTO workspaces (id, name, create_time, update_time)
  SELECT gen_random_uuid(), 'Second', create_time, update_time FROM workspaces LIMIT 1 RETURNING id")
first=$(psql_ "$database" -c "SELECT id FROM workspaces WHERE name <> 'Second'")

say "making $links links"
serve "${production[@]}"
for workspace in "$first" "$second"; do
  env "${production[@]}" "$(program linkforty)" key create --workspace "$workspace" --name bench \
    --scopes links.read,links.write,analytics.read --secret-only
done >"$scratch/keys"
head -n 1 "$scratch/keys" >"$scratch/key"
"$(program seed)" "$api" "$scratch/key" "$links" >"$scratch/paths"
seen=$(load "$links_address" once 0 4)
sound linkforty "$seen"
drained

##### too much

# As autovacuum would have done it in the first minutes: plans that change in the middle of a run are no overload.
psql_ "$database" -c "ANALYZE"
say "overload: parts of $seconds s"
"${pin_client[@]}" "$(program overload)" "$links_address" "$api" "$server" "$scratch/keys" "$scratch/paths" "$seconds" |
  tee /dev/stderr >"$scratch/told"
# of PART NAME: a figure of a part.
figure() { grep "^part=$1 " "$scratch/told" | tail -n 1 | value "$2"; }
peak=$(figure peak rps) answered=$(figure overload answered_rps) offered=$(figure overload offered_rps)
at_least "calls offered over what can be answered" "" 9 "$(calc %.1f "$offered / $peak")"
at_least "calls answered then, over what can be answered" "" 0.8 "$(calc %.2f "$answered / $peak")"
at_most "calls that failed then otherwise than by being turned away" "" 0 "$(figure overload failed)"
at_most "refusal of a call then, p99" ms 20 "$(calc %.1f "$(figure overload refused_p99_us) / 1000")"
at_most "visit then, p99 over that of a visit alone" "" 3 "$(calc %.2f "$(figure overload visit_p99_us) / $(figure alone visit_p99_us)")"
at_most "visits then that were not sent on" "" 0 "$(figure overload visit_errors)"
at_most "memory in the last of three such turns over that in the second" "" 1.1 "$(calc %.2f "$(figure overload rss_after_mib) / $(figure overload rss_before_mib)")"
at_most "call of a workspace beside one that calls 50 times as often, p99 over that beside one like it" "" 1.5 \
  "$(calc %.2f "$(figure noisy call_p99_us) / $(figure quiet call_p99_us)")"
at_most "calls of it that were turned away, in 1,000" "" 10 \
  "$(calc %.0f "1000 * $(figure noisy refused) / ($(figure noisy answered_rps) * $seconds * 3 + $(figure noisy refused) + 0.001)")"
note "calls that can be answered" "calls/s" "$peak"
note "calls answered at ten times that" "calls/s" "$answered"
note "refusal of a call then, p50" us "$(figure overload refused_p50_us)"
note "call answered then, p50" us "$(figure overload call_p50_us)"
note "call answered then, p99" us "$(figure overload call_p99_us)"
note "visit alone, p99" us "$(figure alone visit_p99_us)"
note "visit then, p99" us "$(figure overload visit_p99_us)"
note "memory in the last turn" MiB "$(figure overload rss_after_mib)"
note "call beside one like it, p50" us "$(figure quiet call_p50_us)"
note "call beside one like it, p99" us "$(figure quiet call_p99_us)"
note "call beside the noisy one, p50" us "$(figure noisy call_p50_us)"
note "call beside the noisy one, p99" us "$(figure noisy call_p99_us)"
note "calls of the noisy one that were answered" calls/s "$(figure noise answered_rps)"
drained

##### visits as fast as they are answered, with every layer on

null_address=127.0.0.1:$(free_port)
"${pin_server[@]}" "$(program null_server)" "$null_address" &
children+=("$!")
null=$!
listening "$null_address"
say "capacity of warm redirects: 3 pairs of $seconds s"
# capacity NAME PROCESS ADDRESS
capacity() {
  local before seen after
  stores 19
  before=$(cpu_us "$2")
  seen=$(load "$3" max "$seconds" "$connections")
  after=$(cpu_us "$2")
  sound "$1" "$seen"
  if [ "$1" != null ]; then drained; fi
  echo "server=$1 rps=$(value rps <<<"$seen") us=$(calc %.2f "($after - $before) / $(value total <<<"$seen")")" |
    tee -a "$scratch/capacity" >&2
}
for _ in 1 2 3; do
  capacity null "$null" "$null_address"
  capacity linkforty "$server" "$links_address"
done
at_least "requests/s of warm redirects over the null server's" "" 0.6 \
  "$(calc %.2f "$(of linkforty rps "$scratch/capacity") / $(of null rps "$scratch/capacity")")"
at_least "the same by processor time a request" "" 0.6 \
  "$(calc %.2f "$(of null us "$scratch/capacity") / $(of linkforty us "$scratch/capacity")")"
stop "$server"

##### the table

table "overload, parts of $seconds s" "$out/overload.json"
case "${rows[*]}" in *MISSED*) exit 1 ;; esac
