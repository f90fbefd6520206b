#!/usr/bin/env bash
# ESP suites that no other peer here has, agreed upon by two ravelinds, either one calling: AES-GMAC (RFC 4543), with 32-bit
# and with 64-bit numbers. What the packets have to look like scapy judges, in raw-esp-scapy.sh. (strongSwan's IKE agrees on
# it, and its ESP then says that it does not have it.)
#
#   host A --- ravelind === public segment === ravelind --- host B
#
# Each end offers one suite alone; both say it is what the SAs have, hosts ping each other with small packets, with packets
# of every remainder of four, and with packets that are cut; the child is rekeyed and they ping again.
. "$(dirname "$0")/../lib/scenario.sh"

all_sas_are() { [[ $(rv "$1" --json show sa | jq -r '[.sas[].suite] | unique | join(" ")') == "$2" ]]; }
both() { "$1" a "${@:2}" && "$1" b "${@:2}"; }
offer() { sed -i '/^\[ipsec-transform/,/^$/ s/^proposals = .*/proposals = ["'"$2"'"]/' "$WORK/$1.toml"; }
every_remainder() {
  local octets
  for octets in $(seq 100 104) 1300 1472; do
    in_ns "$HA" ping -q -c 1 -W 2 -M dont -s "$octets" 10.2.0.2 > /dev/null || { say "not $octets from A"; return 1; }
    in_ns "$HB" ping -q -c 1 -W 2 -M dont -s "$octets" 10.1.0.2 > /dev/null || { say "not $octets from B"; return 1; }
  done
}
count() { tunnel_field "$1" net child_rekeys; }
is_rekeyed() { (($(count a) > $1 && $(count b) > $2)); }
reach_each_other() { pings "$HA" 10.2.0.2 && pings "$HB" 10.1.0.2; }
nothing_refused() { ! rv "$1" --json show counters | jq -e '.counters[] | select(.name | test("bad-icv|bad-padding|esp-length|malformed-inner")) | select(.value > 0)' > /dev/null; }

net_up
while read -r suite ESN; do
  say "two ravelinds: $suite, extended sequence numbers $ESN"
  configure_ravelin a b psk aes128 1
  configure_ravelin b a psk aes128 2
  both offer "$suite"
  start_ravelind "$GWA" a
  start_ravelind "$GWB" b
  for caller in ravelin peer; do
    initiate_from "$caller" ravelin
    soon 15 "A says the tunnel is up" tunnel_up a net
    soon 15 "B says the tunnel is up" tunnel_up b net
    hold "both have $suite" both all_sas_are "$suite"
    soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
    hold "hosts reach each other" reach_each_other
    hold "packets of every remainder arrive, and packets that are cut" every_remainder
    rekeys_a=$(count a) rekeys_b=$(count b)
    rv b rekey net > /dev/null
    soon 15 "B has rekeyed the child" is_rekeyed "$rekeys_a" "$rekeys_b"
    soon 15 "the former SAs are gone" both only_two_sas
    hold "the new ones have $suite too" both all_sas_are "$suite"
    hold "hosts reach each other" reach_each_other
    rv b terminate net > /dev/null
    soon 10 "no SA is left" both no_sas
  done
  hold "nothing was refused" both nothing_refused
  stop a
  stop b
done <<'P'
aes128gmac false
aes192gmac true
aes256gmac false
P
