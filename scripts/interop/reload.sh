#!/usr/bin/env bash
# Another configuration while running touches only what is other.
#
#   host A --- ravelind === public segment === ravelind --- host B
#
# Under numbered UDP through one tunnel, a second one is added, changed and removed on both
# sides, by command and by SIGHUP; a broken file is refused whole. The first tunnel loses
# nothing, keeps its SAs, and what was removed carries nothing and leaks nothing.
. "$(dirname "$0")/../lib/scenario.sh"

spis() { rv "$1" --json show sa | jq -c '[.sas[] | select(.tunnel == "net") | .spi] | sort'; }
names() { rv "$1" --json show tunnels | jq -r '[.tunnels[].name] | sort | join(" ")'; }
test_sas() { [[ $(sas b) == "$1" ]]; }
known() { [[ $(names "$1") == "$2" ]]; }
event() { rv "$1" --json events | jq -e --arg w "$2" '[.events[] | select(.what == $w)] | length > 0' > /dev/null; }

net_up
configure_ravelin a b psk aes128 1
configure_ravelin b a psk aes128 2
cp "$WORK/a.toml" "$WORK/a.first"; cp "$WORK/b.toml" "$WORK/b.first"
start_ravelind "$GWA" a
start_ravelind "$GWB" b
rv b initiate net > /dev/null
soon 15 "the tunnel is up" tunnel_up b net
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
before=$(spis b)

traffic_start "${RATE:-1000}" 120
say "a tunnel is added"
more a b 1 2 >> "$WORK/a.toml"; more b a 2 1 >> "$WORK/b.toml"
rv b --json config plan | jq -e '.dry_run and .added == ["more"] and .untouched == 1' > /dev/null || die "config plan says something else"
hold "a plan changes nothing" known b net
rv a config apply > /dev/null; rv b config apply > /dev/null
hold "both know it" known b "more net"
rv b initiate more > /dev/null
soon 15 "it comes up" tunnel_up b more

say "a broken file is refused whole, and so is a change that needs a restart named"
echo 'frobnicate = true' >> "$WORK/b.toml"
hold "it is refused" not rv b config apply
hold "nothing changed" known b "more net"
{ sed 's/^count = .*/count = 1/; s/^cores = .*/cores = [0]/' "$WORK/b.first"; more b a 2 1 "auto-establish = true"; } > "$WORK/b.toml"
status=0; rv b --json config apply > "$WORK/applied" || status=$?
hold "exit code 2" test "$status" -eq 2
jq -e '.changed == ["more"] and .needs_restart == ["workers"] and .untouched == 1' "$WORK/applied" > /dev/null ||
  die "the report is $(cat "$WORK/applied")"

say "it goes again, by SIGHUP"
cp "$WORK/a.first" "$WORK/a.toml"; cp "$WORK/b.first" "$WORK/b.toml"
kill -HUP "$PID_a" "$PID_b"
soon 5 "A has forgotten it" known a net
soon 5 "B has forgotten it" known b net
soon 10 "its SAs are gone" test_sas 2
hold "the journal says so" event b config-applied
traffic_stop
hold "none missing, none twice" nothing_missing "$UDP"
hold "the first tunnel has the same SAs" test "$(spis b)" = "$before"
hold "and never went down" test "$(tunnel_field b net ups)" = 1
