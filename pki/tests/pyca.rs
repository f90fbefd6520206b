//! The vectors of pyca's cryptography (Debian: python3-cryptography-vectors, which `scripts/setup` installs): every
//! certificate, CRL, OCSP response, PKCS#7, PKCS#12 and private key of them is read here, and whatever has its issuer
//! among them is judged under it. What is refused is listed in `data/pyca-refused.txt`, with our words and why they
//! stand: a line that is no longer true fails, and so does a refusal that is not listed. Guards the readers against
//! encodings that others have met in the field, or made to break readers.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test reads its fixtures and fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use ravelin_pki::file::{self, Contents, FileError};
use ravelin_pki::key::KeyFileError;
use ravelin_pki::password::Password;
use ravelin_pki::path::{Budget, Request, Rules, validate};
use ravelin_pki::revocation::crl::{CrlError, Unverified};
use ravelin_pki::revocation::ocsp::{Answer, IdHash, OcspError, Question, ResponseRules};
use ravelin_pki::revocation::{Issued, Status};
use ravelin_pki::store::{Anchors, Intermediates};
use ravelin_pki::{Certificate, UnixTime, pem};
use zeroize::Zeroizing;

use crate::common::der::{ECDSA_SHA256, bits, sequence, short_time, tlv};
use crate::common::{gateway, parsed, self_signed};

/// Where Debian puts them.
const ROOT: &str = "/usr/lib/python3/dist-packages/cryptography_vectors";

/// What of them holds what is kept here.
const ROOMS: [&str; 11] = [
    "x509",
    "pkcs7",
    "pkcs12",
    "asymmetric/PKCS8",
    "asymmetric/DER_Serialization",
    "asymmetric/PEM_Serialization",
    "asymmetric/Traditional_OpenSSL_Serialization",
    "asymmetric/Ed25519",
    "asymmetric/Ed448",
    "asymmetric/X25519",
    "asymmetric/X448",
];

/// What the files' own tests open them with.
const PASSWORDS: [&str; 10] = [
    "",
    "cryptography",
    "password",
    "foobar",
    "123456",
    "1234",
    "baz",
    "asdf",
    "passwordpassword",
    "rosebud",
];

/// What there is, by its path below the root.
type ByPath<T> = BTreeMap<String, T>;

/// Refusals: our words, by what is refused.
type Refusals = BTreeMap<String, String>;

struct Vectors {
    read: ByPath<Contents>,
    refused: Refusals,
}

fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(directory);
    let entries = entries.unwrap_or_else(|error| {
        panic!("{}: {error}: scripts/setup installs python3-cryptography-vectors", directory.display())
    });
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

/// Every file of a room, by its path below the root.
fn files(room: &str) -> impl Iterator<Item = (String, Vec<u8>)> {
    let root = Path::new(ROOT);
    let mut found = Vec::new();
    files_below(&root.join(room), &mut found);
    found.into_iter().map(move |path| {
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read(&path).unwrap())
    })
}

/// Whether a file is for us: not requests, nor LDAP's pairs, nor public keys, nor what is no vector at all.
fn is_ours(name: &str) -> bool {
    let is_public = name.starts_with("asymmetric/") && name.contains("pub");
    let elsewhere = ["x509/requests/", "x509/ocsp/", "x509/PKITS_data/certpairs/", "x509/PKITS_data/smime/"];
    let ending = name.rsplit('.').next().unwrap_or_default();
    let kinds = ["pem", "der", "crt", "crl", "p7b", "p7c", "p12", "pfx", "key", "cer"];
    kinds.contains(&ending) && !is_public && !elsewhere.iter().any(|prefix| name.starts_with(prefix))
}

/// Reads a file under the password that opens it; `Ok(None)` if there is nothing of ours in it.
fn read(octets: &[u8]) -> Result<Option<Contents>, FileError> {
    let mut last = file::read(octets, None);
    for password in PASSWORDS {
        let is_closed = |error: &FileError| {
            matches!(error, FileError::Key(KeyFileError::Encrypted))
                || error.to_string().contains("the password is wrong")
        };
        if !last.as_ref().is_err_and(is_closed) {
            break;
        }
        let password = Password::new(Zeroizing::new(password.to_owned())).unwrap();
        last = file::read(octets, Some(&password));
    }
    match last {
        Err(FileError::Nothing(_)) => Ok(None),
        other => other.map(Some),
    }
}

