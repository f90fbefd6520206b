#!/usr/bin/env bash
# IKEv2 with libreswan, a second opinion beside strongSwan's: what it takes for right, in both roles.
#
#   host A --- libreswan === public segment === ravelind --- host B
#
# For each way to prove oneself (PSK, ECDSA and RSA certificates by RFC 7427), key exchange group and
# type of identity: ravelind calls, then libreswan. Then rekeys, probes, deletes, cookies, fragments,
# a group that must be asked for, and IKE_AUTH without a CHILD SA; refusals and their words; deaths.
#
# Judged by libreswan's log and `whack --status` and by `ravelin`, which must agree on identities,
# suites and SPIs. No packet passes: libreswan leaves ESP to the kernel, which may have none, and
# pluto is made to believe that it has (no_esp.c). Hosts ping in the scenarios with strongSwan.
. "$(dirname "$0")/../lib/scenario.sh"
needs /proc/sys/net/core/xfrm_acq_expires "XFRM in the kernel"
LIBRESWAN=$(scripts/lib/unpack-libreswan) || exit 77
. scripts/lib/libreswan.sh

# What both configurations are made of; a case sets what it is about. _A is libreswan's, _B ravelind's.
usual() {
  AUTH=psk AUTHBY=secret KEY_A=$PSK PKI_A= CERTIFICATE_B=
  ID_A=a.example ID_B=b.example LEFTID=@a.example RIGHTID=@b.example NET_A=10.1.0.0/24
  IKE_A=aes_gcm256-sha2_256-dh31 IKE_B=aes256gcm16-prfsha256-x25519
  SUITE_A=AES_GCM_16_256-HMAC_SHA2_256-DH31 SUITE_B=aes256gcm16-prfsha256-x25519 # what is to come of them
  ESP_A='aes_gcm256-none;dh31' ESP_B=aes256gcm16-x25519 ESN_A=no ESN_B=false
  CONNECTION_A= POLICY_B= TUNNEL_B= PPK=
  SUBNETS_A= SELECTORS_B=$'local-ts = ["10.2.0.0/24"]\nremote-ts = ["10.1.0.0/24"]'
}

configure_b() {
  cat > "$WORK/b.toml" <<C
interface.wan = { device = "af_packet:wan0", addresses = ["192.0.2.2/24"] }
interface.lan = { device = "af_packet:lan0", addresses = ["10.2.0.1/24"] }
workers = { count = 1, cores = [0] }
ike = { retransmit-ms = 200, retransmit-tries = 3 }
[ike-policy.p]
proposals = ["$IKE_B"]
$POLICY_B
[ipsec-transform.t]
proposals = ["$ESP_B"]
extended-sequence-number = $ESN_B
[tunnel.net]
local = "192.0.2.2"
remote = "192.0.2.1"
local-id = "$ID_B"
remote-id = "$ID_A"
$SELECTORS_B
ike-policy = "p"
ipsec-transform = "t"
on-demand = false
$TUNNEL_B
C
  if [[ $AUTH == psk ]]; then echo "psk = \"$PSK\"" >> "$WORK/b.toml"; else cat >> "$WORK/b.toml" <<C
certificate = "own"
trust = "demo"
[cert-profile.own]
certificate = "$AUTH/b.pem"
chain = ["$AUTH/sub.pem"]
key = "$AUTH/b.key"
$CERTIFICATE_B
[trust-anchor-profile.demo]
anchors = ["$AUTH/root.pem"]
C
  fi
  [[ -z $PPK ]] || printf '[ppk-list.keys.hq]\nvalue = "0x%s"\n' "$(od -An -v -tx1 <<< "$PPK" | tr -d ' \n' | sed 's/0a$//')" >> "$WORK/b.toml"
  "$TARGET/ravelin" config check "$WORK/b.toml" > /dev/null || die "configuration refused"
}

