#!/usr/bin/env bash
# Several CHILD SAs on one IKE SA, with strongSwan: five children, each with a network of its own.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# ravelind asks for all five, then strongSwan does; numbered UDP between the hosts of each child goes by that child and no
# other, judged by both sides' counters. One is rekeyed and one closed from each side: the others keep their SPIs. A
# sixth is refused, one too many and then one with foreign selectors; of five with two that do not fit, three come up,
# and one of these for less than is configured.
# Then who is called asks for the rest itself: for what a packet wants, and for everything that is to be up. A
# policy of two pairs of ports is two children, and a third pair passes neither way.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan
((FULL)) && { rate=2000 seconds=5; } || { rate=500 seconds=1; }

net() { echo "10.$2.0.$((16 * $1))/28"; }  # CHILD SIDE
host() { echo "10.$2.0.$((16 * $1 + 2))"; }
cipher() { (($1 % 2)) && echo aes128 || echo aes256; }

# ravelind's configuration: TUNNEL-LINES, then a table for each of CHILDREN.
configure_b() {
  cat > "$WORK/b.toml" <<C
interface.wan = { device = "af_packet:wan0", addresses = ["192.0.2.2/24"] }
interface.lan = { device = "af_packet:lan0", addresses = ["10.2.0.1/24"] }
workers = { count = 2, cores = [0, 1] }
ike = { retransmit-ms = 200, retransmit-tries = 3 }
[ike-policy.p]
proposals = ["aes128gcm16-prfsha256-x25519"]
[ipsec-transform.aes128]
proposals = ["aes128gcm16-x25519"]
extended-sequence-number = false
[ipsec-transform.aes256]
proposals = ["aes256gcm16-x25519"]
extended-sequence-number = false
lifetime = 1800
[tunnel.net]
local = "192.0.2.2"
remote = "192.0.2.1"
local-id = "b.example"
remote-id = "a.example"
psk = "$PSK"
ike-policy = "p"
ipsec-transform = "aes128"
$1
C
  local k
  for k in "${@:2}"; do
    cat >> "$WORK/b.toml" <<C
[tunnel.net.child.c$k]
local-ts = ["$(net "$k" 2)"]
remote-ts = ["$(net "$k" 1)"]
ipsec-transform = "$(cipher "$k")"
$( ((k == 2)) && echo 'dscp = 46')
C
  done
  "$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "configuration refused"
}

# strongSwan's configuration: of each child its name, traffic and ESP proposal.
child_a() { echo "    $1 { local_ts = $2"; echo "      remote_ts = $3"; echo "      esp_proposals = $4 }"; } # NAME LOCAL REMOTE PROPOSAL
configure_a() { # CHILD-TABLES
  mkdir -p "$WORK/ss"
  cat > "$WORK/ss/swanctl.conf" <<C
connections { net { version = 2
  local_addrs = 192.0.2.1
  remote_addrs = 192.0.2.2
  proposals = aes128gcm16-prfsha256-x25519
  mobike = no
  local { auth = psk
    id = a.example }
  remote { auth = psk
    id = b.example }
  children {
$1
  } } }
secrets { ike-1 { secret = "$PSK" } }
C
}
usual_a() { for k in "$@"; do child_a "c$k" "$(net "$k" 1)" "$(net "$k" 2)" "$(cipher "$k")gcm16-x25519"; done; }
begin() { start_ravelind "$GWB" b; start_strongswan "$GWA" ss; }

