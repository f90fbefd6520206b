//! The entries of a CRL (RFC 5280 §5.1.2.6 and §5.3), packed so that millions of them can be held and asked.
//!
//! Each entry becomes a record of some 27 octets (length, serial number, reason, time), and the records lie one behind
//! the other, grouped by a hash of the serial number into buckets of a few. A question reads one bucket: two or three
//! cache lines, however many entries there are. Making it takes two walks over the DER and no memory besides the result:
//! the first checks every entry and measures the buckets, the second fills them.

use std::hash::Hasher;

use super::CrlError;
use crate::der::{DerError, Element, Reader, tag};
use crate::oid::{self, Oid};
use crate::revocation::{Reason, Revoked};
use crate::time::UnixTime;
use crate::x509::only_element;

/// Octets of DER for each bucket: some seven entries.
const OCTETS_A_BUCKET: usize = 256;

/// Longest serial number accepted, as in certificates.
const MAX_SERIAL: usize = 40;

/// Extensions of one entry; four are defined.
const MAX_EXTENSIONS: usize = 16;

/// Octets of a record besides its serial number: length, reason, and 40 bits of seconds.
const OVERHEAD: usize = 7;

/// The year 0, so that every instant a certificate can name is a positive number of seconds.
const EPOCH: i64 = -62_167_219_200;

/// Who is revoked.
pub(super) struct Entries {
    /// Where the records of each bucket end; a power of two of them.
    ends: Box<[u32]>,
    records: Box<[u8]>,
    count: usize,
}

/// One of revokedCertificates, as it stands there.
struct Entry<'a> {
    serial: &'a [u8],
    revoked: Revoked,
}

impl Entries {
    /// Reads the contents of revokedCertificates, `octets` long. `extensions` says whether entries may have any
    /// (version 2).
    pub(super) fn build(list: Reader<'_>, octets: usize, extensions: bool) -> Result<Self, CrlError> {
        let buckets = (octets / OCTETS_A_BUCKET).max(1).next_power_of_two();
        let mut ends = vec![0u32; buckets];
        let mut count = 0;
        for entry in entries(list.clone(), extensions) {
            let entry = entry?;
            if let Some(size) = ends.get_mut(bucket(entry.serial, buckets)) {
                *size = size.saturating_add(entry.record_length());
            }
            count += 1;
        }
        let mut records = vec![0; make_starts(&mut ends)];
        // The starts move on as the buckets fill, and are their ends when all is in.
        for entry in entries(list, extensions) {
            let entry = entry?;
            let Some(at) = ends.get_mut(bucket(entry.serial, buckets)) else { continue };
            let from = *at;
            *at = from.saturating_add(entry.record_length());
            if let Some(record) = records.get_mut(from as usize..*at as usize) {
                entry.write(record);
            }
        }
        Ok(Self { ends: ends.into(), records: records.into(), count })
    }

    /// How many there are.
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// Octets held.
    pub(super) const fn octets(&self) -> usize {
        self.records.len() + self.ends.len() * 4
    }

    /// What is said of a serial number (two's complement, as encoded).
    pub(super) fn find(&self, serial: &[u8]) -> Option<Revoked> {
        let bucket = bucket(serial, self.ends.len());
        let from =
            bucket.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        let until = *self.ends.get(bucket)? as usize;
        let mut rest = self.records.get(from..until)?;
        while let Some((&length, after)) = rest.split_first() {
            let (found, after) = after.split_at_checked(usize::from(length))?;
            let (said, after) = after.split_at_checked(OVERHEAD - 1)?;
            if found == serial {
                return read(said);
            }
            rest = after;
        }
        None
    }
}

/// Turns sizes into starts; the sum of all. A CRL is shorter than 2^32 octets, and so are its records.
fn make_starts(sizes: &mut [u32]) -> usize {
    let mut total = 0u32;
    for size in sizes {
        let start = total;
        total = total.saturating_add(*size);
        *size = start;
    }
    total as usize
}

/// Which of `buckets`, a power of two, a serial number belongs to.
fn bucket(serial: &[u8], buckets: usize) -> usize {
    // Without a key: the authority chooses its serial numbers, and a slow CRL would be its own.
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(serial);
    hasher.finish() as usize & (buckets - 1)
}

