//! TLS by rustls, with the roots that the operator gave and no others.
//!
//! The web's roots are not trusted: what we fetch is signed by itself, and a server that is asked over TLS is one
//! whose authority the operator knows. Without roots no TLS is spoken.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::error::{FetchError, Stage};
use crate::url::Host;
use crate::wire::{Connection, Deadline, Wire};

/// What servers are judged by.
#[derive(Debug, Clone)]
pub struct Roots(Option<Arc<ClientConfig>>);

impl Roots {
    /// No TLS.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// These certificates, in DER.
    ///
    /// # Errors
    /// When one of them cannot be an anchor.
    pub fn new(certificates: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, FetchError> {
        let refused = |error: rustls::Error| FetchError::Machine {
            what: "take the roots of TLS".into(),
            reason: error.to_string(),
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates {
            roots.add(CertificateDer::from(certificate)).map_err(refused)?;
        }
        if roots.is_empty() {
            return Ok(Self::none());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(refused)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Some(Arc::new(config))))
    }

    /// What a server's name will be proven by; asked before it is connected to.
    pub(crate) fn judge(&self, host: &Host) -> Result<Judge, FetchError> {
        let shown = host.to_string();
        let refused = |reason: &str| FetchError::Tls { host: shown.clone(), reason: reason.into() };
        let config = self.0.clone().ok_or_else(|| refused("no roots are configured to judge it by"))?;
        let name = match host {
            Host::Name(name) => ServerName::try_from(name.trim_end_matches('.').to_owned())
                .map_err(|_| refused("its name is none that a certificate can prove"))?,
            Host::Address(address) => ServerName::IpAddress((*address).into()),
        };
        Ok(Judge { config, name, shown })
    }
}

/// How one server is judged.
pub(crate) struct Judge {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    shown: String,
}

impl Judge {
    /// Negotiates TLS on a connection and proves the server's name.
    pub(crate) fn secure(self, mut wire: Wire, deadline: &Deadline) -> Result<Connection, FetchError> {
        let Self { config, name, shown } = self;
        let refused = |reason| FetchError::Tls { host: shown.clone(), reason };
        let mut session = ClientConnection::new(config, name).map_err(|error| refused(reason(&error)))?;
        while session.is_handshaking() {
            session
                .complete_io(&mut wire)
                .map_err(|error| deadline.explain(Stage::Handshake, &shown, &error))?;
        }
        Ok(Connection::Tls(Box::new(StreamOwned::new(session, wire))))
    }
}

/// What TLS says, in words that tell what to do.
pub(crate) fn reason(error: &rustls::Error) -> String {
    use rustls::Error::InvalidCertificate;
    match error {
        InvalidCertificate(CertificateError::UnknownIssuer) => {
            "its certificate does not chain to any of the roots configured".into()
        }
        InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired, or this machine's clock is wrong".into()
        }
        InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "its certificate is for another name".into(),
        other => other.to_string(),
    }
}
