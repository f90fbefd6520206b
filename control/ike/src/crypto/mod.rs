//! The cryptography of IKEv2: what turns octets into keys and keys into protected octets.
//!
//! Everything here is a function of its arguments: random octets come from a [`Random`], private
//! signature keys stay with the caller (which is asked to sign the octets of [`auth`]), and there is
//! no X.509. Primitives are aws-lc's, except MODP exponentiation (crypto-bigint), ML-KEM (ml-kem),
//! AES-GCM (`ravelin-gcm`), and what aws-lc has not for peers of yesterday (`legacy`). What the algorithms are called is said in [`crate::config`].
//!
//! Order of use in an exchange: [`negotiate`] a suite, [`PrivateKey::agree`], [`IkeKeys::derive`],
//! [`Protection::new`], [`IkeKeys::advance`] and [`IntAuth`] for each additional key exchange, then
//! [`auth`]; [`EspKeyPair::derive`] for each Child SA.

mod absent;
pub mod auth;
mod ccm;
mod cmac;
mod cookie;
mod crash;
mod drbg;
mod fragment;
mod int_auth;
mod key_exchange;
mod keys;
mod keyword;
mod legacy;
mod mlkem;
mod modp;
mod nat;
pub mod negotiate;
mod prf;
mod protection;
mod pss;
mod random;
mod refusal;
mod seal;
pub mod signature;
mod suite;
mod ticket;

pub use cookie::{CookieJar, CookieRefused, Initiator};
pub use crash::{CrashSecret, CrashToken};
pub use drbg::Drbg;
pub use fragment::{Fragment, Progress, Reassembly, Unwanted};
pub use int_auth::IntAuth;
pub use key_exchange::{BadPublicValue, NoPrivateKey, PrivateKey, Responded, SharedSecret, respond};
pub use keys::{EspKeyPair, IkeKeys, Nonces, SharedSecrets};
pub use keyword::BadProposal;
pub use nat::nat_detection_hash;
pub use prf::PrfPlus;
pub use protection::{BadKeys, OpenError, Protection, SealError, Unsealed, covered};
pub use pss::BadPss;
pub use random::Random;
pub use ticket::TicketKeys;

pub use crate::event::IkeSuite;

/// Octets of key material, wiped when dropped.
pub type Secret = zeroize::Zeroizing<Vec<u8>>;
