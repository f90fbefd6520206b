# What every interop scenario begins with. Source it first; it sources the network and the
# configurations, leaves the trap that cleans up, and gives the words scenarios are told in.
#
# A scenario exits 0 when everything held, 77 when its peer is missing, else 1 with what it saw.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
[[ $EUID -eq 0 ]] || { echo "skipped: needs root, for namespaces and packet sockets" >&2; exit 77; }
. scripts/lib/net.sh
. scripts/lib/gateways.sh
. scripts/lib/strongswan.sh
export PYTHONPATH=$ROOT/scripts/lib PYTHONDONTWRITEBYTECODE=1
PYTHON=/usr/bin/python3 # Debian's: the one that has scapy and cryptography
FULL=${RAVELIN_FULL:-0}

# A scenario that takes something of the machine says here how it is given back.
give_back() { :; }
trap 'status=$?; ((status == 0 || status == 77)) || scenario_logs; traffic_end; net_cleanup; give_back' EXIT
trap 'exit 1' INT TERM PIPE
# What ends a scenario without being asserted is said by its line, in functions too.
set -E
trap 'say "FAILED: line $LINENO of ${BASH_SOURCE[0]##*/}: $BASH_COMMAND"' ERR

[[ -x $TARGET/ravelind && -x $TARGET/ravelin && -x $TARGET/ravelin-traffic ]] ||
  { say "FAILED: cargo build --release first: no ravelind in $TARGET"; exit 1; }

