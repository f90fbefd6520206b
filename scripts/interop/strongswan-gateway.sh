#!/usr/bin/env bash
# Peers from anywhere: three strongSwans of different networks call a gateway that knows none of them by address.
#
#   c1 198.51.100.2 ---+
#   c2 203.0.113.2  ---+--- router === public segment === ravelind --- host B 10.2.0.2
#   c3 10.9.0.2 - NAT -+
#
# Each has a network of its own behind it, 10.1.K.0/24, and gets a tunnel of its own: judged by its own status, ours,
# routes in the kernel, and numbered UDP that goes by that tunnel and no other. What one has behind it another is
# refused, until the first has gone. One that dies and calls again takes its own place. At the end nothing is left.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan
((FULL)) && { rate=2000 seconds=5; } || { rate=300 seconds=1; }

NAT=rvn$NET_ID
client() { echo "rvc$1$NET_ID"; }
clients_down() { local ns; for ns in "$NAT" "$(client 1)" "$(client 2)" "$(client 3)"; do ip netns del "$ns" 2> /dev/null || :; done; }
trap 'status=$?; ((status)) && scenario_logs; net_cleanup; clients_down' EXIT

# The router is the namespace of gateway A; the third client is behind a NAT.
clients_up() {
  local k
  for k in 1 2 3; do
    ip netns add "$(client $k)"
    ip -n "$(client $k)" link set lo up
    # strongSwan installs no policy for a network of which it has no address.
    ip -n "$(client $k)" addr add "10.1.$k.2/32" dev lo
  done
  ip -n "$(client 2)" addr add 10.1.1.130/32 dev lo
  ip netns add "$NAT"
  ip -n "$NAT" link set lo up
  ip -n "$GWA" addr add 192.0.2.1/24 dev wan0
  link "$(client 1)" eth0 198.51.100.2/24 "$GWA" c1 198.51.100.1/24
  link "$(client 2)" eth0 203.0.113.2/24 "$GWA" c2 203.0.113.1/24
  link "$NAT" wan0 198.18.0.2/24 "$GWA" c3 198.18.0.1/24
  link "$(client 3)" eth0 10.9.0.2/24 "$NAT" lan0 10.9.0.1/24
  ip -n "$(client 1)" route add default via 198.51.100.1
  ip -n "$(client 2)" route add default via 203.0.113.1
  ip -n "$(client 3)" route add default via 10.9.0.1
  ip -n "$NAT" route add default via 198.18.0.1
  in_ns "$GWA" sysctl -qw net.ipv4.ip_forward=1
  in_ns "$NAT" sysctl -qw net.ipv4.ip_forward=1
  # Ports change on the way, as with many clients behind one address.
  in_ns "$NAT" nft -f - <<'N'
table ip nat {
  chain out {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan0" meta l4proto udp masquerade to :20000-20999
    oifname "wan0" masquerade
  }
}
N
}

configure_b() { # OUR-ID THEIR-IDS PROOF-LINES [TABLES]
  cat > "$WORK/b.toml" <<C
interface.wan = { device = "af_packet:wan0", addresses = ["192.0.2.2/24"] }
interface.lan = { device = "af_packet:lan0", addresses = ["10.2.0.1/24"] }
workers = { count = 2, cores = [0, 1], tunnel-limit = "8" }
[[route]]
destination = "0.0.0.0/0"
via = "192.0.2.1"
[gateway.branches]
local = "192.0.2.2"
local-id = "$1"
remote-ids = ["$2"]
ike-policy = "p"
tunnel-template = "branch"
ts-list = "branches"
$3
[tunnel-template.branch]
ipsec-transform = "t"
metric = 20
[ts-list.branches]
local = ["10.2.0.0/24"]
remote = ["10.1.0.0/16"]
[ike-policy.p]
proposals = ["aes128gcm16-prfsha256-x25519"]
[ipsec-transform.t]
proposals = ["aes128gcm16-x25519"]
extended-sequence-number = false
${4:-}
C
  "$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "configuration refused"
}

# Its own network, and on demand a part of that of c1.
configure_client() { # K ADDRESS ITS-PROOF OUR-PROOF
  mkdir -p "$WORK/c$1"
  cat > "$WORK/c$1/swanctl.conf" <<C
connections { net { version = 2
  local_addrs = $2
  remote_addrs = 192.0.2.2
  proposals = aes128gcm16-prfsha256-x25519
  mobike = no
  local { $3 }
  remote { $4 }
  children {
    own { local_ts = 10.1.$1.0/24
      remote_ts = 10.2.0.0/24
      esp_proposals = aes128gcm16-x25519 }
    part { local_ts = 10.1.1.128/25
      remote_ts = 10.2.0.128/25
      esp_proposals = aes128gcm16-x25519 }
  } } }
secrets { ike-1 { secret = "$PSK" } }
C
}

