#!/usr/bin/env python3
"""Who may import whom: holds docs/design.md §1 against `cargo metadata` and the sources.

Crates may depend only on the crates listed here; inside the dataplane, a folder may use
only folders below it. Anything not listed is refused, so a new arrow is a decision."""
import json, pathlib, re, subprocess, sys

CRATES = {
    "dpdk-sys": set(),
    "dpdk": {"dpdk-sys"},
    "ravelin-mem": set(),
    "ravelin-cbc": set(),
    "ravelin-gcm": set(),
    "ravelin-dataplane": {"dpdk", "ravelin-cbc", "ravelin-gcm", "ravelin-mem"},
    "ravelin-ike": {"ravelin-gcm"},
    "ravelin-pki": set(),
    "ravelin-fetch": set(),
    "ravelin-ca": {"ravelin-pki", "ravelin-fetch"},
    "ravelin-control": {"dpdk", "ravelin-dataplane", "ravelin-gcm", "ravelin-mem", "ravelin-ike", "ravelin-pki", "ravelin-fetch"},
    "ravelin-benches": {"ravelin-gcm", "ravelin-mem", "ravelin-dataplane", "ravelin-ike", "ravelin-pki"},
    "ravelin-ike-fuzz": {"ravelin-gcm", "ravelin-ike"},
    "ravelin-dataplane-fuzz": {"ravelin-dataplane", "ravelin-gcm"},
    "ravelin-pki-fuzz": {"ravelin-pki"},
    "ravelin-fetch-fuzz": {"ravelin-fetch"},
    "ravelin-control-fuzz": {"ravelin-control"},
    "ravelin-perf": {"dpdk", "ravelin-gcm", "ravelin-mem", "ravelin-dataplane", "ravelin-ike", "ravelin-pki"},
}
# Inside the dataplane, lowest first: a folder may use those of its own storey and below. SAs
# hold selectors and policy names SAs; what crosses the link is a packet as nodes see it.
STOREYS = [{"net", "cipher"}, {"verdict"}, {"sa", "policy"}, {"io"}, {"link", "node", "trace"}, {"graph"}, {"worker"}]
STOREY = {folder: height for height, folders in enumerate(STOREYS) for folder in folders}


def crate_arrows():
    text = subprocess.run(["cargo", "metadata", "--format-version=1", "--no-deps", "--offline"],
                          check=True, capture_output=True, text=True).stdout
    for package in json.loads(text)["packages"]:
        for dependency in package["dependencies"]:
            if dependency.get("path") and dependency["kind"] is None:
                yield package["name"], dependency["name"]


def dataplane_arrows():
    root = pathlib.Path("dataplane/src")
    for path in sorted(root.rglob("*.rs")):
        here = path.relative_to(root).parts[0].removesuffix(".rs")
        text = re.sub(r"//.*", "", path.read_text().split("#[cfg(test)]")[0])
        for there in set(re.findall(r"\bcrate::(\w+)", text)):
            yield path, here, there


def main():
    wrong = []
    for crate, used in crate_arrows():
        if used not in CRATES.get(crate, set()):
            wrong.append(f"{crate} must not import {used}")
    for path, here, there in dataplane_arrows():
        if path.name != "dpdk.rs" and there == "dpdk":
            wrong.append(f"{path}: only io/dpdk.rs may import dpdk")
        if here in STOREY and there in STOREY and STOREY[there] > STOREY[here]:
            wrong.append(f"{path}: {here} must not use {there}")
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return bool(wrong)


sys.exit(main())
