#!/usr/bin/env bash
# Post-quantum preshared keys (RFC 8784) and childless initiation (RFC 6023) with strongSwan, both roles.
#
#   host A --- strongSwan === public segment === ravelind --- host B
#
# Good: the key is in the keys of both, hosts ping, rekeys go on. Wrong, missing or unknown at either end: with
# `ppk-required` nothing comes up and `explain` names the cause; where both may do without, the tunnel comes up
# without and `explain` says which side lacked it. At last, IKE_AUTH without a CHILD SA from either side, the first child
# by CREATE_CHILD_SA with a key exchange of its own, and a strongSwan that will have none of that.
. "$(dirname "$0")/../lib/scenario.sh"
needs charon-systemd strongSwan

VALUE=0x$(printf '5a%.0s' {1..32})
OTHER=0x$(printf 'a5%.0s' {1..32})

# begin AUTH RAVELIN-VALUE STRONGSWAN-VALUE REQUIRED-HERE REQUIRED-THERE [NAME-THERE]: a side whose value is - has no PPK.
begin() {
  local auth=$1 ours=$2 theirs=$3 here=$4 there=$5 name=${6:-hq} connection=
  rm -rf "$WORK/pki" "$WORK/ss"
  [[ $auth == psk ]] || make_pki "$WORK/pki" "$auth"
  configure_ravelin b a "$auth" aes128 2
  if [[ $ours != - ]]; then
    sed -i "s/^local-id = .*/&\nppk-list = \"keys\"\nppk-required = $here/" "$WORK/b.toml"
    printf '[ppk-list.keys.hq]\nvalue = "%s"\n' "$ours" >> "$WORK/b.toml"
  fi
  [[ $theirs == - ]] || connection="ppk_id = $name
  ppk_required = $([[ $there == true ]] && echo yes || echo no)"
  configure_strongswan "$auth" aes128 "$connection"
  [[ $theirs == - ]] || printf 'secrets { ppk-1 { id = %s\n secret = %s } }\n' "$name" "$theirs" >> "$WORK/ss/swanctl.conf"
  start_ravelind "$GWB" b
  start_strongswan "$GWA" ss 'retransmit_tries = 2' 'retransmit_timeout = 0.5'
}
explains() { rv b --json explain net | jq -e --arg s "$1" '.rungs[] | select(.question == "post-quantum preshared key") | .seen == $s' > /dev/null; }
counted() { rv b --json show tunnels | jq -e --arg f "$1" '.tunnels[0][$f] >= 1' > /dev/null; }
# up NAME SEEN: both sides say it is up, this PPK is in the keys, hosts ping.
up() {
  soon 15 "ravelind says the tunnel is up" tunnel_up b net
  hold "ravelind has the PPK it should: ${1:-none}" test "$(rv b --json show tunnels | jq -r '.tunnels[0].ppk')" = "$1"
  hold "explain says so: $2" explains "$2"
  hold "strongSwan says IKE is established, PPK or not" swan_has "$([[ -n $1 ]] && echo '/PPK|PPK' || echo 'net: #[0-9]+, ESTABLISHED')"
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  hold "host A pings host B" pings "$HA" 10.2.0.2
}
down() {
  soon 10 "strongSwan has nothing left" swan_empty
  soon 10 "ravelind says the tunnel is down" tunnel_down b net
  soon 10 "ravelind has no SA left" no_sas b
}
# refused ROLE CODE: nothing came up, and explain says why.
refused() {
  soon 20 "explain says $2" last_code "$2"
  hold "the tunnel is down" tunnel_down b net
  hold "ravelind has no SA" no_sas b
  soon 20 "strongSwan has no IKE SA up" swan_not_up
}
swan_not_up() { swan ss --list-sas > "$WORK/ss/sas" 2>&1 && ! grep -qE 'ESTABLISHED|INSTALLED' "$WORK/ss/sas"; }
# ask ROLE: asks for a tunnel that need not come up.
ask() {
  case $1 in
    ravelin) rv b initiate net > /dev/null ;;
    peer) swan ss --initiate --child net --timeout 10 > "$WORK/ss/initiate" 2>&1 || : ;;
  esac
}

