#!/usr/bin/env bash
# Raw ESP (IP protocol 50) with keys by hand, judged by scapy's ESP, which shares no code with
# ravelind.
#
#   oracle as peer === public segment === ravelind --- oracle as host
#   192.0.2.1, 2001:db8::1      192.0.2.2, 2001:db8::2     10.2.0.2, fd00:2::2
#
# IPv4 and IPv6 outside and inside, with and without extended sequence numbers (also across
# 2^32), AES-GCM of 128, 192 and 256 bits and every other suite, also in UDP; with one worker
# and with two. Packets of random sizes, 50 thousand each way in a full run,
# arrive equal; replayed, too old, altered, misdirected and out-of-policy packets do not
# arrive and are counted by name; after the last sequence number nothing leaves.
. "$(dirname "$0")/../lib/scenario.sh"
"$PYTHON" -c 'import scapy.layers.ipsec, cryptography' 2> /dev/null || { say "skipped: python3-scapy or python3-cryptography is missing"; exit 77; }
count=$((FULL ? 50000 : 1500)) # each way, over all tunnels and both numbers of workers

run() { # WORKERS
  say "raw ESP against scapy, $1 worker(s)"
  "$PYTHON" scripts/lib/esp_oracle.py configuration "$1" > "$WORK/b.toml"
  start_ravelind "$GWB" b
  "$PYTHON" scripts/lib/esp_oracle.py judge "$GWA" "$HB" "$GWB" "$WORK/b.sock" $((count / 2)) || { rv b show counters | awk "\$2 > 0" >&2 || :; exit 1; }
  hold "ravelind is alive" alive b
  stop b
}

net_up
gateway_a_addresses
silence "$GWA"
for workers in 1 2; do run $workers; done
