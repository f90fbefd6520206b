# Two tunnels between gateways A and B, `net` and `more`, and workers of A that are told to stand still. Source it after
# scenario.sh.
#
# A's devices have one queue each, the first worker's, so that what is lost is other workers' doing
# alone. They are none that ravelind cages, so this does.

# also NAMESPACE NUMBER PEER'S-NUMBER: the host is in the second network too.
also() {
  ip -n "$1" addr add "10.2$2.0.2/24" dev eth0
  ip -n "$1" route add "10.2$3.0.0/24" via "10.2$2.0.1" src "10.2$2.0.2"
}
cage() { # DEVICE: the kernel's stack in gateway A sees nothing of it
  in_ns "$GWA" nft "add table netdev $1; add chain netdev $1 in { type filter hook ingress device $1 priority 0; policy drop; }"
  in_ns "$GWA" sysctl -qw "net.ipv6.conf.$1.disable_ipv6=1"
}
owner() { rv a --json show sa | jq -r --arg t "$1" '[.sas[] | select(.tunnel == $t) | .worker] | unique | join(" ")'; }
owned() { [[ $(owner "$1") == "$2" ]]; }
spis() { rv a --json show sa | jq -c --arg t "$1" '[.sas[] | select(.tunnel == $t) | .spi] | sort'; }
polls() { rv a --json show workers | jq -e --argjson w "$1" --argjson is "$2" '.workers[] | select(.id == $w) | .alive == $is' > /dev/null; }
event() { rv a --json events | jq -e --arg w "$1" '[.events[] | select(.what == $w)] | length > 0' > /dev/null; }
stand_still() { # WORKER SECONDS
  local call='{"jsonrpc":"2.0","id":1,"method":"test.stand-still","params":{"worker":%d,"milliseconds":%d}}\n'
  # shellcheck disable=SC2059
  printf "$call" "$1" $(($2 * 1000)) | socat -t 2 - "UNIX-CONNECT:$WORK/a.sock"
}
needs_stalls() { stand_still 7 0 | grep -q '"kind":"done"' || { say "skipped: this ravelind has no test.stand-still"; exit 77; }; }
between() { # the hosts of a tunnel: A's, then B's
  if [[ $1 == net ]]; then echo 10.1.0.2 10.2.0.2; else echo 10.21.0.2 10.22.0.2; fi
}
# two_tunnels WORKERS: network and configurations; A has so many workers, which share the processors there are.
two_tunnels() {
  local cores; cores=$(seq 0 $(($1 - 1)) | awk -v n="$(nproc)" '{ print ($1 < n) ? $1 : n - 1 }' | paste -sd,)
  net_up
  also "$HA" 1 2
  also "$HB" 2 1
  cage wan0
  cage lan0
  configure_ravelin a b psk aes128 "$1"
  configure_ravelin b a psk aes128 1
  sed -i 's/"af_packet:\(.*\)", add/"vdev:net_af_packet,iface=\1", add/; s|"10.1.0.1/24"|&, "10.21.0.1/24"|' "$WORK/a.toml"
  sed -i 's|"10.2.0.1/24"|&, "10.22.0.1/24"|' "$WORK/b.toml"
  sed -i "s/^cores = .*/cores = [$cores]/" "$WORK/a.toml"
  more a b 1 2 >> "$WORK/a.toml"; more b a 2 1 >> "$WORK/b.toml"
}
