#!/usr/bin/env bash
# Many peers with a certificate each, and an authority that takes some of them back: those that its new list names are closed
# within five seconds, with their reason in the log, and nobody else is. Then what it costs to ask about each by OCSP, and
# a responder that swallows its questions while others call.
#
#   initiators (our own engine, an address and a certificate each) === ravelind, the authority's server on its loopback
#
# `ravelin-perf ike --sweep` and `--revocation` say so themselves, or fail. RAVELIN_FULL=1: 500 of 32,768. How much slower
# others are beside such a responder is judged by the figures of a quiet machine (perf/SPEC.md), not here.
. "$(dirname "$0")/../lib/scenario.sh"
((FULL)) && { count=32768 revoked=500 stay=20; } || { count=1000 revoked=50 stay=8; }

"$TARGET/ravelin-perf" ike --sweep --json --count "$count" --revoked "$revoked" --concurrency 64 --stay "$stay" > "$WORK/sweep" || die "the sweep was none: $(cat "$WORK/sweep")"
say "  $(jq -c '{tunnels, revoked, closed_ms, logged, up, setups_per_second: .load.setups_per_second}' "$WORK/sweep")"
"$TARGET/ravelin-perf" ike --revocation --json --count 100 --repeats 1 --pairs 1 > "$WORK/revocation" || die "no figures: $(cat "$WORK/revocation")"
say "  $(jq -c '[.scenario, .setups_per_second // .ratio]' "$WORK/revocation" | paste -sd' ')"
