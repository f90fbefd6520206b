# Runs Debian's libreswan as gateway A, from the directory of unpack-libreswan. Source it after scenario.sh.
#
# Its daemon is pluto. All it reads and writes is in $LSW: ipsec.conf and ipsec.secrets are the
# scenario's, the NSS database holds its key and certificates, `log` is what it says. With no_esp.so
# it makes SAs that no packet can use: what it says of IKE, and of what was agreed, is its own.

LSW=$WORK/lsw

# lsw_run PROGRAM ARGS...: one of its programs, by the path below its directory.
lsw_run() { LD_LIBRARY_PATH=$LIBRESWAN/libraries "$LIBRESWAN/$1" "${@:2}"; }
# whack ARGS...: pluto's command line, which waits for the end of what it asked for, 10 s at most.
whack() { LD_LIBRARY_PATH=$LIBRESWAN/libraries timeout 10 "$LIBRESWAN/usr/libexec/ipsec/whack" --rundir "$LSW/run" "$@"; }

# lsw_certificates [PKI]: its NSS database, empty or with a PKI's root and its own certificate and key `a`.
lsw_certificates() {
  rm -rf "$LSW/nss"; mkdir -p "$LSW/nss"
  lsw_run usr/bin/certutil -N -d "sql:$LSW/nss" --empty-password
  [[ -n ${1:-} ]] || return 0
  openssl pkcs12 -export -in "$1/a.pem" -inkey "$1/a.key" -certfile "$1/sub.pem" -name a -passout pass: -out "$LSW/a.p12"
  lsw_run usr/bin/pk12util -i "$LSW/a.p12" -d "sql:$LSW/nss" -W "" > "$LSW/pk12util" 2>&1 || { cat "$LSW/pk12util" >&2; die "NSS refused the certificate"; }
  lsw_run usr/bin/certutil -A -d "sql:$LSW/nss" -n root -t CT,, -i "$1/root.pem"
}

# start_pluto: with $LSW/ipsec.conf and $LSW/ipsec.secrets; lsw_load takes a connection of the former.
# It looks for its programs in /usr/libexec and nowhere else, so they are there for it: what is
# mounted after `ip netns exec` is in a mount namespace of its own.
start_pluto() {
  mkdir -p "$LSW"/{run,ipsec.d}
  [[ -d $LSW/nss ]] || lsw_certificates
  ip netns exec "$GWA" sh -c 'mount --bind "$1" /usr/libexec; shift; exec "$@"' - "$LIBRESWAN/usr/libexec" \
    env LD_LIBRARY_PATH="$LIBRESWAN/libraries" LD_PRELOAD="$LIBRESWAN/no_esp.so" "$LIBRESWAN/usr/libexec/ipsec/pluto" \
    --nofork --stderrlog --no-dnssec --config "$LSW/ipsec.conf" --secretsfile "$LSW/ipsec.secrets" --ipsecdir "$LSW/ipsec.d" --nssdir "$LSW/nss" --rundir "$LSW/run" > "$LSW/log" 2>&1 < /dev/null &
  PID_lsw=$!
  PIDS+=("$PID_lsw")
  LSW_MARK=0
  wait_for 10 whack --listen || { tail -n 5 "$LSW/log" >&2; die "libreswan did not start"; }
  whack --impair revival > /dev/null # who is refused or hangs up does not call again
}
# lsw_load CONNECTION: takes it from $LSW/ipsec.conf, in place of what was there by that name.
lsw_load() {
  lsw_run usr/libexec/ipsec/addconn --ctlsocket "$LSW/run/pluto.ctl" --config "$LSW/ipsec.conf" "$1" > "$LSW/load" 2>&1 || { cat "$LSW/load" >&2; die "libreswan refused its configuration"; }
}

# lsw_says PATTERN: whether a line of its log has it, since the last lsw_mark.
lsw_says() { grep -qE -- "$1" <(tail -n "+$((LSW_MARK + 1))" "$LSW/log"); }
lsw_mark() { LSW_MARK=$(wc -l < "$LSW/log"); }
# lsw_status PATTERN: whether a line of its status has it.
lsw_status() { whack --status > "$LSW/status" && grep -qE -- "$1" "$LSW/status"; }
# lsw_states CONNECTION NUMBER: whether it has so many SAs of that, IKE and CHILD, begun ones included.
lsw_states() { whack --status > "$LSW/status" && [[ $(grep -cE "#[0-9]+: \"$1\":" "$LSW/status") == "$2" ]]; }
