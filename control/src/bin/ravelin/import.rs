//! `ravelin pki import`: a file, what is pasted, or what lies at a URL (PKI-03, PKI-05, PKI-06), read and opened here on the
//! operator's side; the daemon keeps what is in it. A private key comes over a scheme that shows it to whoever looks only
//! where the operator says so.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ravelin_control::api::client::Connection;
use ravelin_control::api::request::{self, Request};
use ravelin_control::api::secret::Secret;
use ravelin_control::store::{ObjectName, catalog};
use ravelin_fetch::Url;
use ravelin_pki::file::{self, Contents, FileError};
use ravelin_pki::key::KeyFileError;
use ravelin_pki::password::Password;
use ravelin_pki::{Certificate, pem};
use zeroize::Zeroizing;

use super::fetch::Fetching;
use super::pki::{Failure, password_of_file, read_file, told};
use super::terminal;

#[derive(Args)]
pub struct Import {
    /// Under which name; further certificates of the file get NAME-2, NAME-3 and so on.
    name: ObjectName,
    /// The file; `-` for standard input, as for what is pasted; or a URL of file, http, https, ftp, tftp, ldap or ldaps.
    #[arg(value_name = "FILE|URL")]
    place: String,
    /// Only what is of this kind in it.
    #[arg(long = "type")]
    kind: Option<ImportKind>,
    /// File of the password it is encrypted under; without one the terminal is asked.
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// The key may leave again.
    #[arg(long)]
    exportable: bool,
    /// In the place of what has the name already.
    #[arg(long)]
    replace: bool,
    /// SHA-256 that the first certificate must have, as its CA says by another way.
    #[arg(long)]
    fingerprint: Option<String>,
    #[command(flatten)]
    fetching: Fetching,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ImportKind {
    Certificate,
    Crl,
    Key,
}

impl Import {
    /// From where, without the password of a URL.
    fn shown(&self) -> String {
        Url::parse(&self.place).map_or_else(|_| self.place.clone(), |url| url.to_string())
    }
}

/// Carries it out.
pub fn run(socket: &Path, json: bool, arguments: &Import) -> Result<(), Failure> {
    let contents = contents(arguments)?;
    let first = contents.certificates.first().map(|certificate| catalog::fingerprint(certificate.der()));
    check_fingerprint(arguments, first.as_deref())?;
    let objects = objects(arguments, &contents)?;
    let mut connection = Connection::open(socket)?;
    for object in objects {
        super::show(&connection.call(&Request::PkiImport(object))?, json);
    }
    if let (Some(first), false) = (first, json) {
        println!("SHA-256 of {}: {first}", arguments.name);
    }
    Ok(())
}

fn check_fingerprint(arguments: &Import, found: Option<&str>) -> Result<(), Failure> {
    let Some(wanted) = &arguments.fingerprint else { return Ok(()) };
    let wanted = wanted.replace(':', "").to_ascii_lowercase();
    if found == Some(&wanted) {
        return Ok(());
    }
    let found = found.unwrap_or("none: there is no certificate");
    Err(told(format!("the SHA-256 fingerprint is {found}, not {wanted}: nothing was imported")))
}

/// What lies there.
fn contents(arguments: &Import) -> Result<Contents, Failure> {
    let place = &arguments.place;
    if !place.contains("://") {
        let path = Path::new(place);
        let contents = open(arguments, &read_file(path, file::MAX_FILE as u64)?)?;
        warn_of_readers(path, &contents);
        return Ok(contents);
    }
    let way = arguments.fetching.way(place, arguments.kind == Some(ImportKind::Key))?;
    let mut contents = Contents::default();
    // An attribute of LDAP may have several values.
    for octets in way.fetch(file::MAX_FILE)? {
        let one = open(arguments, &octets)?;
        contents.certificates.extend(one.certificates);
        contents.crls.extend(one.crls);
        contents.key = contents.key.or(one.key);
    }
    way.check(contents.key.is_some())?;
    Ok(contents)
}

/// Opens it; the password is asked for only when there is need of one.
fn open(arguments: &Import, octets: &Zeroizing<Vec<u8>>) -> Result<Contents, Failure> {
    let shown = arguments.shown();
    let given = arguments.password_file.as_deref().map(password_of_file).transpose()?;
    let read = match file::read(octets, given.as_ref()) {
        Err(FileError::Key(KeyFileError::Encrypted)) if given.is_none() => {
            let asked = terminal::password(&format!("password of {shown}: ")).map_err(told)?;
            let asked = Password::new(asked).ok_or_else(|| told("the password is too long"))?;
            file::read(octets, Some(&asked))
        }
        read => read,
    };
    read.map_err(|error| told(format!("{shown}: {error}")))
}

/// A key that lay open for others is no secret any more.
fn warn_of_readers(path: &Path, contents: &Contents) {
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if contents.key.is_some() && mode & 0o077 != 0 {
        let shown = path.display();
        eprintln!("ravelin: warning: others can read {shown} (mode {:o}), and with it the key", mode & 0o777);
    }
}

/// The requests that keep it, the key first: a certificate of its name must belong to it.
fn objects(arguments: &Import, contents: &Contents) -> Result<Vec<request::PkiImport>, Failure> {
    let Import { name, kind, exportable, replace, .. } = arguments;
    let wanted = |this| kind.is_none_or(|kind| kind == this);
    let object = |kind: &str, name: &ObjectName, octets: &[u8]| request::PkiImport {
        kind: kind.to_owned(),
        name: name.to_string(),
        data: Secret(pem::base64(octets)),
        exportable: *exportable,
        replace: *replace,
    };
    let mut objects = Vec::new();
    if let Some(key) = contents.key.as_ref().filter(|_| wanted(ImportKind::Key)) {
        objects.push(object("key", name, &key.to_pkcs8().map_err(told)?));
    }
    let certificates = contents.certificates.iter().filter(|_| wanted(ImportKind::Certificate));
    for (number, certificate) in (1..).zip(leaf_first(contents, certificates.collect())) {
        objects.push(object("certificate", &name.numbered(number).map_err(told)?, certificate.der()));
    }
    for (number, crl) in (1..).zip(contents.crls.iter().filter(|_| wanted(ImportKind::Crl))) {
        objects.push(object("crl", &name.numbered(number).map_err(told)?, crl));
    }
    if objects.is_empty() {
        return Err(told(format!("{}: nothing of the wanted kind in it", arguments.shown())));
    }
    Ok(objects)
}

/// The certificate of the key first, whatever the order of the file: it gets the key's name.
fn leaf_first<'a>(contents: &Contents, mut certificates: Vec<&'a Certificate>) -> Vec<&'a Certificate> {
    let belongs = |certificate: &&Certificate| {
        let public = certificate.public_key.as_ref();
        public.is_ok_and(|public| contents.key.as_ref().is_some_and(|key| key.matches(public)))
    };
    if let Some(at) = certificates.iter().position(belongs) {
        let leaf = certificates.remove(at);
        certificates.insert(0, leaf);
    }
    certificates
}
