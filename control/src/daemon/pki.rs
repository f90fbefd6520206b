//! What operators ask of the store of certificates and keys: done on the thread of whoever asks, since a disk is slow
//! and making a key is slower; the loop hears only of what changes it. Every change, and every key that leaves, is an
//! event of the journal.

use ravelin_pki::key::KeyKind;
use ravelin_pki::oid::{self, Known};
use ravelin_pki::password::Password;
use ravelin_pki::pkcs10::CertificationRequest;
use ravelin_pki::x509::{GeneralName, Name};
use ravelin_pki::{Certificate, UnixTime, pem};

use super::desk::Desk;
use crate::api::request::{PkiCsr, PkiExport, PkiGenerate, PkiImport, PkiName, PkiRemove};
use crate::api::secret::Secret;
use crate::api::{ApiError, Reply, Request};
use crate::keeper::VaultError;
use crate::store::{Kind, ObjectName, StoreError, catalog};
use crate::trust::revocation::now;

/// What a request is refused with.
fn refused(why: impl ToString) -> ApiError {
    ApiError::Refused { why: why.to_string() }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { kind, name, known } => {
                Self::NotStored { kind: kind.word().to_owned(), name, known }
            }
            other => refused(other),
        }
    }
}

impl From<VaultError> for ApiError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Store(error) => error.into(),
            other => refused(other),
        }
    }
}

fn named(text: &str) -> Result<ObjectName, ApiError> {
    text.parse().map_err(|error| refused(format!("{text:?}: {error}")))
}

fn kind(word: &str) -> Result<Kind, ApiError> {
    Kind::from_word(word).ok_or_else(|| refused(format!("{word:?} is not certificate, crl or key")))
}

fn done(message: String) -> Reply {
    Reply::Done { message }
}

impl Desk {
    /// Answers a request about the store.
    pub(super) fn pki(&self, request: &Request) -> Result<Reply, ApiError> {
        match request {
            Request::PkiList => {
                Ok(Reply::PkiObjects { objects: self.stored()?, ca_profiles: self.ca_profiles()? })
            }
            Request::PkiShow(name) => self.show_stored(name),
            Request::PkiImport(import) => self.import(import),
            Request::PkiExport(export) => self.export(export),
            Request::PkiGenerate(wanted) => self.generate(wanted),
            Request::PkiCsr(wanted) => self.certification_request(wanted),
            Request::PkiZeroize(which) => self.zeroize(which),
            Request::PkiRemove(remove) => self.remove_stored(remove),
            other => Err(ApiError::BadRequest { why: format!("{other:?} is not about the store") }),
        }
    }

    fn stored(&self) -> Result<Vec<crate::api::reply::StoredObject>, ApiError> {
        let uses = self.view(Request::PkiList).material.clone();
        Ok(catalog::all(self.vault.store(), &uses, now())?)
    }

    fn show_stored(&self, which: &PkiName) -> Result<Reply, ApiError> {
        let (mut objects, mut ca_profiles) = (self.stored()?, self.ca_profiles()?);
        if let Some(name) = &which.name {
            let profiles = ca_profiles.iter().map(|profile| &profile.ca_profile);
            let known = objects.iter().map(|object| &object.name).chain(profiles);
            let known: Vec<String> = known.take(20).cloned().collect();
            objects.retain(|object| object.name == *name);
            ca_profiles.retain(|profile| profile.ca_profile == *name);
            if objects.is_empty() && ca_profiles.is_empty() {
                let (kind, name, known) = ("object".to_owned(), name.clone(), known.join(", "));
                return Err(ApiError::NotStored { kind, name, known });
            }
        }
        Ok(Reply::PkiDetails { objects, ca_profiles })
    }

    fn import(&self, import: &PkiImport) -> Result<Reply, ApiError> {
        let (name, kind) = (named(&import.name)?, kind(&import.kind)?);
        let octets = pem::from_base64(&import.data.0).ok_or_else(|| refused("data is not base64"))?;
        let warning = match kind {
            Kind::Certificate => self.import_certificate(&name, &octets, import.replace)?,
            Kind::Crl => {
                self.vault.store().add(kind, &name, &octets, import.replace)?;
                String::new()
            }
            Kind::Key => {
                self.vault.import(&name, &octets, import.exportable, import.replace)?;
                String::new()
            }
        };
        self.journal.note("", "pki-imported", format!("{} {name}", kind.word()));
        Ok(done(format!("{} {name}: imported{warning}", kind.word())))
    }