by_psk() { # K ADDRESS
  configure_client "$1" "$2" "auth = psk
    id = c$1.branch.example" 'auth = psk
    id = hq.example'
}

name() { echo "branches/c$1.branch.example"; }
call() { swan "c$1" --initiate --child "$2" > "$WORK/c$1/initiate" 2>&1; }
installed() { swan "c$1" --list-sas > "$WORK/c$1/sas" 2>&1 && grep -qE "^ +$2: #[0-9]+, reqid [0-9]+, INSTALLED" "$WORK/c$1/sas"; }
gone_from() { ! { swan "c$1" --list-sas 2>&1 | grep -q .; }; }
gateway() { rv b --json show gateways branches | jq -er "$1"; }
peers() { [[ $(gateway '[.gateways[].tunnels[] | select(.state == "up") | .name] | sort | join(" ")') == "$*" ]]; }
# By kind, what there was of proofs.
proofs_are() { [[ $(gateway '.gateways[0].proofs | {held: (del(.refused) | del(.signatures) + .signatures), refused: (.refused | del(.signatures) + .signatures)} | map_values(with_entries(select(.value > 0))) | tojson') == "$1" ]]; }
routes() { rv b --json show routes | jq -r '[.routes[] | select(.kind == "reverse") | .destination + " " + .tunnel] | sort | join(", ")'; }
routes_are() { [[ $(routes) == "$1" ]]; }
kernel_has() { ip -n "$GWB" route show "$1" dev rv-default metric 20 2> /dev/null | grep -q .; }
packets() { rv b --json show gateways branches | jq -c --arg n "$1" '[.gateways[].tunnels[] | select((.name == $n) == '"$2"') | [.name, .in_packets, .out_packets]]'; }
rekeyed() { (($(tunnel_field b "$(name "$1")" child_rekeys) >= $2)); }

counted() { jq -en --argjson a "$1" --argjson b "$2" --argjson n "$3" '$b[0][1] - $a[0][1] >= $n and $b[0][2] - $a[0][2] >= $n' > /dev/null; }

# carries K: numbered UDP between the host of K and host B, all of it by K's tunnel and none by another.
carries() {
  local HA others before after result
  HA=$(client "$1")
  soon 5 "c$1 reaches host B" in_ns "$HA" ping -c 1 -W 1 -I "10.1.$1.2" 10.2.0.2
  others=$(packets "$(name "$1")" false) before=$(packets "$(name "$1")" true)
  result=$(numbered_udp "$rate" "$seconds" "10.1.$1.2" 10.2.0.2)
  hold "c$1 loses nothing: $result" nothing_missing "$result"
  after=$(packets "$(name "$1")" true)
  hold "its tunnel counted them" counted "$before" "$after" $((rate * seconds))
  hold "no other tunnel did" test "$(packets "$(name "$1")" false)" = "$others"
}

net_up
clients_up
configure_b hq.example '*.branch.example' "psk = \"$PSK\""
by_psk 1 198.51.100.2
by_psk 2 203.0.113.2
by_psk 3 10.9.0.2
start_ravelind "$GWB" b
for k in 1 2 3; do start_strongswan "$(client $k)" "c$k"; done

say "three peers call from three networks"
for k in 1 2 3; do hold "c$k is let in" call $k own; done
for k in 1 2 3; do hold "c$k says so" installed $k own; done
hold "ravelind has a tunnel for each" peers "$(name 1)" "$(name 2)" "$(name 3)"
hold "and has seen a proof by key of each" proofs_are '{"held":{"psk":3},"refused":{}}'
hold "and none is configured" test "$(gateway '"\(.tunnels) \(.gateways[0].count) \(.tunnel_limit)"')" = "3 3 16"
hold "on both workers" test "$(gateway '[.gateways[].tunnels[].worker] | unique | length')" = 2
hold "the third is seen as its NAT" test "$(tunnel_field b "$(name 3)" remote | cut -d: -f1)" = 198.18.0.2
hold "by another port than its own" test "$(tunnel_field b "$(name 3)" remote | cut -d: -f2)" != 4500
hold "routes lead to each" routes_are "10.1.1.0/24 $(name 1), 10.1.2.0/24 $(name 2), 10.1.3.0/24 $(name 3)"
for k in 1 2 3; do soon 5 "the kernel's too, with their metric" kernel_has "10.1.$k.0/24"; done
hold "explain knows it by name" rv b explain "$(name 3)" > /dev/null
for k in 1 2 3; do carries $k; done

say "each side rekeys"
hold "c1 does" swan c1 --rekey --child own > /dev/null
soon 10 "ravelind has new keys" rekeyed 1 1
rv b rekey "$(name 3)" > /dev/null
soon 10 "ravelind rekeyed with c3" rekeyed 3 1
hold "the routes stay" routes_are "10.1.1.0/24 $(name 1), 10.1.2.0/24 $(name 2), 10.1.3.0/24 $(name 3)"
carries 1
carries 3