configure_a() {
  mkdir -p "$LSW"
  echo ": PSK \"$KEY_A\"" > "$LSW/ipsec.secrets"
  [[ -z $PPK ]] || echo "@a.example @b.example : PPKS \"hq\" \"$PPK\"" >> "$LSW/ipsec.secrets"
  cat > "$LSW/ipsec.conf" <<C
conn net
	ikev2=insist
	left=192.0.2.1
	leftid="$LEFTID"
	right=192.0.2.2
	rightid="$RIGHTID"
${SUBNETS_A:-$(printf '\tleftsubnet=%s\n\trightsubnet=10.2.0.0/24' "$NET_A")}
	authby=$AUTHBY
	ike=$IKE_A
	esp=$ESP_A
	esn=$ESN_A
	retransmit-interval=200
	retransmit-timeout=2s
	leftupdown=%disabled
$([[ $AUTH == psk ]] || printf '\tleftcert=a\n\tleftsendcert=always\n\tsendca=all\n')
$CONNECTION_A
C
}

# settle CASE [SETTING...]: what differs from the usual.
settle() {
  say "libreswan: $1"
  usual
  local setting
  for setting in "${@:2}"; do declare -g "${setting%%=*}=${setting#*=}"; done
}
# begin CASE [SETTING...]: both gateways; turn CASE [SETTING...]: only libreswan is another.
begin() {
  settle "$@"
  [[ -z $PKI_A || -d $WORK/$PKI_A ]] || make_pki "$WORK/$PKI_A" "$AUTH"
  configure_b
  configure_a
  lsw_certificates ${PKI_A:+"$WORK/$PKI_A"}
  start_ravelind "$GWB" b
  start_pluto
  lsw_load net
}
turn() {
  settle "$@"
  configure_a
  whack --rereadsecrets > "$LSW/reread"
  lsw_load net
  soon 5 "nothing is left of what was" lsw_states net 0
}
finish() { stop b; kill "$PID_lsw"; ended "$PID_lsw"; }

# call ravelin|libreswan: asks for the tunnel, which need not come up.
call() {
  lsw_mark
  case $1 in
    ravelin) rv b initiate net > /dev/null ;;
    libreswan) whack --initiate --asynchronous --name net > "$LSW/initiate" 2>&1 ;;
  esac
}
field() { [[ $(tunnel_field b net "$1") == "$2" ]]; }
counted() { (($(tunnel_field b net "$1") >= $2)); }
# same_spis: libreswan's newest CHILD SA is one that ravelind uses.
same_spis() {
  local in out
  read -r in out < <(whack --status | sed -nE 's/.*"net" esp\.([0-9a-f]+)@192\.0\.2\.2 esp\.([0-9a-f]+)@.*/\1 \2/p' | tail -n 1)
  rv b --json show sa | jq -e --arg in "$(printf %08x "0x$in")" --arg out "$(printf %08x "0x$out")" '
    [.sas[] | select(.state == "active")] | any(.direction == "in" and .spi == $in) and any(.direction == "out" and .spi == $out)'
}
# up PROOF: both sides say it is up and agree on who they are and what they use; PROOF is what libreswan calls ours.
up() {
  soon 10 "ravelind says the tunnel is up" tunnel_up b net
  hold "ravelind knows its peer as $ID_A" field peer_identity "$ID_A"
  hold "ravelind says $SUITE_B" field ike_suite "$SUITE_B"
  soon 5 "libreswan took our proof: $1" lsw_says "established IKE SA; authenticated peer $1"
  hold "libreswan says $SUITE_A" lsw_status "IKEv2 algorithm newest: $SUITE_A$"
  soon 5 "both sides have the same ESP SAs" same_spis
}
# hang_up ravelin|libreswan: after that neither side has anything left.
hang_up() {
  case $1 in
    ravelin) rv b terminate net > /dev/null ;;
    libreswan) whack --terminate --name net > /dev/null ;;
  esac
  soon 5 "ravelind says the tunnel is down" tunnel_down b net
  soon 5 "ravelind has no SA left" no_sas b
  soon 5 "libreswan has nothing left" lsw_states net 0
}
both() { local role; for role in ravelin libreswan; do call $role; up "$1"; hang_up $role; done; }