# The daemons' last words, printed only when something failed.
scenario_logs() {
  local log
  for log in "$WORK"/*.log "$WORK"/*/log; do
    [[ -s $log ]] || continue
    say "--- ${log#"$WORK"/}"
    tail -n 15 "$log" >&2
  done
  local socket ns
  for socket in "$WORK"/*.sock; do
    [[ -S $socket ]] || continue
    say "--- $(basename "$socket" .sock): SAs, counters that are not zero"
    "$TARGET/ravelin" --socket "$socket" show sa >&2 || continue
    "$TARGET/ravelin" --socket "$socket" --json show counters |
      jq -c '[.counters[] | select(.value > 0) | {(.name): .value}] | add' >&2 || :
  done
  for ns in "$HA" "$GWA" "$GWB" "$HB"; do say "--- neighbours in $ns"; ip -n "$ns" neigh >&2 2> /dev/null || :; done
}

needs() { # COMMAND-OR-FILE WHAT: skips the scenario when the peer is not there
  command -v "$1" > /dev/null || [[ -e $1 ]] || { say "skipped: $2 is missing ($1)"; exit 77; }
}

# hold WHAT COMMAND...: the command must succeed.
hold() {
  local what=$1; shift
  "$@" || die "$what"
  say "  holds: $what"
}
# soon SECONDS WHAT COMMAND...: the command must succeed within so many seconds.
soon() {
  local seconds=$1 what=$2; shift 2
  wait_for "$seconds" "$@" || die "$what: not within $seconds s"
  say "  holds: $what"
}
not() { ! "$@"; }

# pings NAMESPACE ADDRESS [PING ARGUMENTS...]: five pings, all answered.
pings() { in_ns "$1" ping -q -c 5 -i 0.05 -W 2 "${@:3}" "$2" > "$WORK/ping" 2>&1 || { tail -n 3 "$WORK/ping" >&2; return 1; }; }

# stop NAME: ends that ravelind in order and waits for it; stop_hard NAME: kill -9.
stop() { local pid="PID_$1"; kill "${!pid}"; ended "${!pid}"; }
stop_hard() { local pid="PID_$1"; kill -9 "${!pid}"; ended "${!pid}"; }
ended() {
  wait "$1" 2> /dev/null || :
  local pid rest=()
  for pid in "${PIDS[@]}"; do [[ $pid == "$1" ]] || rest+=("$pid"); done
  PIDS=("${rest[@]}")
}
# alive NAME: whether that ravelind's process is there.
alive() { local pid="PID_$1"; kill -0 "${!pid}" 2> /dev/null; }
# resident NAME: its resident memory in kB.
resident() { local pid="PID_$1"; awk '/^VmRSS/ { print $2 }' "/proc/${!pid}/status"; }

# counter NAME COUNTER: the value of one counter.
counter() { rv "$1" --json show counters | jq -e --arg c "$2" '.counters[] | select(.name == $c) | .value'; }
# tunnel_field NAME TUNNEL FIELD: a field of `show tunnels`.
tunnel_field() { rv "$1" --json show tunnels | jq -er --arg t "$2" --arg f "$3" '.tunnels[] | select(.name == $t) | .[$f]'; }
tunnel_down() { [[ $(tunnel_field "$1" "$2" state) == down ]]; }
# sas NAME: how many ESP SAs that ravelind has.
sas() { rv "$1" --json show sa | jq '.sas | length'; }
only_two_sas() { [[ $(sas "$1") == 2 ]]; }
no_sas() { [[ $(sas "$1") == 0 ]]; }

# told WHAT [TEXT]: whether gateway B has an event of that name with that text; attempt JQ:
# something of its last attempt; last_code CODE: that ended so. `explain` exits 1 of a tunnel that is down, and says it.
told() { rv b --json events | jq -e --arg w "$1" --arg t "${2:-}" '[.events[] | select(.what == $w and (.text | contains($t)))] | length > 0' > /dev/null; }
attempt() { { rv b --json explain net || :; } | jq -r ".attempts[0] | $1"; }
last_code() { [[ $(attempt .code) == "$1" ]]; }

# silence NAMESPACE: its kernel keeps the addresses and answers ARP and ND for a peer that is a
# program; it forwards nothing and says nothing to ESP and IKE.
silence() {
  in_ns "$1" sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
  in_ns "$1" nft -f - <<'N'
table inet silence {
  chain strangers {
    type filter hook prerouting priority raw; policy accept;
    fib daddr type != { local, multicast, broadcast } drop
  }
  chain input {
    type filter hook input priority 0; policy accept;
    meta l4proto esp drop
    udp dport { 500, 4500 } drop
  }
}
N
}

# What a numbered UDP result must be: packets went, none is missing or came twice; none later
# than 50 ms unless the machine itself stood. A ring between workers holds 1,024 packets, 100 ms of the fullest direction:
# where the machine did not run a worker for longer, each packet missing must be one that such a ring counts.
nothing_missing() { udp_holds '.sent > 0 and .duplicates == 0 and (.lost == 0 or (.stood_us > 100000 and .lost <= .overrun))' "$1"; }
nothing_late() { udp_holds '.late == 0' "$1"; }
udp_holds() { jq -e "$1" <<< "$2" > /dev/null || { say "FAILED: numbered UDP was not $1 but $2"; return 1; }; }

# traffic_start RATE SECONDS / traffic_stop: numbered UDP while other things happen. SECONDS is
# the longest time; stop fails if that passed before, else leaves the result in $UDP.
traffic_start() {
  UDP_UNTIL=$WORK/udp.until
  rm -f "$UDP_UNTIL" "$WORK/udp.result"
  numbered_udp "$1" "$2" > "$WORK/udp.result" &
  TRAFFIC=$!
  sleep 0.5 # the senders find each other; what follows is to happen under way
}
# traffic_end: whatever happens, no sender outlives the scenario.
traffic_end() { [[ -z ${UDP_UNTIL:-} ]] || { touch "$UDP_UNTIL"; wait "$TRAFFIC" || :; }; }
traffic_stop() {
  kill -0 "$TRAFFIC" 2> /dev/null || die "the traffic ended before what was to happen under it"
  touch "$UDP_UNTIL"
  wait "$TRAFFIC" || die "numbered UDP failed"
  UDP=$(cat "$WORK/udp.result")
  UDP_UNTIL=
  say "    numbered UDP: $UDP"
}
