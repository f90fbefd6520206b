//! One tunnel with one peer: the states of its IKE SAs and CHILD_SAs, one struct per thing awaited, consumed to
//! advance.
//!
//! [`tunnel`] is the entry. [`call`], [`call_intermediate`] and [`call_auth`] set up as initiator, [`called`],
//! [`called_intermediate`], [`called_auth`] and [`called_second`] as responder, [`call_resume`] and [`called_resume`] by a ticket, with [`proof`], [`lookup`], [`second_auth`] and [`ppk`] in either role; [`up`] is what they lead to, where [`dispatch`] hands each input to an exchange: [`own_child`], [`peer_child`],
//! [`own_ike`], [`peer_ike`], with more key exchanges in [`own_followup`], [`peer_followup`]; [`informational`]; [`mobility`], with [`addresses`] and what of those is [`refused`]. [`backup`] is about peers of several addresses, [`busy`] about peers that put us off without end, [`crash`] about tokens that prove a peer's crash, [`reauthentication`] about proofs that count for a time, [`redirect`] about other gateways, [`tried`] about proofs that need not hold, [`resolution`] about those that have a name, [`resource`] about SAs for single resources, [`ticket`] and [`session`] about resumption, [`packet`] about those that want a child, [`guess`] about the group that a key exchange begins with, [`crossing`] is about two tunnels where one is meant. Routing between tunnels is left to [`crate::engine`].

pub(crate) mod addresses;
pub(crate) mod backup;
pub(crate) mod busy;
pub(crate) mod call;
pub(crate) mod call_auth;
pub(crate) mod call_intermediate;
pub(crate) mod call_resume;
pub(crate) mod called;
pub(crate) mod called_auth;
pub(crate) mod called_intermediate;
pub(crate) mod called_resume;
pub(crate) mod called_second;
pub(crate) mod child_deal;
pub(crate) mod children;
pub(crate) mod client;
pub(crate) mod common;
pub(crate) mod crash;
pub(crate) mod crossing;
pub(crate) mod dispatch;
pub(crate) mod fragments;
pub(crate) mod guess;
pub(crate) mod handshake;
pub(crate) mod ike_sa;
pub(crate) mod informational;
pub(crate) mod invalid_spi;
pub(crate) mod line;
pub(crate) mod lookup;
pub(crate) mod methods;
pub(crate) mod mobility;
pub(crate) mod mode;
pub(crate) mod nat;
pub(crate) mod own_child;
pub(crate) mod own_followup;
pub(crate) mod own_ike;
pub(crate) mod packet;
pub(crate) mod parts;
pub(crate) mod peer_child;
pub(crate) mod peer_child_reply;
pub(crate) mod peer_followup;
pub(crate) mod peer_ike;
pub(crate) mod phase;
pub(crate) mod ppk;
pub(crate) mod proof;
pub(crate) mod reauthentication;
pub(crate) mod redirect;
pub(crate) mod refused;
pub(crate) mod resolution;
pub(crate) mod resource;
pub(crate) mod schedule;
pub(crate) mod second_auth;
pub(crate) mod session;
pub(crate) mod ticket;
pub(crate) mod tried;
pub(crate) mod tunnel;
pub(crate) mod turn;
pub(crate) mod up;
pub(crate) mod waits;
