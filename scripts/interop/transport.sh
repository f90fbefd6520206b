#!/usr/bin/env bash
# Transport mode: GRE and IP in IP under ESP, judged by scapy's ESP, which shares no code with ravelind; and negotiated
# between two ravelinds. strongSwan's user-space ESP knows tunnel mode alone.
#
#   scapy as peer === public segment === ravelind --- scapy as host
#   192.0.2.1, 2001:db8::1      192.0.2.2, 2001:db8::2     10.2.0.2, fd00:2::2
#
# Keys by hand: IPv4 and IPv6 outside and inside, a suite for each protocol, random sizes, with one worker and with two;
# fragments of ESP; mistakes, each counted by name. Then by IKE: hosts and kernels reach each other, large packets and a
# file pass, nothing of GRE is seen on the public segment, also over a rekey; a peer in tunnel mode is refused, and why is
# told.
. "$(dirname "$0")/../lib/scenario.sh"
. scripts/lib/ip_tunnels.sh
"$PYTHON" -c 'import scapy.layers.ipsec, cryptography' 2> /dev/null || { say "skipped: python3-scapy or python3-cryptography is missing"; exit 77; }
count=$((FULL ? 100 : 4))

configure() { # ME PEER WORKERS MODE
  side "$2"
  local remote=$OUTER_ADDRESS networks="$NETS"
  side "$1"
  local number=${OUTER4##*.} selectors=
  # A tunnel needs to be told what it carries, and no route may lead into it.
  [[ $4 == transport ]] || selectors=$(printf 'local-ts = ["%s/32"]\nremote-ts = ["%s/32"]\nreverse-route = "none"' "$OUTER_ADDRESS" "$remote")
  cat <<C
interface.wan = { device = "af_packet:wan0", addresses = ["$OUTER4/24", "$OUTER6/64"] }
interface.lan = { device = "af_packet:lan0", addresses = ["$GATE4/24", "$GATE6/64"] }
[workers]
count = $3
cores = [$(seq -s, 0 $(($3 - 1)))]
[tunnel.net]
local = "$OUTER_ADDRESS"
remote = "$remote"
psk = "$PSK"
mode = "$4"
$selectors
[ip-tunnel.net]
local = "$OUTER_ADDRESS"
remote = "$remote"
gre-header = true
addresses = ["10.9.0.$number/30", "fd09::$number/64"]
dest-ip = ["10.9.0.$((3 - number))", "fd09::$((3 - number))"]
packets = { private-tcp-mss-adjust = "auto" }
C
  local network
  for network in ${networks//,/ }; do printf '[[route]]\ndestination = "%s"\nip-tunnel = "net"\n' "$network"; done
}

net_up
gateway_a_addresses
silence "$GWA"
for workers in 1 2; do
  say "transport mode against scapy, $workers worker(s)"
  judged transport_oracle "$count" "$workers"
done
ip -n "$GWA" addr flush dev wan0
ip -n "$GWA" addr flush dev lan0

INNER="4 6"
for OUTER in 4 6; do
  say "two ravelinds, IPv$OUTER outside"
  configure a b 1 transport > "$WORK/a.toml"
  configure b a 2 transport > "$WORK/b.toml"
  start_ravelind "$GWA" a
  start_ravelind "$GWB" b
  clear_watched
  soon 15 "host A answers host B: a packet has brought it up" in_ns "$HB" ping -c 1 -W 1 10.1.0.2
  hold "five times" pings "$HB" 10.1.0.2
  soon 10 "by IPv6" in_ns "$HB" ping -c 1 -W 1 fd00:1::2
  hold "with packets that are cut" pings "$HB" 10.1.0.2 -s 1600
  hold "the far end's kernel answers ours" pings "$GWB" 10.9.0.1
  head -c 1000000 /dev/urandom > "$WORK/sent"
  transfer "$WORK/sent" "$WORK/received"
  hold "a file arrives as it was" cmp "$WORK/sent" "$WORK/received"
  hold "the SAs say their mode" test "$(rv b --json show sa | jq '[.sas[] | select(.mode == "transport")] | length')" -ge 2
  rv b rekey net > /dev/null
  rekeyed() { (($(tunnel_field b net child_rekeys) >= 1)); }
  soon 10 "it is rekeyed" rekeyed
  hold "and goes on" pings "$HB" 10.1.0.2
  largest=$(rv b --json show ip-tunnels | jq '.ip_tunnels[0].inner_mtu')
  say "    the largest packet inside: $largest"
  hold "one of it passes whole" pings "$HB" 10.1.0.2 -M do -s $((largest - 28))
  hold "one more does not" not in_ns "$HB" ping -q -c 1 -W 1 -M do -s $((largest - 27)) 10.1.0.2 > /dev/null
  hold "ESP has passed, nothing of GRE, nothing of the hosts" nothing_clear
  stop a; stop b
done

say "a peer in tunnel mode"
OUTER=4
configure a b 1 tunnel > "$WORK/a.toml"
configure b a 1 transport > "$WORK/b.toml"
start_ravelind "$GWA" a
start_ravelind "$GWB" b
rv b initiate net > /dev/null
soon 15 "it is named" told child-failed RV-CHILD-014
hold "there is no SA" no_sas b
hold "nothing passes" not in_ns "$HB" ping -q -c 1 -W 0.5 10.1.0.2 > /dev/null
