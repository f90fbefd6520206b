#!/usr/bin/env bash
# Long IKE messages where IP fragments do not pass, with strongSwan (RFC 7383).
#
#   host A --- strongSwan === public segment, drops fragments === ravelind --- host B
#
# Each side proves itself by four RSA certificates, so that IKE_AUTH is longer than any packet. IP fragments are dropped
# on the way and counted. With IKE fragmentation the tunnel comes up from either side and not one IP fragment was seen;
# without it, agreed by neither, it does not, and the counter says whose fault that is. Where IP fragments do pass it
# comes up without, as with peers that know nothing else.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

fragments_dropped() {
  in_ns "$PUB" nft -f - <<'N'
table bridge path {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip frag-off & 0x3fff != 0 counter drop
    exthdr frag exists counter drop
  }
}
N
}
fragments_pass() { in_ns "$PUB" nft delete table bridge path; }
seen() { in_ns "$PUB" nft -j list table bridge path | jq '[.nftables[].rule // empty | .expr[].counter // empty | .packets] | add'; }
some_seen() { (($(seen) > 0)); }
# reassembled NUMBER: whether strongSwan put an IKE message together from more than that many fragments.
reassembled() { swan_said "received fragment #[0-9]+ of ([3-9]|[1-9][0-9])"; }

begin() { # FRAGMENTATION-HERE FRAGMENTATION-THERE [OUTER]
  OUTER=${3:-4} RETRANSMISSION=$'retransmit-ms = 300\nretransmit-tries = 3'
  rm -rf "$WORK/ss"
  configure_ravelin b a rsa aes128 2 "fragmentation = $1"
  sed -i 's|"pki/sub.pem"|"pki/sub.pem", "pki/two.pem", "pki/one.pem"|' "$WORK/b.toml"
  configure_strongswan rsa aes128
  sed -i "s/fragmentation = yes/fragmentation = $2/" "$WORK/ss/swanctl.conf"
  cp "$WORK/pki/one.pem" "$WORK/pki/two.pem" "$WORK/ss/x509ca/"
  start_ravelind "$GWB" b
  start_strongswan "$GWA" ss 'retransmit_tries = 2' 'retransmit_timeout = 0.5'
}
up() {
  soon 15 "the tunnel is up" tunnel_up b net
  hold "strongSwan says so" swan_lists 1
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
}
down() { soon 10 "strongSwan has nothing left" swan_empty; soon 10 "ravelind neither" no_sas b; }
both_roles() {
  initiate_from ravelin strongswan
  up
  rv b terminate net > /dev/null
  down
  initiate_from peer strongswan
  up
  swan ss --terminate --ike net > /dev/null
  down
}

net_up
gateway_a_addresses
pki_begin "$WORK/pki" rsa
pki_authority one root "First Intermediate of a Long Chain"
pki_authority two one "Second Intermediate of a Long Chain"
pki_authority sub two "Third Intermediate of a Long Chain" ,pathlen:0
pki_leaf a sub DNS:a.example
pki_leaf b sub DNS:b.example

fragments_dropped
for outer in 4 6; do
  say "IPv$outer: IKE fragmentation"
  begin true yes $outer
  both_roles
  hold "strongSwan put ravelind's message together" reassembled
  hold "the chain was of four" test "$(grep -c 'received issuer cert' "$WORK/ss/log")" -ge 3
  hold "no IP fragment was seen" test "$(seen)" = 0
  finish
done

say "none of it"
begin false no
rv b initiate net > /dev/null
soon 5 "IP fragments are seen, and dropped" some_seen
soon 20 "ravelind gives up" last_code RV-NET-001
say "    $(attempt .outcome)"
hold "nothing is up" no_sas b
hold "strongSwan cannot either" not swan_call
finish

say "where IP fragments pass"
fragments_pass
# IPv6 alone: under an af_packet port the kernel puts IPv4 fragments together, and no buffer holds the whole.
begin false no 6
both_roles
hold "in messages of one piece" not swan_said 'received fragment'
hold "longer than a packet" swan_said 'received packet: from 2001:db8::2.*\([3-9][0-9]{3} bytes\)'
finish