    /// It must be issued on the key of its name, if there is one; one out of its dates is kept with a warning.
    fn import_certificate(
        &self,
        name: &ObjectName,
        octets: &[u8],
        replace: bool,
    ) -> Result<String, ApiError> {
        let certificate = Certificate::from_der(octets).map_err(refused)?;
        if self.vault.store().names(Kind::Key)?.contains(name) {
            let key = self.vault.look(name)?;
            if !certificate.public_key.as_ref().is_ok_and(|public| public.is_same_key(key.public_key())) {
                return Err(VaultError::Mismatch(name.to_string()).into());
            }
        }
        self.vault.store().add(Kind::Certificate, name, octets, replace)?;
        Ok(dates(&certificate, now()))
    }

    fn export(&self, export: &PkiExport) -> Result<Reply, ApiError> {
        let name = named(&export.name)?;
        let (label, octets) = match export.kind.as_str() {
            "certificate" => ("CERTIFICATE", self.vault.store().read(Kind::Certificate, &name)?.to_vec()),
            "crl" => ("X509 CRL", self.vault.store().read(Kind::Crl, &name)?.to_vec()),
            "public-key" => ("PUBLIC KEY", self.vault.look(&name)?.public_key_info().to_vec()),
            "key" => {
                let key = self.vault.export(&name, &password(export.password.as_ref())?)?;
                ("ENCRYPTED PRIVATE KEY", key)
            }
            "pkcs12" => ("PKCS12", self.export_pkcs12(&name, export)?),
            other => {
                return Err(refused(format!("{other:?} is not certificate, crl, public-key, key or pkcs12")));
            }
        };
        if matches!(export.kind.as_str(), "key" | "pkcs12") {
            self.journal.note("", "pki-key-exported", format!("key {name}, as {}", export.kind));
        }
        Ok(Reply::PkiData { label: label.into(), data: pem::base64(&octets).to_string() })
    }

    fn export_pkcs12(&self, name: &ObjectName, export: &PkiExport) -> Result<Vec<u8>, ApiError> {
        let mut certificates = vec![self.certificate(name)?];
        for further in &export.chain {
            certificates.push(self.certificate(&named(further)?)?);
        }
        let certificates: Vec<&Certificate> = certificates.iter().collect();
        Ok(self.vault.export_pkcs12(name, &certificates, &password(export.password.as_ref())?)?)
    }

    fn certificate(&self, name: &ObjectName) -> Result<Certificate, ApiError> {
        let octets = self.vault.store().read(Kind::Certificate, name)?;
        Certificate::from_der(&octets).map_err(|error| refused(format!("certificate {name}: {error}")))
    }

    fn generate(&self, wanted: &PkiGenerate) -> Result<Reply, ApiError> {
        let name = named(&wanted.name)?;
        let kind: KeyKind = wanted
            .algorithm
            .parse()
            .map_err(|expected| refused(format!("{:?} is no kind of key: {expected}", wanted.algorithm)))?;
        // One at a time: it takes a core for as long as it takes.
        let Ok(_turn) = self.making.try_lock() else {
            return Err(refused("another key is being made: try again"));
        };
        self.vault.generate(&name, kind, wanted.exportable)?;
        self.journal.note("", "pki-key-made", format!("key {name}, {kind}"));
        Ok(done(format!("key {name}: made, {kind}; next: ravelin pki csr {name}")))
    }

