//! Fragments of messages from a peer that holds the keys and may still be hostile (RFC 7383 §2.6).
//!
//! Each record of the input becomes one SKF payload, sealed with the peer's key: message ID, exchange,
//! number, total, first payload, content. Held to a model: a message comes out only when all its
//! fragments are in, its payloads are those of the pieces in order, and what is held stays within one
//! message's size.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use ravelin_gcm::{Kernel, Key, Seal, seal_burst};
use ravelin_ike::config::{AdditionalGroups, Encryption, Group, Prf};
use ravelin_ike::crypto::{IkeKeys, IkeSuite, Progress, Protection, Reassembly};
use ravelin_ike::want::Role;
use ravelin_ike::wire::{
    ExchangeType, Flags, Header, IkeSpi, Outer, PayloadType, SealedFragment, limits, parse_chain,
};
use zeroize::Zeroizing;

const KEY: [u8; 20] = [4; 20];
/// Octets of a record before its content.
const RECORD: usize = 6;

fuzz_target!(|data: &[u8]| {
    let (us, key) = (protection(), Key::new(Kernel::portable(), &KEY[..16]).expect("a key of 16 octets"));
    let (mut reassembly, mut model) = (Reassembly::new(limits::MESSAGE_OCTETS), Model::default());
    for (counter, record) in records(data).enumerate() {
        let Some(datagram) = record.seal(&key, counter as u64) else { continue };
        let Ok(Outer::Fragment(sealed)) = Outer::parse(&datagram) else { continue };
        let worth = reassembly.admits(&sealed);
        let fragment = us.open_fragment(&sealed).expect("sealed with our key");
        let progress = reassembly.insert(fragment);
        assert_eq!(worth.is_err(), matches!(progress, Ok(Progress::Ignored(_))), "admits foretells insert");
        if worth.is_ok() {
            model.take(&sealed, &record);
            model.hold_against(progress, &reassembly);
        }
    }
});

/// One fragment to be.
struct Record<'a> {
    message_id: u32,
    exchange: ExchangeType,
    number: u16,
    total: u16,
    first: PayloadType,
    content: Vec<u8>,
    raw: &'a [u8],
}

/// Records of (message ID and exchange, number, total, first payload, length of content in 2 octets).
fn records(mut data: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let (head, rest) = data.split_first_chunk::<RECORD>()?;
        let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
        let (raw, rest) = rest.split_at(length.min(rest.len()));
        data = rest;
        let exchange = if head[0] & 4 == 0 { ExchangeType::IkeAuth } else { ExchangeType::Informational };
        // The top bit asks for a large piece, which no fuzzer's input would otherwise hold.
        let content = raw.repeat(if head[0] & 0x80 == 0 { 1 } else { 1 + 30_000 / raw.len().max(1) });
        Some(Record {
            message_id: u32::from(head[0] & 3),
            exchange,
            number: u16::from(head[1]),
            total: u16::from(head[2]),
            first: head[3].into(),
            content,
            raw,
        })
    })
}

impl Record<'_> {
    /// The datagram of this fragment; `None` if it is too long for one.
    fn seal(&self, key: &Key, counter: u64) -> Option<Vec<u8>> {
        let flags = Flags { initiator: true, ..Flags::default() };
        let header = Header::new(IkeSpi(1), IkeSpi(2), self.exchange, flags, self.message_id);
        let mut text = [self.content.as_slice(), &[0]].concat();
        let payload = 8 + 8 + text.len() + 16;
        let length = 28 + payload;
        let mut out = Vec::with_capacity(length);
        header.emit(PayloadType::EncryptedFragment, u32::try_from(length).ok()?, &mut out);
        out.extend([self.first.into(), 0]);
        out.extend(u16::try_from(payload).ok()?.to_be_bytes());
        out.extend([self.number.to_be_bytes(), self.total.to_be_bytes()].concat());
        let mut nonce = [4; 12];
        nonce[4..].copy_from_slice(&counter.to_be_bytes());
        let mut tag = [0; 16];
        seal_burst(&mut [Seal::new(key, nonce, &out, &mut text, &mut tag)]);
        out.extend(counter.to_be_bytes());
        out.extend(text);
        out.extend(tag);
        Some(out)
    }
}

/// What reassembly should hold.
#[derive(Default)]
struct Model {
    message_id: u32,
    total: u16,
    first: Option<PayloadType>,
    pieces: BTreeMap<u16, Vec<u8>>,
}

impl Model {
    fn take(&mut self, sealed: &SealedFragment, record: &Record<'_>) {
        if self.pieces.is_empty() || (self.message_id, self.total) != (record.message_id, sealed.total()) {
            *self = Self { message_id: record.message_id, total: sealed.total(), ..Self::default() };
        }
        if sealed.number() == 1 {
            self.first = Some(record.first);
        }
        let replaced = self.pieces.insert(sealed.number(), record.content.clone());
        assert!(replaced.is_none(), "a piece of {} octets was taken twice", record.raw.len());
    }

    fn hold_against(&mut self, progress: Result<Progress, impl std::fmt::Debug>, reassembly: &Reassembly) {
        let octets: usize = self.pieces.values().map(Vec::len).sum();
        let complete = self.pieces.len() == usize::from(self.total);
        match progress {
            Ok(Progress::Waiting { have, total }) => {
                assert!(!complete && octets <= limits::MESSAGE_OCTETS);
                assert_eq!((usize::from(have), total), (self.pieces.len(), self.total));
                assert_eq!(reassembly.pending(), Some((self.message_id, have, total)));
                return;
            }
            Ok(Progress::Complete(opened)) => {
                let message = opened.message;
                assert!(complete && octets <= limits::MESSAGE_OCTETS);
                let whole: Vec<u8> = self.pieces.values().flatten().copied().collect();
                let first = self.first.expect("the first fragment is among all");
                let (payloads, skipped) = parse_chain(first, &whole).expect("it was read");
                assert_eq!((message.payloads, message.skipped), (payloads, skipped));
            }
            Ok(Progress::Ignored(_)) => unreachable!("it was worth taking"),
            Err(_) => assert!(complete || octets > limits::MESSAGE_OCTETS),
        }
        assert_eq!(reassembly.pending(), None);
        self.pieces.clear();
    }
}

fn protection() -> Protection {
    let suite = IkeSuite {
        encryption: Encryption::AesGcm128,
        integrity: None,
        prf: Prf::HmacSha256,
        group: Group::X25519,
        additional: AdditionalGroups::NONE,
    };
    let key = |octet: u8, length: usize| Zeroizing::new(vec![octet; length]);
    let keys = IkeKeys {
        sk_d: key(1, 32),
        sk_ai: key(0, 0),
        sk_ar: key(0, 0),
        sk_ei: Zeroizing::new(KEY.to_vec()),
        sk_er: key(5, 20),
        sk_pi: key(6, 32),
        sk_pr: key(7, 32),
    };
    Protection::new(&suite, &keys, Role::Responder).expect("the keys fit the suite")
}