static VECTORS: LazyLock<Vectors> = LazyLock::new(|| {
    let mut vectors = Vectors { read: ByPath::new(), refused: Refusals::new() };
    for (name, octets) in ROOMS.into_iter().flat_map(files).filter(|(name, _)| is_ours(name)) {
        match read(&octets) {
            Ok(Some(contents)) => drop(vectors.read.insert(name, contents)),
            Ok(None) => {}
            Err(error) => drop(vectors.refused.insert(name, error.to_string())),
        }
    }
    vectors
});

/// Every certificate that was read, under the name of its file and, where that has several, its number there.
static CERTIFICATES: LazyLock<ByPath<Arc<Certificate>>> = LazyLock::new(|| {
    let of = |(name, contents): (&String, &'static Contents)| {
        let name = name.clone();
        let single = contents.certificates.len() == 1;
        let named = contents.certificates.iter().zip(1..).map(move |(certificate, number)| {
            let name = if single { name.clone() } else { format!("{name}#{number}") };
            (name, Arc::new(certificate.clone()))
        });
        named.collect::<Vec<_>>()
    };
    VECTORS.read.iter().flat_map(of).collect()
});

/// What is listed, by what it is about: our words. Each line has its reason. `FOLDER/*` is every file there is of that folder.
fn listed(list: &str) -> Refusals {
    let all = |(name, words): (String, String)| match name.strip_suffix('*') {
        Some(folder) => {
            let known = VECTORS.read.keys().chain(VECTORS.refused.keys());
            let files: Vec<String> = known.filter(|file| file.starts_with(folder)).cloned().collect();
            assert!(!files.is_empty(), "{list}: there is nothing in {folder}");
            files.into_iter().map(|file| (file, words.clone())).collect()
        }
        None => vec![(name, words)],
    };
    let text = std::fs::read_to_string(format!("{}/tests/data/{list}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .map(|line| {
            let mut parts = line.split(" | ").map(str::trim).map(str::to_owned);
            let (name, words) = (parts.next().unwrap(), parts.next().unwrap());
            let reason = parts.next().unwrap_or_default();
            assert!(!reason.is_empty() && parts.next().is_none(), "name | our words | reason: {line}");
            (name, words)
        })
        .flat_map(all)
        .collect()
}

/// The difference told line by line, so that the list can be mended from it.
fn hold_to(list: &str, seen: &Refusals) {
    let listed = listed(list);
    let words = |(name, words): (&String, &String)| format!("{name} | {words}");
    let (seen, listed): (BTreeSet<String>, BTreeSet<String>) =
        (seen.iter().map(words).collect(), listed.iter().map(words).collect());
    let news: Vec<_> = seen.difference(&listed).collect();
    let stale: Vec<_> = listed.difference(&seen).collect();
    assert!(news.is_empty() && stale.is_empty(), "{list}: not listed: {news:#?}\nno longer true: {stale:#?}");
}

#[test]
fn what_is_not_read_is_listed() {
    let Vectors { read, refused } = &*VECTORS;
    println!("{} files read, {} refused", read.len(), refused.len());
    hold_to("pyca-unread.txt", refused);
    let certificates = CERTIFICATES.len();
    let keys = read.values().filter(|contents| contents.key.is_some()).count();
    let crls: usize = read.values().map(|contents| contents.crls.len()).sum();
    println!("{certificates} certificates, {keys} keys, {crls} CRLs");
    assert!(
        certificates > 500 && keys > 12 && crls > 150,
        "{certificates} {keys} {crls}: the set has shrunk"
    );
}

/// Those that may have issued a certificate or CRL.
fn issuers<'a>(
    issuer: &'a ravelin_pki::x509::Name,
    but: Option<&'a Certificate>,
) -> impl Iterator<Item = &'static Arc<Certificate>> + use<'a> {
    let others = CERTIFICATES.values().filter(move |known| but.is_none_or(|but| ***known != *but));
    others.filter(move |known| known.subject == *issuer)
}

