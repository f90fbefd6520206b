//! `ravelin pki`: what lies in files is read, opened and converted here, on the operator's side; what is kept is asked of
//! the daemon. Passwords come from files, standard input or the terminal, never from arguments, which everybody on the
//! machine can read.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use ravelin_control::api::client::{CallError, Connection};
use ravelin_control::api::request::{self, Request};
use ravelin_control::api::secret::Secret;
use ravelin_control::api::{ApiError, Reply};
use ravelin_control::store::ObjectName;
use ravelin_pki::file::pkcs7;
use ravelin_pki::password::Password;
use ravelin_pki::{Certificate, pem};
use zeroize::Zeroizing;

use super::import::Import;
use super::terminal;
use super::verify::Verify;

/// Longest file of a password.
const MAX_PASSWORD_FILE: u64 = 4096;

/// The store of certificates and keys.
#[derive(Subcommand)]
pub enum Pki {
    /// What the store has, a line each, certificates that expire first on top.
    List,
    /// All that is known of what it has, or of one name.
    Show {
        /// Name in the store.
        name: Option<String>,
    },
    /// Keep the certificates, the key and the CRLs of a file or URL: PEM, DER, PKCS#7 or PKCS#12.
    Import(Import),
    /// Give out a certificate, a CRL, or a key that may leave.
    Export(Export),
    /// Make a key.
    Genkey(Genkey),
    /// Make a certification request (PKCS#10) for a key of the store.
    Csr(Csr),
    /// Have the daemon read certificates, keys and anchors of its profiles again; what is up stays up.
    Reload,
    /// Fetch the CRL of an authority now, or of all whose ca-profile has URLs.
    CrlUpdate {
        /// Name of a ca-profile.
        name: Option<String>,
    },
    /// Forget what OCSP responders have said.
    ClearOcspCache,
    /// Destroy a key and the certificates issued on it.
    Zeroize(Zeroize),
    /// Remove a certificate or CRL.
    Remove(Remove),
    /// Look for a path from a certificate to an anchor, without a daemon.
    Verify(Verify),
}

