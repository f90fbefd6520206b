//! What is compared: authentication and key exchange, by the names that readers of the JSON lines know.

use crate::ike::Authentication;

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// `ike-setup/<name>`.
    pub name: &'static str,
    /// How both sides prove themselves.
    pub auth: Authentication,
    /// IKE proposal of both sides.
    pub proposal: &'static str,
    /// How many times the peer's setups a processor second are aimed at.
    pub aim: f64,
}

/// All of them.
pub const ALL: [Scenario; 4] = [
    Scenario {
        name: "psk-x25519",
        auth: Authentication::Psk,
        proposal: "aes128gcm16-prfsha256-x25519",
        aim: 4.0,
    },
    Scenario {
        name: "ecdsa-p256",
        auth: Authentication::Ecdsa,
        proposal: "aes128gcm16-prfsha256-ecp256",
        aim: 3.0,
    },
    Scenario {
        name: "rsa2048",
        auth: Authentication::Rsa,
        proposal: "aes128gcm16-prfsha256-x25519",
        aim: 2.5,
    },
    Scenario {
        name: "psk-modp2048",
        auth: Authentication::Psk,
        proposal: "aes128gcm16-prfsha256-modp2048",
        aim: 3.0,
    },
];
