#!/usr/bin/env bash
# DPDK's own capture beside ours: dpdk-dumpcap attaches to a running gateway whose packet memory is in huge pages.
#
#   host A --- ravelind === public segment === ravelind --- host B
#
# Gateway B has `huge-pages-mb`. While host A pings host B, dpdk-dumpcap copies frames of each of its ports: on the public one
# ESP in both directions and nothing in clear, on the private one the same pings in clear. The gateway goes on when it detaches
# and when it attaches again. Gateway A, which has ordinary pages, cannot be attached to.
. "$(dirname "$0")/../lib/scenario.sh"
command -v dpdk-dumpcap > /dev/null || { say "skipped: dpdk-dumpcap is missing"; exit 77; }

PAGES=/sys/kernel/mm/hugepages/hugepages-2048kB
MEGABYTES=256
HAD=$(cat $PAGES/nr_hugepages)
missing=$((MEGABYTES / 2 - $(cat $PAGES/free_hugepages)))
give_back() { echo "$HAD" > $PAGES/nr_hugepages; }
if ((missing > 0)); then echo $((HAD + missing)) > $PAGES/nr_hugepages; fi
HUGE=$(mktemp -d /tmp/ravelin-huge.XXXXXX)
mount -t hugetlbfs none "$HUGE"
give_back() {
  umount "$HUGE" && rmdir "$HUGE"
  echo "$HAD" > $PAGES/nr_hugepages
}
(($(cat $PAGES/free_hugepages) >= MEGABYTES / 2)) || { say "skipped: no $MEGABYTES MB of huge pages can be had"; exit 77; }

PREFIX=rv$$
# dumpcap PORT COUNT FILE: that many frames, or 20 s.
dumpcap() { timeout 30 dpdk-dumpcap --file-prefix="$PREFIX" -i "$1" -c "$2" -a duration:20 -P -w "$3" > "$WORK/dumpcap.out" 2>&1; }
# during_pings PORT FILE: captures 40 frames while host A pings host B.
during_pings() {
  ip netns exec "$HA" ping -q -i 0.05 -c 400 -W 1 10.2.0.2 > "$WORK/ping.out" 2>&1 &
  local pinging=$!
  dumpcap "$1" 40 "$2" || { kill $pinging; cat "$WORK/dumpcap.out" >&2; return 1; }
  kill -INT $pinging; wait $pinging || :
}
lost_none() { grep -q ' 0% packet loss' "$WORK/ping.out"; }
counted() { tcpdump -Z root -nn -r "$1" "$2" 2> /dev/null | wc -l; }

net_up
configure_ravelin a b psk aes128 1
configure_ravelin b a psk aes128 2
printf '\n[eal]\nhuge-pages-mb = %s\narguments = ["--file-prefix=%s", "--huge-dir=%s"]\n' "$MEGABYTES" "$PREFIX" "$HUGE" >> "$WORK/b.toml"
start_ravelind "$GWA" a
start_ravelind "$GWB" b
rv b initiate net > /dev/null
soon 10 "host A reaches host B" in_ns "$HA" ping -c 1 -W 1 10.2.0.2
wan=$(rv b --json show ports | jq '[.ports[].name] | index("wan")')
lan=$(rv b --json show ports | jq '[.ports[].name] | index("lan")')

say "the public port"
hold "dpdk-dumpcap copies frames" during_pings "$wan" "$WORK/wan.pcapng"
hold "ESP that comes" test "$(counted "$WORK/wan.pcapng" 'src 192.0.2.1 and proto 50')" -ge 10
hold "ESP that leaves" test "$(counted "$WORK/wan.pcapng" 'src 192.0.2.2 and proto 50')" -ge 10
hold "nothing in clear" test "$(counted "$WORK/wan.pcapng" "$CLEAR_FILTER")" = 0
hold "no ping is lost meanwhile" lost_none
say "the private port, by another that attaches"
hold "dpdk-dumpcap copies frames" during_pings "$lan" "$WORK/lan.pcapng"
hold "pings, both ways" test "$(counted "$WORK/lan.pcapng" 'icmp[icmptype] == icmp-echo')" -ge 10 -a "$(counted "$WORK/lan.pcapng" 'icmp[icmptype] == icmp-echoreply')" -ge 10
hold "no ping is lost meanwhile" lost_none
hold "ravelind is alive" alive b
hold "host A pings host B" pings "$HA" 10.2.0.2
say "ordinary pages"
PREFIX=unshared
hold "nothing to attach to" not dumpcap 0 1 "$WORK/a.pcapng"
stop b
