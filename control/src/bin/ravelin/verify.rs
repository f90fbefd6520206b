//! `ravelin pki verify`: whether a certificate chains to an anchor, judged as the daemon judges peers, without a daemon.
//! `--explain` prints every candidate that was tried, in order, and why it was refused.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use ravelin_pki::file::{self, MAX_FILE};
use ravelin_pki::path::{self, Budget, Explanation, Outcome, PathError, Request, Rules, VerifiedPath};
use ravelin_pki::store::{Anchors, Intermediates};
use ravelin_pki::{Certificate, UnixTime};
use serde::Serialize;

use super::pki::{Failure, read_file};

#[derive(Args)]
pub struct Verify {
    /// Files of certificates: the first certificate is judged, the others are what its owner would present.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// A file of anchors; may be said several times.
    #[arg(long, required = true)]
    anchor: Vec<PathBuf>,
    /// Print every candidate that was tried, and why it was refused.
    #[arg(long)]
    explain: bool,
    /// Judge as at this time: seconds since 1970.
    #[arg(long)]
    at: Option<i64>,
}

/// The answer, as JSON has it.
#[derive(Serialize)]
struct Report {
    kind: &'static str,
    valid: bool,
    /// Why not, in a word and in a sentence.
    code: String,
    reason: String,
    /// The time it was judged at.
    time: String,
    /// When some certificate of the path will have expired.
    expires: String,
    /// Subject, serial and issuer, the end entity first, the anchor last.
    path: Vec<String>,
    tried: Vec<Tried>,
    not_checked: Vec<&'static str>,
}

#[derive(Serialize)]
struct Tried {
    depth: usize,
    source: String,
    certificate: String,
    fits: bool,
    reason: String,
}

/// Judges and prints; exit code 0 where there is a path, 1 where there is none.
pub fn run(arguments: &Verify, json: bool) -> ExitCode {
    let report = match judge(arguments) {
        Ok(report) => report,
        Err(why) => {
            eprintln!("ravelin: {why}");
            return ExitCode::FAILURE;
        }
    };
    if json {
        super::print_json(&report)
    } else {
        println!("{}", text(&report, arguments.explain))
    }
    ExitCode::from(u8::from(!report.valid))
}

fn judge(arguments: &Verify) -> Result<Report, String> {
    let mut presented = certificates(&arguments.files)?.into_iter().map(Arc::new);
    let end_entity = presented.next().ok_or("there is no certificate to judge")?;
    let presented: Vec<_> = presented.collect();
    let anchors: Anchors = certificates(&arguments.anchor)?.into_iter().map(Arc::new).collect();
    let time = arguments.at.map_or_else(now, UnixTime);
    let judged = path::validate(&Request {
        end_entity: &end_entity,
        presented: &presented,
        intermediates: &Intermediates::default(),
        anchors: &anchors,
        time,
        rules: &Rules::default(),
        budget: Budget::default(),
        known: None,
    });
    Ok(match judged {
        Ok(path) => valid(&path),
        Err(error) => invalid(&error, time),
    })
}

fn certificates(files: &[PathBuf]) -> Result<Vec<Certificate>, String> {
    let mut found = Vec::new();
    for path in files {
        let octets = read_file(path, MAX_FILE as u64).map_err(|failure| match failure {
            Failure::Told(why) => why,
            Failure::Call(error) => error.to_string(),
        })?;
        let read = file::read(&octets, None).map_err(|error| format!("{}: {error}", path.display()))?;
        found.extend(read.certificates);
    }
    Ok(found)
}

fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// What no verdict of a path says.
const NOT_CHECKED: [&str; 2] = ["revocation", "whether the certificate names a peer"];

fn valid(path: &VerifiedPath) -> Report {
    let mut certificates: Vec<String> = path.certificates().iter().map(ToString::to_string).collect();
    if path.certificates().last() != Some(path.anchor()) {
        certificates.push(path.anchor().to_string());
    }
    Report {
        kind: "pki-verify",
        valid: true,
        code: String::new(),
        reason: String::new(),
        time: path.time().to_string(),
        expires: path.expires().to_string(),
        path: certificates,
        tried: tried(path.explanation()),
        not_checked: NOT_CHECKED.to_vec(),
    }
}

fn invalid(error: &PathError, time: UnixTime) -> Report {
    Report {
        kind: "pki-verify",
        valid: false,
        code: error.cause.code().to_owned(),
        reason: error.to_string(),
        time: time.to_string(),
        expires: String::new(),
        path: Vec::new(),
        tried: tried(&error.explanation),
        not_checked: NOT_CHECKED.to_vec(),
    }
}

fn tried(explanation: &Explanation) -> Vec<Tried> {
    let line = |line: &path::Line| Tried {
        depth: line.depth,
        source: line.source.to_string(),
        certificate: line.certificate.clone(),
        fits: line.outcome == Outcome::Fits,
        reason: match &line.outcome {
            Outcome::Fits => String::new(),
            Outcome::Refused(cause) => cause.to_string(),
        },
    };
    explanation.lines().iter().map(line).collect()
}

fn text(report: &Report, explain: bool) -> String {
    let mut lines = Vec::new();
    if report.valid {
        lines.push(format!(
            "valid at {}, until {}; not checked: {}",
            report.time,
            report.expires,
            report.not_checked.join(", ")
        ));
        let indented = report.path.iter().enumerate();
        lines.extend(indented.map(|(depth, certificate)| format!("{:1$}{certificate}", "", 2 + 2 * depth)));
    } else {
        lines.push(format!("not valid at {}: {} [{}]", report.time, report.reason, report.code));
    }
    if explain {
        lines.push("tried:".to_owned());
        lines.extend(report.tried.iter().map(|tried| {
            let outcome = if tried.fits { "fits".to_owned() } else { format!("refused: {}", tried.reason) };
            format!("{:3$}{} {}: {outcome}", "", tried.source, tried.certificate, 2 + 2 * tried.depth)
        }));
    }
    lines.join("\n")
}
