//! The threads that do the loop's slow work: the keeper signs, the pool agrees on keys,
//! checks signatures and judges chains. Everything asked here is answered once, by an input
//! of the loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;

use crossbeam::channel::{self, Receiver, Sender};
use ravelin_ike::config::ConnectionId;
use ravelin_ike::id::Ticket;
use ravelin_ike::key_agreement::KeyAgreement;
use ravelin_ike::want::{self, Answer, AnswerError};
use ravelin_pki::identity::Identity;
use ravelin_pki::path::Rules;
use ravelin_pki::{Certificate, UnixTime};

use super::core::Input;
use crate::config::plan::{Ike, Keying, OwnAuthentication, PeerAuthentication, Plan};
use crate::keeper::{self, Keeper, KeyName, KeySource};
use crate::pool::Pool;
use crate::trust::{self, Profile, Sources};
use crate::tunnel::connection;
use crate::tunnel::roster::Roster;
use crate::tunnel::scheme;

/// Threads that sign.
const KEEPERS: usize = 1;

/// What a connection's questions are answered with.
#[derive(Debug, Clone, Default)]
struct Basis {
    key: Option<KeyName>,
    profile: Option<Arc<Profile>>,
    expected: Option<Identity>,
}

/// The threads' entries.
#[derive(Debug)]
pub struct Helpers {
    keeper: Keeper,
    pool: Pool<Input>,
    inputs: Sender<Input>,
    connections: BTreeMap<ConnectionId, Basis>,
}

impl Helpers {
    /// Starts the threads and loads every private key of the plan.
    ///
    /// # Errors
    /// Which key, and what to do; or the machine's word.
    pub fn start(
        plan: &Plan,
        roster: &Roster,
        threads: usize,
        inputs: &Sender<Input>,
    ) -> Result<Self, String> {
        let machine = |error: std::io::Error| format!("a thread could not be started: {error}");
        let (sender, answers) = channel::unbounded();
        let keeper = Keeper::start(KEEPERS, &sender).map_err(machine)?;
        load_keys(plan, &keeper, &answers)?;
        forward(answers, inputs.clone()).map_err(machine)?;
        let profiles = profiles(plan)?;
        let mut connections = BTreeMap::new();
        for (id, tunnel) in roster.tunnels() {
            let Keying::Ike(ike) = &tunnel.keying else { continue };
            connections.insert(id, basis(&profiles, ike)?);
        }
        Ok(Self {
            connections,
            keeper,
            pool: Pool::start(threads, inputs).map_err(machine)?,
            inputs: inputs.clone(),
        })
    }

    fn refuse(&self, ticket: Ticket, answer: Answer) {
        // The loop drains its inputs between wants; a full queue means it is about to end.
        let _ = self.inputs.try_send(Input::Answered(ticket, answer));
    }

    fn submit(
        &self,
        ticket: Ticket,
        refusal: fn(AnswerError) -> Answer,
        job: impl FnOnce() -> Answer + Send + 'static,
    ) {
        if let Err(error) = self.pool.submit(move || Input::Answered(ticket, job())) {
            self.refuse(ticket, refusal(error));
        }
    }

    /// Runs a key agreement.
    pub fn agree(&self, ticket: Ticket, agreement: KeyAgreement) {
        self.submit(
            ticket,
            |error| Answer::KeyAgreement(Err(error)),
            move || Answer::KeyAgreement(agreement.perform()),
        );
    }

    /// Checks a signature.
    pub fn verify(&self, ticket: Ticket, verify: want::Verify) {
        self.submit(
            ticket,
            |error| Answer::Verify(Err(error)),
            move || Answer::Verify(trust::verify(&verify)),
        );
    }