child() { rv b --json show tunnels | jq -er --arg c "$1" --arg f "$2" '.tunnels[].children[] | select(.name == $c) | .[$f]'; }
child_is() { [[ $(child "$1" state) == "$2" ]]; }
children_up() { [[ $(rv b --json show tunnels | jq -r '[.tunnels[].children[] | select(.state == "up") | .name] | join(" ")') == "$*" ]]; }
because() { [[ $(child "$1" reason_code) == "$2" ]]; }
spi() { rv b --json show sa | jq -er --arg c "$1" '.sas[] | select(.child == $c and .direction == "in" and .state == "active") | .spi'; }
spis() { for k in "$@"; do spi "c$k"; done | xargs; }
same_spis() { [[ $(spis $KEPT) == "$STILL" ]]; }
rekeyed() { (($(child "$1" rekeys) >= $2)); }
fails_with() { local status=0; "${@:2}" > /dev/null || status=$?; ((status == $1)); }
test_counter() { (($(counter b "$1") >= $2)); }
nothing_left() { no_sas b && ! { swan ss --list-sas 2>&1 | grep -q .; }; }
# looked_up EXPECTED PACKET...: what lookup says of a packet: verdict, child, reason it is dropped under, its code.
looked_up() { [[ $(rv b --json lookup "${@:2}" | jq -r '[.verdict, .child, .drop, .reason_code] | map(select(. != "")) | join(" ")') == "$1" ]]; }

# ravelind's own calls do not pass, what it answers does: strongSwan is the one who calls.
own_calls_cut() {
  in_ns "$PUB" nft -f - <<'N'
table bridge cut {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr 192.0.2.2 udp dport 500 @th,208,16 0x2208 drop
  }
}
N
}

# Packets of every child but one: those that must not move.
others() { rv b --json show tunnels | jq -c --arg c "$1" '[.tunnels[].children[] | select(.name != $c) | [.name, .in_packets, .out_packets]]'; }
# carries CHILD...: numbered UDP between the hosts of each goes by it, all of it, and by no other.
carries() {
  local k before_in before_out before_others result
  for k in "$@"; do
    soon 5 "the hosts of c$k reach each other" in_ns "$HA" ping -c 1 -W 1 -I "$(host "$k" 1)" "$(host "$k" 2)"
    before_in=$(child "c$k" in_packets) before_out=$(child "c$k" out_packets) before_others=$(others "c$k")
    result=$(numbered_udp "$rate" "$seconds" "$(host "$k" 1)" "$(host "$k" 2)")
    hold "c$k loses nothing: $result" nothing_missing "$result"
    hold "c$k counted them in" test $(($(child "c$k" in_packets) - before_in)) -ge $((rate * seconds))
    hold "c$k counted them out" test $(($(child "c$k" out_packets) - before_out)) -ge $((rate * seconds))
    hold "lookup names c$k" looked_up "protect c$k" "$(host "$k" 2)" "$(host "$k" 1)" udp 7000 7000
    hold "no other child did" test "$(others "c$k")" = "$before_others"
    hold "strongSwan says c$k is installed" swan_has "c$k: #[0-9]+, reqid [0-9]+, INSTALLED, TUNNEL.*ESP:AES_GCM_16-$(cipher "$k" | tr -d aes)"
  done
}
# What happens to one child leaves the SPIs of the others as they are: keep CHILD..., then kept.
keep() { KEPT=$*; STILL=$(spis "$@"); }
kept() { hold "children $KEPT keep their SPIs" same_spis; }

# udp_one NAMESPACE SOURCE PORT DESTINATION PORT TEXT: one datagram.
udp_one() { in_ns "$1" bash -c "printf %s '$6' | socat -u - UDP-SENDTO:$4:$5,bind=$2:$3"; }
listen() { # NAMESPACE PORT FILE
  ip netns exec "$1" socat -u "UDP-RECV:$2" "CREATE:$3" > /dev/null 2>&1 &
  PIDS+=($!)
  wait_for 5 in_ns "$1" sh -c "ss -lun | grep -q :$2" || die "nobody listens on $2"
}

net_up
gateway_a_addresses
for k in 1 2 3 4 5 6; do
  ip -n "$HA" addr add "$(host "$k" 1)/24" dev eth0
  ip -n "$HB" addr add "$(host "$k" 2)/24" dev eth0
  # strongSwan installs no policy for a network of which it has no address.
  ip -n "$GWA" addr add "10.1.0.$((16 * k + 1))/24" dev lan0
done

