#!/usr/bin/env bash
# Two private instances that use the same addresses, on each of two ravelinds.
#
#   host A red  --- [red]  \                                    / [red]  --- host B red
#                    ravelind A === public segment === ravelind B
#   host A blue --- [blue] /                                    \ [blue] --- host B blue
#
# All hosts A are 10.1.0.2 and all hosts B 10.2.0.2, in 10.0.0.0/8; two tunnels between the
# same gateways. Each host must reach its own counterpart and never the other's; with one
# tunnel down its hosts reach nobody.
. "$(dirname "$0")/../lib/scenario.sh"

side_number() { [[ $1 == a ]] && echo 1 || echo 2; }
gateway() { [[ $1 == a ]] && echo "$GWA" || echo "$GWB"; }
host() { [[ $1 == a ]] && echo "$HA" || echo "$HB"; }
instances_down() {
  local side colour
  for side in a b; do for colour in red blue; do
    ip netns del "$(gateway $side)$colour" 2> /dev/null || :
    ip netns del "$(host $side)$colour" 2> /dev/null || :
  done; done
}
trap 'status=$?; ((status)) && scenario_logs; net_cleanup; instances_down' EXIT

instance_up() { # SIDE COLOUR: the instance's namespace with its lan0, and the host behind it
  local inside outside number; inside=$(gateway "$1")$2 outside=$(host "$1")$2 number=$(side_number "$1")
  ip netns add "$inside"; ip netns add "$outside"
  ip link add lan0 netns "$inside" type veth peer name eth0 netns "$outside"
  ip -n "$inside" link set lo up; ip -n "$outside" link set lo up
  ip -n "$inside" link set lan0 up; ip -n "$outside" link set eth0 up
  in_ns "$inside" ethtool -K lan0 tx off rx off tso off gso off gro off > /dev/null 2>&1 || :
  in_ns "$outside" ethtool -K eth0 tx off rx off tso off gso off gro off > /dev/null 2>&1 || :
  ip -n "$outside" addr add "10.$number.0.2/16" dev eth0
  ip -n "$outside" route add default via "10.$number.0.1"
}
tunnel() { # ME PEER COLOUR
  local mine theirs; mine=$(side_number "$1") theirs=$(side_number "$2")
  cat <<C
[instance.$3]
namespace = "$(gateway "$1")$3"
[port.$3]
device = "af_packet:lan0"
namespace = "$(gateway "$1")$3"
[interface.lan-$3]
port = "$3"
instance = "$3"
addresses = ["10.$mine.0.1/16"]
[tunnel.$3]
local = "192.0.2.$mine"
remote = "192.0.2.$theirs"
local-id = "$3.$1.example"
remote-id = "$3.$2.example"
psk = "$PSK $3"
private-instance = "$3"
local-ts = ["10.$mine.0.0/16"]
remote-ts = ["10.$theirs.0.0/16"]
C
}
configure() { # ME PEER WORKERS
  {
    echo "interface.wan = { device = \"af_packet:wan0\", addresses = [\"192.0.2.$(side_number "$1")/24\"] }"
    echo "workers.count = $3"
    echo "workers.cores = [$(seq -s, 0 $(($3 - 1)))]"
    tunnel "$1" "$2" red
    tunnel "$1" "$2" blue
  } > "$WORK/$1.toml"
  "$TARGET/ravelin" config check "$WORK/$1.toml" > /dev/null || die "configuration refused"
}
# asks SIDE COLOUR ADDRESS ANSWER: who is there?
asks() { [[ $(in_ns "$(host "$1")$2" timeout 3 socat -u "TCP:$3:7001,connect-timeout=2" - 2> /dev/null) == "$4" ]]; }

net_up
for side in a b; do for colour in red blue; do
  instance_up $side $colour
  ip netns exec "$(host $side)$colour" socat -U "TCP-LISTEN:7001,reuseaddr,fork" "EXEC:echo $colour $side" 2> /dev/null &
  PIDS+=($!)
done; done
configure a b 1
configure b a 2
start_ravelind "$GWA" a
start_ravelind "$GWB" b
rv b initiate red > /dev/null
soon 15 "red is up" tunnel_up b red
soon 5 "red A reaches red B" asks a red 10.2.0.2 "red b"
hold "blue A does not reach red B" not asks a blue 10.2.0.2 "red b"
rv a initiate blue > /dev/null
soon 15 "blue is up" tunnel_up b blue
soon 5 "blue B reaches blue A" asks b blue 10.1.0.2 "blue a"
hold "blue A reaches blue B" asks a blue 10.2.0.2 "blue b"
hold "red A still reaches red B" asks a red 10.2.0.2 "red b"
hold "red B reaches red A" asks b red 10.1.0.2 "red a"
ike_cut # or the next packet would bring it up again
rv b terminate red > /dev/null
soon 10 "red is down" tunnel_down b red
hold "red A reaches nobody" not in_ns "${HA}red" ping -c 2 -i 0.2 -W 1 10.2.0.2
hold "blue A still reaches blue B" asks a blue 10.2.0.2 "blue b"
