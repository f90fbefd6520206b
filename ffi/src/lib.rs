//! Safe DPDK: EAL, pools, mbufs, bursts, ports. Knows nothing of IPsec.
