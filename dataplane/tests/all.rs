//! One program for all of these: what they share is built once, and they run side by side.

mod common;

mod checks;
mod ciphers;
mod dummies;
mod fragments;
mod ip_tunnels;
mod leaks;
mod link;
mod manual;
mod mirrors;
mod noise;
mod overload;
mod own_sa;
mod packets;
mod padding;
mod rekey;
mod remembered;
mod suites;
mod taps;
mod threads;
mod transport;
mod tunnel;
