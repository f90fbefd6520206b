//! What may happen to a packet: selectors, the ordered policy of an instance, routes, neighbours.
//!
//! Control is the single writer ([`publish::Writer`]); each worker holds a [`publish::Reader`]
//! and looks up without a lock and without writing anything another core reads. The tables are
//! persistent ([`array`], [`trie`]): a change copies the path to what changed, so an update costs
//! O(prefixes changed), and what readers still hold stays valid until they hand it back.

pub mod array;
pub mod publish;
pub mod route;
pub mod selector;
pub mod spd;
pub mod table;
pub mod trie;
