//! What may happen to a packet: selectors, the ordered policy of an instance, routes, neighbours.
//!
//! Control is the single writer ([`table::Tables`] in a [`publish::Writer`]); each worker holds a
//! [`publish::Reader`] and looks up in its [`view::View`] without a lock and without writing anything another
//! core reads. Routes and tunnels are words changed in place ([`pool`], [`fib`], [`hop`], [`tunnel`]);
//! what changes rarely is persistent ([`array`], [`trie`]), copied where it changes and shared elsewhere.
//! Either way what a reader may still look at stays valid until it has passed on.

pub mod array;
pub mod fib;
pub mod hop;
pub mod ip_tunnel;
pub mod pool;
pub mod publish;
pub mod route;
pub mod selector;
pub mod spd;
pub mod table;
pub mod trie;
pub mod tunnel;
pub mod view;
