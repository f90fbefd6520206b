#!/usr/bin/env bash
# Client lockout (IKE-22, IKE-23) with strongSwan as the client: after three wrong keys it gets no answer.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# strongSwan calls with a wrong pre-shared key three times and is refused; its fourth call is not answered at all, and
# `ravelin show lockout` counts what was dropped; `ravelin debug peer` tells of each message meanwhile. `ravelin clear
# lockout` lets it in again with the right key. What is no failed proof (algorithms, an unknown identity) never counts;
# a call that succeeds forgives those before it.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

WRONG="wrong horse battery staple"
swan_up() { swan ss --list-sas > "$WORK/ss/sas" 2>&1 && grep -q 'net: #[0-9]*, ESTABLISHED' "$WORK/ss/sas"; }
swan_down() { ! swan_up; }
# key TEXT: strongSwan's pre-shared key from here on.
key() {
  sed -i "s/secret = \".*\"/secret = \"$1\"/" "$WORK/ss/swanctl.conf"
  swan ss --load-creds --clear > "$WORK/ss/creds" 2>&1
}
# call: strongSwan asks for the tunnel; whether it came up. It says what became of it.
call() { swan ss --initiate --child net --timeout 6 > "$WORK/ss/initiate" 2>&1; }
answered() { grep -q 'parsed IKE_SA_INIT response' "$WORK/ss/initiate"; }
refused() { ! call && answered && grep -q AUTHENTICATION_FAILED "$WORK/ss/initiate"; }
unanswered() { ! call && ! answered && grep -q 'sending packet' "$WORK/ss/initiate"; }
hang_up() { swan ss --terminate --ike net > /dev/null 2>&1 || :; }

lockout() { rv b --json show lockout | jq -e "$1" > /dev/null; }
locked() { lockout '.lockouts | length == 1 and .[0].blocked and .[0].failed_attempts == 3'; }
failed() { lockout ".lockouts | length == 1 and (.[0].blocked | not) and .[0].failed_attempts == $1"; }
nobody() { lockout '.lockouts | length == 0'; }
# traced TEXT: a line of debugging has it.
traced() { rv b --json events | jq -e --arg t "$1" '[.events[] | select(.what == "debug" and (.text | contains($t)))] | length > 0' > /dev/null; }

# begin LOCKOUT [CONNECTION-LINES]
begin() {
  rm -rf "$WORK/ss"
  configure_ravelin b a psk aes128 2 "$1"
  configure_strongswan psk aes128 "${2:-}"
  start_ravelind "$GWB" b
  start_strongswan "$GWA" ss 'retransmit_tries = 1' 'retransmit_timeout = 1'
}

net_up
gateway_a_addresses

say "three wrong keys lock strongSwan out"
begin 'lockout = { failed-attempts = 3, duration = 5, block = "infinite" }'
hold "nobody is locked out" nobody
hold "no debugging is on" test "$(rv b debug)" = "nothing is on"
rv b debug peer 192.0.2.1 --for 2m > /dev/null
hold "it is now, and ends by itself" test "$(rv b --json debug | jq '.peers | length == 1 and .[0].address == "192.0.2.1" and .[0].remaining_seconds <= 120')" = true
key "$WRONG"
for attempt in 1 2; do
  hold "call $attempt is refused" refused
  hold "and counted" failed "$attempt"
done
hold "call 3 is refused" refused
hold "and locks strongSwan out" locked
hold "events say so" told lockout
hold "explain says why" test "$(rv b --json explain net | jq -r '.attempts[0].code')" = RV-AUTH-002
hold "and which key to look at" test "$(rv b --json explain net | jq -r '.attempts[0].keys[0]')" = tunnel.net.psk
hold "call 4 gets no answer" unanswered
hold "debugging has every message" traced "received IKE_SA_INIT request 0"
hold "its payloads by type and size" traced "IKE_AUTH request 1 holds IDi 17, "
hold "and what became of them" traced "RV-AUTH-002"
hold "to the last" traced "dropped: it is locked out"
hold "the log has it, too" grep -q "IKE_AUTH request 1 holds" "$WORK/b.log"
hold "and no key" not grep -qE "$WRONG|$PSK" "$WORK/b.log"
rv b debug peer 192.0.2.1 --for 0 > /dev/null
hold "it can be ended before" test "$(rv b debug)" = "nothing is on"
hold "what was dropped is counted" lockout '.lockouts[0].dropped >= 2 and .dropped == .lockouts[0].dropped and .lockouts[0].remaining_seconds == null'
key "$PSK"
hold "the right key gets none either" unanswered
hold "a lockout of another address is not cleared for it" test "$(rv b clear lockout 192.0.2.77)" = "0 cleared"
hold "still no answer" unanswered
rv b clear lockout 192.0.2.1 > /dev/null
hold "nobody is locked out" nobody
hold "the right key is let in" call
soon 10 "ravelind says the tunnel is up" tunnel_up b net
soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
hang_up
soon 10 "strongSwan has hung up" swan_down

say "success forgives"
key "$WRONG"
hold "a wrong key is refused" refused
hold "a second is, too" refused
hold "both are counted" failed 2
key "$PSK"
hold "the right key is let in" call
hold "and forgives them" nobody
hang_up
finish

say "what is no failed proof does not count"
begin 'lockout = { failed-attempts = 1 }'
sed -i 's/id = a.example/id = x.example/' "$WORK/ss/swanctl.conf"
swan ss --load-conns > /dev/null
hold "an identity that nobody expects is refused" refused
hold "and not counted" nobody
sed -i 's/id = x.example/id = a.example/; s/proposals = aes128gcm16-prfsha256-x25519.*/proposals = aes192gcm16-prfsha256-x25519/' "$WORK/ss/swanctl.conf"
swan ss --load-conns > /dev/null
hold "foreign algorithms are refused" not call
hold "and not counted" nobody
finish

say "off by default"
begin ''
key "$WRONG"
for attempt in 1 2 3 4; do hold "call $attempt is refused" refused; done
hold "nobody is counted" nobody
finish
