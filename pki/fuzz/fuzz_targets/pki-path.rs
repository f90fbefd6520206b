//! A chain from a peer whose certificates may be forged (RFC 5280 §6).
//!
//! The input is up to four certificates, each behind its length in two octets, the end entity first. The
//! anchor is fixed. Soundness: whatever is found valid consists of what the authority signed, word for
//! word; and whatever it costs stays within the budget.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use ravelin_pki::path::{Budget, Request, Rules, validate};
use ravelin_pki::store::{Anchors, Intermediates};
use ravelin_pki::{Certificate, UnixTime};

/// Root, intermediate and end entity, as scripts/lib/fuzz_seeds.py made them.
const CHAIN: &[u8] = include_bytes!("../chain.pem");
/// 2030-01-01: within their dates.
const TIME: UnixTime = UnixTime(1_893_456_000);

static SIGNED: LazyLock<Vec<Arc<Certificate>>> = LazyLock::new(|| {
    Certificate::from_pem_bundle(CHAIN).expect("a bundle").into_iter().map(Arc::new).collect()
});

fuzz_target!(|data: &[u8]| {
    let presented: Vec<Arc<Certificate>> =
        records(data).take(4).filter_map(|der| Certificate::from_der(der).ok()).map(Arc::new).collect();
    let Some((end_entity, others)) = presented.split_first() else { return };
    let anchors: Anchors = SIGNED.iter().take(1).cloned().collect();
    let request = Request {
        end_entity,
        presented: others,
        intermediates: &Intermediates::default(),
        anchors: &anchors,
        time: TIME,
        rules: &Rules::default(),
        budget: Budget { signatures: 8, steps: 40, name_comparisons: 1000 },
        known: None,
    };
    match validate(&request) {
        Ok(path) => {
            assert_eq!(path.end_entity(), end_entity);
            assert!(
                path.certificates().iter().all(|found| was_signed(found)),
                "a forged certificate is valid"
            );
            assert!(path.expires() > TIME);
        }
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
});

/// ECDSA signatures can be rewritten by anybody (s and n - s), what they cover cannot.
fn was_signed(found: &Certificate) -> bool {
    SIGNED.iter().any(|signed| signed.tbs() == found.tbs())
}

fn records(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk::<2>()?;
        let (record, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
        data = rest;
        Some(record)
    })
}
