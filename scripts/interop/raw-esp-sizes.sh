#!/usr/bin/env bash
# Raw ESP with keys by hand on links of 9000 octets, judged by scapy, which shares no code with ravelind.
#
#   oracle as peer === public segment === ravelind --- oracle as host
#   192.0.2.1, 2001:db8::1      192.0.2.2, 2001:db8::2     10.2.0.2, fd00:2::2
#
# Packets of all sizes to 9000 octets over every suite, IPv4 and IPv6 outside and inside, bare and in UDP, there and back:
# octet by octet equal, none missing, none dropped; 50 thousand each way in a full run. Then what packets carry besides:
# the sixteen pairs of ECN, padding against traffic analysis and dummies, taken and sent, a chain of 256 extension headers, ICMP errors
# that quote what nobody sent.
. "$(dirname "$0")/../lib/scenario.sh"
"$PYTHON" -c 'import scapy.layers.ipsec, cryptography' 2> /dev/null || { say "skipped: python3-scapy or python3-cryptography is missing"; exit 77; }
count=$((FULL ? 50000 : 240))

net_up
ip -n "$PUB" link set br0 mtu 9000
for at in "$PUB to-a" "$PUB to-b" "$GWA wan0" "$GWB wan0" "$GWB lan0" "$HB eth0"; do ip -n ${at% *} link set ${at#* } mtu 9000; done
gateway_a_addresses
silence "$GWA"
for workers in 1 2; do
  say "$count packets of all sizes each way, $workers worker(s)"
  "$PYTHON" scripts/lib/esp_oracle.py configuration $workers 9000 > "$WORK/b.toml"
  start_ravelind "$GWB" b
  "$PYTHON" scripts/lib/esp_oracle.py sizes "$GWA" "$HB" "$GWB" "$WORK/b.sock" $((count / 2)) || die "the judge"
  hold "ravelind is alive" alive b
  stop b
done
say "marks, padding, chains, quotes"
"$PYTHON" scripts/lib/marks_oracle.py configuration > "$WORK/b.toml"
start_ravelind "$GWB" b
"$PYTHON" scripts/lib/marks_oracle.py judge "$GWA" "$HB" "$GWB" "$WORK/b.sock" || die "the judge"
say "dummies"
sed -i 's/^tfc-padding = .*/&\ndummy-packets = 20/' "$WORK/b.toml"
rv b config apply > /dev/null
"$PYTHON" scripts/lib/marks_oracle.py dummies "$GWA" "$HB" "$GWB" "$WORK/b.sock" || die "the judge"
hold "ravelind is alive" alive b
