//! A second proof after the first one (RFC 4739): by a key, of one side or of both, under an identity of its own.

use super::{Identity, IdentityMatch};
use core::fmt;
use zeroize::Zeroizing;

/// What is proven besides `local_auth` and `remote_auth`, before an IKE SA comes up. Where neither side proves anything
/// twice there is none of this.
#[derive(Clone, PartialEq, Eq)]
pub struct SecondAuth {
    /// As whom we prove ourselves a second time, if we do.
    pub local: Option<Identity>,
    /// As whom the peer does, if it does.
    pub remote: Option<IdentityMatch>,
    /// The pre-shared key of both, wiped on drop.
    pub psk: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for SecondAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondAuth")
            .field("local", &self.local)
            .field("remote", &self.remote)
            .finish_non_exhaustive()
    }
}
