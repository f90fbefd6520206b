#!/usr/bin/env bash
# Redirection (RFC 5685): strongSwan is sent to another gateway, in IKE_SA_INIT and when it is up. Not in IKE_AUTH:
# strongSwan 5.9.8 follows and dies of a double free.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# ravelind has two outer addresses, 192.0.2.2 and 192.0.2.3, and a tunnel at each: the second stands for the other
# gateway. strongSwan calls the first and is sent to the second; numbered UDP goes by it, and the public segment has seen
# no other address of ravelind's in ESP. A strongSwan that does not follow redirections is served where it calls. Then
# strongSwan, with two addresses, is the gateway and sends a ravelind that is up to its second one; with those that come
# it does so only if told by another program: not here. All of it by address and by name, which each looks up for itself; a name
# server that is silent leaves a tunnel where it is, and holds nothing else up.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

# configure_b LINES: what the first tunnel does with callers.
configure_b() {
  cat > "$WORK/b.toml" <<C
interface.wan = { device = "af_packet:wan0", addresses = ["192.0.2.2/24", "192.0.2.3/24"] }
interface.lan = { device = "af_packet:lan0", addresses = ["10.2.0.1/24"] }
[ike-policy.p]
proposals = ["aes128gcm16-prfsha256-x25519"]
[ipsec-transform.t]
proposals = ["aes128gcm16-x25519"]
extended-sequence-number = false
C
  tunnel first 192.0.2.2 10.2.0.0/25 "$1" >> "$WORK/b.toml"
  tunnel second 192.0.2.3 10.2.0.0/24 "" >> "$WORK/b.toml"
  "$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "configuration refused"
}
tunnel() { # NAME LOCAL NETWORK LINES
  cat <<C
[tunnel.$1]
local = "$2"
remote = "192.0.2.1"
local-id = "b.example"
remote-id = "a.example"
psk = "$PSK"
ike-policy = "p"
ipsec-transform = "t"
on-demand = false
local-ts = ["$3"]
remote-ts = ["10.1.0.0/24"]
$4
C
}
configure_a() { # LOCAL-ADDRESSES
  mkdir -p "$WORK/ss"
  cat > "$WORK/ss/swanctl.conf" <<C
connections { net { version = 2
  local_addrs = $1
  remote_addrs = 192.0.2.2
  proposals = aes128gcm16-prfsha256-x25519
  mobike = no
  local { auth = psk
    id = a.example }
  remote { auth = psk
    id = b.example }
  children { net { local_ts = 10.1.0.0/24
    remote_ts = 10.2.0.0/24
    esp_proposals = aes128gcm16-x25519 } } } }
secrets { ike-1 { secret = "$PSK" } }
C
}
begin() { start_ravelind "$GWB" b; start_strongswan "$GWA" ss "$@"; }
swan_initiate() { swan ss --initiate --child net > "$WORK/ss/initiate" 2>&1; }
swan_is_at() { swan ss --list-sas > "$WORK/ss/sas" 2>&1 && grep -q "remote 'b.example' @ $1\[" "$WORK/ss/sas" && [[ $(grep -c ESTABLISHED "$WORK/ss/sas") == 1 ]]; }
is_up() { tunnel_up b "$1" > /dev/null; }
told() { rv b --json events | jq -e --arg n "$1" --arg c "$2" '[.events[] | select(.tunnel == $n and .what == "ike-down" and (.text | startswith($c)))] | length > 0' > /dev/null; }
# carries ADDRESS: numbered UDP between the hosts, in ESP with that address only.
carries() {
  local result
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  capture_start "$WORK/esp.pcap"
  result=$(numbered_udp 500 1)
  capture_stop "$WORK/esp.pcap"
  hold "nothing is lost: $result" nothing_missing "$result"
  hold "all of it by $1" test "$(count_packets "$WORK/esp.pcap" "(udp port 4500 and udp[8:4] != 0) or ip proto 50")" = \
    "$(count_packets "$WORK/esp.pcap" "host $1 and ((udp port 4500 and udp[8:4] != 0) or ip proto 50)")"
}

# What each gateway's resolver knows, and whom it asks besides: a name server in host B that is silent.
names() {
  mkdir -p "/etc/netns/$GWA" "/etc/netns/$GWB"
  printf '127.0.0.1 localhost\n192.0.2.3 gw3.example\n' > "/etc/netns/$GWA/hosts"
  printf '127.0.0.1 localhost\n192.0.2.9 gw9.example\n192.0.2.4 gw4.example\n192.0.2.9 gw4.example\n' > "/etc/netns/$GWB/hosts"
  printf 'nameserver 10.2.0.2\noptions timeout:30 attempts:1\n' > "/etc/netns/$GWB/resolv.conf"
  in_ns "$HB" nft -f - <<'N'
table inet silent { chain input { type filter hook input priority 0; policy accept; udp dport 53 drop; }
}
N
}
names_gone() { rm -rf "/etc/netns/$GWA" "/etc/netns/$GWB"; }
trap 'status=$?; ((status == 0 || status == 77)) || scenario_logs; names_gone; net_cleanup' EXIT

