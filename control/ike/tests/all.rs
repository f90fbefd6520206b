//! One program for all of these: what they share is built once, and they run side by side.

mod harness;

mod additional;
mod additional_ts;
mod attempts;
mod caps;
mod certificates;
mod childless;
mod children;
mod clients;
mod collisions;
mod crash;
mod crossings;
mod ecdsa_methods;
mod gateway;
mod half_open;
mod lockout;
mod mobike;
mod null_auth;
mod ppk;
mod profile;
mod reauthentication;
mod redirect;
mod rekey_limits;
mod resources;
mod responder_only;
mod resume;
mod rfc7296_messages;
mod rfc7296_sas;
mod scenarios;
mod second_auth;
mod sim;
mod stapling;
mod suites;
mod unique;
mod watch;
