# Runs Debian's strongSwan as gateway A, or as a client, and reads what it says. Source it after net.sh and gateways.sh.
#
# kernel-libipsec carries its ESP, in user space and always in UDP. All it reads and writes is in $WORK/NAME:
# strongswan.conf and swanctl.conf, `log` is what it says.

# start_strongswan NS NAME [LINE...]: charon with $WORK/NAME/swanctl.conf, and with SWAN_PLUGINS besides; extra lines go to
# strongswan.conf.
start_strongswan() {
  local ns=$1 name=$2 dir=$WORK/$2; shift 2
  mkdir -p "$dir"/{x509,x509ca,private}
  {
    echo "charon-systemd {"
    # kernel-libipsec carries ESP in user space; it must come before kernel-netlink.
    echo "  load = random nonce openssl pem pkcs1 pkcs8 x509 revocation constraints pubkey curve25519 hmac kdf gmp sha1 sha2 aes gcm drbg socket-default kernel-libipsec kernel-netlink updown vici counters${SWAN_PLUGINS:-}"
    echo "  port = 500"
    echo "  port_nat_t = 4500"
    echo "  journal { default = -1 }"
    echo "  filelog { f { path = $dir/log"
    echo "    default = 1"
    echo "    ike = 2"
    # At 2 it tells of the selectors it is offered.
    echo "    cfg = ${SWAN_CFG_LOG:-1}"
    # At 2 every packet is told of.
    echo "    esp = ${SWAN_ESP_LOG:-1}"
    echo "    flush_line = yes } }"
    echo "  plugins { vici { socket = unix://$dir/vici } }"
    printf '  %s\n' "$@"
    echo "}"
  } > "$dir/strongswan.conf"
  rm -f "$dir/vici"
  STRONGSWAN_CONF=$dir/strongswan.conf SWANCTL_DIR=$dir ip netns exec "$ns" /usr/sbin/charon-systemd > "$dir/out" 2>&1 &
  PIDS+=($!)
  eval "PID_$name=$!"
  wait_for 10 test -S "$dir/vici" || { tail -n 5 "$dir/out" >&2; die "strongSwan did not start"; }
  swan "$name" --load-all > "$dir/load" 2>&1 || { cat "$dir/load" >&2; die "strongSwan refused its configuration"; }
}

# swan NAME ARGS...: swanctl against that charon.
swan() {
  local name=$1 dir=$WORK/$1 verb=$2; shift 2
  STRONGSWAN_CONF=$dir/strongswan.conf SWANCTL_DIR=$dir timeout 30 swanctl "$verb" --uri "unix://$dir/vici" "$@"
}

# gateway_a_addresses: what the kernel of a strongSwan gateway A needs; ravelind brings its own.
gateway_a_addresses() {
  ip -n "$GWA" addr add 192.0.2.1/24 dev wan0
  ip -n "$GWA" addr add 2001:db8::1/64 dev wan0 nodad
  ip -n "$GWA" addr add 10.1.0.1/24 dev lan0
  ip -n "$GWA" addr add fd00:1::1/64 dev lan0 nodad
  in_ns "$GWA" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

# configure_strongswan AUTH CIPHER [CONNECTION LINES] [CHILD LINES]
configure_strongswan() {
  local auth=$1 cipher=$2 connection=${3:-} child=${4:-} dir=$WORK/ss
  local local_auth="auth = psk" remote_auth="auth = psk" theirs_address theirs_nets
  mkdir -p "$dir"/{x509,x509ca,private}
  if [[ $auth != psk ]]; then
    cp "$WORK/pki/root.pem" "$WORK/pki/sub.pem" "$dir/x509ca/"
    cp "$WORK/pki/a.pem" "$dir/x509/"
    cp "$WORK/pki/a.key" "$dir/private/"
    local_auth="auth = pubkey
      certs = a.pem" remote_auth="auth = pubkey
      cacerts = root.pem"
  fi
  side b
  theirs_address=$OUTER_ADDRESS theirs_nets=$NETS
  side a
  cat > "$dir/swanctl.conf" <<C
connections { net { version = 2
  local_addrs = $OUTER_ADDRESS
  remote_addrs = $theirs_address
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
  children { net { local_ts = $NETS
    remote_ts = $theirs_nets
    $child
    esp_proposals = ${cipher}gcm16-x25519 } } } }
secrets { ike-1 { secret = "$PSK" } }
C
}

# swan_has PATTERN: whether a line of `swanctl --list-sas` is like it; swan_empty: there is none; swan_lists NUMBER: so
# many CHILD SAs are installed.
swan_has() { swan ss --list-sas > "$WORK/ss/sas" 2>&1 && grep -qE "$1" "$WORK/ss/sas"; }
swan_empty() { swan ss --list-sas > "$WORK/ss/sas" 2>&1 && ! grep -q . "$WORK/ss/sas"; }
swan_lists() { swan ss --list-sas > "$WORK/ss/sas" 2>&1 && [[ $(grep -cE '^ +[^ ]+: #[0-9]+, reqid [0-9]+, INSTALLED' "$WORK/ss/sas") == "$1" ]]; }
# swan_call [CHILD]: strongSwan asks for it, for 6 s at most; whether it came up. What it said meanwhile is in $WORK/ss/initiate.
swan_call() { swan ss --initiate --child "${1:-net}" --timeout 6 > "$WORK/ss/initiate" 2>&1; }
# swan_said PATTERN: whether it logged such a line, since swan_mark if that was called.
swan_mark() { SWAN_MARK=$(($(wc -l < "$WORK/ss/log") + 1)); }
swan_said() { tail -n "+${SWAN_MARK:-1}" "$WORK/ss/log" | grep -E "$1" > /dev/null; }
# finish: ends both gateways, and takes away the device that strongSwan leaves.
finish() { stop b; kill "$PID_ss"; ended "$PID_ss"; ip -n "$GWA" link del ipsec0 2> /dev/null || :; }
