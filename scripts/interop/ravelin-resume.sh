#!/usr/bin/env bash
# A gateway crashes, and its caller goes on by a ticket (RFC 5723), with certificates on both sides.
#
#   host A --- ravelind === public segment === ravelind --- host B
#
# A is killed with -9 and started again; it never calls by itself. B finds out by A's crash token, or by dead peer
# detection where A gives none, and calls by the ticket it holds: no key exchange and no proof of identity. It does so
# again and again, each time by the ticket of the call before. Where A has lost the key of its tickets, or has closed the
# tunnel, or trusts B no more, there is a full negotiation; nothing leaks.
. "$(dirname "$0")/../lib/scenario.sh"

SILENCE=3 RETRIES=2
ALL=$((SILENCE * (RETRIES + 2)))

last_event() { rv b --json events | jq '[.events[].number] | max'; }
# Whether B has had an event of a kind with such a text since number $LAST.
heard() { rv b --json events | jq -e --arg w "$1" --arg t "$2" --argjson l "$LAST" '[.events[] | select(.number > $l and .what == $w and (.text | contains($t)))] | length >= 1' > /dev/null; }
up_again() { heard child-up ""; }
is_resumed() { [[ $(tunnel_field "$1" net resumed) == "$2" ]]; }

# crash RESUMED [COMMAND...]: A is killed, the command runs, A starts again; B comes back, by its ticket or not.
crash() {
  local resumed=$1; shift
  LAST=$(last_event)
  stop_hard a
  "$@"
  start_ravelind "$GWA" a
  soon $((ALL + 20)) "the tunnel is up again" up_again
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  hold "B says whether it is resumed: $resumed" is_resumed b "$resumed"
  hold "and so does A" is_resumed a "$resumed"
  soon 10 "A has two SAs" only_two_sas a
}
loses_its_key() { rm "$WORK/a.state/ticket-key"; }
explained() { { rv "$1" explain net || :; } | grep -q "$2"; }

net_up
make_pki "$WORK/pki" ec
POLICY="dpd-interval = $SILENCE"$'\n'"dpd-retries = $RETRIES"$'\n'"resumption = true"
configure_ravelin a b cert aes128 1 "$POLICY"
configure_ravelin b a cert aes128 2 "$POLICY"
sed -i 's/^on-demand = false/&\nauto-establish = true/' "$WORK/b.toml"
start_ravelind "$GWA" a
start_ravelind "$GWB" b
soon 15 "the tunnel is up" tunnel_up b net
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
hold "by a full negotiation" is_resumed b false
hold "the key of tickets is for A's user alone" test "$(stat -c %a "$WORK/a.state/ticket-key")" = 600
capture_start "$WORK/public.pcap"

say "A crashes"
crash true true
hold "A accepted one ticket" test "$(counter a tickets-accepted)" = 1
hold "explain says so" explained b "by a ticket"
hold "events say so" heard ike-up ", resumed"

say "and again, by the ticket of the resumed IKE SA"
crash true true

say "after a rekey of the IKE SA too"
rv b rekey net --ike > /dev/null
rekeyed() { (($(tunnel_field b net ike_rekeys) >= 1)); }
soon 10 "the IKE SA is rekeyed" rekeyed
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
crash true true

say "A crashes and loses the key of its tickets"
crash false loses_its_key
hold "B was told no" heard not-resumed RV-INIT-010
hold "A refused one ticket" test "$(counter a tickets-refused)" = 1

say "A crashes, and no token tells of it"
crash true rm "$WORK/a.state/crash-secret"
hold "B's dead peer detection did" heard ike-down RV-NET-003

say "A closes the tunnel"
LAST=$(last_event)
rv a terminate net > /dev/null
soon 5 "B hears of it" heard ike-down RV-END-004
rv b initiate net > /dev/null
soon 15 "the tunnel is up" tunnel_up b net
hold "by a full negotiation" is_resumed b false
capture_stop "$WORK/public.pcap"
hold "no inner packet on the public side" test "$(count_packets "$WORK/public.pcap" "$CLEAR_FILTER")" -eq 0
hold "no key in a log" not grep -rqi "$(od -An -tx1 -j4 "$WORK/a.state/ticket-key" | tr -d ' \n' | cut -c1-16)" "$WORK"/a.log "$WORK"/b.log
