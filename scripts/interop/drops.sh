#!/usr/bin/env bash
# Each reason for which a packet is dropped, provoked from the wire by scapy: its counter moves, and no other.
#
#   scapy as peer === public segment === ravelind --- scapy as host
#   192.0.2.1, 2001:db8::1      192.0.2.2, 2001:db8::2     10.2.0.2, fd00:2::2
#
# Frames, headers, fragments, ESP (with keys by hand), policy and routes, and what the kernel's twin says; then the ledger
# of docs/counters.md is even. A reason that is added without a case fails it.
. "$(dirname "$0")/../lib/scenario.sh"
"$PYTHON" -c 'import scapy.all, cryptography' 2> /dev/null || { say "skipped: python3-scapy or python3-cryptography is missing"; exit 77; }

net_up
gateway_a_addresses
silence "$GWA"
silence "$HB"
"$PYTHON" scripts/lib/drops_oracle.py configuration > "$WORK/b.toml"
start_ravelind "$GWB" b
"$PYTHON" scripts/lib/drops_oracle.py judge "$GWA" "$HB" "$GWB" "$WORK/b.sock" || die "the judge"
hold "ravelind is alive" alive b