fn read(said: &[u8]) -> Option<Revoked> {
    let (&reason, seconds) = said.split_first()?;
    let seconds = seconds.iter().fold(0i64, |seconds, &octet| seconds << 8 | i64::from(octet));
    Some(Revoked { at: UnixTime(seconds + EPOCH), reason: Reason::from_code(reason) })
}

fn entries(mut list: Reader<'_>, extensions: bool) -> impl Iterator<Item = Result<Entry<'_>, CrlError>> {
    let mut broken = false;
    std::iter::from_fn(move || {
        if broken || list.is_empty() {
            return None;
        }
        let entry = Entry::next(&mut list, extensions);
        broken = entry.is_err();
        Some(entry)
    })
}

impl<'a> Entry<'a> {
    /// SEQUENCE { userCertificate, revocationDate, crlEntryExtensions OPTIONAL }
    fn next(list: &mut Reader<'a>, extensions: bool) -> Result<Self, CrlError> {
        let der = |error| CrlError::Der { field: "revokedCertificates", error };
        let mut reader = list.sequence().map_err(der)?;
        let serial = reader.expect(tag::INTEGER).and_then(|serial| serial.integer()).map_err(der)?;
        let at = reader.element().and_then(UnixTime::parse).map_err(der)?;
        let mut reason = Reason::Unspecified;
        if !reader.is_empty() {
            reason = entry_extensions(reader.sequence().map_err(der)?)?;
            if !extensions {
                return Err(CrlError::Profile("only version 2 CRLs may have extensions"));
            }
        }
        reader.finish().map_err(der)?;
        if serial.len() > MAX_SERIAL {
            return Err(CrlError::Profile("a serial number is longer than 40 octets"));
        }
        Ok(Self { serial, revoked: Revoked { at, reason } })
    }

    const fn record_length(&self) -> u32 {
        (self.serial.len() + OVERHEAD) as u32
    }

    /// Fills a record of just the right length.
    fn write(&self, record: &mut [u8]) {
        let seconds = (self.revoked.at.0 - EPOCH).to_be_bytes();
        let said = [self.serial.len() as u8]
            .into_iter()
            .chain(self.serial.iter().copied())
            .chain([self.revoked.reason.code()])
            .chain(seconds.into_iter().skip(3));
        record.iter_mut().zip(said).for_each(|(to, from)| *to = from);
    }
}

/// The reason; whatever else is critical makes the whole CRL unusable.
fn entry_extensions(mut list: Reader<'_>) -> Result<Reason, CrlError> {
    let der = |error| CrlError::Der { field: "crlEntryExtensions", error };
    let mut reason = Reason::Unspecified;
    let mut count = 0;
    while !list.is_empty() {
        count += 1;
        if count > MAX_EXTENSIONS {
            return Err(der(DerError::TooMany { what: "extensions of an entry", limit: MAX_EXTENSIONS }));
        }
        let (kind, critical, value) = extension(&mut list).map_err(der)?;
        match kind.content {
            oid::REASON_CODE => reason = reason_code(value).map_err(der)?,
            // RFC 5280 §5.3.3: the entry, and those that follow, are of another issuer's certificates.
            oid::CERTIFICATE_ISSUER => return Err(CrlError::Indirect),
            // RFC 5280 §5.3: with a critical entry extension it cannot process, an application MUST NOT use the CRL.
            _ if critical => {
                let kind = Oid::parse(kind).map_err(der)?;
                return Err(CrlError::UnknownCritical { place: "an entry", kind });
            }
            _ => {}
        }
    }
    Ok(reason)
}

/// One extension in place: a million entries have as many, and none of them is worth an allocation.
fn extension<'a>(list: &mut Reader<'a>) -> Result<(Element<'a>, bool, &'a [u8]), DerError> {
    let mut reader = list.sequence()?;
    let kind = reader.expect(tag::OID)?;
    let critical = reader.optional(tag::BOOLEAN)?.map_or(Ok(false), |element| element.boolean())?;
    let value = reader.expect(tag::OCTET_STRING)?.content;
    reader.finish()?;
    Ok((kind, critical, value))
}

/// CRLReason ::= ENUMERATED
fn reason_code(value: &[u8]) -> Result<Reason, DerError> {
    let code = only_element(value)?.tagged(tag::ENUMERATED)?.small()?;
    Ok(Reason::from_code(u8::try_from(code).unwrap_or(0)))
}
