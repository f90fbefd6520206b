#!/usr/bin/env bash
# A gateway crashes: how long until traffic flows again, with quick crash detection (RFC 6290) and without.
#
#   host A --- ravelind === public segment === ravelind --- host B
#
# Under numbered UDP A is killed with -9 and started again. A never calls by itself, so B has to notice: it asks after
# three seconds of silence. With the secret that A has kept, A's answer proves the loss, and B calls at once; with a secret
# that was lost, and where A makes no tokens, B gives up after its dead peer detection. Told are the milliseconds from
# the crash until B ended the old SAs and until it had new ones, as B's events have them; nothing leaks.
. "$(dirname "$0")/../lib/scenario.sh"

SILENCE=3 RETRIES=2
ALL=$((SILENCE * (RETRIES + 2))) # a probe and its repetitions, each awaited as long as the silence before it

last_event() { rv b --json events | jq '[.events[].number] | max'; }
# Milliseconds from $BEGAN to the first event of a kind after number $LAST.
after() { rv b --json events | jq -er --arg w "$1" --argjson l "$LAST" --argjson t "$BEGAN" '[.events[] | select(.number > $l and .what == $w)][0] | ((.time - $t) * 1000 | floor)'; }
because() { rv b --json events | jq -e --arg c "$1" --argjson l "$LAST" '[.events[] | select(.number > $l and .what == "ike-down" and (.text | startswith($c)))] | length == 1' > /dev/null; }
up_again() { after child-up; }

# crash CODE [COMMAND...]: A is killed, the command runs, A starts again; B ends its SAs for CODE.
crash() {
  local code=$1; shift
  traffic_start 1000 120
  LAST=$(last_event) BEGAN=$(date +%s.%N)
  stop_hard a
  "$@"
  start_ravelind "$GWA" a
  BACK=$(jq -n --argjson n "$(date +%s.%N)" --argjson t "$BEGAN" '($n - $t) * 1000 | floor')
  say "    A is there again after $BACK ms"
  soon $((ALL + 20)) "the tunnel is up again" up_again
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  traffic_stop
  hold "B ended the old SAs for $code" because "$code"
  ENDED=$(after ike-down) AGAIN=$(after child-up)
  say "    ended after $ENDED ms, up again after $AGAIN ms"
  hold "called again within a second of that" test $((AGAIN - ENDED)) -le "$PAUSE"
  soon 10 "A has two SAs" only_two_sas a
}
finds() { { rv "$1" --json doctor || :; } | jq -e --arg s "$2" '[.findings[] | select(.seen | contains($s))] | length == 1' > /dev/null; }
loses_its_secret() { rm "$WORK/a.state/crash-secret"; }

net_up
DPD="dpd-interval = $SILENCE"$'\n'"dpd-retries = $RETRIES"
configure_ravelin a b psk aes128 1 "$DPD"
configure_ravelin b a psk aes128 2 "$DPD"
sed -i 's/^on-demand = false/&\nauto-establish = true/' "$WORK/b.toml"
start_ravelind "$GWA" a
say "B is given A's secret"
ln -s "$WORK/a.state" "$WORK/b.state"
start_ravelind "$GWB" b
hold "it does not take it while A has it" finds b "another ravelind has it"
soon 15 "and has a tunnel all the same" tunnel_up b net
stop b
rm "$WORK/b.state"
start_ravelind "$GWB" b
soon 15 "the tunnel is up" tunnel_up b net
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
hold "the secret is for A's user alone" test "$(stat -c %a "$WORK/a.state/crash-secret")" = 600
capture_start "$WORK/public.pcap"

say "A crashes and keeps its secret"
PAUSE=1000
crash RV-NET-006 true
KEPT=$AGAIN
# One comes each three seconds, whether A is there yet or not. The first answer may be lost: A has to ask for B's link address again.
hold "by B's first question to A, or its repetition" test "$KEPT" -le $((BACK + 2 * SILENCE * 1000 + 2000))
hold "A gave out a token or two" test "$(counter a crash-tokens-sent)" -le 2
hold "B believed one" test "$(counter b crash-tokens-proven)" = 1

say "after a rekey of the IKE SA too"
rv b rekey net --ike > /dev/null
rekeyed() { (($(tunnel_field b net ike_rekeys) >= 1)); }
soon 10 "the IKE SA is rekeyed" rekeyed
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
crash RV-NET-006 true

say "A crashes and loses its secret"
PAUSE=3000
crash RV-NET-003 loses_its_secret
hold "B believed none" test "$(counter b crash-tokens-proven)" = 2
hold "and says so" test "$(counter b crash-tokens-wrong)" -ge 1

say "A makes no tokens"
stop a
sed -i 's/^\[ike\]/&\ncrash-detection = false/' "$WORK/a.toml"
start_ravelind "$GWA" a
soon 60 "the tunnel is up" tunnel_up a net
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
crash RV-NET-003 true
hold "with the token it is sooner: $KEPT ms, else $AGAIN ms" test "$KEPT" -lt "$AGAIN"
capture_stop "$WORK/public.pcap"
hold "no inner packet on the public side" test "$(count_packets "$WORK/public.pcap" "$CLEAR_FILTER")" -eq 0
hold "no secret in a log" not grep -rqi "$(od -An -tx1 "$WORK/a.state/crash-secret" | tr -d ' \n' | cut -c1-16)" "$WORK"/a.log "$WORK"/b.log