#[derive(Args)]
pub struct Export {
    /// Name in the store.
    name: String,
    /// What of that name; `public-key` is the half of a key that peers may have, `pkcs12` is the key with its certificates.
    #[arg(long = "type", default_value = "certificate")]
    kind: ExportKind,
    /// In which form; PKCS#12 has its own.
    #[arg(long, default_value = "pem")]
    format: Format,
    /// To this file, which must not be there; without it to standard output.
    #[arg(long)]
    out: Option<PathBuf>,
    /// File of the password that a key is to be encrypted under; without one the terminal is asked.
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// A further certificate of the store that goes along, in PKCS#12 or PKCS#7; may be said several times.
    #[arg(long)]
    chain: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportKind {
    Certificate,
    Crl,
    PublicKey,
    Key,
    Pkcs12,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Pem,
    Der,
    Pkcs7Pem,
    Pkcs7Der,
}

#[derive(Args)]
pub struct Genkey {
    /// Under which name.
    name: ObjectName,
    /// rsa-2048, rsa-3072, rsa-4096, rsa-8192, p256, p384, p521 or ed25519.
    #[arg(long, default_value = "rsa-3072")]
    algorithm: String,
    /// It may leave; this cannot be changed later.
    #[arg(long)]
    exportable: bool,
}

#[derive(Args)]
pub struct Csr {
    /// Name of the key.
    name: String,
    /// Whom the certificate is to be about: `CN=gw.example,O=Example`.
    #[arg(long, default_value = "")]
    subject: String,
    /// A name for it: `dns:`, `ip:`, `email:` or `uri:` and the name; may be said several times.
    #[arg(long)]
    san: Vec<String>,
    /// digital-signature, content-commitment, key-encipherment, data-encipherment or key-agreement; `none` for no such
    /// extension.
    #[arg(long, default_value = "digital-signature", value_delimiter = ',')]
    key_usage: Vec<String>,
    /// ipsec-ike, server-auth, client-auth or ike-intermediate.
    #[arg(long, value_delimiter = ',')]
    extended_key_usage: Vec<String>,
    /// File of the challenge password; it stands in the request in clear.
    #[arg(long)]
    challenge_file: Option<PathBuf>,
    /// DER instead of PEM.
    #[arg(long)]
    der: bool,
    /// To this file, which must not be there; without it to standard output.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Args)]
pub struct Zeroize {
    /// Name of the key.
    #[arg(required_unless_present = "all")]
    name: Option<String>,
    /// Every key of the store.
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

#[derive(Args)]
pub struct Remove {
    /// Name in the store.
    name: String,
    /// What of that name.
    #[arg(long = "type", default_value = "certificate")]
    kind: RemoveKind,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RemoveKind {
    Certificate,
    Crl,
}

/// Why a command was not carried out.
pub enum Failure {
    /// The daemon's word.
    Call(CallError),
    /// What is wrong with files, passwords or answers of the operator.
    Told(String),
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

pub fn told(why: impl ToString) -> Failure {
    Failure::Told(why.to_string())
}

/// Carries a command out.
pub fn run(socket: &Path, json: bool, command: &Pki) -> ExitCode {
    let done = match command {
        Pki::Verify(verify) => return super::verify::run(verify, json),
        Pki::List => ask(socket, &Request::PkiList).map(|reply| super::show(&reply, json)),
        Pki::Show { name } => {
            let request = Request::PkiShow(request::PkiName { name: name.clone() });
            ask(socket, &request).map(|reply| super::show(&reply, json))
        }
        Pki::Import(arguments) => super::import::run(socket, json, arguments),
        Pki::Export(arguments) => export(socket, json, arguments),
        Pki::Genkey(arguments) => {
            let Genkey { name, algorithm, exportable } = arguments;
            let (name, algorithm) = (name.to_string(), algorithm.clone());
            let request =
                Request::PkiGenerate(request::PkiGenerate { name, algorithm, exportable: *exportable });
            ask(socket, &request).map(|reply| super::show(&reply, json))
        }
        Pki::Csr(arguments) => csr(socket, json, arguments),
        Pki::Reload => ask(socket, &Request::PkiReload).map(|reply| super::show(&reply, json)),
        Pki::CrlUpdate { name } => {
            let request = Request::PkiCrlUpdate(request::PkiName { name: name.clone() });
            ask(socket, &request).map(|reply| super::show(&reply, json))
        }
        Pki::ClearOcspCache => {
            ask(socket, &Request::PkiClearOcspCache).map(|reply| super::show(&reply, json))
        }
        Pki::Zeroize(arguments) => zeroize(socket, json, arguments),
        Pki::Remove(Remove { name, kind }) => {
            let kind = if *kind == RemoveKind::Crl { "crl" } else { "certificate" }.to_owned();
            let request = Request::PkiRemove(request::PkiRemove { kind, name: name.clone() });
            ask(socket, &request).map(|reply| super::show(&reply, json))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Call(error)) => super::failed(&error),
        Err(Failure::Told(why)) => {
            eprintln!("ravelin: {why}");
            ExitCode::FAILURE
        }
    }
}

/// A large RSA key takes minutes to make.
fn ask(socket: &Path, request: &Request) -> Result<Reply, Failure> {
    let mut connection = match request {
        Request::PkiGenerate(_) => Connection::open_patiently(socket)?,
        _ => Connection::open(socket)?,
    };
    Ok(connection.call(request)?)
}

fn export(socket: &Path, json: bool, arguments: &Export) -> Result<(), Failure> {
    let Export { name, kind, format, out, password_file, chain } = arguments;
    let word = match kind {
        ExportKind::Certificate => "certificate",
        ExportKind::Crl => "crl",
        ExportKind::PublicKey => "public-key",
        ExportKind::Key => "key",
        ExportKind::Pkcs12 => "pkcs12",
    };
    let is_secret = matches!(kind, ExportKind::Key | ExportKind::Pkcs12);
    let password = if is_secret { Some(new_password(password_file.as_deref())?) } else { None };
    let ask_for = |name: &str, chain: Vec<String>, password| {
        let (kind, name) = (word.to_owned(), name.to_owned());
        ask(socket, &Request::PkiExport(request::PkiExport { kind, name, password, chain }))
    };
    let as_pkcs7 = matches!(format, Format::Pkcs7Pem | Format::Pkcs7Der);
    if as_pkcs7 && (is_secret || *kind == ExportKind::PublicKey) {
        return Err(told("PKCS#7 holds certificates and CRLs; a key leaves as pem, der or --type pkcs12"));
    }
    let chain = if *kind == ExportKind::Pkcs12 { chain.clone() } else { Vec::new() };
    let reply = ask_for(name, chain, password)?;
    if json && out.is_none() {
        super::show(&reply, json);
        return Ok(());
    }
    let (label, der) = data(&reply)?;
    if as_pkcs7 {
        let mut further = Vec::new();
        for name in &arguments.chain {
            further.push(data(&ask_for(name, Vec::new(), None)?)?.1);
        }
        let bundle = bundle(*kind, &der, &further)?;
        return give(&bundle, "PKCS7", *format == Format::Pkcs7Pem, out.as_deref());
    }
    give(&der, &label, *format == Format::Pem && *kind != ExportKind::Pkcs12, out.as_deref())
}

fn bundle(kind: ExportKind, first: &[u8], further: &[Zeroizing<Vec<u8>>]) -> Result<Vec<u8>, Failure> {
    if kind == ExportKind::Crl {
        return Ok(pkcs7::write(&[], &[first]));
    }
    let all = std::iter::once(first).chain(further.iter().map(|der| der.as_slice()));
    let certificates = all.map(Certificate::from_der).collect::<Result<Vec<_>, _>>().map_err(told)?;
    Ok(pkcs7::write(&certificates.iter().collect::<Vec<_>>(), &[]))
}

fn csr(socket: &Path, json: bool, arguments: &Csr) -> Result<(), Failure> {
    let challenge = arguments.challenge_file.as_deref().map(text_of_file).transpose()?;
    let mut key_usage = arguments.key_usage.clone();
    key_usage.retain(|word| word != "none");
    let request = Request::PkiCsr(request::PkiCsr {
        name: arguments.name.clone(),
        subject: arguments.subject.clone(),
        names: arguments.san.clone(),
        key_usage,
        extended_key_usage: arguments.extended_key_usage.clone(),
        challenge: challenge.map(Secret),
    });
    let reply = ask(socket, &request)?;
    if json && arguments.out.is_none() {
        super::show(&reply, json);
        return Ok(());
    }
    let (label, der) = data(&reply)?;
    give(&der, &label, !arguments.der, arguments.out.as_deref())
}

fn zeroize(socket: &Path, json: bool, Zeroize { name, yes, .. }: &Zeroize) -> Result<(), Failure> {
    let what = name.as_ref().map_or("every key".to_owned(), |name| format!("the key {name}"));
    if !yes
        && !terminal::yes(&format!("destroy {what} and the certificates issued on it? [y/N] "))
            .map_err(told)?
    {
        return Err(told("nothing was destroyed"));
    }
    let reply = ask(socket, &Request::PkiZeroize(request::PkiName { name: name.clone() }))?;
    super::show(&reply, json);
    Ok(())
}

/// Label and octets of a reply.
fn data(reply: &Reply) -> Result<(String, Zeroizing<Vec<u8>>), Failure> {
    let odd = || ApiError::BadRequest { why: "the daemon answered something else than data".into() };
    let Reply::PkiData { label, data } = reply else { return Err(CallError::Api(odd()).into()) };
    let der = pem::from_base64(data).ok_or_else(|| CallError::Api(odd()))?;
    Ok((label.clone(), der))
}

/// Writes to a file that is not there yet, for its owner alone, or to standard output.
fn give(der: &[u8], label: &str, as_pem: bool, out: Option<&Path>) -> Result<(), Failure> {
    let text;
    let octets = if as_pem {
        text = pem::write(label, der);
        text.as_bytes()
    } else {
        der
    };
    let Some(path) = out else {
        if !as_pem && std::io::stdout().is_terminal() {
            return Err(told("octets are not for a terminal: say --out FILE"));
        }
        return std::io::stdout().write_all(octets).map_err(told);
    };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(octets).and_then(|()| file.sync_all()));
    written.map_err(|error| told(format!("{}: {error}", path.display())))
}

fn new_password(file: Option<&Path>) -> Result<Secret, Failure> {
    if let Some(file) = file {
        return text_of_file(file).map(Secret);
    }
    let first = terminal::password("new password: ").map_err(told)?;
    let second = terminal::password("the same again: ").map_err(told)?;
    if first == second { Ok(Secret(first)) } else { Err(told("the passwords are not the same")) }
}

pub fn password_of_file(path: &Path) -> Result<Password, Failure> {
    Password::new(text_of_file(path)?).ok_or_else(|| told("the password is too long"))
}

/// The first line of a file, or of standard input.
pub fn text_of_file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let octets = read_file(path, MAX_PASSWORD_FILE)?;
    let text = std::str::from_utf8(&octets).map_err(|_| told(format!("{}: not text", path.display())))?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

/// A file of at most so many octets, or standard input; in one allocation, which is wiped.
pub fn read_file(path: &Path, most: u64) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error: std::io::Error| told(format!("{}: {error}", path.display()));
    let reader: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin().lock()),
        _ => Box::new(std::fs::File::open(path).map_err(failed)?),
    };
    let mut octets = Zeroizing::new(Vec::with_capacity(most as usize + 1));
    reader.take(most + 1).read_to_end(&mut octets).map_err(failed)?;
    match octets.len() as u64 > most {
        true => Err(told(format!("{}: is larger than {most} bytes", path.display()))),
        false => Ok(octets),
    }
}
