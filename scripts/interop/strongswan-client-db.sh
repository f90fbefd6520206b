#!/usr/bin/env bash
# A gateway that knows its peers by name: three strongSwans call, of which two are clients, each with a key, an instance
# and networks of its own, and one is nobody.
#
#   c1 198.51.100.2 ---+                                  / [default] --- host B      10.2.0.2
#   c2 203.0.113.2  ---+--- router === segment === ravelind
#   c3 198.18.0.2   ---+                                  \ [blue]    --- host B blue 10.2.0.2
#
# c1 and c2 have the same network behind them and the hosts have the same address: who answers says in which instance a
# caller has ended. A key of one client opens nothing under the name of another. What is changed is for the next call.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

client() { echo "rvc$1$NET_ID"; }
BLUE=${GWB}blue HBLUE=${HB}blue
all_down() { local ns; for ns in "$BLUE" "$HBLUE" "$(client 1)" "$(client 2)" "$(client 3)"; do ip netns del "$ns" 2> /dev/null || :; done; }
trap 'status=$?; ((status)) && scenario_logs; net_cleanup; all_down' EXIT

# The router is the namespace of gateway A.
clients_up() {
  local k
  ip -n "$GWA" addr add 192.0.2.1/24 dev wan0
  in_ns "$GWA" sysctl -qw net.ipv4.ip_forward=1
  for k in 1 2 3; do
    ip netns add "$(client $k)"
    ip -n "$(client $k)" link set lo up
    # strongSwan installs no policy for a network of which it has no address.
    ip -n "$(client $k)" addr add 10.1.1.2/32 dev lo
  done
  link "$(client 1)" eth0 198.51.100.2/24 "$GWA" c1 198.51.100.1/24
  link "$(client 2)" eth0 203.0.113.2/24 "$GWA" c2 203.0.113.1/24
  link "$(client 3)" eth0 198.18.0.2/24 "$GWA" c3 198.18.0.1/24
  ip -n "$(client 1)" route add default via 198.51.100.1
  ip -n "$(client 2)" route add default via 203.0.113.1
  ip -n "$(client 3)" route add default via 198.18.0.1
}

blue_up() {
  ip netns add "$BLUE"; ip netns add "$HBLUE"
  ip -n "$BLUE" link set lo up; ip -n "$HBLUE" link set lo up
  link "$HBLUE" eth0 10.2.0.2/24 "$BLUE" lan0 -
  ip -n "$HBLUE" route add default via 10.2.0.1
}

# The clients' entries come as arguments.
configure_b() {
  cat > "$WORK/b.toml" <<C
interface.wan = { device = "af_packet:wan0", addresses = ["192.0.2.2/24"] }
interface.lan = { device = "af_packet:lan0", addresses = ["10.2.0.1/24"] }
workers = { count = 2, cores = [0, 1], tunnel-limit = "8" }
[instance.blue]
namespace = "$BLUE"
[port.blue]
device = "af_packet:lan0"
namespace = "$BLUE"
[interface.lan-blue]
port = "blue"
instance = "blue"
addresses = ["10.2.0.1/24"]
[[route]]
destination = "0.0.0.0/0"
via = "192.0.2.1"
[gateway.branches]
local = "192.0.2.2"
local-id = "hq.example"
psk = "$PSK"
ts-list = "branches"
client-db = "branches"
ike-policy = "p"
tunnel-template = "branch"
[tunnel-template.branch]
ipsec-transform = "t"
[ts-list.branches]
local = ["10.2.0.0/24"]
remote = ["10.1.0.0/16"]
[ts-list.bern]
local = ["10.2.0.0/24"]
remote = ["10.1.1.0/24"]
[ike-policy.p]
proposals = ["aes128gcm16-prfsha256-x25519"]
[ipsec-transform.t]
proposals = ["aes128gcm16-x25519"]
extended-sequence-number = false
[client-db.branches]
fallback = false
C
  printf '%s\n' "$@" >> "$WORK/b.toml"
  "$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "configuration refused"
}

zurich() { # KEY
  printf '[[client-db.branches.client]]\nname = "zurich"\nremote-ids = ["c1.branch.example"]\npsk = "%s"\n' "$1"
}
BERN='[[client-db.branches.client]]
name = "bern"
remote = ["203.0.113.0/24"]
remote-ids = ["*.branch.example"]
psk = "key of bern"
private-instance = "blue"
ts-list = "bern"'

configure_client() { # K ADDRESS IDENTITY KEY NETWORK
  mkdir -p "$WORK/c$1"
  cat > "$WORK/c$1/swanctl.conf" <<C
connections { net { version = 2
  local_addrs = $2
  remote_addrs = 192.0.2.2
  proposals = aes128gcm16-prfsha256-x25519
  mobike = no
  local { auth = psk
    id = $3 }
  remote { auth = psk
    id = hq.example }
  children { own { local_ts = $5
      remote_ts = 10.2.0.0/24
      esp_proposals = aes128gcm16-x25519 } }
  } }
secrets { ike-1 { secret = "$4" } }
C
}
reconfigure() { configure_client "$@"; swan "c$1" --load-all > /dev/null 2>&1; }

