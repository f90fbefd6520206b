//! `ravelin-fetch [OPTIONS] URL...`: fetches, for people who try a server and for the scenarios.
//!
//! One line an outcome: `ok OCTETS ADDRESS FRESH-SECONDS` or `error FAULT TEXT`. The last content goes to `--out`. Exits
//! 0 when all were fetched, 1 when one was not, 2 when it was asked wrongly.

#![forbid(unsafe_code)]

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use ravelin_fetch::desk::Bounds;
use ravelin_fetch::url::Credentials;
use ravelin_fetch::{
    FetchError, Fetched, Fetcher, Instance, Method, Origin, Policy, Priority, Request, Reuse, Roots,
    Settings, Source, Url,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

const USAGE: &str = "\
usage: ravelin-fetch [OPTIONS] URL...
  --foreign          as if a certificate held the URL: public addresses alone
  --allow NETWORK    open a network to such URLs
  --netns NAME       from that network namespace, by its resolver if /etc/netns has one
  --roots FILE       judge TLS servers by these certificates (PEM)
  --files DIRECTORY  read file URLs below it
  --kept DIRECTORY   keep answers there
  --deadline SECONDS [10]
  --cap OCTETS       [67108864]
  --reuse fresh|revalidate|never  [fresh]
  --user NAME --password WORD     for FTP; for LDAP the name to bind as
  --start-tls        on LDAP's plain port
  --ocsp FILE        POST it as an OCSP request
  --out FILE         write the last content there";

fn main() -> ExitCode {
    match asked(std::env::args().skip(1)).and_then(|asked| asked.carry_out()) {
        Ok(all_well) => ExitCode::from(u8::from(!all_well)),
        Err(problem) => {
            eprintln!("ravelin-fetch: {problem}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

struct Asked {
    template: Request,
    urls: Vec<String>,
    policy: Policy,
    roots: Roots,
    kept: Option<(PathBuf, u64)>,
    out: Option<PathBuf>,
}

/// Reads the command line; says what is wrong with it.
fn asked(mut words: impl Iterator<Item = String>) -> Result<Asked, String> {
    let nowhere = Url::parse("http://nowhere.invalid/").map_err(|error| error.to_string())?;
    let template =
        Request { origin: Origin::Configured, priority: Priority::Operator, ..Request::new(nowhere) };
    let (policy, roots) = (Policy::default(), Roots::none());
    let mut asked = Asked { template, urls: Vec::new(), policy, roots, kept: None, out: None };
    while let Some(word) = words.next() {
        if word == "--foreign" {
            asked.template.origin = Origin::Foreign;
        } else if word == "--start-tls" {
            asked.template.start_tls = true;
        } else if let Some(option) = word.strip_prefix("--") {
            let value = words.next().ok_or_else(|| format!("--{option} needs a value"))?;
            asked.option(option, value)?;
        } else {
            asked.urls.push(word);
        }
    }
    if asked.urls.is_empty() { Err("no URL".into()) } else { Ok(asked) }
}

impl Asked {
    fn option(&mut self, option: &str, value: String) -> Result<(), String> {
        let request = &mut self.template;
        match option {
            "allow" => self.policy.allow.push(parse(&value)?),
            "netns" => request.instance = Some(open_namespace(&value)?),
            "roots" => self.roots = read_roots(&value)?,
            "files" => self.policy.files = Some(value.into()),
            "kept" => self.kept = Some((value.into(), 256 << 20)),
            "deadline" => request.limits.deadline = Duration::from_secs(parse(&value)?),
            "cap" => request.limits.content = parse(&value)?,
            "reuse" => request.reuse = reuse(&value)?,
            "user" => credentials(request).user = value,
            "password" => credentials(request).password = value,
            "ocsp" => {
                let body = std::fs::read(&value).map_err(|error| format!("{value}: {error}"))?;
                request.method = Method::Post { body, content_type: "application/ocsp-request" };
            }
            "out" => self.out = Some(value.into()),
            _ => return Err(format!("--{option} is no option")),
        }
        Ok(())
    }

    fn carry_out(self) -> Result<bool, String> {
        let settings = Settings {
            policy: self.policy,
            roots: self.roots,
            bounds: Bounds::default(),
            threads: 1,
            kept: self.kept,
            random: Box::new(|| RandomState::new().build_hasher().finish()),
        };
        let fetcher = Fetcher::start(settings).map_err(|error| error.to_string())?;
        let mut all_well = true;
        for url in &self.urls {
            let outcome = Url::parse(url)
                .map_err(FetchError::from)
                .and_then(|url| fetcher.fetch(Request { url, ..self.template.clone() }));
            match outcome {
                Ok(fetched) => tell(&fetched, self.out.as_deref())?,
                Err(error) => {
                    println!("error {:?} {error}", error.fault());
                    all_well = false;
                }
            }
        }
        Ok(all_well)
    }
}

fn tell(fetched: &Fetched, out: Option<&Path>) -> Result<(), String> {
    let from = match &fetched.from {
        Source::Server { address, .. } => address.to_string(),
        Source::File => "file".into(),
        Source::Cache => "cache".into(),
        Source::Revalidated { address } => format!("revalidated-{address}"),
    };
    let fresh = fetched.fresh_until.and_then(|until| until.duration_since(SystemTime::now()).ok());
    println!("ok {} {from} {}", fetched.bytes.len(), fresh.map_or(0, |fresh| fresh.as_secs()));
    match out {
        Some(path) => {
            std::fs::write(path, &fetched.bytes).map_err(|error| format!("{}: {error}", path.display()))
        }
        None => Ok(()),
    }
}

fn parse<T: FromStr<Err: ToString>>(value: &str) -> Result<T, String> {
    value.parse().map_err(|error: T::Err| format!("{value}: {}", error.to_string()))
}

fn open_namespace(name: &str) -> Result<Instance, String> {
    let instance = Instance::open(name, &Path::new("/run/netns").join(name));
    let instance = instance.map_err(|error| format!("{name}: {error}"))?;
    let resolver = Path::new("/etc/netns").join(name).join("resolv.conf");
    Ok(if resolver.exists() { instance.with_resolver(resolver) } else { instance })
}

fn read_roots(path: &str) -> Result<Roots, String> {
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| format!("{path}: {error}"))?;
    let certificates: Result<Vec<_>, _> = certificates.map(|one| one.map(|one| one.to_vec())).collect();
    let certificates = certificates.map_err(|error| format!("{path}: {error}"))?;
    Roots::new(certificates).map_err(|error| format!("{path}: {error}"))
}

fn reuse(value: &str) -> Result<Reuse, String> {
    match value {
        "fresh" => Ok(Reuse::WhileFresh),
        "revalidate" => Ok(Reuse::Revalidate),
        "never" => Ok(Reuse::Never),
        _ => Err(format!("{value}: fresh, revalidate or never")),
    }
}

fn credentials(request: &mut Request) -> &mut Credentials {
    request.credentials.get_or_insert_with(|| Credentials { user: String::new(), password: String::new() })
}