# refused ROLE CODE PATTERN: who is called that way gets nothing; explain has the code, libreswan's log the pattern.
attempted() { [[ $(rv b --json explain net | jq -r '[.attempts[] | select(.code != "")][0] | .role + " " + .code') == "$1 $2" ]]; }
refused() {
  call "$1"
  soon 10 "$1 calls: explain says $2" attempted "$([[ $1 == ravelin ]] && echo initiator || echo responder)" "$2"
  soon 5 "libreswan says: $3" lsw_says "$3"
  hold "the tunnel is down" tunnel_down b net
  hold "ravelind has no SA" no_sas b
}

# watch / sent FILTER NUMBER: what is on the public segment; so many packets have been.
watch() { rm -f "$WORK/lsw.pcap"; capture_start "$WORK/lsw.pcap" --immediate-mode -U "udp port 500"; }
sent() { (($(count_packets "$WORK/lsw.pcap" "$1") >= $2)); }
FROM_A='src 192.0.2.1' FROM_B='src 192.0.2.2'
# By the first payload, by the exchange, by the type of the notification in front.
FRAGMENT='udp[24] = 53' INFORMATIONAL='udp[26] = 37' COOKIE='udp[24] = 41 and udp[42:2] = 16390'

net_up
gateway_a_addresses

begin "PSK, x25519, names; rekeys"
both "using authby=secret and ID_FQDN '@b.example'"
call ravelin
up "using authby=secret"
UPS=$(tunnel_field b net ups)
for round in 1 2; do
  rv b rekey net > /dev/null
  soon 5 "ravelind rekeys the CHILD SA" counted child_rekeys $((2 * round - 1))
  soon 5 "both sides have the same ESP SAs" same_spis
  whack --rekey-ipsec --name net > "$LSW/rekey"
  soon 5 "libreswan rekeys the CHILD SA" counted child_rekeys $((2 * round))
  soon 5 "both sides have the same ESP SAs" same_spis
  rv b rekey net --ike > /dev/null
  soon 5 "ravelind rekeys the IKE SA" counted ike_rekeys $((2 * round - 1))
  whack --rekey-ike --name net > "$LSW/rekey"
  soon 5 "libreswan rekeys the IKE SA" counted ike_rekeys $((2 * round))
done
hold "the tunnel never went down" field ups "$UPS"
soon 5 "libreswan has one SA of each kind left" lsw_states net 2
hang_up libreswan
finish

begin "ECDSA certificates, ecp256, their names" AUTH=ec AUTHBY=ecdsa PKI_A=ec \
  IKE_A=aes_gcm128-sha2_256-dh19 SUITE_A=AES_GCM_16_128-HMAC_SHA2_256-DH19 IKE_B=aes128gcm16-prfsha256-ecp256 SUITE_B=aes128gcm16-prfsha256-ecp256
both "'P-256 ECDSA with SHA2_256' digital signature using peer certificate '@b.example'"
finish

begin "RSA certificates by RSASSA-PSS, modp2048, their subjects; fragments" AUTH=rsa AUTHBY=rsa-sha2 PKI_A=rsa CERTIFICATE_B='rsa-signature = "pss"' \
  ID_A='CN=a.example,O=Ravelin Demo' LEFTID='O=Ravelin Demo, CN=a.example' ID_B='CN=b.example,O=Ravelin Demo' RIGHTID='O=Ravelin Demo, CN=b.example' \
  IKE_A=aes256-sha2_256-modp2048 SUITE_A=AES_CBC_256-HMAC_SHA2_256-MODP2048 IKE_B=aes256-sha256-modp2048 SUITE_B=aes256-sha256-modp2048 \
  POLICY_B='fragment-size = 576'
