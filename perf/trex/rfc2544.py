#!/usr/bin/env python3
"""NDR and PDR 0.5 % with TRex, by the search of RFC 2544 section 26.1, and latency at parts of the NDR.

    PYTHONPATH=/opt/trex/automation/trex_control_plane/interactive perf/trex/rfc2544.py \
        --server 127.0.0.1 --tunnels 1000 --sizes 64,imix,1420 > result.csv

Needs a TRex server in stateless mode with ports 0 and 1 (see docs/benchmarking.md). Every rate that is printed
was tried and passed, the last time for `--confirm` seconds.
"""
import argparse
import csv
import sys

PORTS = [0, 1]


def highest(trial, tolerance, top=100.0, resolution=0.1):
    """The highest rate (percent of the line) whose trial loses no more than `tolerance` of the packets.

    `trial(rate)` returns packets sent and received. Returns (rate, sent, received), zeros if none passed."""
    low, high, rate, best = 0.0, top, top, (0.0, 0, 0)
    while True:
        sent, received = trial(rate)
        if sent <= 0:
            raise RuntimeError("nothing was sent")
        if sent - received <= sent * tolerance:
            best, low = (rate, sent, received), rate
        else:
            high = rate
        if rate == top and low == top or high - low <= resolution:
            return best
        rate = (low + high) / 2


class Bench:
    def __init__(self, client, options):
        self.client, self.options = client, options

    def load(self, size, latency=False):
        from ravelin_stl import Ravelin  # beside this file
        tunables = ["--tunnels", str(self.options.tunnels), "--flows", str(self.options.flows), "--size", size]
        tunables += ["--latency", str(int(latency))]
        self.client.reset(ports=PORTS)
        for port in PORTS:
            self.client.add_streams(Ravelin().get_streams(direction=port, tunables=tunables), ports=[port])

    def trial(self, rate, seconds):
        self.client.clear_stats()
        self.client.start(ports=PORTS, mult=f"{rate}%", duration=seconds, force=True)
        self.client.wait_on_traffic(ports=PORTS, rx_delay_ms=2000)
        stats = self.client.get_stats()
        sent = sum(stats[port]["opackets"] for port in PORTS)
        received = sum(stats[port]["ipackets"] for port in PORTS)
        print(f"  {rate:6.2f} %: {sent} sent, {received} received, {sent - received} lost", file=sys.stderr)
        return sent, received

    def confirmed(self, tolerance):
        top, options = 100.0, self.options
        while top > options.resolution:
            found = highest(lambda rate: self.trial(rate, options.trial), tolerance, top, options.resolution)
            if found[0] == 0:
                return found
            sent, received = self.trial(found[0], options.confirm)
            if sent - received <= sent * tolerance:
                return found[0], sent, received
            top = found[0] - options.resolution
        return 0.0, 0, 0

    def latency(self, size, rate):
        """Microseconds at that rate, both directions: (average, largest, jitter)."""
        self.load(size, latency=True)
        self.trial(rate, self.options.trial)
        groups = [self.client.get_stats()["latency"][port + 1]["latency"] for port in PORTS]
        return tuple(max(group[key] for group in groups) for key in ("average", "total_max", "jitter"))


def run(options):
    from trex_stl_lib.api import STLClient
    client = STLClient(server=options.server)
    client.connect()
    try:
        bench, out = Bench(client, options), csv.writer(sys.stdout)
        out.writerow("kind,tunnels,size,percent_of_line,packets_per_second,sent,received,load,average_us,largest_us,jitter_us".split(","))
        for size in options.sizes.split(","):
            for kind, tolerance in (("NDR", 0.0), ("PDR", 0.005)):
                bench.load(size)
                rate, sent, received = bench.confirmed(tolerance)
                row = [kind, options.tunnels, size, f"{rate:.2f}", f"{received / options.confirm:.0f}", sent, received]
                out.writerow(row + ["", "", "", ""])
                if kind == "NDR" and rate > 0:
                    for share in (0.1, 0.5, 0.9):
                        out.writerow(["latency", options.tunnels, size, f"{rate * share:.2f}", "", "", "", share,
                                      *bench.latency(size, rate * share)])
    finally:
        client.disconnect()


def selftest():
    """The search against devices that are known."""
    for capacity in (0.3, 7, 33.3, 99.95):
        for tolerance in (0.0, 0.005):
            count = []

            def trial(rate, capacity=capacity, count=count):
                count.append(rate)
                sent = int(rate * 100_000)
                return sent, min(sent, int(capacity * 100_000))

            rate, sent, received = highest(trial, tolerance)
            assert len(count) <= 11, count
            assert sent - received <= sent * tolerance
            assert -1e-9 <= min(100, capacity / (1 - tolerance)) - rate <= 0.1 + 1e-9, (capacity, tolerance, rate)
    assert highest(lambda rate: (10, 0), 0.005)[0] == 0
    assert highest(lambda rate: (10, 10), 0)[0] == 100
    print("search: ok")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="127.0.0.1")
    parser.add_argument("--tunnels", type=int, default=1)
    parser.add_argument("--flows", type=int, default=16)
    parser.add_argument("--sizes", default="64,imix,1420")
    parser.add_argument("--trial", type=int, default=10, help="seconds of a trial")
    parser.add_argument("--confirm", type=int, default=60, help="seconds of the last trial")
    parser.add_argument("--resolution", type=float, default=0.1, help="percent of the line")
    parser.add_argument("--selftest", action="store_true", help="the search alone, without TRex")
    given = parser.parse_args()
    selftest() if given.selftest else run(given)