call() { swan "c$1" --initiate --child own > "$WORK/c$1/initiate" 2>&1; }
close() { swan "c$1" --terminate --ike net > /dev/null; }
peers() { [[ $(rv b --json show gateways branches | jq -r '[.gateways[].tunnels[] | select(.state == "up") | .client + " in " + .private_instance] | sort | join(", ")') == "$1" ]]; }
routes() { [[ $(rv b --json show routes | jq -r '[.routes[] | select(.kind == "reverse") | .instance + " " + .destination + " " + .tunnel] | sort | join(", ")') == "$1" ]]; }
rekeyed() { (($(tunnel_field b "branches/c$1.branch.example" child_rekeys) >= $2)); }
# asks K ANSWER: which host is there?
asks() { [[ $(in_ns "$(client "$1")" timeout 3 socat -u TCP:10.2.0.2:7001,bind=10.1.1.2,connect-timeout=2 - 2> /dev/null) == "$2" ]]; }
would_be() { rv b --json show client-db branches --match "$1" --id "$2" | jq -er '"\(.outcome) \(.client.name // "-")"'; }

net_up
clients_up
blue_up
ip netns exec "$HB" socat -U TCP-LISTEN:7001,reuseaddr,fork "EXEC:echo default" 2> /dev/null & PIDS+=($!)
ip netns exec "$HBLUE" socat -U TCP-LISTEN:7001,reuseaddr,fork "EXEC:echo blue" 2> /dev/null & PIDS+=($!)
configure_b "$(zurich "key of zurich")" "$BERN"
configure_client 1 198.51.100.2 c1.branch.example "key of zurich" 10.1.1.0/24
configure_client 2 203.0.113.2 c2.branch.example "key of bern" 10.1.0.0/16
configure_client 3 198.18.0.2 c3.branch.example "$PSK" 10.1.1.0/24
start_ravelind "$GWB" b
for k in 1 2 3; do start_strongswan "$(client $k)" "c$k"; done

say "two clients call, each with its own key, and the same network behind it"
hold "c1 is let in" call 1
hold "c2 is let in" call 2
hold "each as the client it is, in its instance" peers "bern in blue, zurich in default"
hold "each has what its list allows" routes "blue 10.1.1.0/24 branches/c2.branch.example, default 10.1.1.0/24 branches/c1.branch.example"
hold "events say so" told peer-admitted "by gateway branches, as client zurich"
soon 5 "c1 has come to the host of the default instance" asks 1 default
soon 5 "c2 to that of the blue one" asks 2 blue

say "a third is nobody"
hold "c3 is refused, with the gateway's own key" not call 3
hold "it is told no more than that" grep -q AUTHENTICATION_FAILED "$WORK/c3/log"
hold "ravelind says what was compared" told attempt-failed "take address 198.18.0.2 and identity c3.branch.example, but no one client both (client-db branches)"
hold "as it would have said before" test "$(would_be 198.18.0.2 c3.branch.example)" = "refused -"
hold "and who c1 is" test "$(would_be 198.51.100.2 c1.branch.example)" = "client zurich"

say "a key of one is none of another"
close 2
reconfigure 2 203.0.113.2 c1.branch.example "key of bern" 10.1.0.0/16
hold "c2 under the name of c1 is refused" not call 2
hold "its key was held against that of zurich" told attempt-failed "; it is client zurich"
hold "c1 is as it was" asks 1 default
reconfigure 2 203.0.113.2 c2.branch.example "key of bern" 10.1.0.0/16
hold "under its own it is let in" call 2
soon 5 "where it was" asks 2 blue

say "clients change while their peers are there"
configure_b "$(zurich "another key")"
rv b config apply > /dev/null
hold "both stay" peers "bern in blue, zurich in default"
hold "c1 rekeys" swan c1 --rekey --child own > /dev/null
soon 10 "ravelind has new keys" rekeyed 1 1
hold "c2, which is no client any more, rekeys too" swan c2 --rekey --child own > /dev/null
soon 10 "ravelind has new keys" rekeyed 2 1
soon 5 "c1 carries" asks 1 default
soon 5 "c2 carries" asks 2 blue
close 1
close 2
soon 10 "both have gone" peers ""
hold "c1 is refused by its old key" not call 1
hold "c2 is refused by name" not call 2
hold "as no client" told attempt-failed "take address 203.0.113.2, and not for identity c2.branch.example"
reconfigure 1 198.51.100.2 c1.branch.example "another key" 10.1.1.0/24
hold "by the new one c1 is let in" call 1
soon 5 "it carries" asks 1 default
close 1
soon 10 "nothing is left" no_sas b
hold "no route" routes ""
