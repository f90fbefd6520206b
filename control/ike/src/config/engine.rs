//! Limits and timers of the engine as a whole, each with its reason.

use crate::crypto::{CrashSecret, TicketKeys};
use std::time::Duration;

/// Settings shared by all connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// When requests are sent again.
    pub retransmission: Retransmission,
    /// What strangers may cost us.
    pub half_open: HalfOpenLimits,
    /// UDP port of IKE (RFC 7296 §2).
    pub port: u16,
    /// UDP port of IKE and ESP with NAT traversal (RFC 3948).
    pub nat_port: u16,
    /// Most IKE SAs, of any state. Beyond it IKE_SA_INIT requests are dropped.
    pub max_ike_sas: usize,
    /// How long an exchange waits for an answer to a want before it fails.
    pub answer_timeout: Duration,
    /// How long a replaced inbound SA is kept for packets still on their way (RFC 7296 §2.8).
    pub drain: Duration,
    /// How long what was sent by an SA may take to reach a peer that takes it out at our word.
    pub passage: Duration,
    /// How long a closed IKE SA still answers retransmissions of the request that closed it.
    pub linger: Duration,
    /// How long an initiator keeps listening for a better reply after an unprotected error notification,
    /// which anybody could have sent (RFC 7296 §2.21.1).
    pub unprotected_patience: Duration,
    /// Wait before a rekey is tried again after TEMPORARY_FAILURE (RFC 7296 §2.25), before jitter.
    pub retry: Duration,
    /// How long fragments of one message are collected (RFC 7383 §2.6.1).
    pub reassembly_timeout: Duration,
    /// Largest message taken, in octets: one datagram, or the payloads of one that came in fragments (RFC 7383). RFC
    /// 7296 §2 calls for 3000; long chains of certificates need 20,000. With `half_open.limit` it bounds what
    /// strangers can make us hold.
    pub max_message: usize,
    /// Unprotected error replies per second, to IKE_SA_INIT requests and, counted apart, INVALID_IKE_SPI; more are not
    /// worth the amplification.
    pub error_replies_per_second: u32,
    /// What crash tokens are made with (RFC 6290); `None` makes and gives out none. Peers' tokens are always heeded.
    pub crash_secret: Option<CrashSecret>,
    /// What tickets are sealed with (RFC 5723); `None` gives and takes none. The engine goes on with them from there.
    pub ticket_keys: Option<TicketKeys>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            retransmission: Retransmission::default(),
            half_open: HalfOpenLimits::default(),
            port: 500,
            nat_port: 4500,
            max_ike_sas: 131_072,
            answer_timeout: Duration::from_secs(20),
            drain: Duration::from_secs(5),
            passage: Duration::from_millis(100),
            linger: Duration::from_secs(10),
            unprotected_patience: Duration::from_secs(4),
            retry: Duration::from_secs(5),
            reassembly_timeout: Duration::from_secs(5),
            max_message: 32_768,
            error_replies_per_second: 64,
            crash_secret: None,
            ticket_keys: None,
        }
    }
}

/// Retransmission of requests: after `first`, then doubling (RFC 7296 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retransmission {
    /// Wait before the first retransmission.
    pub first: Duration,
    /// Retransmissions before the peer is declared unreachable. Seven after half a second end at 127.5 s.
    pub tries: u32,
}

impl Default for Retransmission {
    fn default() -> Self {
        Retransmission { first: Duration::from_millis(500), tries: 7 }
    }
}

/// Limits on what an unauthenticated initiator can make us keep or compute (RFC 7296 §2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HalfOpenLimits {
    /// Half-open IKE SAs from which on a COOKIE is demanded. A cookie costs us one hash and no memory. `None` demands
    /// none, and whoever invents addresses keeps everybody else out.
    pub cookie_threshold: Option<usize>,
    /// Half-open IKE SAs at which IKE_SA_INIT requests are dropped, cookie or not.
    pub limit: usize,
    /// Half-open IKE SAs one remote address may have; a NAT full of clients shares it.
    pub per_address: usize,
    /// Life of a half-open IKE SA.
    pub timeout: Duration,
    /// Life of a half-open IKE SA while cookies are demanded.
    pub reduced_timeout: Duration,
    /// Life of a cookie secret; the previous one is accepted for as long again.
    pub cookie_rotation: Duration,
}

impl Default for HalfOpenLimits {
    fn default() -> Self {
        HalfOpenLimits {
            cookie_threshold: Some(64),
            limit: 8192,
            per_address: 256,
            timeout: Duration::from_secs(30),
            reduced_timeout: Duration::from_secs(2),
            cookie_rotation: Duration::from_secs(60),
        }
    }
}
