//! Raw bindings to DPDK 22.11 and a C shim for its static-inline functions.
