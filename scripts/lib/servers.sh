# Servers that gateways fetch from. Source it after net.sh, with SERVERS the namespace they live in.

# start NAME PORT COMMAND...: a server, until somebody listens on the port.
start() {
  local name=$1 port=$2; shift 2
  ip netns exec "$SERVERS" "$@" > "$WORK/$name.log" 2>&1 &
  PIDS+=($!)
  eval "PID_$name=$!"
  wait_for 10 listens "$port" || die "$name did not start"
}
listens() { in_ns "$SERVERS" ss -Hlntu | awk '{ print $5 }' | grep -q ":$1\$"; }