watch
both "'2048-bit RSASSA-PSS with SHA2_256' digital signature using peer certificate 'O=Ravelin Demo, CN=b.example'"
soon 5 "libreswan sent fragments" sent "$FROM_A and $FRAGMENT" 4
soon 5 "ravelind sent fragments" sent "$FROM_B and $FRAGMENT" 6
hold "none of ours is longer than it may be" not sent "$FROM_B and $FRAGMENT and ip[2:2] > 576" 1
capture_stop "$WORK/lsw.pcap"
finish

begin "RSA certificates by PKCS #1" AUTH=rsa AUTHBY=rsasig PKI_A=rsa
both "'2048-bit PKCS#1 1.5 RSA with SHA2_256' digital signature"
turn "RSASSA-PSS alone there, PKCS #1 here" AUTH=rsa AUTHBY=rsa-sha2 PKI_A=rsa
refused ravelin RV-AUTH-001 'peer authentication requires policy RSASIG_v1_5'
finish

begin "PSK, ecp384, mail addresses, extended sequence numbers" ID_A=a@example.org LEFTID=a@example.org ID_B=b@example.org RIGHTID=b@example.org \
  IKE_A=aes_gcm256-sha2_512-dh20 SUITE_A=AES_GCM_16_256-HMAC_SHA2_512-DH20 IKE_B=aes256gcm16-prfsha512-ecp384 SUITE_B=aes256gcm16-prfsha512-ecp384 \
  ESN_A=yes ESN_B=true
both "using authby=secret and ID_USER_FQDN 'b@example.org'"
hold "libreswan says so: ESN" lsw_says 'ESP/ESN=>'
finish

begin "PSK, addresses, ESP in UDP" ID_A=192.0.2.1 LEFTID=192.0.2.1 ID_B=192.0.2.2 RIGHTID=192.0.2.2 POLICY_B='udp-encapsulation = "force"'
both "using authby=secret and ID_IPV4_ADDR '192.0.2.2'"
finish

begin "cookies, and a group that must be asked for" IKE_A=aes_gcm256-sha2_256-dh20+dh31 IKE_B=aes256gcm16-prfsha256-ecp256-x25519
watch
whack --ddos-busy > /dev/null
call ravelin
up "using authby=secret"
hold "libreswan asked for the group" lsw_says 'responding with INVALID_KE_PAYLOAD requesting DH31'
soon 5 "and for a cookie" sent "$FROM_A and $COOKIE" 1
soon 5 "ravelind gave it back" sent "$FROM_B and $COOKIE" 1
capture_stop "$WORK/lsw.pcap"
hang_up ravelin
call libreswan
up "using authby=secret"
hold "libreswan was asked for the group" lsw_says 'INVALID_KE_PAYLOAD response to DH DH20; resending with suggested DH DH31'
hang_up libreswan
finish

begin "IKE_AUTH without a CHILD SA" POLICY_B='childless = true'
call ravelin
up "using authby=secret"
hold "libreswan saw none" lsw_says 'IKE_AUTH request does not propose a Child SA; creating childless SA'
hang_up ravelin
whack --impair omit-v2-ike-auth-child > /dev/null
call libreswan
soon 5 "libreswan calls without one" lsw_says 'as expected, IKE_AUTH response omitted CHILD SA payloads'
hold "no CHILD SA is there" no_sas b
rv b initiate net > /dev/null
up "using authby=secret"
hang_up ravelin
finish

begin "transport mode, of GRE" SUBNETS_A=$'\ttype=transport\n\tleftprotoport=gre\n\trightprotoport=gre' TUNNEL_B='mode = "transport"' \
  SELECTORS_B=$'local-ts = ["192.0.2.2/32 gre"]\nremote-ts = ["192.0.2.1/32 gre"]'
for role in ravelin libreswan; do
  call $role
  up "using authby=secret"
  hold "libreswan says so: transport" lsw_says 'IPsec transport'
  hang_up $role
done
turn "tunnel mode there" SUBNETS_A=$'\ttype=tunnel\n\tleftprotoport=gre\n\trightprotoport=gre'
rv b initiate net > /dev/null
hold "nothing comes of it" not wait_for 3 tunnel_up b net
finish