net_up
gateway_a_addresses
names
configure_a 192.0.2.1
for to in 192.0.2.3 gw3.example; do
say "strongSwan is redirected in IKE_SA_INIT to $to"
configure_b "redirect-callers-to = \"$to\""
begin
swan_initiate || die "strongSwan could not initiate"
soon 15 "the second tunnel is up" is_up second
hold "and the first is not" not is_up first
soon 5 "strongSwan is with the other gateway" swan_is_at 192.0.2.3
carries 192.0.2.3
finish
done

for to in 192.0.2.3 gw3.example; do
say "strongSwan is redirected to $to when it is up"
configure_b ""
begin
swan_initiate || die "strongSwan could not initiate"
soon 10 "the first tunnel is up" is_up first
hold "an address of another family is refused" not rv b redirect first 2001:db8::3
hold "what is no name is refused" not rv b redirect first 192.0.2.300
rv b redirect first "$to" > /dev/null
soon 15 "the second tunnel is up" is_up second
soon 5 "the first is down" tunnel_down b first
hold "and says why" told first RV-END-009
soon 5 "strongSwan is with the other gateway" swan_is_at 192.0.2.3
carries 192.0.2.3
finish
done

say "a strongSwan that does not follow is served"
configure_b 'redirect-callers-to = "192.0.2.3"'
begin "follow_redirects = no"
swan_initiate || die "strongSwan could not initiate"
soon 10 "the first tunnel is up" is_up first
hold "it cannot be sent elsewhere" not rv b redirect first 192.0.2.3
finish

say "strongSwan sends ravelind elsewhere"
ip -n "$GWA" addr add 192.0.2.4/24 dev wan0
configure_a 192.0.2.1,192.0.2.4
configure_b 'redirect = "accept"
redirect-targets = ["192.0.2.4"]'
sed -i '/^\[tunnel.second\]/,$d; s|10.2.0.0/25|10.2.0.0/24|' "$WORK/b.toml"
at() { [[ $(tunnel_field b first remote) == "$1":* ]]; }
redirect() { swan ss --redirect --ike net --gateway "$1" > "$WORK/ss/redirect" 2>&1; }
told_end() { rv b --json events | jq -e --arg c "$1" '[.events[] | select(.what == "ike-down" and (.text | startswith($c)))] | length == 1' > /dev/null; }
event_told() { rv b --json events | jq -e --arg w "$1" --arg c "$2" '[.events[] | select(.what == $w and (.text | contains($c)))] | length > 0' > /dev/null; }
# called: ravelind calls the first address, anew: strongSwan tells each IKE SA once.
called() {
  rv b terminate first > /dev/null || :
  soon 10 "no tunnel is up" tunnel_down b first
  rv b initiate first > /dev/null
  soon 15 "the tunnel is up" tunnel_up b first
  hold "with the first address" at 192.0.2.1
}
for to in 192.0.2.4 gw4.example; do
say "to $to"
begin
for wrong in 192.0.2.9 gw9.example; do
  called
  hold "strongSwan sends it where it may not go, $wrong" redirect "$wrong"
  soon 5 "it says that it does not go" event_told redirect-refused "RV-INIT-008: the gateway redirects us to $wrong"
  hold "and stays" tunnel_up b first
done
called
hold "strongSwan sends it to its second address" redirect "$to"
soon 15 "the tunnel is with that" at 192.0.2.4
soon 5 "and up" tunnel_up b first
hold "the old one says why it ended" told_end "RV-END-008: redirected by the gateway to 192.0.2.4"
carries 192.0.2.4
finish
done

say "a name server is silent"
begin
called
LATE=$SECONDS
hold "strongSwan sends it to a name that nobody tells" redirect silent.example
hosts_ping() { in_ns "$HA" ping -c 1 -W 1 10.2.0.2; }
soon 5 "host A reaches host B" hosts_ping
soon 25 "it is given up" event_told redirect-refused "silent.example, whose address"
hold "the tunnel is where it was" at 192.0.2.1
hold "and up" tunnel_up b first
hold "ravelind answered all the while" test $((SECONDS - LATE)) -le 30
finish
