#!/usr/bin/env bash
# Two tunnel groups with a worker each and one backup for both, which takes over once.
#
#   host A --- ravelind, three workers === public segment === ravelind --- host B
#
# Group west has worker 1 and the tunnel net, group east worker 2 and the tunnel more; worker 0
# backs up both. Worker 1 is told to do nothing: west goes on with worker 0. Then worker 2: east is
# down, says that the backup is busy, and goes on as it was when worker 2 polls again. West stays
# where it is until it is shut down and brought up. What would strand tunnels is refused.
. "$(dirname "$0")/../lib/scenario.sh"
. scripts/lib/stall.sh

ACTIVE='[.members[] | select(.role == "active") | .worker] | join(",")'
STILL=20 # seconds

in_group() { sed -i "/^\[tunnel.$2\]\$/a tunnel-group = \"$1\"" "$WORK/a.toml"; } # GROUP TUNNEL
shows() { [[ $(rv a --json show tunnel-groups "$1" | jq -r ".groups[0] | $2") == "$3" ]]; } # GROUP FILTER WANTED
has_spis() { [[ $(spis "$1") == "$2" ]]; }
carries() { local from to; read -r from to <<< "$(between "$1")"; in_ns "$HA" ping -q -c 1 -W 1 -I "$from" "$to" > /dev/null; }
explains() { { rv a explain "$1" || :; } | grep -q "is down: .*\[$2\]"; }
applied() { rv a config apply > /dev/null; }
refused() { { rv a config apply || :; } | grep -q "refused: tunnel-group.$1: .*shut it down first"; }
set_group() { # GROUP LINE: with one line more
  sed "/^\[tunnel-group.$1\]\$/a $2" "$WORK/groups.toml" > "$WORK/a.toml"
}

two_tunnels 3
in_group west net
in_group east more
cat >> "$WORK/a.toml" <<C

[tunnel-group.west]
mode = "single-active"
primary = 1
backup = 0
[tunnel-group.east]
mode = "single-active"
primary = 2
backup = 0
C
cp "$WORK/a.toml" "$WORK/groups.toml"
start_ravelind "$GWA" a
start_ravelind "$GWB" b
needs_stalls
rv a initiate net > /dev/null; rv a initiate more > /dev/null
soon 15 "one tunnel is up" tunnel_up a net
soon 15 "and another" tunnel_up a more
hold "west has its primary" owned net 1
hold "east has its own" owned more 2
soon 5 "west carries" carries net
soon 5 "east carries" carries more
kept=$(spis more)

capture_start "$WORK/public.pcap"
stand_still 1 "$STILL" > /dev/null
soon 5 "the backup takes over for west" shows west "$ACTIVE" 0
soon 5 "its tunnel has arrived" event tunnel-arrived
hold "on the backup" owned net 0
soon 5 "it carries again" carries net
hold "east has the same SAs" has_spis more "$kept"

stand_still 2 6 > /dev/null
soon 5 "east is down: the backup is busy" shows east .reason_code RV-GROUP-003
hold "its tunnel says so" explains more RV-GROUP-003
hold "and carries nothing" not carries more
hold "west carries" carries net
soon 15 "worker 2 polls again, and east is up" shows east .up true
soon 5 "it carries" carries more
hold "with the SAs it had" has_spis more "$kept"
soon $((STILL + 10)) "worker 1 polls again" polls 1 true
hold "west stays on its backup" shows west "$ACTIVE" 0

say "another configuration"
set_group east 'members = [2]'
sed -i '/^\[tunnel-group.east\]$/,$ { /^primary/d; /^backup/d; s/single-active/multi-active/ }' "$WORK/a.toml"
hold "another mode of a group that is up is refused" refused east
hold "nothing has changed" shows east .mode single-active
set_group west 'enabled = false'
hold "west is shut down" applied
soon 5 "its tunnel is down here" tunnel_down a net
soon 5 "and at the peer" tunnel_down b net
hold "it says why" explains net RV-GROUP-001
cp "$WORK/groups.toml" "$WORK/a.toml"
hold "west is brought up" applied
rv a initiate net > /dev/null
soon 15 "its tunnel is up" tunnel_up a net
hold "on the primary" owned net 1
soon 5 "it carries" carries net
hold "east has the same SAs" has_spis more "$kept"
rv a show tunnel-groups | sed 's/^/    /'
capture_stop "$WORK/public.pcap"
hold "no inner packet on the public side" test "$(count_packets "$WORK/public.pcap" 'net 10.0.0.0/8')" -eq 0
