# A path of two routers in place of the public segment, of which only the middle is narrow. Source it after scenario.sh.
#
#   gateway A --- router ===1300=== router --- gateway B
#   198.51.100.1   .254               .254   192.0.2.2      and the same in IPv6
MID=rvmid$NET_ID
trap 'status=$?; ((status == 0 || status == 77)) || scenario_logs; ip netns del "$MID" 2> /dev/null || :; net_cleanup' EXIT

# Two routers in place of the segment.
routers_up() {
  ip netns add "$MID"
  ip -n "$MID" link set lo up
  local dev
  for dev in to-a to-b; do ip -n "$PUB" link set "$dev" nomaster; done
  in_ns "$PUB" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0
  ip -n "$PUB" link set to-a netns "$MID"
  link "$PUB" mid 10.99.0.2/24 "$MID" mid 10.99.0.1/24
  ip -n "$MID" link set to-a up
  router "$MID" to-a 198.51.100.254/24 2001:db8:a::fe/64 1
  router "$PUB" to-b 192.0.2.254/24 2001:db8::fe/64 2
  ip -n "$MID" route add 192.0.2.0/24 via 10.99.0.2
  ip -n "$PUB" route add 198.51.100.0/24 via 10.99.0.1
  ip -n "$MID" -6 route add 2001:db8::/64 via fd99::2
  ip -n "$PUB" -6 route add 2001:db8:a::/64 via fd99::1
}
router() { # NAMESPACE DEVICE ADDRESS ADDRESS6 NUMBER
  in_ns "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0
  in_ns "$1" ethtool -K "$2" tx off rx off tso off gso off gro off > /dev/null 2>&1 || :
  ip -n "$1" addr add "$3" dev "$2"
  ip -n "$1" addr add "$4" dev "$2" nodad
  ip -n "$1" addr add "fd99::$5/64" dev mid nodad
}
wide() { ip -n "$PUB" link set mid mtu "$1"; ip -n "$MID" link set mid mtu "$1"; }
# Routers that say nothing of what does not fit, and that speak again.
mute() {
  local ns
  for ns in "$PUB" "$MID"; do
    in_ns "$ns" nft -f - <<'N'
table inet mute {
  chain output {
    type filter hook output priority 0; policy accept;
    icmp type destination-unreachable drop
    icmpv6 type packet-too-big drop
  }
}
N
  done
}
speak() { in_ns "$PUB" nft delete table inet mute; in_ns "$MID" nft delete table inet mute; }
# Of the configurations: gateway A is behind its router.
moved() { sed -i 's|192.0.2.1\b|198.51.100.1|; s|2001:db8::1\b|2001:db8:a::1|' "$@"; }
# routes a|b DEVICE: the kernel's, as a routing daemon would make them: workers follow them, and echoes are the kernel's.
routes() {
  case $1 in
    a) ip -n "$GWA" route add 192.0.2.0/24 via 198.51.100.254 dev "$2"
      ip -n "$GWA" -6 route add 2001:db8::/64 via 2001:db8:a::fe dev "$2" ;;
    b) ip -n "$GWB" route add 198.51.100.0/24 via 192.0.2.254 dev "$2"
      ip -n "$GWB" -6 route add 2001:db8:a::/64 via 2001:db8::fe dev "$2" ;;
  esac
}
# too_large: packets that the routers could not send on.
too_large() {
  local ns
  for ns in "$PUB" "$MID"; do in_ns "$ns" nstat -asz IpFragFails Ip6InTooBigErrors; done | awk '/Frag|TooBig/ { sum += $2 } END { print sum + 0 }'
}
