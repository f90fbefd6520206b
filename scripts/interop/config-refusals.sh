#!/usr/bin/env bash
# A wrong configuration is refused by `ravelin config check` and by ravelind: exit 1, the file
# and the line, what was expected; and nothing is started: no device in the namespace, no
# socket, no cage.
. "$(dirname "$0")/../lib/scenario.sh"

net_up
make_pki "$WORK/pki" ec
make_pki "$WORK/rsa" rsa
configure_ravelin b a ec aes128 1
cp "$WORK/b.toml" "$WORK/good.toml"
devices() { ip -n "$GWB" -o link | awk -F': ' '{ print $2 }' | sort | paste -sd' '; in_ns "$GWB" nft list ruleset; }
devices_before=$(devices)
printf 'not a certificate\n' > "$WORK/pki/garbage.pem"
head -c 300 "$WORK/pki/b.pem" > "$WORK/pki/cut.pem"
kinds=0

# refused WHAT EXPECTED [SED-EXPRESSION]: the good file, edited, must be refused. EXPECTED is a
# pattern for the message; the line number in it is that of the first line that was changed.
refused() {
  local what=$1 expected=$2 edit=${3:-} line status output program
  [[ -z $edit ]] || sed "$edit" "$WORK/good.toml" > "$WORK/bad.toml"
  line=$({ diff "$WORK/good.toml" "$WORK/bad.toml" 2> /dev/null || :; } | sed -n "1s/.*[acd]\([0-9]*\).*/\1/p")
  expected=${expected/LINE/$line}
  for program in "ravelin config check" "ravelind --socket $WORK/bad.sock --config"; do
    status=0
    # shellcheck disable=SC2086
    output=$(timeout 20 ip netns exec "$GWB" "$TARGET"/$program "$WORK/bad.toml" 2>&1 > /dev/null) || status=$?
    [[ $status == 1 ]] || die "$what: ${program%% *} exits $status, not 1: $output"
    grep -qE "$expected" <<< "$output" || die "$what: ${program%% *} says: $output (wanted: $expected)"
    ! grep -qE "panicked|$PSK" <<< "$output" || die "$what: ${program%% *} panicked or told a secret: $output"
  done
  [[ ! -e $WORK/bad.sock && $(devices) == "$devices_before" ]] || die "$what: something was started"
  say "  refused: $what: $(head -n 1 <<< "$output" | sed "s|.*/bad.toml|bad.toml|")"
  kinds=$((kinds + 1))
}

hold "the good file is accepted" grep -q ok <("$TARGET/ravelin" config check "$WORK/good.toml")
refused "unknown key" 'bad.toml:LINE: .*locla' 's/^local = /locla = /'
refused "unknown table" 'bad.toml:LINE' 's/^\[workers\]/[wrokers]/'
refused "text where a number belongs" 'bad.toml:LINE: .*invalid type' 's/^count = .*/count = "one"/'
refused "not TOML" 'bad.toml:LINE' 's/^local = .*/local = = "x"/'
refused "an address that is none" 'bad.toml:LINE: tunnel.net: .*192.0.2.300.*expected' 's/^remote = .*/remote = "192.0.2.300"/'
refused "an address that is not ours" 'bad.toml:LINE: tunnel.net: .*on no interface' 's/^local = .*/local = "192.0.2.9"/'
refused "families that differ" 'bad.toml:LINE: tunnel.net: .*famil' 's/^remote = .*/remote = "2001:db8::1"/'
refused "a prefix with bits beyond its length" 'bad.toml:LINE: tunnel.net: .*expected' 's|^local-ts = .*|local-ts = ["10.2.0.1/24"]|'
refused "a missing reference" 'bad.toml:LINE: tunnel.net: ike-policy "q".*does not exist' 's/^ike-policy = .*/ike-policy = "q"/'
refused "a misspelt reference, with the right name" 'bad.toml:LINE: .*did you mean demo' 's/^trust = .*/trust = "dmo"/'
refused "a proposal with an unknown word" 'bad.toml:LINE: .*rot13' 's/^proposals = \["aes128gcm16-x25519"\]/proposals = ["rot13-x25519"]/'
refused "a cipher without integrity" 'bad.toml:LINE: ike-policy.p: .*integrity' 's/"aes256-sha256-ecp256"/"aes256-ecp256"/'
refused "a device of no kind" 'bad.toml:LINE: interface.wan: .*expected' 's/af_packet:wan0/wan0/'
refused "a replay window that is no power of two" 'bad.toml:LINE: .*1000' 's/^extended-sequence-number = .*/replay-window = 1000/'
refused "a worker too many" 'bad.toml:LINE: workers' 's/^cores = .*/cores = [0, 1, 0]/'
refused "a missing certificate file" 'bad.toml:LINE: cert-profile.own: .*no.pem' 's|^certificate = "pki/b.pem"|certificate = "pki/no.pem"|'
refused "a certificate file that holds none" 'bad.toml:LINE: cert-profile.own: .*garbage.pem' 's|^certificate = "pki/b.pem"|certificate = "pki/garbage.pem"|'
refused "a certificate cut short" 'bad.toml:LINE: cert-profile.own: .*cut.pem' 's|^certificate = "pki/b.pem"|certificate = "pki/cut.pem"|'
refused "a missing key file" 'bad.toml:LINE: cert-profile.own: .*no.key' 's|^key = .*|key = "pki/no.key"|'
refused "a key that does not match its certificate" 'bad.toml:LINE: cert-profile.own: .*match' 's|^key = .*|key = "pki/a.key"|'
refused "a key of another kind" 'bad.toml:LINE: cert-profile.own: .*match' 's|^key = .*|key = "rsa/b.key"|'
refused "anchors that hold nothing" 'bad.toml:LINE: trust-anchor-profile.demo: ' 's|^anchors = .*|anchors = ["pki/garbage.pem"]|'
refused "two ways to prove itself by psk" 'bad.toml:[0-9]+: tunnel.net: .*both psk' 's|^certificate = "own"|psk = "correct horse battery staple"\npsk-file = "x"|'
refused "no way to prove itself" 'bad.toml:[0-9]+: tunnel.net: has no way' '/^certificate = "own"/d'
refused "manual keys beside a certificate" 'bad.toml:[0-9]+: ' '$a [tunnel.net.manual]\nsuite = "aes128gcm16"\ninbound-spi = 300\ninbound-key = "00"\noutbound-spi = 300\noutbound-key = "00"'
rm "$WORK/bad.toml"
refused "no file at all" 'bad.toml'
head -c 5000 /dev/urandom > "$WORK/bad.toml"
refused "bytes that are no text" 'bad.toml'
: > "$WORK/bad.toml"; printf 'x = [' > "$WORK/bad.toml"
refused "a file cut short" 'bad.toml:1'

# What only the machine can refuse: the file is right, the device is not there.
sed 's/af_packet:wan0/af_packet:absent0/' "$WORK/good.toml" > "$WORK/bad.toml"
status=0
output=$(timeout 20 ip netns exec "$GWB" "$TARGET/ravelind" --socket "$WORK/bad.sock" --config "$WORK/bad.toml" 2>&1) || status=$?
[[ $status == 1 ]] || die "a device that is not there: exit $status: $output"
grep -q absent0 <<< "$output" || die "a device that is not there is not named: $output"
[[ ! -e $WORK/bad.sock && $(devices) == "$devices_before" ]] || die "a device that is not there: something was left: $(devices)"
say "  refused: a device that is not there"
say "  $kinds kinds of bad file, each by both programs"