    /// Judges a chain.
    pub fn verdict(&self, ticket: Ticket, verdict: want::Verdict) {
        let basis = self.connections.get(&verdict.connection).cloned().unwrap_or_default();
        let Some(profile) = basis.profile else {
            return self.refuse(ticket, Answer::Verdict(Err(missing("trust anchors"))));
        };
        self.submit(
            ticket,
            |error| Answer::Verdict(Err(error)),
            move || {
                let judgement = trust::judge(&profile, &verdict, basis.expected.as_ref(), now());
                if let Ok(verdict) = &judgement.evidence {
                    tracing::debug!("a peer's chain was accepted; {}", verdict.not_checked().join("; "));
                }
                Answer::Verdict(judgement.answer)
            },
        );
    }

    /// Signs with the connection's key.
    pub fn sign(&self, ticket: Ticket, sign: want::Sign) {
        let Some(key) = self.connections.get(&sign.connection).and_then(|basis| basis.key.clone()) else {
            return self.refuse(ticket, Answer::Sign(Err(missing("private key"))));
        };
        let scheme = scheme::to_pki(sign.scheme);
        let request = keeper::Request::Sign { ticket: ticket.0, key, scheme, octets: sign.octets };
        if let Err(error) = self.keeper.request(request) {
            let error = AnswerError { code: "RV-KEY-002".into(), text: error.to_string() };
            self.refuse(ticket, Answer::Sign(Err(error)));
        }
    }
}

fn missing(what: &str) -> AnswerError {
    AnswerError { code: "RV-LOCAL-015".into(), text: format!("the connection has no {what}") }
}

fn now() -> UnixTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    UnixTime(since.as_secs() as i64)
}

fn basis(profiles: &BTreeMap<String, Arc<Profile>>, ike: &Ike) -> Result<Basis, String> {
    let key = match &ike.own {
        OwnAuthentication::Certificate(name) => Some(KeyName::from(name.as_str())),
        OwnAuthentication::Psk(_) => None,
    };
    let profile = match &ike.peer {
        PeerAuthentication::Certificate(name) => profiles.get(name).cloned(),
        PeerAuthentication::Psk(_) => None,
    };
    Ok(Basis { key, profile, expected: connection::expected(ike)? })
}

fn profiles(plan: &Plan) -> Result<BTreeMap<String, Arc<Profile>>, String> {
    let profile = |(name, profile): (&String, &crate::config::plan::TrustAnchorProfile)| {
        let sources = Sources {
            anchors: &profile.anchors,
            intermediates: &profile.intermediates,
            rules: Rules::default(),
            match_identity: true,
        };
        let built =
            Profile::new(&sources).map_err(|error| format!("trust-anchor-profile {name}: {error}"))?;
        Ok((name.clone(), Arc::new(built)))
    };
    plan.trust.iter().map(profile).collect()
}

/// Every key, or the first that cannot be loaded.
fn load_keys(plan: &Plan, keeper: &Keeper, answers: &Receiver<keeper::Answer>) -> Result<(), String> {
    for (name, profile) in &plan.cert_profiles {
        let leaf = profile.chain.first().and_then(|der| Certificate::from_der(der).ok());
        let certified = leaf.and_then(|leaf| leaf.public_key.clone().ok());
        let certified =
            certified.ok_or_else(|| format!("cert-profile {name}: its certificate has no usable key"))?;
        let source = KeySource { path: profile.key_file.clone(), certified };
        let request = keeper::Request::Load { key: name.as_str().into(), source };
        keeper.request(request).map_err(|error| error.to_string())?;
        if let Ok(keeper::Answer::Loaded { result: Err(error), .. }) = answers.recv() {
            return Err(format!("cert-profile {name}: {error}"));
        }
    }
    Ok(())
}

/// The keeper's answers as inputs of the loop.
fn forward(answers: Receiver<keeper::Answer>, inputs: Sender<Input>) -> std::io::Result<()> {
    let pass = move || {
        for answer in answers {
            let keeper::Answer::Signed { ticket, result } = answer else { continue };
            let refused = |refusal: keeper::Refusal| AnswerError {
                code: "RV-KEY-001".into(),
                text: refusal.to_string(),
            };
            let answer = Answer::Sign(result.map_err(refused));
            if inputs.send(Input::Answered(Ticket(ticket), answer)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("keeper-answers".into()).spawn(pass)?;
    Ok(())
}