say "ravelind asks for all five"
configure_b 'on-demand = false' 1 2 3 4 5
configure_a "$(usual_a 1 2 3 4 5 6)"
begin
rv b initiate net > /dev/null
soon 15 "all five are up" children_up c1 c2 c3 c4 c5
hold "strongSwan says so" swan_lists 5
hold "on one IKE SA" test "$(grep -c ESTABLISHED "$WORK/ss/sas")" = 1
capture_start "$WORK/esp.pcap"
carries 1 2 3 4 5
capture_stop "$WORK/esp.pcap"
hold "the class of c2 was seen outside" test "$(count_packets "$WORK/esp.pcap" 'src 192.0.2.2 and udp port 4500 and udp[8:4] != 0 and ip[1] = 0xb8')" -ge $((rate * seconds))
hold "explain says each by name" test "$(rv b --json explain net | jq '[.rungs[] | select((.question | startswith("child c")) and .holds)] | length')" = 5

say "one is rekeyed, one closed, from each side"
keep 1 3 4 5
rv b rekey net --child c2 > /dev/null
soon 10 "ravelind rekeyed c2" rekeyed c2 1
kept
keep 1 2 4 5
swan ss --rekey --child c3 > /dev/null
soon 10 "strongSwan rekeyed c3" rekeyed c3 1
kept
carries 2 3
keep 1 2 3 5
rv b terminate net --child c4 > /dev/null
soon 10 "ravelind closed c4" swan_lists 4
hold "and says why it is down" because c4 RV-END-001
hold "so does lookup" looked_up "drop c4 no-sa RV-END-001" "$(host 4 2)" "$(host 4 1)" icmp
kept
keep 1 2 3
swan ss --terminate --child c5 > /dev/null
soon 10 "strongSwan closed c5" because c5 RV-END-004
kept
hold "the tunnel is degraded" test "$(tunnel_field b net state)" = degraded
hold "explain says so" fails_with 2 rv b explain net
rv b initiate net --child c4 > /dev/null
soon 10 "c4 is back" children_up c1 c2 c3 c4
hold "strongSwan asks for c5 again" swan_call c5
soon 10 "all five are up" children_up c1 c2 c3 c4 c5
carries 1 4 5
rv b terminate net > /dev/null
soon 10 "nothing is left" nothing_left

say "strongSwan asks for all five, and for a sixth"
for k in 1 2 3 4 5; do hold "strongSwan asks for c$k" swan_call "c$k"; done
hold "all five are up" children_up c1 c2 c3 c4 c5
carries 1 2 3 4 5
keep 1 2 3 4 5
hold "the sixth is one too many" not swan_call c6
hold "ravelind says so" told child-failed "RV-CHILD-007"
kept
rv b terminate net --child c5 > /dev/null
soon 10 "there is room again" swan_lists 4
keep 1 2 3 4
hold "the sixth has foreign selectors" not swan_call c6
hold "ravelind says so" told child-failed "RV-CHILD-001"
kept
carries 1
finish

say "two of five do not fit"
configure_a "$(usual_a 1 2; child_a c5 10.1.0.80/29 "$(net 5 2)" aes128gcm16-x25519; child_a c3 "$(net 3 1)" "$(net 3 2)" aes192gcm16; child_a c4 "$(net 6 1)" "$(net 6 2)" aes256gcm16)"
begin
rv b initiate net > /dev/null
soon 15 "three are up" children_up c1 c2 c5
soon 10 "c3 says that its algorithms were refused" because c3 RV-CHILD-004
soon 10 "c4 says that its selectors were" because c4 RV-CHILD-002
carries 1 2 5
hold "c5 is narrowed to what strongSwan has" test "$(child c5 carries)" = "10.2.0.80/28 === 10.1.0.80/29"
before=$(counter b drop-policy-miss) sent=$(child c5 out_packets)
udp_one "$HB" "$(host 5 2)" 7000 10.1.0.90 7000 beyond
soon 5 "what is beyond that is dropped by name" test_counter drop-policy-miss $((before + 1))
hold "lookup says so, too" looked_up "drop policy-miss" "$(host 5 2)" 10.1.0.90 udp 7000 7000
hold "and which child came nearest" test "$(rv b --json lookup "$(host 5 2)" 10.1.0.90 udp 7000 7000 | jq -r '.nearest[0].child')" = c5
hold "and was not sent" test "$(child c5 out_packets)" = "$sent"
finish

