//! AES-GCM over bursts of packets, each under its own key.
