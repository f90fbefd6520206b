#!/usr/bin/env python3
"""Sends UDP to nobody in particular, as evenly as the machine lets it, until a file appears; prints how many went.

    flood.py ADDRESS RATE SIZE UNTIL SECONDS

As many packets a second as the file RATE says, which may change, of SIZE octets of payload, for SECONDS at the longest. What
it was kept from sending it does not make up for, but for the twentieth of a second: a flood is not to become a burst."""

import os
import pathlib
import socket
import sys
import time

SLICE = 0.002
BEHIND = 0.05


def main():
    address, rate, size, until, seconds = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.connect((address, 9))
    payload, sent = b"\x5a" * size, 0
    start = last = time.monotonic()
    while last - start < seconds and not os.path.exists(until):
        time.sleep(SLICE)
        now = time.monotonic()
        sent += send(out, payload, int(min(now - last, BEHIND) * int(rate.read_text())))
        last = now
    print(sent)


def send(out, payload, count):
    sent = 0
    for _ in range(count):
        try:
            out.send(payload)
            sent += 1
        except OSError:
            pass  # an ICMP error about an earlier one is told here
    return sent


main()
