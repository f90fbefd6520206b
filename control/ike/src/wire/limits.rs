//! How much a stranger may make us hold, one number per repeated element, each with its reason.
//!
//! All of these are checked while reading, before the element is stored.

/// Octets of one IKE message, header included: what one UDP datagram can carry, and the most a
/// reassembled RFC 7383 message may grow to.
pub const MESSAGE_OCTETS: usize = 65_535;

/// Octets of an IKE_SA_INIT request, which AUTH covers and which is therefore kept. It travels without fragments of
/// IKE's, so 3 KB are much, even with a key encapsulation of 1.6 KB.
pub const INIT_OCTETS: usize = 8192;

/// Payloads in one message. A long IKE_AUTH carries about 10 certificates, 10 certificate
/// requests and 20 notifies; three times that is generous.
pub const PAYLOADS: usize = 128;

/// Proposals in one SA payload. Windows offers 18 at most, strongSwan's defaults are 2; the number
/// field would allow 255.
pub const PROPOSALS: usize = 64;

/// Transforms in one proposal. strongSwan's largest default offer holds about 40.
pub const TRANSFORMS: usize = 128;

/// Attributes in one transform. One is defined (key length); more would be unknown ones.
pub const ATTRIBUTES: usize = 8;

/// Selectors in one TS payload: all that the 8-bit count can announce, about 10 KiB.
pub const SELECTORS: usize = 255;

/// Octets of an identity. Names in DNS have 255, distinguished names of long titles some 500.
pub const IDENTITY_OCTETS: usize = 2048;

/// CERT payloads in one message. Chains deeper than 10 are not validated, some peers send
/// cross-certificates as well.
pub const CERTIFICATES: usize = 16;

/// CERTREQ payloads in one message: peers put all hashes into one, or one each.
pub const CERTIFICATE_REQUESTS: usize = 64;

/// Authority hashes in one CERTREQ payload (20 octets each): Windows lists every root it trusts,
/// some 200.
pub const AUTHORITIES: usize = 512;

/// Authority hashes of one peer that are looked at, over all its CERTREQ payloads: a peer that trusts more is a browser.
pub const REQUESTED: usize = 128;

/// Notify payloads in one message: the richest IKE_AUTH known to us has 14.
pub const NOTIFIES: usize = 64;

/// Additional addresses of a peer that are kept (RFC 4555 §3.4), the first of those it names: a host has one or two on
/// each link, and strongSwan names eight at most.
pub const ADDITIONAL_ADDRESSES: usize = 8;

/// Ways of proving oneself that a peer announces (RFC 9593) and that are looked at: a dozen algorithms for each of a few
/// authorities.
pub const ANNOUNCEMENTS: usize = 64;

/// Octets of a ticket (RFC 5723): ours have some 250, and with certificates in them what those have. Who was given it
/// has to show it in one datagram.
pub const TICKET_OCTETS: usize = 6144;

/// Vendor ID payloads in one message: Cisco and Windows send 6 to 8.
pub const VENDOR_IDS: usize = 32;

/// SPIs in one Delete payload: more children than one IKE SA may own with us.
pub const DELETED_SPIS: usize = 1024;

/// Fragments of one message (RFC 7383): 65535 octets at the smallest fragment we would still
/// accept, about 256 octets of content.
pub const FRAGMENTS: u16 = 256;

#[cfg(test)]
mod tests;
