#!/usr/bin/env bash
# One tunnel between two ravelinds of two workers each, of which every worker has an SA of its own (RFC 9611).
#
#   host A --- ravelind, two workers === public segment === ravelind, two workers --- host B
#
# The SA of all comes with IKE_AUTH, that of the other worker by CREATE_CHILD_SA. Flows that the
# devices spread over both workers go by both SAs, in both directions, and both ravelinds count them
# there; none is lost, through rekeys of either SA from both sides. Without per-worker at B there is
# one SA, and A says why.
. "$(dirname "$0")/../lib/scenario.sh"
((FULL)) && rekeys=10 || rekeys=3

per_worker() { sed -i '/^\[tunnel.net\]/a per-worker = true' "$WORK/$1.toml"; } # NAME
begin() { # NAME...: those that have per-worker; both come up
  configure_ravelin a b psk aes128 2
  configure_ravelin b a psk aes128 2
  local name; for name in "$@"; do per_worker "$name"; done
  start_ravelind "$GWA" a
  start_ravelind "$GWB" b
  rv b initiate net > /dev/null
  soon 15 "the tunnel is up on both sides" tunnel_up b net
}
sas_of() { rv "$1" --json show sa | jq --argjson own "$2" '[.sas[] | select(.own == $own and .state == "active")] | length'; }
has_both() { [[ $(sas_of "$1" true) == 2 && $(sas_of "$1" false) == 2 ]]; }
has_one() { [[ $(sas_of "$1" true) == 0 && $(sas_of "$1" false) == 2 ]]; }
# packets NAME DIRECTION OWN: what those SAs have carried that are active.
packets() { rv "$1" --json show sa | jq --arg d "$2" --argjson own "$3" '[.sas[] | select(.direction == $d and .own == $own and .state == "active") | .packets] | add // 0'; }
# where NAME DIRECTION: packets by the SA of all and by the other worker's own.
where() { echo "$(packets "$1" "$2" false) $(packets "$1" "$2" true)"; }
burst() { # PORT: a few packets of a flow from A to B; nobody listens, and nobody need
  in_ns "$HA" "$PYTHON" -c 'import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("10.1.0.2", int(sys.argv[1])))
for _ in range(20): s.sendto(bytes(64), ("10.2.0.2", int(sys.argv[1])))' "$1"
}
went_own() { # OWN-BEFORE: whether the burst went by the own SA
  (($(packets a out true) >= $1 + 20))
}
# Sets ALL and OWN: ports of flows that A's device gives to the worker of the SA of all, and to the other.
find_flows() {
  local port all own
  ALL= OWN=
  for port in $(seq 7001 7040); do
    read -r all own <<< "$(where a out)"
    burst "$port"
    if wait_for 1 went_own "$own"; then OWN=${OWN:-$port}; else ALL=${ALL:-$port}; fi
    [[ -z $ALL || -z $OWN ]] || return 0
  done
  die "forty flows went one way: ALL=$ALL OWN=$OWN"
}
FLOWS=()
flow() { # PORT RESULT: numbered UDP both ways under this port, until $UDP_UNTIL
  local port=$1 result=$2
  in_ns "$HA" "$TARGET/ravelin-traffic" --bind "10.1.0.2:$port" --peer "10.2.0.2:$port" --rate "${RATE:-2000}" --seconds 120 --until "$UDP_UNTIL" > "$result.a" &
  FLOWS+=($!)
  in_ns "$HB" "$TARGET/ravelin-traffic" --bind "10.2.0.2:$port" --peer "10.1.0.2:$port" --rate "${RATE:-2000}" --seconds 120 --until "$UDP_UNTIL" > "$result.b" &
  FLOWS+=($!)
}
result() { jq -cs '{sent: (map(.sent) | add), lost: ((map(.sent) | add) - (map(.received) | add)), duplicates: (map(.duplicates) | add)}' "$1.a" "$1.b"; }
grew() { # NAME DIRECTION BEFORE-ALL BEFORE-OWN: both have carried more than a hundred since
  local all own; read -r all own <<< "$(where "$1" "$2")"
  ((all > $3 + 100 && own > $4 + 100))
}
count() { tunnel_field "$1" net child_rekeys; }
rekeyed() { (($(count a) >= $1 && $(count b) >= $1)); }
rung() { rv "$1" --json explain net | jq -re '.rungs[] | select(.question == "workers with SAs of their own") | .seen'; }
says() { [[ $(rung "$1") == "$2" ]]; }
looks_up() { rv a lookup 10.1.0.2 10.2.0.2 udp 7000 7000 | grep -q "; from workers $1 by SAs of their own"; }

net_up
say "per-worker at both"
begin a b
for name in a b; do soon 5 "$name has an SA for all, and one worker's own" has_both "$name"; done
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
own=$(rv a --json show sa | jq '[.sas[] | select(.own)][0].worker')
hold "explain says whose" says a "net: workers $own"
hold "lookup says whose" looks_up "$own"
find_flows
say "    port $ALL goes by the SA of all, port $OWN by that of worker $own"
UDP_UNTIL=$WORK/udp.until
rm -f "$UDP_UNTIL"
flow "$ALL" "$WORK/all"
flow "$OWN" "$WORK/own"
TRAFFIC=${FLOWS[0]}
read -r all own <<< "$(where a out)"
soon 10 "A sends on both" grew a out "$all" "$own"
soon 10 "B receives on both" grew b in 0 0
say "    A: $(where a out) out, $(where a in) in; B: $(where b out) out, $(where b in) in (of all, own)"
for ((n = 1; n <= rekeys; n++)); do
  for name in a b; do
    before=$(count a)
    rv "$name" rekey net > /dev/null || die "$name refused to rekey"
    wait_for 10 rekeyed $((before + 2)) || die "no rekey of both from $name"
    sleep 0.3 # between rekeys packets are to pass; nothing is waited for
  done
done
for name in a b; do soon 15 "$name has both again" has_both "$name"; done
touch "$UDP_UNTIL"
for pid in "${FLOWS[@]}"; do wait "$pid" || die "numbered UDP failed"; done
UDP_UNTIL=
for which in all own; do
  UDP=$(result "$WORK/$which")
  say "    $which: $UDP"
  hold "none missing, none twice" nothing_missing "$UDP"
done
hold "no packet was without an SA" test "$(counter a drop-no-sa)$(counter b drop-no-sa)" = 00
hold "the tunnel never went down" test "$(tunnel_field a net ups)$(tunnel_field b net ups)" = 11
stop a; stop b

say "per-worker at A alone"
begin a
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
for name in a b; do hold "$name has one SA" has_one "$name"; done
hold "A says why" says a "none: the peer takes none, or does not know RFC 9611"
stop a; stop b
