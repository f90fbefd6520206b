//! The MAC over a PKCS#12 file (RFC 7292 §4, §5.1) and the derivation of its key (appendix B).

use aws_lc_rs::{constant_time, digest, hmac};
use zeroize::Zeroizing;

use super::Pkcs12Error;
use crate::der::{DerError, Element, tag, write};
use crate::oid::{self, Known, Oid};
use crate::password::{Effort, Password, PasswordError};

/// Longest salt accepted; those in use have 8 to 64 octets.
const MAX_SALT: usize = 1024;
/// Purpose of a key: integrity (appendix B.3).
const INTEGRITY: u8 = 3;

/// A hash a MAC may be made with.
struct Hash {
    name: Known,
    digest: &'static digest::Algorithm,
    hmac: hmac::Algorithm,
}

static HASHES: [Hash; 4] = [
    Hash { name: oid::SHA256, digest: &digest::SHA256, hmac: hmac::HMAC_SHA256 },
    Hash { name: oid::SHA384, digest: &digest::SHA384, hmac: hmac::HMAC_SHA384 },
    Hash { name: oid::SHA512, digest: &digest::SHA512, hmac: hmac::HMAC_SHA512 },
    Hash {
        name: oid::SHA1,
        digest: &digest::SHA1_FOR_LEGACY_USE_ONLY,
        hmac: hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
    },
];

/// Checks MacData over the contents of the authSafe.
pub(super) fn verify(
    mac_data: Element<'_>,
    contents: &[u8],
    password: &Password,
    effort: &mut Effort,
) -> Result<(), Pkcs12Error> {
    let mut reader = mac_data.reader();
    let mut digest_info = reader.sequence()?;
    let name = Oid::parse(digest_info.sequence()?.element()?)?;
    let expected = digest_info.expect(tag::OCTET_STRING)?.content;
    let salt = reader.expect(tag::OCTET_STRING)?.content;
    let iterations = reader.optional(tag::INTEGER)?.map_or(Ok(1), |count| count.small())?;
    reader.finish()?;
    let hash = HASHES.iter().find(|hash| name.is(hash.name)).ok_or(Pkcs12Error::Unsupported(name))?;
    if salt.len() > MAX_SALT {
        return Err(DerError::Content("macSalt").into());
    }
    effort.spend(iterations.into())?;
    let made = tag_of(hash, salt, iterations, contents, password);
    constant_time::verify_slices_are_equal(made.as_ref(), expected).map_err(|_| PasswordError::Wrong.into())
}

/// MacData with SHA-256.
pub(super) fn make(salt: &[u8], iterations: u32, contents: &[u8], password: &Password) -> Vec<u8> {
    let [hash, ..] = &HASHES;
    let tag = tag_of(hash, salt, iterations, contents, password);
    let algorithm = write::sequence(&[&write::oid(hash.name), &write::element(tag::NULL, &[])]);
    let info = write::sequence(&[&algorithm, &write::element(tag::OCTET_STRING, &[tag.as_ref()])]);
    write::sequence(&[&info, &write::element(tag::OCTET_STRING, &[salt]), &write::integer(iterations)])
}

fn tag_of(hash: &Hash, salt: &[u8], iterations: u32, contents: &[u8], password: &Password) -> hmac::Tag {
    let key = key(hash.digest, salt, iterations, password);
    hmac::sign(&hmac::Key::new(hash.hmac, &key), contents)
}

/// Appendix B.2, for as many octets as the hash has: one turn of its step 6.
fn key(
    hash: &'static digest::Algorithm,
    salt: &[u8],
    iterations: u32,
    password: &Password,
) -> Zeroizing<Vec<u8>> {
    let block = hash.block_len();
    let mut octets = Zeroizing::new(vec![INTEGRITY; block]);
    let password = bmp_string(password.text());
    let room = salt.len().saturating_add(password.len()).saturating_add(block.saturating_mul(2));
    octets.reserve_exact(room);
    for part in [salt, &password] {
        let length = part.len().next_multiple_of(block);
        octets.extend(part.iter().cycle().take(length));
    }
    let mut turned = Zeroizing::new(digest::digest(hash, &octets).as_ref().to_vec());
    for _ in 1..iterations {
        let next = digest::digest(hash, &turned);
        turned.iter_mut().zip(next.as_ref()).for_each(|(to, from)| *to = *from);
    }
    turned
}

/// Appendix B.1: UTF-16, big-endian, with a terminator of two zeros.
fn bmp_string(text: &str) -> Zeroizing<Vec<u8>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(text.len().saturating_add(1).saturating_mul(2)));
    octets.extend(text.encode_utf16().chain([0]).flat_map(u16::to_be_bytes));
    octets
}
