//! Where the passphrase comes from that private keys are sealed under: a file of the operator's, or a credential that
//! systemd hands to the service (`LoadCredential=ravelin-pki:...`), which may be sealed to the machine's TPM.

use std::path::{Path, PathBuf};

use ravelin_pki::sealed::{MAX_PASSPHRASE, Passphrase, SealedError};

use crate::secret_directory::{self, Problem, Readers};

/// Name of the credential.
const CREDENTIAL: &str = "ravelin-pki";

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassphraseSource {
    /// In a file.
    File(PathBuf),
    /// In the credential `ravelin-pki`.
    Credential,
}

/// Why there is none. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// Neither file nor credential.
    #[error(
        "private keys are kept under a passphrase, and there is none: say passphrase-file in [pki], or give the service the credential {CREDENTIAL:?}"
    )]
    Nowhere,
    /// The file cannot be used.
    #[error("passphrase {}: {problem}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The file is not there.
    #[error("passphrase {}: there is no such file", .0.display())]
    Missing(PathBuf),
    /// What is in it is no passphrase.
    #[error("passphrase {}: {problem}", path.display())]
    Unfit {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: SealedError,
    },
}

impl PassphraseSource {
    /// Reads it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn read(&self) -> Result<Passphrase, PassphraseError> {
        match self {
            Self::File(path) => read(path, Readers::Owner),
            Self::Credential => {
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or(PassphraseError::Nowhere)?;
                read(&Path::new(&directory).join(CREDENTIAL), Readers::Group)
            }
        }
    }
}

fn read(path: &Path, readers: Readers) -> Result<Passphrase, PassphraseError> {
    // Two more for a line end, which does not count.
    let octets = secret_directory::read(path, MAX_PASSPHRASE + 2, readers);
    let octets = octets.map_err(|problem| PassphraseError::File { path: path.to_owned(), problem })?;
    let octets = octets.ok_or_else(|| PassphraseError::Missing(path.to_owned()))?;
    Passphrase::new(octets).map_err(|problem| PassphraseError::Unfit { path: path.to_owned(), problem })
}