begin "a post-quantum preshared key" PPK="thirty-two octets of shared secret" CONNECTION_A=$'\tppk=insist' TUNNEL_B=$'ppk-list = "keys"\nppk-required = true'
for role in ravelin libreswan; do
  call $role
  up "using authby=secret"
  hold "ravelind has it in the keys" field ppk hq
  hold "so has libreswan" lsw_says 'PPK AUTH calculated as'
  hang_up $role
done
finish

begin "a CHILD SA that libreswan cannot install"
whack --impair sa-creation > /dev/null
refused ravelin RV-CHILD-002 'setup_half_ipsec_sa\(\) hit fail'
hold "the IKE SA stays" lsw_status '#1: "net":500 STATE_V2_ESTABLISHED_IKE_SA'
whack --no-impair sa-creation > /dev/null
rv b initiate net > /dev/null
up "using authby=secret"
hold "on the same IKE SA" lsw_status 'newest IKE SA: #1;'
finish

begin "libreswan probes and notices a death" CONNECTION_A=$'\tdpddelay=1\n\tdpdtimeout=2\n\tdpdaction=clear'
watch
call libreswan
up "using authby=secret"
soon 5 "libreswan probes" sent "$FROM_A and $INFORMATIONAL" 1
soon 5 "ravelind answers" sent "$FROM_B and $INFORMATIONAL" 1
capture_stop "$WORK/lsw.pcap"
stop_hard b
soon 15 "libreswan notices that ravelind is dead" lsw_states net 0
start_ravelind "$GWB" b
call libreswan
up "using authby=secret"
finish

begin "ravelind probes and notices a death" POLICY_B=$'dpd-interval = 1\ndpd-retries = 1'
watch
call ravelin
up "using authby=secret"
soon 5 "ravelind probes" sent "$FROM_B and $INFORMATIONAL" 1
soon 5 "libreswan answers" sent "$FROM_A and $INFORMATIONAL" 1
capture_stop "$WORK/lsw.pcap"
kill -9 "$PID_lsw"; ended "$PID_lsw"
soon 10 "ravelind notices that libreswan is dead" field reason_code RV-NET-003
hold "and keeps no SA of it" no_sas b
stop b

begin "keys that differ" KEY_A="wrong horse battery staple"
refused ravelin RV-AUTH-001 'authentication failed: computed hash does not match hash received from peer'
refused libreswan RV-AUTH-002 'authentication request rejected by peer: AUTHENTICATION_FAILED'
turn "an identity that nobody expects here" LEFTID=@x.example
refused ravelin RV-AUTH-004 "authenticated peer using authby=secret"
refused libreswan RV-AUTH-004 'authentication request rejected by peer: AUTHENTICATION_FAILED'
turn "an identity that nobody expects there" RIGHTID=@x.example
refused ravelin RV-AUTH-001 "Peer ID '@b.example' mismatched"
turn "IKE algorithms that differ" IKE_A=aes_gcm128-sha2_256-dh31
refused ravelin RV-INIT-002 'unencrypted notification NO_PROPOSAL_CHOSEN'
refused libreswan RV-INIT-003 'NO_PROPOSAL_CHOSEN'
turn "ESP algorithms that differ" ESP_A='aes_gcm128-none;dh31'
refused ravelin RV-CHILD-004 'NO_PROPOSAL_CHOSEN'
refused libreswan RV-CHILD-005 'NO_PROPOSAL_CHOSEN'
turn "networks that differ" NET_A=10.9.0.0/24
refused ravelin RV-CHILD-002 'No IKEv2 connection found with compatible Traffic Selectors'
refused libreswan RV-CHILD-001 'TS_UNACCEPTABLE'
finish
begin "certificates of another authority" AUTH=ec AUTHBY=ecdsa PKI_A=other
refused ravelin RV-AUTH-001 'AUTHENTICATION_FAILED'
refused libreswan RV-AUTH-005 'AUTHENTICATION_FAILED'
finish