/// Judges a certificate on its first day under whoever may have issued it; a root, and what is alone of its name, under itself.
fn judge(certificate: &Arc<Certificate>) -> Option<Result<(), String>> {
    let anchors: Anchors = issuers(&certificate.issuer, Some(certificate)).cloned().collect();
    if anchors.is_empty() && !certificate.is_self_issued() {
        return None;
    }
    if certificate.is_self_issued() {
        let (Ok(key), Ok(scheme)) = (&certificate.public_key, &certificate.signature_scheme) else {
            return None;
        };
        let verified = key.verify(*scheme, certificate.tbs(), &certificate.signature);
        if verified.is_ok() || anchors.is_empty() {
            return Some(verified.map_err(|error| error.to_string()));
        }
    }
    // The first instant at which both are good, if there is one.
    let starts =
        anchors.iter().map(|anchor| anchor.not_before).filter(|start| *start <= certificate.not_after);
    let time = starts.chain([certificate.not_before]).max().unwrap();
    let rules = Rules { ca_end_entity: true, ..Rules::default() };
    let judged = validate(&Request {
        end_entity: certificate,
        presented: &[],
        intermediates: &Intermediates::default(),
        anchors: &anchors,
        time,
        rules: &rules,
        budget: Budget::default(),
        known: None,
    });
    Some(judged.map(drop).map_err(|error| error.cause.to_string()))
}

/// Those of PKITS are judged in `pkits`, as its text has it.
#[test]
fn certificates_chain_to_their_issuers_or_are_listed() {
    let others = CERTIFICATES.iter().filter(|(name, _)| !name.starts_with("x509/PKITS_data/"));
    let judged: Vec<_> = others.filter_map(|(name, it)| Some((name.clone(), judge(it)?))).collect();
    let good = judged.iter().filter(|(_, judged)| judged.is_ok()).count();
    println!("{good} of {} that have an issuer here chain to it", judged.len());
    let refused = judged.into_iter().filter_map(|(name, judged)| Some((name, judged.err()?))).collect();
    hold_to("pyca-unchained.txt", &refused);
    assert!(good > 30, "{good}: the set has shrunk");
}

/// Judges a CRL at the moment it was made, under whoever may have issued it; the best that comes of it. `None` where nobody
/// here has: then its frame alone was read.
fn judge_list(der: &[u8]) -> Option<Result<(), String>> {
    let list = match Unverified::from_der(der) {
        Ok(list) => list,
        Err(error) => return Some(Err(error.to_string())),
    };
    let verify = |authority: &Arc<Certificate>| {
        // Before all time it says when its time begins, if it is signed well.
        match list.verify(authority, UnixTime(-1_000_000_000)) {
            Err(CrlError::NotYetValid { this_update, .. }) => list.verify(authority, this_update),
            other => other,
        }
    };
    let judged = issuers(list.issuer(), None).map(|authority| verify(authority).map(drop));
    judged.reduce(Result::or).map(|judged| judged.map_err(|error| error.to_string()))
}

#[test]
fn lists_verify_under_their_issuers_or_are_listed() {
    let lists = VECTORS
        .read
        .iter()
        .flat_map(|(name, contents)| contents.crls.iter().map(move |der| (name.clone(), judge_list(der))));
    let (mut good, mut orphans, mut refused) = (0, 0, Refusals::new());
    for (name, judged) in lists {
        match judged {
            Some(Ok(())) => good += 1,
            Some(Err(why)) => drop(refused.insert(name, why)),
            None => orphans += 1,
        }
    }
    println!("{good} CRLs verify, {} do not, {orphans} have no issuer here", refused.len());
    hold_to("pyca-unverified.txt", &refused);
    assert!(good > 150, "{good}: the set has shrunk");
}