say "who is called asks for what a packet wants"
configure_b 'on-demand = true' 1 2 3
configure_a "$(usual_a 1 2 3)"
SWAN_CFG_LOG=2 begin
hold "strongSwan asks for c1" swan_call c1
hold "no other is up" children_up c1
in_ns "$HB" ping -c 1 -W 1 -I "$(host 2 2)" "$(host 2 1)" > /dev/null 2>&1 || : # lost: it brings the child up
soon 10 "c2 is" children_up c1 c2
hold "on the same IKE SA" test "$(swan ss --list-sas | grep -c ESTABLISHED)" = 1
hold "the packet stands first in its offer" swan_said "looking for a child config for $(host 2 1)/32\\[icmp\\] $(net 2 1) === $(host 2 2)/32\\[icmp/8\\] $(net 2 2)"
hold "and is not all that is carried" test "$(child c2 carries)" = "$(net 2 2) === $(net 2 1)"
carries 1 2
swan_mark
rv b rekey net --child c2 > /dev/null
soon 10 "ravelind rekeyed c2" rekeyed c2 1
hold "and offered what is in use" swan_said "received: $(net 2 1) =>"
hold "and no packet" not swan_said "received: .*icmp"
finish

say "who is called asks for all that is to be up"
configure_b $'on-demand = false\nauto-establish = true' 1 2 3 4 5
configure_a "$(usual_a 1 2 3 4 5)"
own_calls_cut
begin
hold "strongSwan asks for c1" swan_call c1
soon 10 "all five are up" children_up c1 c2 c3 c4 c5
hold "on the same IKE SA" test "$(swan ss --list-sas | grep -c ESTABLISHED)" = 1
hold "which strongSwan began" test "$(rv b --json explain net | jq -r '[.attempts[] | select(.outcome == "up") | .role] | unique | join(" ")')" = responder
carries 2 5
ike_joined
finish

say "two pairs of ports are two children"
configure_b $'on-demand = false\nts-pairs = ["10.2.0.0/24 udp/100 === 10.1.0.0/24 udp/300", "10.2.0.0/24 udp/200 === 10.1.0.0/24 udp/400"]'
configure_a "$(child_a net-1 '10.1.0.0/24[udp/300]' '10.2.0.0/24[udp/100]' aes128gcm16-x25519; child_a net-2 '10.1.0.0/24[udp/400]' '10.2.0.0/24[udp/200]' aes128gcm16-x25519)"
begin
rv b initiate net > /dev/null
soon 15 "both are up" children_up net-1 net-2
hold "strongSwan sees two" swan_lists 2
hold "with their ports" swan_has 'local +10.1.0.0/24\[udp/400\]'
listen "$HA" 300 "$WORK/got.300"
listen "$HA" 400 "$WORK/got.400"
udp_one "$HB" 10.2.0.2 100 10.1.0.2 300 first
udp_one "$HB" 10.2.0.2 200 10.1.0.2 400 second
soon 5 "what is of a pair arrives" test -s "$WORK/got.400"
hold "of the other too" test -s "$WORK/got.300"
before=$(counter b drop-policy-miss)
udp_one "$HB" 10.2.0.2 100 10.1.0.2 400 third
udp_one "$HB" 10.2.0.2 200 10.1.0.2 300 fourth
soon 5 "what is of none is dropped by name" test_counter drop-policy-miss $((before + 2))
hold "nothing of it arrives" test "$(cat "$WORK/got.300" "$WORK/got.400")" = firstsecond
hold "each child sent its own" test "$(child net-1 out_packets) $(child net-2 out_packets)" = "1 1"
finish
