//! NULL authentication (RFC 7619) is not done: whoever proves nothing is refused by name, whatever is configured.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::harness::peer::{self, Peer};
use ravelin_ike::config::{Connection, IdentityMatch, RemoteAuth};
use ravelin_ike::event::Event;
use ravelin_ike::wire::{
    AuthenticationMethod, ExchangeType, Identification, IdentificationType, NotifyType, Payload,
};

/// ID_NULL (RFC 7619 §2.2).
fn nobody() -> Identification {
    Identification::new(IdentificationType::from(13), Vec::new())
}

/// Calls as nobody, or by name, with a proof that everybody could make: that by SK_pi (RFC 7619 §2.1), under this method.
fn refused(
    identity: Identification,
    method: AuthenticationMethod,
    change: fn(&mut Connection),
) -> &'static str {
    let mut peer = Peer::new(change);
    peer.call(peer.init());
    let key = peer.sa.as_ref().unwrap().keys.sk_pi.clone();
    let proof = peer.proof(identity, method, |signed| signed.shared_key_proof(&key).to_vec());
    let child = peer::child_offer(1, peer::CHILD, None).to_vec();
    let reply = peer.ask(ExchangeType::IkeAuth, [proof, child].concat());
    assert!(
        matches!(reply.as_slice(), [Payload::Notify(it)] if it.notify_type == NotifyType::AuthenticationFailed)
    );
    let failure = |event: &Event| match event {
        Event::AttemptFailed { attempt, .. } => attempt.failure.as_ref().map(|failure| failure.code()),
        Event::IkeUp(_) => Some("up"),
        _ => None,
    };
    let told: Vec<_> = peer.events.iter().filter_map(failure).collect();
    assert_eq!((told.len(), peer.children().len()), (1, 0));
    told[0]
}

/// Whether anybody is let in who proves to be somebody, or one peer alone, by key or by certificate.
#[test]
fn who_proves_nothing_is_refused() {
    let anybody = |connection: &mut Connection| connection.remote_identity = IdentityMatch::Any;
    let certified = |connection: &mut Connection| {
        connection.remote_identity = IdentityMatch::Any;
        connection.remote_auth = RemoteAuth::Certificate { schemes: vec![], authorities: vec![] };
    };
    let null = AuthenticationMethod::Null;
    assert_eq!(refused(nobody(), null, anybody), "RV-AUTH-006");
    assert_eq!(refused(nobody(), null, certified), "RV-AUTH-006");
    assert_eq!(refused(nobody(), null, |_| {}), "RV-AUTH-004");
    assert_eq!(refused(peer::named("end0.example"), null, |_| {}), "RV-AUTH-006");
}

/// Nor does it help to call such a proof one by a key.
#[test]
fn a_key_that_everybody_has_is_none() {
    let anybody = |connection: &mut Connection| connection.remote_identity = IdentityMatch::Any;
    assert_eq!(refused(nobody(), AuthenticationMethod::SharedKey, anybody), "RV-AUTH-002");
}