say "what is behind one is not behind another"
hold "c2 is refused a part of what c1 has" not call 2 part
hold "with TS_UNACCEPTABLE" grep -q TS_UNACCEPTABLE "$WORK/c2/log"
hold "ravelind says why" told child-failed "RV-CHILD-011"
hold "and whose it is" told child-failed "10.1.1.128/25 meets 10.1.1.0/24, which is of tunnel $(name 1)"
hold "c2's own tunnel is as it was" installed 2 own
carries 1
carries 2
swan c1 --terminate --ike net > /dev/null
soon 10 "c1 has gone" routes_are "10.1.2.0/24 $(name 2), 10.1.3.0/24 $(name 3)"
soon 10 "from the kernel too" not kernel_has 10.1.1.0/24
hold "now c2 gets it" call 2 part
hold "it has both" routes_are "10.1.1.128/25 $(name 2), 10.1.2.0/24 $(name 2), 10.1.3.0/24 $(name 3)"
hold "and c1 is refused the whole" not call 1 own
swan c2 --terminate --child part > /dev/null
soon 10 "c2 has given it back" routes_are "10.1.2.0/24 $(name 2), 10.1.3.0/24 $(name 3)"
swan c1 --terminate --ike net > /dev/null 2>&1 || : # it was up without a child, or not at all
hold "c1 is let in again" call 1 own
carries 1
carries 2

say "one dies and calls again"
kill -9 "$PID_c1"
ended "$PID_c1"
ip -n "$(client 1)" link del ipsec0 2> /dev/null || :
start_strongswan "$(client 1)" c1
hold "it is let in" call 1 own
hold "in its own place" peers "$(name 1)" "$(name 2)" "$(name 3)"
hold "the old tunnel was replaced" told ike-down "RV-END-006"
carries 1
carries 3

say "strangers and other configurations"
sed -i 's/c2.branch.example/c2.elsewhere.example/' "$WORK/c2/swanctl.conf"
swan c2 --terminate --ike net > /dev/null
swan c2 --load-all > /dev/null
hold "who has another name is refused" not call 2 own
hold "by name" told attempt-failed "RV-AUTH-004"
proofs=$(gateway '.gateways[0] | .proofs.refused.psk')
hold "its proof among those refused" test "$proofs" = 1
sed -i 's/metric = 20/metric = 30/' "$WORK/b.toml"
rv b config apply > /dev/null
sed -i 's/c2.elsewhere.example/c2.branch.example/' "$WORK/c2/swanctl.conf"
swan c2 --load-all > /dev/null
hold "with its own it is let in" call 2 own
hold "by the new template" test "$(rv b --json show routes | jq -r '[.routes[] | select(.kind == "reverse") | .metric] | join(" ")')" = "20 30 20"

say "nothing is left of who has gone"
for k in 1 2; do swan "c$k" --terminate --ike net > /dev/null; done
soon 10 "one is left" peers "$(name 3)"
sed -i '/^\[gateway.branches\]/a enabled = false' "$WORK/b.toml"
rv b config apply > /dev/null
soon 10 "a gateway that is turned off closes its tunnels" gone_from 3
hold "and says that it is" test "$(gateway '.gateways[0] | "\(.open) \(.flags[0]) \(.count)"')" = "false admin-down 0"
soon 10 "no SA is left" no_sas b
hold "no route" routes_are ""
hold "nor in the kernel" not kernel_has 10.1.3.0/24
for k in 1 2 3; do hold "nor at c$k" gone_from $k; done

say "a peer with a certificate, behind the NAT"
make_pki "$WORK/pki" ec
configure_b b.example 'a.example' $'certificate = "own"\ntrust = "demo"' $'[cert-profile.own]\ncertificate = "pki/b.pem"\nchain = ["pki/sub.pem"]\nkey = "pki/b.key"\n[trust-anchor-profile.demo]\nanchors = ["pki/root.pem"]'
rv b config apply > /dev/null
cp "$WORK/pki/root.pem" "$WORK/pki/sub.pem" "$WORK/c3/x509ca/"
cp "$WORK/pki/a.pem" "$WORK/c3/x509/"
cp "$WORK/pki/a.key" "$WORK/c3/private/"
configure_client 3 10.9.0.2 'auth = pubkey
    certs = a.pem
    id = a.example' 'auth = pubkey
    cacerts = root.pem
    id = b.example'
swan c3 --load-all > /dev/null
name() { echo branches/a.example; }
hold "it is let in" call 3 own
hold "under the name of its certificate" peers branches/a.example
hold "and counted by that" test "$(gateway '.gateways[0].proofs | "\(.certificate) \(.signatures.ecdsa) \(.signatures.rsa)"')" = "1 1 0"
carries 3
rv b terminate branches/a.example > /dev/null
soon 10 "nothing is left of it" gone_from 3
hold "here neither" routes_are ""
