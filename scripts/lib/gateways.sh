# Configurations of the two gateways and the traffic between their hosts, for the network
# of net.sh. Source it after net.sh.
#
# One tunnel, `net`, from the network behind A to the network behind B. OUTER is the family
# between the gateways (4 or 6), INNER that of the hosts (4, 6, or "4 6"), ESN whether extended
# sequence numbers are offered: never to strongSwan, whose user-space ESP selects and then fails
# them; ON_DEMAND whether a packet brings the tunnel up; RETRANSMISSION the lines of ravelind's [ike]; EXCHANGE ravelind's
# first key exchange keyword.

PSK="correct horse battery staple"
OUTER=4 INNER=4 ESN=false ON_DEMAND=false RETRANSMISSION= EXCHANGE=x25519

# side NAME: sets addresses, networks and identity of that gateway.
side() {
  local number; number=$([[ $1 == a ]] && echo 1 || echo 2)
  local net4=10.$number.0.0/24 net6=fd00:$number::/64
  case $INNER in
    4) NETS="$net4" ;;
    6) NETS="$net6" ;;
    *) NETS="$net4,$net6" ;;
  esac
  OUTER4=192.0.2.$number OUTER6=2001:db8::$number GATE4=10.$number.0.1 GATE6=fd00:$number::1 IDENTITY=$1.example
  OUTER_ADDRESS=$([[ $OUTER == 4 ]] && echo "$OUTER4" || echo "$OUTER6")
}
quoted() { sed 's/,/", "/g; s/.*/"&"/' <<< "$1"; }

# configure_ravelin ME PEER AUTH CIPHER WORKERS [IKE-POLICY LINES] [IPSEC-TRANSFORM LINES]
configure_ravelin() {
  local me=$1 peer=$2 auth=$3 cipher=$4 workers=$5 policy=${6:-} transform=${7:-}
  local theirs_address theirs_nets theirs_id
  side "$peer"
  theirs_address=$OUTER_ADDRESS theirs_nets=$NETS theirs_id=$IDENTITY
  side "$me"
  cat > "$WORK/$me.toml" <<C
interface.wan = { device = "af_packet:wan0", addresses = ["$OUTER4/24", "$OUTER6/64"] }
interface.lan = { device = "af_packet:lan0", addresses = ["$GATE4/24", "$GATE6/64"] }

[workers]
count = $workers
cores = [$(seq -s, 0 $((workers - 1)))]

[ike]
$RETRANSMISSION

[ike-policy.p]
proposals = ["${cipher}gcm16-prfsha256-$EXCHANGE", "aes256-sha256-ecp256"]
$policy

[ipsec-transform.t]
proposals = ["${cipher}gcm16-$EXCHANGE"]
extended-sequence-number = $ESN
$transform

[tunnel.net]
local = "$OUTER_ADDRESS"
remote = "$theirs_address"
local-id = "$IDENTITY"
remote-id = "$theirs_id"
ike-policy = "p"
ipsec-transform = "t"
on-demand = $ON_DEMAND
local-ts = [$(quoted "$NETS")]
remote-ts = [$(quoted "$theirs_nets")]
C
  if [[ $auth == psk ]]; then
    echo "psk = \"$PSK\"" >> "$WORK/$me.toml"
  else
    cat >> "$WORK/$me.toml" <<C
certificate = "own"
trust = "demo"

[cert-profile.own]
certificate = "pki/$me.pem"
chain = ["pki/sub.pem"]
key = "pki/$me.key"

[trust-anchor-profile.demo]
anchors = ["pki/root.pem"]
C
  fi
  "$TARGET/ravelin" config check "$WORK/$me.toml" > /dev/null || die "configuration refused"
}

# initiate_from ravelin|peer PEER
initiate_from() {
  case $1-$2 in
    ravelin-*) rv b initiate net > /dev/null ;;
    peer-ravelin) rv a initiate net > /dev/null ;;
    peer-*) swan ss --initiate --child net > "$WORK/ss/initiate" 2>&1 || { tail -n 5 "$WORK/ss/initiate" >&2; die "strongSwan could not initiate"; } ;;
  esac
}

# more ME PEER NUMBER PEER'S-NUMBER [LINES]: a second tunnel, `more`, between networks of its own.
more() {
  cat <<C

[tunnel.more]
local = "192.0.2.$3"
remote = "192.0.2.$4"
local-id = "more.$1.example"
remote-id = "more.$2.example"
psk = "$PSK more"
local-ts = ["10.2$3.0.0/24"]
remote-ts = ["10.2$4.0.0/24"]
${5:-}
C
}

# rings_overrun: packets that this scenario's ravelinds dropped since their start, for a worker did not take over what another
# handed to it.
rings_overrun() {
  local socket
  for socket in "$WORK"/*.sock; do
    "$TARGET/ravelin" --socket "$socket" --json show counters 2> /dev/null || :
  done | jq -n '[inputs.counters[] | select(.name == "drop-handoff-full") | .value] | add // 0'
}

# numbered_udp RATE SECONDS [ADDRESS-A ADDRESS-B]: prints {sent, lost, late, held, duplicates, max_us, overrun}
# over both directions; `held` were late because the machine stood still, not the gateways, and `overrun` of the lost
# were dropped at a ring between workers. With UDP_UNTIL it ends when that file appears, at the latest after SECONDS.
numbered_udp() {
  local rate=$1 seconds=$2 a=${3:-10.1.0.2} b=${4:-10.2.0.2} until=() overrun
  overrun=$(rings_overrun)
  [[ -z ${UDP_UNTIL:-} ]] || until=(--until "$UDP_UNTIL")
  [[ $a != *:* ]] || a="[$a]" b="[$b]"
  ip netns exec "$HA" "$TARGET/ravelin-traffic" --bind "$a:7000" --peer "$b:7000" --rate "$rate" --seconds "$seconds" "${until[@]}" > "$WORK/udp.a" &
  local other=$!
  in_ns "$HB" "$TARGET/ravelin-traffic" --bind "$b:7000" --peer "$a:7000" --rate "$rate" --seconds "$seconds" "${until[@]}" > "$WORK/udp.b" || die "numbered UDP failed"
  wait "$other" || die "numbered UDP failed"
  overrun=$(($(rings_overrun) - overrun))
  jq -cs --argjson overrun "$((overrun > 0 ? overrun : 0))" '{sent: (map(.sent) | add), lost: ((map(.sent) | add) - (map(.received) | add)), late: (map(.late) | add), held: (map(.held) | add),
           duplicates: (map(.duplicates) | add), max_us: (map(.latency_max_us) | max), p99_us: (map(.latency_p99_us) | max), stood_us: (map(.stood_max_us) | max), overrun: $overrun}' "$WORK/udp.a" "$WORK/udp.b"
}

# transfer FROM TO [HOST HOST ADDRESS]: a file over TCP, from host A to host B or between these, to the second one's address.
transfer() {
  local source=${3:-$HA} target=${4:-$HB} address=${5:-10.2.0.2}
  ip netns exec "$target" socat -u TCP-LISTEN:7001,reuseaddr "CREATE:$2" > /dev/null 2>&1 &
  local sink=$!
  PIDS+=("$sink")
  wait_for 5 in_ns "$target" sh -c 'ss -ltn | grep -q :7001' || die "nobody listens for the transfer"
  timeout 120 ip netns exec "$source" socat -u "OPEN:$1,rdonly" "TCP:$address:7001" || die "the transfer broke off"
  wait "$sink"
}