    fn certification_request(&self, wanted: &PkiCsr) -> Result<Reply, ApiError> {
        let name = named(&wanted.name)?;
        let subject = Name::from_text(&wanted.subject).ok_or_else(|| {
            refused(format!("{:?} is no distinguished name; write CN=gw,O=Example", wanted.subject))
        })?;
        let names = wanted.names.iter().map(|text| {
            text.parse::<GeneralName>().map_err(|expected| refused(format!("name {text:?}: {expected}")))
        });
        let names = names.collect::<Result<Vec<_>, _>>()?;
        let key_usage = words(&wanted.key_usage, "key usage", &KEY_USAGE)?;
        let extended_key_usage = words(&wanted.extended_key_usage, "extended key usage", &PURPOSES)?;
        let challenge = wanted.challenge.as_ref().map(|secret| secret.0.as_str());
        let request = CertificationRequest {
            subject: &subject,
            names: &names,
            key_usage: &key_usage,
            extended_key_usage: &extended_key_usage,
            challenge_password: challenge,
        };
        let der = self.vault.request(&name, &request)?;
        Ok(Reply::PkiData { label: "CERTIFICATE REQUEST".into(), data: pem::base64(&der).to_string() })
    }

    /// Destroys a key, or all, and what was issued on them (PKI-33); what is up stays up, and nothing is signed any more.
    fn zeroize(&self, which: &PkiName) -> Result<Reply, ApiError> {
        let store = self.vault.store();
        let names = match &which.name {
            Some(name) => vec![named(name)?],
            None => store.names(Kind::Key)?,
        };
        let objects = self.stored()?;
        let mut gone = Vec::new();
        for name in &names {
            store.remove(Kind::Key, name)?;
            self.journal.note("", "pki-key-zeroized", format!("key {name}"));
            gone.push(format!("key {name}"));
            let issued = objects.iter().filter(|object| object.private_key == name.as_str());
            for certificate in issued.map(|object| named(&object.name)) {
                let certificate = certificate?;
                store.remove(Kind::Certificate, &certificate)?;
                gone.push(format!("certificate {certificate}"));
            }
        }
        self.ask(Request::PkiZeroize(which.clone()), super::desk::ACTION)?;
        let told = if gone.is_empty() { "there are no keys".to_owned() } else { gone.join(", ") };
        let revoke = "have the CA revoke what was issued on them, and take them out of the configuration";
        Ok(done(format!("zeroized: {told}; {revoke}")))
    }

    fn remove_stored(&self, remove: &PkiRemove) -> Result<Reply, ApiError> {
        let (name, kind) = (named(&remove.name)?, kind(&remove.kind)?);
        if kind == Kind::Key {
            return Err(refused("a key is not removed but zeroized: ravelin pki zeroize NAME"));
        }
        self.vault.store().remove(kind, &name)?;
        self.journal.note("", "pki-removed", format!("{} {name}", kind.word()));
        Ok(done(format!("{} {name}: removed", kind.word())))
    }
}

/// A key leaves under a password only.
fn password(secret: Option<&Secret>) -> Result<Password, ApiError> {
    let missing = || refused("a private key leaves under a password only: give one");
    let text = secret.filter(|secret| !secret.0.is_empty()).ok_or_else(missing)?;
    Password::new(text.0.clone()).ok_or_else(|| refused("the password is too long"))
}

/// What is to be said of a certificate's dates.
fn dates(certificate: &Certificate, now: UnixTime) -> String {
    if now > certificate.not_after {
        format!("; warning: it expired at {}, now is {now}", certificate.not_after)
    } else if now < certificate.not_before {
        format!("; warning: it is not valid before {}, now is {now}", certificate.not_before)
    } else {
        String::new()
    }
}

/// Bits of keyUsage that a gateway's certificate may have (RFC 5280 §4.2.1.3).
const KEY_USAGE: [(&str, u8); 5] = [
    ("digital-signature", 0),
    ("content-commitment", 1),
    ("key-encipherment", 2),
    ("data-encipherment", 3),
    ("key-agreement", 4),
];

/// Purposes a gateway's certificate may have (RFC 4945 §5.1.3.12).
const PURPOSES: [(&str, Known); 4] = [
    ("ipsec-ike", oid::IPSEC_IKE),
    ("server-auth", oid::SERVER_AUTH),
    ("client-auth", oid::CLIENT_AUTH),
    ("ike-intermediate", oid::IKE_INTERMEDIATE),
];

fn words<T: Copy>(words: &[String], what: &str, known: &[(&str, T)]) -> Result<Vec<T>, ApiError> {
    let one = |word: &String| {
        let found = known.iter().find(|(name, _)| name == word).map(|(_, value)| *value);
        let names = || known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| refused(format!("{what} {word:?} is not one of {}", names())))
    };
    words.iter().map(one).collect()
}
