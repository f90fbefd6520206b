# What the scenarios of ip-tunnels share: a judge of scapy's at a gateway B made of the judge's own configuration. Source it
# after scenario.sh.

# tunnels_up: whether every ip-tunnel of gateway B is.
tunnels_up() { rv b --json show ip-tunnels | jq -e '.ip_tunnels | length > 0 and all(.up)'; }

# judged ORACLE COUNT WORKERS: scripts/lib/ORACLE.py against a gateway B of so many workers.
judged() {
  "$PYTHON" "scripts/lib/$1.py" configuration "$3" > "$WORK/b.toml"
  start_ravelind "$GWB" b
  soon 5 "the ip-tunnels are up" tunnels_up
  "$PYTHON" "scripts/lib/$1.py" judge "$GWA" "$HB" "$GWB" "$WORK/b.sock" "$2" || die "the judge"
  hold "ravelind is alive" alive b
  stop b
}
