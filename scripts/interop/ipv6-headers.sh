#!/usr/bin/env bash
# IPv6 extension headers and fragments, outside and inside of tunnels with keys by hand, judged by scapy.
#
#   oracle as peer === public segment === ravelind --- oracle as host
#   2001:db8::1                 2001:db8::2                fd00:2::2
#
# Ports are found behind as many headers as are followed; what is longer, out of order, or a first fragment that does not show
# them is dropped by name and alone. Hosts' fragments pass as they are where ports do not matter; ESP behind headers
# and in fragments, in every order, is taken; what is cut here is put together there.
. "$(dirname "$0")/../lib/scenario.sh"
"$PYTHON" -c 'import scapy.layers.ipsec, cryptography' 2> /dev/null || { say "skipped: python3-scapy or python3-cryptography is missing"; exit 77; }

net_up
gateway_a_addresses
silence "$GWA"
silence "$HB"
# Nobody there has a word to say to what comes.
in_ns "$HB" nft add rule inet silence strangers ip6 saddr fd00:1::/48 drop
"$PYTHON" scripts/lib/ipv6_oracle.py configuration > "$WORK/b.toml"
start_ravelind "$GWB" b
"$PYTHON" scripts/lib/ipv6_oracle.py judge "$GWA" "$HB" "$GWB" "$WORK/b.sock" || die "the judge"
hold "ravelind is alive" alive b
