#!/usr/bin/env bash
# A peer that may be at several addresses: where strongSwan does not answer at one, ravelind calls it at the next.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#            192.0.2.1, .11                   192.0.2.2
#
# ravelind is to be up without being asked, first at 192.0.2.1. That is cut: the peer is dead, its address is called in vain,
# then the second one, and host B reaches host A again. The other way round, the tunnel comes up at the first. Where that
# answers on UDP port 500 but not on 4500, the second is called, too. Where none answers, explain says which were called. Then
# strongSwan calls from its second address and is let in, but not from a third.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

cut() { # ADDRESS...: nothing from these and to these passes the public segment, in place of any others; ARP does.
  in_ns "$PUB" nft -f - <<N
add table bridge cut
delete table bridge cut
table bridge cut {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr { $(IFS=,; echo "$*") } drop
    ip daddr { $(IFS=,; echo "$*") } drop
  }
}
N
}
cut_4500() { # ADDRESS: nothing from and to UDP port 4500 there.
  in_ns "$PUB" nft -f - <<N
add table bridge cut
delete table bridge cut
table bridge cut {
  chain forward {
    type filter hook forward priority 0; policy accept;
    ip saddr $1 udp sport 4500 drop
    ip daddr $1 udp dport 4500 drop
  }
}
N
}
# What explain knows of a call that IKE_SA_INIT was answered to, and nothing else.
half_called() { { rv b --json explain net || :; } | jq -e --arg a "$1:" 'any(.attempts[]; .code == "RV-NET-008" and .stage == "auth" and (.peer | startswith($a)))' > /dev/null; }
join() { in_ns "$PUB" nft delete table bridge cut; }
is_with() { tunnel_up b net > /dev/null && [[ $(tunnel_field b net remote) == "$1":* ]]; }
rung() { rv b --json explain net | jq -r '.rungs[] | select(.question | contains("addresses answers")) | .seen'; }
reaches() { in_ns "$HB" ping -c 1 -W 1 10.1.0.2; }
says_all() { [[ $(rv b --json explain net | jq -r '[.attempts[].outcome] | join(" ")') == *"192.0.2.11, the next of its addresses, is called"* ]]; }

net_up
gateway_a_addresses
ip -n "$GWA" addr add 192.0.2.11/24 dev wan0
ip -n "$GWA" addr add 192.0.2.12/24 dev wan0
RETRANSMISSION=$'retransmit-ms = 200\nretransmit-tries = 4'
configure_ravelin b a psk aes128 2 $'dpd-interval = 2\ndpd-retries = 2'
sed -i 's/^remote = .*/&\nbackup-remotes = ["192.0.2.11"]\nauto-establish = true/' "$WORK/b.toml"
"$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "configuration refused"
configure_strongswan psk aes128
sed -i '/local_addrs/d' "$WORK/ss/swanctl.conf"

say "the first address"
start_strongswan "$GWA" ss
start_ravelind "$GWB" b
soon 15 "the tunnel is up at the first" is_with 192.0.2.1
hold "explain names both" test "$(rung)" = "192.0.2.1, then 192.0.2.11; it is at 192.0.2.1"
soon 5 "host B reaches host A" reaches

say "the first is cut"
cut 192.0.2.1
BEGAN=$SECONDS
soon 40 "the tunnel is up at the second" is_with 192.0.2.11
soon 5 "host B reaches host A, after $((SECONDS - BEGAN)) s" reaches
hold "the journal says why" told no-reply-here "192.0.2.11, the next of its addresses, is called"
hold "explain says where it is" test "$(rung)" = "192.0.2.1, then 192.0.2.11; it is at 192.0.2.11"
hold "one IKE SA for strongSwan that is up with the second" swan_has "local +'a.example' @ 192.0.2.11"

say "the second is cut, with the first back"
cut 192.0.2.11
soon 40 "the tunnel is up at the first" is_with 192.0.2.1
soon 5 "host B reaches host A" reaches

say "the first answers on UDP port 500 and not on 4500"
hold "no call has been answered by half" not half_called 192.0.2.1
cut_4500 192.0.2.1
soon 60 "the tunnel is up at the second" is_with 192.0.2.11
soon 5 "host B reaches host A" reaches
hold "the first had answered" half_called 192.0.2.1

say "none answers"
cut 192.0.2.1 192.0.2.11
soon 20 "the tunnel is down" not is_with 192.0.2.11
soon 40 "explain names the calls" says_all
join
soon 80 "the tunnel is up at the first, which is preferred" is_with 192.0.2.1

say "strongSwan calls from its second address, then from a third"
sed -i 's/^auto-establish = true/auto-establish = false/' "$WORK/b.toml"
stop b
start_ravelind "$GWB" b
for from in 192.0.2.11 192.0.2.12; do
  kill "$PID_ss"; ended "$PID_ss"
  sed -i "/local_addrs/d; s/^\( *\)remote_addrs = .*/&\n\1local_addrs = $from/" "$WORK/ss/swanctl.conf"
  start_strongswan "$GWA" ss
  case $from in
    192.0.2.11)
      hold "it is let in from $from" swan ss --initiate --child net --timeout 10
      soon 5 "the tunnel is up" is_with "$from" ;;
    *) hold "it is not from $from" not swan ss --initiate --child net --timeout 10 ;;
  esac
done
finish
