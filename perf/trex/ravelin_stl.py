"""TRex stateless profile: UDP to every tunnel and flow of the bench in docs/benchmarking.md.

    start -f perf/trex/ravelin_stl.py -m 10% --port 0 1 -t --tunnels 1000 --flows 16 --size imix

Port 0 is a host behind gateway A (10.1.0.9), port 1 the networks behind gateway B: tunnel n leads to the nth
/24 of 20.0.0.0. `--size` is octets of the inner IP packet, or `imix` (7 of 64, 4 of 576, 1 of 1420 in 12).
`--latency 1` adds a thin stream in each direction whose packets are stamped, for latency and jitter.
"""
import argparse

from trex_stl_lib.api import (
    IP, UDP, Ether, STLFlowLatencyStats, STLPktBuilder, STLScVmRaw, STLStream, STLTXCont,
    STLVmFixIpv4, STLVmFlowVar, STLVmWrFlowVar,
)

IMIX = ((64, 7), (576, 4), (1420, 1))
HOST = "10.1.0.9"
FIRST = (20 << 24) + 9
# Packets a second of a whole mix at multiplier 1; -m sets the true rate.
BASE = 12


def address(number):
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def engine(tunnels, flows, field):
    """Every packet to the next tunnel; after a round of them from the next port."""
    last = FIRST + ((tunnels - 1) << 8)
    return STLScVmRaw([
        STLVmFlowVar(name="remote", min_value=address(FIRST), max_value=address(last), size=4, step=256, op="inc"),
        STLVmWrFlowVar(fv_name="remote", pkt_offset=field),
        STLVmFlowVar(name="port", min_value=1024, max_value=1023 + flows, size=2, op="random"),
        STLVmWrFlowVar(fv_name="port", pkt_offset="UDP.sport"),
        STLVmFixIpv4(offset="IP"),
    ])


def packet(octets, direction, vm=None):
    source, destination = (HOST, address(FIRST)) if direction == 0 else (address(FIRST), HOST)
    head = Ether() / IP(src=source, dst=destination, ttl=64) / UDP(sport=1024, dport=5001, chksum=0)
    payload = b"r" * max(0, octets - 28)
    return STLPktBuilder(pkt=head / payload, vm=vm)


class Ravelin:
    def get_streams(self, direction=0, tunables=(), **_):
        parser = argparse.ArgumentParser(prog="ravelin_stl.py")
        parser.add_argument("--tunnels", type=int, default=1)
        parser.add_argument("--flows", type=int, default=16)
        parser.add_argument("--size", default="64")
        parser.add_argument("--latency", type=int, default=0)
        options = parser.parse_args(list(tunables))
        if not 1 <= options.tunnels <= 32000:
            raise ValueError("tunnels: 1 to 32000")
        sizes = IMIX if options.size == "imix" else ((int(options.size), BASE),)
        vm = engine(options.tunnels, options.flows, "IP.dst" if direction == 0 else "IP.src")
        streams = [
            STLStream(packet=packet(octets, direction, vm), mode=STLTXCont(pps=weight)) for octets, weight in sizes
        ]
        if options.latency:
            # The stamp is 16 octets at the end of the packet; 64 octets of IP hold it.
            stats = STLFlowLatencyStats(pg_id=direction + 1)
            streams.append(STLStream(packet=packet(64, direction), mode=STLTXCont(pps=1000), flow_stats=stats))
        return streams


def register():
    return Ravelin()
