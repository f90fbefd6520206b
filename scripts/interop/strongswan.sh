#!/usr/bin/env bash
# IKEv2 with strongSwan: every way to authenticate, both ciphers, both roles, both ends.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# For each of PSK, ECDSA and RSA certificates (root, intermediate, leaf) and AES-128 and
# AES-256: ravelind initiates, hosts ping each other, ravelind terminates; strongSwan
# initiates, hosts ping, strongSwan terminates. Judged by `swanctl --list-sas` and by
# `ravelin show tunnels`. Then a peer that dies is noticed by each side, and one that comes
# back is let in.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

# up CIPHER PEER: both sides say it is up, with the right peer and cipher, and hosts ping.
up() {
  soon 15 "ravelind says the tunnel is up" tunnel_up b net
  hold "ravelind knows its peer" test "$(tunnel_field b net peer_identity)" = a.example
  hold "strongSwan says IKE is established" swan_has "net: #[0-9]+, ESTABLISHED, IKEv2"
  hold "strongSwan says the child is installed" swan_has "net: #[0-9]+, reqid [0-9]+, INSTALLED, TUNNEL.*ESP:AES_GCM_16-${1#aes}"
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  hold "host A pings host B" pings "$HA" 10.2.0.2
  hold "host B pings host A" pings "$HB" 10.1.0.2
  hold "strongSwan counted them" swan_has " in .* [1-9][0-9]* packets"
}
# down: neither side has anything left.
down() {
  soon 10 "strongSwan has nothing left" swan_empty
  soon 10 "ravelind says the tunnel is down" tunnel_down b net
  soon 10 "ravelind has no SA left" no_sas b
}
begin() { # AUTH CIPHER
  rm -rf "$WORK/pki" "$WORK/ss"
  [[ $1 == psk ]] || make_pki "$WORK/pki" "$1"
  configure_ravelin b a "$1" "$2" 2 $'dpd-interval = 1\ndpd-retries = 2'
  configure_strongswan "$1" "$2" 'dpd_delay = 1s'
  start_ravelind "$GWB" b
  start_strongswan "$GWA" ss 'retransmit_tries = 2' 'retransmit_timeout = 0.5'
}

RETRANSMISSION=$'retransmit-ms = 200\nretransmit-tries = 3'
net_up
gateway_a_addresses
for auth in psk ec rsa; do
  for cipher in aes128 aes256; do
    say "strongSwan: $auth, $cipher"
    begin $auth $cipher
    initiate_from ravelin strongswan
    up $cipher
    rv b terminate net > /dev/null
    down
    initiate_from peer strongswan
    up $cipher
    swan ss --terminate --ike net > /dev/null
    down
    finish
  done
done

say "strongSwan: a peer that dies"
begin ec aes128
initiate_from ravelin strongswan
up aes128
kill -9 "$PID_ss"; ended "$PID_ss"
ip -n "$GWA" link del ipsec0 2> /dev/null || :
soon 20 "ravelind notices that strongSwan is dead" tunnel_down b net
soon 10 "and keeps no SA of it" no_sas b
hold "and says why" test -n "$(tunnel_field b net reason_code)"
start_strongswan "$GWA" ss 'retransmit_tries = 2' 'retransmit_timeout = 0.5'
initiate_from peer strongswan
up aes128
kill -9 "$PID_ss"; ended "$PID_ss"
ip -n "$GWA" link del ipsec0 2> /dev/null || :
start_strongswan "$GWA" ss 'retransmit_tries = 2' 'retransmit_timeout = 0.5'
initiate_from peer strongswan
up aes128
soon 10 "the SAs of its former life are gone" only_two_sas b
stop_hard b
soon 20 "strongSwan notices that ravelind is dead" swan_empty
start_ravelind "$GWB" b
initiate_from ravelin strongswan
up aes128
finish
