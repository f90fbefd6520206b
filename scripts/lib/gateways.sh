# Configurations of the two gateways and the traffic between their hosts, for the network
# of net.sh. Source it after net.sh.
#
# One tunnel, `net`, from 10.1.0.0/24 to 10.2.0.0/24. No extended sequence numbers with
# strongSwan: its user-space ESP selects them and then fails.

PSK="correct horse battery staple"

# side NAME: outer address, inner network, inner gateway address, identity
side() {
  case $1 in
    a) echo "192.0.2.1 10.1.0.0/24 10.1.0.1/24 a.example" ;;
    b) echo "192.0.2.2 10.2.0.0/24 10.2.0.1/24 b.example" ;;
  esac
}

# configure_ravelin ME PEER AUTH CIPHER WORKERS [IKE-POLICY LINES] [IPSEC-TRANSFORM LINES]
configure_ravelin() {
  local me=$1 peer=$2 auth=$3 cipher=$4 workers=$5 policy=${6:-} transform=${7:-}
  local mine theirs
  read -r -a mine <<< "$(side "$me")"
  read -r -a theirs <<< "$(side "$peer")"
  cat > "$WORK/$me.toml" <<C
interface.wan = { device = "af_packet:wan0", addresses = ["${mine[0]}/24"] }
interface.lan = { device = "af_packet:lan0", addresses = ["${mine[2]}"] }

[workers]
count = $workers
cores = [$(seq -s, 0 $((workers - 1)))]

[ike-policy.p]
proposals = ["${cipher}gcm16-prfsha256-x25519", "aes256-sha256-ecp256"]
$policy

[ipsec-transform.t]
proposals = ["${cipher}gcm16-x25519"]
extended-sequence-number = false
$transform

[tunnel.net]
local = "${mine[0]}"
remote = "${theirs[0]}"
local-id = "${mine[3]}"
remote-id = "${theirs[3]}"
ike-policy = "p"
ipsec-transform = "t"
local-ts = ["${mine[1]}"]
remote-ts = ["${theirs[1]}"]
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

# configure_strongswan AUTH CIPHER [CONNECTION LINES] [CHILD LINES]
configure_strongswan() {
  local auth=$1 cipher=$2 connection=${3:-} child=${4:-} dir=$WORK/ss
  local local_auth="auth = psk" remote_auth="auth = psk"
  mkdir -p "$dir"/{x509,x509ca,private}
  if [[ $auth != psk ]]; then
    cp "$WORK/pki/root.pem" "$WORK/pki/sub.pem" "$dir/x509ca/"
    cp "$WORK/pki/a.pem" "$dir/x509/"
    cp "$WORK/pki/a.key" "$dir/private/"
    local_auth="auth = pubkey
      certs = a.pem" remote_auth="auth = pubkey
      cacerts = root.pem"
  fi
  cat > "$dir/swanctl.conf" <<C
connections { net { version = 2
  local_addrs = 192.0.2.1
  remote_addrs = 192.0.2.2
  proposals = ${cipher}gcm16-prfsha256-x25519,aes256-sha256-ecp256
  mobike = no
  fragmentation = yes
  send_certreq = yes
  send_cert = always
  $connection
  local { $local_auth
    id = a.example }
  remote { $remote_auth
    id = b.example }
  children { net { local_ts = 10.1.0.0/24
    remote_ts = 10.2.0.0/24
    $child
    esp_proposals = ${cipher}gcm16-x25519 } } } }
secrets { ike-1 { secret = "$PSK" } }
C
}

# initiate_from ravelin|peer PEER
initiate_from() {
  case $1-$2 in
    ravelin-*) rv b initiate net > /dev/null ;;
    peer-ravelin) rv a initiate net > /dev/null ;;
    peer-*) swan ss --initiate --child net > "$WORK/ss/initiate" 2>&1 || { tail -n 5 "$WORK/ss/initiate" >&2; die "strongSwan could not initiate"; } ;;
  esac
}

# numbered_udp RATE SECONDS: prints {sent, lost, late, duplicates, max_us} over both directions.
numbered_udp() {
  local rate=$1 seconds=$2
  in_ns "$HA" "$TARGET/ravelin-traffic" --bind 10.1.0.2:7000 --peer 10.2.0.2:7000 --rate "$rate" --seconds "$seconds" > "$WORK/udp.a" &
  local other=$!
  in_ns "$HB" "$TARGET/ravelin-traffic" --bind 10.2.0.2:7000 --peer 10.1.0.2:7000 --rate "$rate" --seconds "$seconds" > "$WORK/udp.b" || die "numbered UDP failed"
  wait "$other" || die "numbered UDP failed"
  jq -cs '{sent: (map(.sent) | add), lost: ((map(.sent) | add) - (map(.received) | add)), late: (map(.late) | add),
           duplicates: (map(.duplicates) | add), max_us: (map(.latency_max_us) | max), p99_us: (map(.latency_p99_us) | max)}' "$WORK/udp.a" "$WORK/udp.b"
}

# transfer FROM TO: a file from host A to host B over TCP.
transfer() {
  in_ns "$HB" socat -u TCP-LISTEN:7001,reuseaddr "CREATE:$2" &
  local sink=$!
  wait_for 5 in_ns "$HB" sh -c 'ss -ltn | grep -q :7001'
  timeout 120 ip netns exec "$HA" socat -u "OPEN:$1,rdonly" TCP:10.2.0.2:7001 || die "the transfer broke off"
  wait "$sink"
}
