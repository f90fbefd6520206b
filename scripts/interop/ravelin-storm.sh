#!/usr/bin/env bash
# Everybody at once: a thousand tunnels on one worker, set up as fast as they come, kept, rekeyed, and asked whether they live.
#
#   initiators (our own engine, an address each) === ravelind
#
# `ravelin-perf ike --storm` says so itself, or fails: every setup carries a packet each way, every IKE SA and CHILD SA is
# rekeyed and every silent peer asked within the stay, none goes down, and the tunnels that carry packets all the while lose
# none. RAVELIN_FULL=1: 32,768 tunnels, kept for a minute.
# Alone: initiators and gateway take a processor each.
. "$(dirname "$0")/../lib/scenario.sh"
((FULL)) && { count=32768 stay=60; } || { count=1000 stay=40; }

"$TARGET/ravelin-perf" ike --storm --json --count "$count" --concurrency 64 --stay "$stay" > "$WORK/storm" || die "the storm was none: $(cat "$WORK/storm")"
say "  $(jq -c '{tunnels, setups_per_second: .load.setups_per_second, kept: .load.kept, all_ms}' "$WORK/storm")"
