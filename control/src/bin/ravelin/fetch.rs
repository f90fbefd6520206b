//! What an operator's command fetches by itself: by `ravelin-fetch`, with its caps and one deadline, from this process's
//! network or another namespace. Nothing of it is kept on disk. What shows itself on its way to whoever looks may hold
//! certificates and CRLs, which are public and signed, but a private key only where the operator says so.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use ravelin_fetch::desk::Bounds;
use ravelin_fetch::url::{Credentials, Scheme};
use ravelin_fetch::{
    Fetched, Fetcher, Instance, Limits, Origin, Policy, Priority, Request, Reuse, Roots, Settings, Url,
};
use ravelin_pki::Certificate;
use ravelin_pki::file::MAX_FILE;
use zeroize::Zeroizing;

use super::pki::{Failure, read_file, text_of_file, told};

/// How something is fetched.
#[derive(Args)]
pub struct Fetching {
    /// Of a URL: file of the certificates that a TLS server must chain to; without it no TLS is spoken.
    #[arg(long, value_name = "FILE")]
    roots: Option<PathBuf>,
    /// Of a URL: as whom; FTP's user, or the name that LDAP binds as.
    #[arg(long, value_name = "NAME", requires = "user_password_file")]
    user: Option<String>,
    /// Of a URL: file of that user's password.
    #[arg(long, value_name = "FILE", requires = "user")]
    user_password_file: Option<PathBuf>,
    /// Of a URL: seconds that all of it may take, 1 to 300.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=300))]
    deadline: u64,
    /// Of a URL: from that network namespace.
    #[arg(long, value_name = "NAME")]
    netns: Option<String>,
    /// Of a URL: take a private key over http, ftp, tftp or ldap, where whoever looks sees it.
    #[arg(long)]
    unprotected_key: bool,
}

/// What is to be fetched, and how.
pub struct Way<'a> {
    arguments: &'a Fetching,
    url: Url,
}

impl Fetching {
    /// To this URL. A key that is asked for is not even fetched where others could see it.
    pub fn way(&self, text: &str, is_for_key: bool) -> Result<Way<'_>, Failure> {
        if text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sftp://")) {
            return Err(told(
                "SFTP is OpenSSH's, which knows the server's key: `sftp HOST:FILE COPY`, then import COPY",
            ));
        }
        let url = Url::parse(text).map_err(|error| told(format!("no usable URL: {error}")))?;
        let way = Way { arguments: self, url };
        if is_for_key && way.is_open() && !self.unprotected_key {
            return Err(told(format!("{} does not protect a private key: {UNPROTECTED}", way.url.scheme)));
        }
        Ok(way)
    }
}

/// What to do about a key.
const UNPROTECTED: &str = "use https, ldaps or a file, or say --unprotected-key";

impl Way<'_> {
    /// Whether others see what comes.
    fn is_open(&self) -> bool {
        self.url.scheme != Scheme::File && !self.url.scheme.is_tls()
    }

    /// What lies there, every value of it.
    pub fn fetch(&self, most: usize) -> Result<Vec<Zeroizing<Vec<u8>>>, Failure> {
        let failed = |why: String| told(format!("{}: {why}", self.url));
        let request = self.request(most)?;
        let fetcher = self.fetcher()?;
        let fetched = fetcher.fetch(request).map_err(|error| failed(error.to_string()))?;
        fetcher.end();
        let Fetched { bytes, further, .. } = Arc::unwrap_or_clone(fetched);
        Ok(std::iter::once(bytes).chain(further).map(Zeroizing::new).collect())
    }

    /// Whether what came may be used.
    pub fn check(&self, has_key: bool) -> Result<(), Failure> {
        if has_key && self.is_open() && !self.arguments.unprotected_key {
            let told_so = "has come with a private key, in sight of whoever looked; nothing was imported. Make another key";
            return Err(told(format!("{} {told_so}; {UNPROTECTED}", self.url)));
        }
        Ok(())
    }

    fn request(&self, most: usize) -> Result<Request, Failure> {
        let Fetching { user, user_password_file, deadline, netns, .. } = self.arguments;
        let credentials = match (user, user_password_file) {
            (Some(user), Some(file)) => {
                Some(Credentials { user: user.clone(), password: text_of_file(file)?.to_string() })
            }
            _ => None,
        };
        Ok(Request {
            origin: Origin::Configured,
            instance: netns.as_deref().map(namespace).transpose()?,
            credentials,
            limits: Limits { deadline: Duration::from_secs(*deadline), content: most },
            priority: Priority::Operator,
            reuse: Reuse::Never,
            ..Request::new(self.url.clone())
        })
    }

    fn fetcher(&self) -> Result<Fetcher, Failure> {
        // The operator may read any file that is the operator's.
        let settings = Settings {
            policy: Policy { files: Some("/".into()), ..Policy::default() },
            roots: self.arguments.roots.as_deref().map_or(Ok(Roots::none()), roots)?,
            bounds: Bounds::default(),
            threads: 1,
            kept: None,
            // For the jitter of waits alone.
            random: Box::new(|| RandomState::new().build_hasher().finish()),
        };
        Fetcher::start(settings).map_err(told)
    }
}

fn roots(path: &Path) -> Result<Roots, Failure> {
    let failed = |why: String| told(format!("{}: {why}", path.display()));
    let octets = read_file(path, MAX_FILE as u64)?;
    let found = Certificate::from_file_bytes(&octets).map_err(|error| failed(error.to_string()))?;
    let ders = found.iter().map(|certificate| certificate.der().to_vec());
    Roots::new(ders).map_err(|error| failed(error.to_string()))
}

fn namespace(name: &str) -> Result<Instance, Failure> {
    let instance = Instance::open(name, &Path::new("/run/netns").join(name));
    let instance = instance.map_err(|error| told(format!("network namespace {name}: {error}")))?;
    let resolver = Path::new("/etc/netns").join(name).join("resolv.conf");
    Ok(if resolver.exists() { instance.with_resolver(resolver) } else { instance })
}