net_up
gateway_a_addresses
for auth in psk ec; do
  say "$auth: both have it"
  begin $auth "$VALUE" "$VALUE" true true
  for role in ravelin peer; do
    say " $role calls"
    ask $role
    up hq "hq is in the keys"
    rv b rekey net > /dev/null
    soon 10 "a CHILD SA is rekeyed" counted child_rekeys
    rv b rekey net --ike > /dev/null
    soon 10 "the IKE SA is rekeyed" counted ike_rekeys
    swan ss --rekey --child net > /dev/null
    soon 5 "hosts still reach each other" pings "$HA" 10.2.0.2
    rv b terminate net > /dev/null
    down
  done
  finish

  say "$auth: both have it and need it not"
  begin $auth "$VALUE" "$VALUE" false false
  for role in ravelin peer; do
    ask $role
    up hq "hq is in the keys"
    rv b terminate net > /dev/null
    down
  done
  finish

  say "$auth: the values differ"
  begin $auth "$VALUE" "$OTHER" false false
  ask ravelin; refused ravelin RV-AUTH-015
  # With a pre-shared key the second proof shows that nothing else is wrong.
  ask peer; refused peer "$([[ $auth == psk ]] && echo RV-AUTH-013 || echo RV-AUTH-014)"
  finish
done

say "strongSwan has none, and ravelind needs it"
begin psk "$VALUE" - true false
ask ravelin; refused ravelin RV-AUTH-010
ask peer; refused peer RV-AUTH-010
finish

say "strongSwan has none, and ravelind can do without"
begin psk "$VALUE" - false false
for role in ravelin peer; do
  ask $role
  up "" "none: the peer has none for us, or does not know RFC 8784"
  rv b terminate net > /dev/null
  down
done
finish

say "ravelind has none, and strongSwan needs it"
begin psk - "$VALUE" false true
ask ravelin; refused ravelin RV-AUTH-001
ask peer; soon 10 "strongSwan has no IKE SA up" swan_not_up
hold "ravelind has no SA" no_sas b
finish

say "each has another, and nobody needs it"
begin psk "$VALUE" "$VALUE" false false branch
ask ravelin
# strongSwan's ppk_id binds its callers too: it refuses another name, where RFC 8784 would let it take the second proof.
refused ravelin RV-AUTH-015
ask peer
up "" "none: the peer names branch, which is not in our ppk-list"
rv b terminate net > /dev/null
down
finish

say "each has another, and ravelind needs it"
begin psk "$VALUE" "$VALUE" true false branch
ask peer; refused peer RV-AUTH-012
finish

# auth_requests: the payloads of the first IKE_AUTH request, as strongSwan says.
auth_request() { grep -hoE '(generating|parsed) IKE_AUTH request 1 \[.*' "$WORK/ss/log" | head -n 1; }
with_child() { grep -q TSi <<< "$(auth_request)"; }
# begin_childless OURS THEIRS
begin_childless() {
  rm -rf "$WORK/ss"
  configure_ravelin b a psk aes128 2 "childless = $1"
  configure_strongswan psk aes128 "childless = $2"
  start_ravelind "$GWB" b
  start_strongswan "$GWA" ss 'retransmit_tries = 2' 'retransmit_timeout = 0.5'
}
for role in ravelin peer; do
  say "childless: $role calls"
  begin_childless true "$([[ $role == peer ]] && echo force || echo allow)"
  ask $role
  soon 15 "ravelind says the tunnel is up" tunnel_up b net
  hold "IKE_AUTH made no CHILD SA" not with_child
  hold "the child has a key exchange of its own" swan_has 'INSTALLED.*ESP:AES_GCM_16-128/CURVE_25519'
  soon 5 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
  rv b rekey net > /dev/null
  soon 10 "the child is rekeyed" counted child_rekeys
  rv b terminate net > /dev/null
  down
  finish
done
say "childless: strongSwan will have none of it"
begin_childless true never
ask ravelin
soon 15 "ravelind says the tunnel is up" tunnel_up b net
hold "IKE_AUTH made the CHILD SA" with_child
rv b terminate net > /dev/null
down
finish
