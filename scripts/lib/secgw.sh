# DPDK's ipsec-secgw as gateway A, on the network of net.sh. Source it after scenario.sh.
#
# Its keys, neighbours and policies are static. The kernel of its namespace keeps the
# addresses, so that ARP and ND are answered, and is silent otherwise.

SECGW_KEY4=101112131415161718191a1b1c1d1e1fdeadbeef
SECGW_KEY6=202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3fcafebabe

colons() { sed 's/../&:/g; s/:$//' <<< "$1"; }
mac() { ip -n "$1" -j link show "$2" | jq -r '.[0].address'; }

# configure_secgw ME MY-ADDRESSES(4 6) MY-NETS(4 6) PEER... : writes $WORK/NAME.cfg
# The SPIs: 1005 and 1006 to gateway A, 2005 and 2006 from it.
configure_secgw() {
  cat > "$WORK/secgw.cfg" <<C
sp ipv4 out esp protect 2005 pri 1 dst 10.2.0.0/24 sport 0:65535 dport 0:65535
sp ipv4 in esp protect 1005 pri 1 dst 10.1.0.0/24 sport 0:65535 dport 0:65535
sp ipv6 out esp protect 2006 pri 1 dst fd00:0002:0000:0000:0000:0000:0000:0000/64 sport 0:65535 dport 0:65535
sp ipv6 in esp protect 1006 pri 1 dst fd00:0001:0000:0000:0000:0000:0000:0000/64 sport 0:65535 dport 0:65535
sa out 2005 aead_algo aes-128-gcm aead_key $(colons $SECGW_KEY4) mode ipv4-tunnel src 192.0.2.1 dst 192.0.2.2
sa in 1005 aead_algo aes-128-gcm aead_key $(colons $SECGW_KEY4) mode ipv4-tunnel src 192.0.2.2 dst 192.0.2.1
sa out 2006 aead_algo aes-256-gcm aead_key $(colons $SECGW_KEY6) mode ipv6-tunnel src 2001:0db8:0000:0000:0000:0000:0000:0001 dst 2001:0db8:0000:0000:0000:0000:0000:0002
sa in 1006 aead_algo aes-256-gcm aead_key $(colons $SECGW_KEY6) mode ipv6-tunnel src 2001:0db8:0000:0000:0000:0000:0000:0002 dst 2001:0db8:0000:0000:0000:0000:0000:0001
rt ipv4 dst 192.0.2.0/24 port 0
rt ipv4 dst 10.1.0.0/24 port 1
rt ipv6 dst 2001:0db8:0000:0000:0000:0000:0000:0000/64 port 0
rt ipv6 dst fd00:0001:0000:0000:0000:0000:0000:0000/64 port 1
neigh port 0 $(mac "$GWB" wan0)
neigh port 1 $(mac "$HA" eth0)
C
}

# start_secgw BINARY [OPTIONS...]: in gateway A's namespace; its log is $WORK/secgw.log.
start_secgw() {
  local binary=$1; shift
  ip netns exec "$GWA" "$binary" -l 0 --no-huge -m 512 --no-pci --no-telemetry --file-prefix "rvsecgw$NET_ID" --log-level 5 \
    --vdev net_af_packet0,iface=wan0 --vdev net_af_packet1,iface=lan0 --vdev crypto_openssl0 \
    -- -p 0x3 -P -u 0x1 -l -w 1024 -s 8192 "$@" --config "(0,0,0),(1,0,0)" -f "$WORK/secgw.cfg" > "$WORK/secgw.log" 2>&1 < /dev/null &
  PID_secgw=$!
  PIDS+=("$PID_secgw")
}