/// The suite that `pkits` judges is the one that is here, octet for octet.
#[test]
fn pkits_is_the_same_here() {
    for (ours, folder, ending, least) in
        [("pkits.pem", "certs", "crt", 400), ("pkits-crls.pem", "crls", "crl", 160)]
    {
        let path = format!("{}/tests/data/{ours}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let blocks = pem::blocks(text.as_bytes()).unwrap();
        let ours: ByPath<Vec<u8>> =
            blocks.iter().map(|block| (lines[block.line - 2].to_owned(), block.der.to_vec())).collect();
        let theirs: ByPath<Vec<u8>> = files(&format!("x509/PKITS_data/{folder}"))
            .map(|(name, octets)| {
                let name = name.rsplit('/').next().unwrap().strip_suffix(&format!(".{ending}"));
                (name.unwrap().to_owned(), octets)
            })
            .collect();
        let others: Vec<_> = theirs.iter().filter(|(name, der)| ours.get(*name) != Some(*der)).collect();
        let others: Vec<_> = others.into_iter().map(|(name, _)| name).collect();
        assert!(others.is_empty() && theirs.len() > least, "{folder}: {} of them, {others:?}", theirs.len());
    }
}

/// Responses, each with the serial number that it is about and what it comes to when its issuer is asked about that at the
/// moment it was made. Few have an issuer here: of the others it is said that they are read, and about another's
/// certificate.
const RESPONSES: [(&str, &str, &str); 15] = [
    ("resp-sha256", "031c787a7dc90295007bc5f2220b3b527af0", "good"),
    (
        "resp-invalid-signature-oid",
        "031c787a7dc90295007bc5f2220b3b527af0",
        "it is signed with an unacceptable algorithm",
    ),
    ("resp-delegate-unknown-cert", "6372742e73683fadcfcbaead410f72bee1fd3223", ANOTHER),
    ("resp-responder-key-hash", "0fa0a21e15c20bbe1d68ea8fe7706635", ANOTHER),
    ("resp-revoked-no-next-update", "3f20", NO_SIGNER),
    ("resp-revoked-reason", "081d8b989e92fae68956dce62a893209a1bc24d3", ANOTHER),
    ("resp-revoked", "01af1efbdd5eae0952320b24fe6b5568", ANOTHER),
    ("resp-sct-extension", "23bf9a6c2bf9a2f0db5ecb4143caab63ad3871d3", ANOTHER),
    ("resp-single-extension-reason", "3f20", NO_SIGNER),
    ("resp-unknown-extension", "081d8b989e92fae68956dce62a893209a1bc24d3", ANOTHER),
    ("resp-unknown-hash-alg", "0fa0a21e15c20bbe1d68ea8fe7706635", ANOTHER),
    ("resp-response-type-unknown-oid", "01", "the response is of type"),
    ("resp-successful-no-response-bytes", "01", "responseBytes"),
    ("resp-unauthorized", "01", "the responder is not authorized"),
    ("resp-unknown-response-status", "01", "unknown status 7"),
];
const ANOTHER: &str = "the response is not about the certificate";
/// The CA of that name and key is here; who signed for it is not.
const NO_SIGNER: &str = "which is neither the CA nor a responder whose certificate is in the response";

/// A certificate of this number under the name of a CA, which nobody has signed: to ask about.
fn numbered(serial: &[u8], issuer: &Certificate) -> Arc<Certificate> {
    let like = self_signed(&gateway("Stand-in"), 0);
    let dates = sequence(&[&short_time(like.not_before), &short_time(like.not_after)]);
    let name = issuer.subject.der();
    let tbs = sequence(&[&tlv(2, serial), ECDSA_SHA256, name, &dates, like.subject.der(), &like.spki]);
    parsed(&sequence(&[&tbs, ECDSA_SHA256, &bits(&[0; 70])]))
}

/// Asks each CA here about a certificate of this number; what the response says to the one it is of.
fn ask(der: &[u8], serial: &str) -> Result<Answer, OcspError> {
    let serial: Vec<u8> = serial
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    let question = |issuer: &Arc<Certificate>| {
        let issued = Issued::new(numbered(&serial, issuer), Arc::clone(issuer));
        Question::new(issued, IdHash::Sha1, None)
    };
    let judged = |issuer: &Arc<Certificate>| {
        // Before all time it says when its time begins, if all else is well.
        let judge = |at| question(issuer).judge(der, ResponseRules::default(), at);
        let mut judged = judge(UnixTime(-1_000_000_000));
        while let Err(OcspError::NotYetValid { instant, .. }) = judged {
            judged = judge(instant);
        }
        judged
    };
    let named = CERTIFICATES.values().filter(|issuer| !issuer.subject.is_empty());
    let mut all = named.map(judged);
    let is_another = |judged: &Result<Answer, OcspError>| {
        matches!(judged, Err(OcspError::OtherCertificate | OcspError::Key(_)))
    };
    let own = all.find(|judged| !is_another(judged));
    own.unwrap_or(Err(OcspError::OtherCertificate))
}

#[test]
fn responses_say_what_they_say() {
    let mut wrong = Vec::new();
    for (name, serial, expected) in RESPONSES {
        let der = std::fs::read(format!("{ROOT}/x509/ocsp/{name}.der")).unwrap();
        let said = match ask(&der, serial) {
            Ok(answer) if answer.status() == Status::Good => "good".to_owned(),
            Ok(answer) => format!("{:?}", answer.status()),
            Err(error) => error.to_string(),
        };
        if !said.contains(expected) {
            wrong.push(format!("{name}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let there = files("x509/ocsp").filter(|(name, _)| name.contains("/resp-")).count();
    assert_eq!(there, RESPONSES.len(), "each has its line");
}
