//! The threads that do the loop's slow work: the keeper signs, the pool agrees on keys,
//! checks signatures and judges chains, and a thread of its own knows who is revoked. Everything asked here is answered
//! once, by an input of the loop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender};
use ravelin_ike::config::ConnectionId;
use ravelin_ike::id::{IkeId, Ticket};
use ravelin_ike::key_agreement::KeyAgreement;
use ravelin_ike::want::{self, Answer, AnswerError};
use ravelin_pki::identity::Identity;
use ravelin_pki::path::Rules;

use super::core::Input;
use super::names;
use crate::config::plan::{self, Ike, Keying, OwnAuthentication, Plan};
use crate::keeper::{self, Keeper, KeyName, KeyPlace, KeySource};
use crate::pool::Pool;
use crate::post::Post;
use crate::trust::revocation::{Found, Question, Revocation, Whose, brought, now};
use crate::trust::{self, CommonNames, Profile, Sources};
use crate::tunnel::connection;
use crate::tunnel::regime::regime;
use crate::tunnel::roster::Roster;
use crate::tunnel::scheme;

/// Threads that sign. One: what is asked for first is done first, so that a key is not forgotten before what
/// was to be signed with it is signed.
const KEEPERS: usize = 1;
/// A key file may sit on a slow disk.
const LOADING: Duration = Duration::from_secs(10);

/// What a connection's questions are answered with.
#[derive(Debug, Clone, Default)]
struct Basis {
    /// The names of our certificates and of their keys, in the order of the profile.
    own: Vec<(String, Option<KeyName>)>,
    profile: Option<Arc<Profile>>,
    expected: Option<Identity>,
    listed: Option<Arc<CommonNames>>,
}

impl Basis {
    /// Who the peer must be.
    fn whom(&self) -> (Option<&Identity>, Option<&CommonNames>) {
        (self.expected.as_ref(), self.listed.as_deref())
    }
}

/// The threads' entries.
#[derive(Debug)]
pub struct Helpers {
    keeper: Arc<Keeper>,
    pool: Pool<Input>,
    inputs: Post<Input>,
    connections: BTreeMap<ConnectionId, Basis>,
    /// Private keys, by certificate: see [`plan::CertProfile::named`].
    keys: BTreeMap<String, KeyName>,
    /// Anchors, by profile.
    profiles: BTreeMap<String, Arc<Profile>>,
    /// Whom to believe of our own certificates: every authority that is configured for anything.
    every_anchor: Option<Arc<Profile>>,
    /// Our certificates that are not to be used, and why.
    unusable: BTreeMap<String, AnswerError>,
    loader: Loader,
    revocation: Revocation,
}

/// Gives private keys to the keeper and waits for its word. Does not keep the keeper alive.
#[derive(Debug, Clone)]
pub struct Loader {
    keeper: Weak<Keeper>,
    loaded: Receiver<Loaded>,
}

/// A key's name, and why it was not loaded.
type Loaded = (KeyName, Result<(), String>);

impl Loader {
    /// Loads every key of a plan, under the names of their certificates with `suffix`.
    ///
    /// # Errors
    /// The first that cannot be loaded, and what to do.
    pub fn load(&self, plan: &Plan, suffix: &str) -> Result<BTreeMap<String, KeyName>, String> {
        let mut keys = BTreeMap::new();
        for (place, entry) in entries(plan) {
            let refused = |why: String| format!("cert-profile {place}: {why}");
            let certified =
                entry.public_key().ok_or_else(|| refused("its certificate has no usable key".into()))?;
            let source = KeySource { place: entry.key.clone(), certified };
            let key = KeyName::from(format!("{place}{suffix}").as_str());
            self.load_one(&key, source).map_err(refused)?;
            keys.insert(place, key);
        }
        Ok(keys)
    }

    fn load_one(&self, key: &KeyName, source: KeySource) -> Result<(), String> {
        let keeper = self.keeper.upgrade().ok_or("the keeper has ended")?;
        let request = keeper::Request::Load { key: key.clone(), source };
        keeper.request(request).map_err(|error| error.to_string())?;
        loop {
            let waited = |_| format!("the keeper did not answer within {LOADING:?}");
            let (name, result) = self.loaded.recv_timeout(LOADING).map_err(waited)?;
            // An answer that came too late for its asker is nobody's.
            if name == *key {
                return result;
            }
        }
    }
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
        inputs: &Post<Input>,
        revocation: Revocation,
    ) -> Result<Self, String> {
        let machine = |error: std::io::Error| format!("a thread could not be started: {error}");
        let (sender, answers) = channel::unbounded();
        let (told, loaded) = channel::unbounded();
        let keeper = Arc::new(Keeper::start(KEEPERS, &sender).map_err(machine)?);
        forward(answers, inputs.clone(), told).map_err(machine)?;
        let loader = Loader { keeper: Arc::downgrade(&keeper), loaded };
        let mut helpers = Self {
            keys: loader.load(plan, "")?,
            profiles: profiles(plan)?,
            every_anchor: every_anchor(plan),
            unusable: BTreeMap::new(),
            loader,
            connections: BTreeMap::new(),
            keeper,
            pool: Pool::start(threads, inputs).map_err(machine)?,
            inputs: inputs.clone(),
            revocation,
        };
        helpers.rebase(plan, roster)?;
        Ok(helpers)
    }

    /// Who knows of revocation.
    pub const fn revocation(&self) -> &Revocation {
        &self.revocation
    }

    /// The way for other keys.
    pub fn loader(&self) -> Loader {
        self.loader.clone()
    }

    /// Uses other keys and anchors from here on; those of profiles that `plan` has and they have not stay.
    pub fn take_over(
        &mut self,
        plan: &Plan,
        keys: BTreeMap<String, KeyName>,
        profiles: BTreeMap<String, Arc<Profile>>,
    ) {
        let mut former: Vec<KeyName> = Vec::new();
        for (name, key) in keys {
            former.extend(self.keys.insert(name, key));
        }
        let there: BTreeSet<String> = entries(plan).map(|(name, _)| name).collect();
        former.extend(self.keys.extract_if(.., |name, _| !there.contains(name)).map(|(_, key)| key));
        self.profiles.extend(profiles);
        self.profiles.retain(|name, _| plan.trust.contains_key(name));
        self.every_anchor = every_anchor(plan);
        self.unusable.clear();
        for key in former {
            // What was to be signed with it has been asked for already, and is signed first.
            let _ = self.keeper.request(keeper::Request::Forget { key });
        }
    }

    /// Has the keeper forget the stored key of this name, or all of the store: who is asked to sign with one refuses by
    /// its certificate's name.
    pub fn zeroize(&self, plan: &Plan, name: Option<&str>) {
        for (certificate, entry) in entries(plan) {
            let KeyPlace::Stored(_, stored) = &entry.key else { continue };
            let Some(key) = self.keys.get(&certificate) else { continue };
            if name.is_none_or(|name| stored.as_str() == name) {
                // A keeper that has ended has no keys.
                let _ = self.keeper.request(keeper::Request::Forget { key: key.clone() });
            }
        }
    }

    /// Answers for the tunnels and gateways as they are now. Peers of gateways prove themselves to these.
    ///
    /// # Errors
    /// When an expected identity is none.
    pub fn rebase(&mut self, plan: &Plan, roster: &Roster) -> Result<(), String> {
        let mut connections = BTreeMap::new();
        for (id, tunnel) in roster.tunnels().filter(|(_, tunnel)| tunnel.origin.is_none()) {
            let Keying::Ike(ike) = &tunnel.keying else { continue };
            connections.insert(id, self.basis(plan, ike)?);
        }
        for (id, name) in roster.gateways() {
            let Some(gateway) = plan.gateways.get(name) else { continue };
            let listed = gateway.common_names.clone();
            connections.insert(id, Basis { listed, ..self.basis(plan, &gateway.ike)? });
        }
        self.connections = connections;
        Ok(())
    }

    fn basis(&self, plan: &Plan, ike: &Ike) -> Result<Basis, String> {
        let profile = match &ike.own {
            OwnAuthentication::Certificate(name) => plan.cert_profiles.get_key_value(name),
            OwnAuthentication::Psk(_) => None,
        };
        let names = profile.into_iter().flat_map(|(name, profile)| profile.named(name));
        let key = |(name, _): (String, _)| (self.keys.get(&name).cloned(), name);
        let own = names.map(key).map(|(key, name)| (name, key)).collect();
        let profile = ike.peer.anchors().and_then(|name| self.profiles.get(name).cloned());
        Ok(Basis { own, profile, expected: connection::expected(ike)?, listed: None })
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
        if let Err(error) = self.pool.submit(move || Some(Input::Answered(ticket, job()))) {
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

    /// Gets the certificates that a peer shows by hash and URL.
    pub fn look_up(&self, ticket: Ticket, lookup: want::Lookup) {
        let (errands, inputs) = (Arc::clone(self.revocation.errands()), self.inputs.clone());
        let job = move || {
            trust::look_up(&errands, lookup, move |found| {
                let answer = Answer::Lookup(found.map_err(|refusal| (&refusal).into()));
                // A loop that has ended asks nothing.
                let _ = inputs.send(Input::Answered(ticket, answer));
            });
            None
        };
        if let Err(error) = self.pool.submit(job) {
            self.refuse(ticket, Answer::Lookup(Err(error)));
        }
    }

    /// Asks the instance's name servers where a gateway is to which another one redirects us.
    pub fn resolve(&self, ticket: Ticket, question: want::Resolve) {
        let (errands, inputs) = (Arc::clone(self.revocation.errands()), self.inputs.clone());
        let job = move || {
            names::resolve(&errands, &inputs, ticket, &question);
            None
        };
        if let Err(error) = self.pool.submit(job) {
            self.refuse(ticket, Answer::Resolve(Err(error)));
        }
    }

    /// Judges a chain; what is good is asked about for revocation before it is the answer.
    pub fn verdict(&self, ticket: Ticket, ike: IkeId, verdict: want::Verdict) {
        let basis = self.connections.get(&verdict.connection).cloned().unwrap_or_default();
        let Some(profile) = basis.profile.clone() else {
            return self.refuse(ticket, Answer::Verdict(Err(missing("trust anchors"))));
        };
        if verdict.chain.is_empty() {
            return self.key_verdict((ticket, ike), verdict, (basis, profile));
        }
        let (revocation, regime) = (self.revocation.clone(), Arc::clone(profile.regime()));
        let job = move || match trust::judge(&profile, &verdict, basis.whom(), now()) {
            Ok(excepted) if excepted.is_unasked() => {
                Some(Found::Judged(Whose::Peer(ticket, ike), Ok(excepted)).into())
            }
            Ok(good) => {
                let instance = verdict.instance;
                let whose = Whose::Peer(ticket, ike);
                let brought = brought(&good.path, &verdict.responses, &regime, now());
                revocation.ask(Question { whose, verdict: good, brought, regime, instance });
                None
            }
            refused => Some(Found::Judged(Whose::Peer(ticket, ike), refused).into()),
        };
        if let Err(error) = self.pool.submit(job) {
            self.refuse(ticket, Answer::Verdict(Err(error)));
        }
    }

    /// Judges a peer that shows a public key, or nothing.
    fn key_verdict(
        &self,
        (ticket, ike): (Ticket, IkeId),
        verdict: want::Verdict,
        (basis, profile): (Basis, Arc<Profile>),
    ) {
        let job = move || {
            let judged = trust::judge_key(&profile, &verdict, basis.whom());
            Some(Found::Keyed(ticket, ike, judged).into())
        };
        if let Err(error) = self.pool.submit(job) {
            self.refuse(ticket, Answer::Verdict(Err(error)));
        }
    }

    /// Asks whether a certificate of ours has been revoked, if an authority is configured that it chains to (PKI-38).
    pub fn judge_own(&self, name: &str, entry: &plan::CertEntry) {
        let Some(trust) = self.every_anchor.clone().filter(|_| !entry.shown.is_raw) else { return };
        let (revocation, chain, whose) =
            (self.revocation.clone(), entry.chain().clone(), Whose::Ours(name.to_owned()));
        let job = move || {
            let claimed = Identity::KeyId(Vec::new());
            let question = trust::Question { chain: &chain, claimed: &claimed, expected: None, listed: None };
            match trust.judge(&question, now()) {
                Ok(verdict) => {
                    let regime = Arc::clone(trust.regime());
                    let (verdict, brought) = (Box::new(verdict), Vec::new());
                    revocation.ask(Question { whose, verdict, brought, regime, instance: 0 });
                }
                // Whether peers believe it is theirs to say.
                Err(refusal) => tracing::debug!("a certificate of ours is not asked about: {refusal}"),
            }
            None
        };
        if let Err(error) = self.pool.submit(job) {
            tracing::warn!("{error}");
        }
    }

    /// A certificate of ours is not to be used from here on, or may be again.
    pub fn set_unusable(&mut self, name: &str, why: Option<AnswerError>) {
        match why {
            Some(why) => drop(self.unusable.insert(name.to_owned(), why)),
            None => drop(self.unusable.remove(name)),
        }
    }

    /// Signs with the connection's key.
    pub fn sign(&self, ticket: Ticket, sign: want::Sign) {
        let basis = self.connections.get(&sign.connection);
        let own = basis.and_then(|basis| basis.own.get(sign.certificate)).cloned();
        let Some((name, Some(key))) = own else {
            return self.refuse(ticket, Answer::Sign(Err(missing("private key"))));
        };
        if let Some(why) = self.unusable.get(&name) {
            return self.refuse(ticket, Answer::Sign(Err(why.clone())));
        }
        let scheme = scheme::to_pki(sign.scheme);
        let request = keeper::Request::Sign { ticket: ticket.0, key, scheme, octets: sign.octets };
        if let Err(error) = self.keeper.request(request) {
            let error = AnswerError { code: "RV-KEY-002".into(), text: error.to_string() };
            self.refuse(ticket, Answer::Sign(Err(error)));
        }
    }
}

/// Our certificates, each under what it is called.
fn entries(plan: &Plan) -> impl Iterator<Item = (String, &plan::CertEntry)> {
    plan.cert_profiles.iter().flat_map(|(name, profile)| profile.named(name))
}

fn missing(what: &str) -> AnswerError {
    AnswerError { code: "RV-LOCAL-015".into(), text: format!("the connection has no {what}") }
}

/// The anchors of a plan, parsed.
pub(super) fn profiles(plan: &Plan) -> Result<BTreeMap<String, Arc<Profile>>, String> {
    let profile = |(name, profile): (&String, &plan::TrustAnchorProfile)| {
        let built = Profile::new(&sources(plan, profile))
            .map_err(|error| format!("trust-anchor-profile {name}: {error}"))?;
        Ok((name.clone(), Arc::new(built)))
    };
    plan.trust.iter().map(profile).collect()
}

fn sources<'a>(plan: &Plan, profile: &'a plan::TrustAnchorProfile) -> Sources<'a> {
    Sources {
        anchors: &profile.anchors,
        intermediates: &profile.intermediates,
        rules: profile.rules.clone(),
        dynamic_intermediates: profile.dynamic_intermediates,
        match_identity: profile.match_identity,
        regime: regime(plan, profile),
        maps: &profile.maps,
        shut: profile.shut.clone(),
        keys: profile.keys.clone(),
    }
}

/// Every anchor and authority there is, by the usual rules; none if there is none.
fn every_anchor(plan: &Plan) -> Option<Arc<Profile>> {
    let (demand, order) = crate::config::usual_revocation();
    let anchors = plan.trust.values().flat_map(|profile| profile.anchors.iter().cloned());
    let authorities = plan.authorities.values().map(|authority| authority.certificate.clone());
    let anchors: Vec<Vec<u8>> = anchors.chain(authorities).collect();
    let intermediates = plan.trust.values().flat_map(|profile| profile.intermediates.iter().cloned());
    let profile = plan::TrustAnchorProfile {
        anchors,
        intermediates: intermediates.collect(),
        demand,
        order,
        rules: Rules::default(),
        dynamic_intermediates: true,
        lookup: false,
        match_identity: false,
        maps: Vec::new(),
        // Our own certificate is what it is, whomever we believe.
        shut: trust::Shut::default(),
        keys: trust::PeerKeys::default(),
    };
    Profile::new(&sources(plan, &profile)).ok().map(Arc::new)
}

/// The keeper's signatures as inputs of the loop; its word on keys for whoever loads them.
fn forward(
    answers: Receiver<keeper::Answer>,
    inputs: Post<Input>,
    loaded: Sender<Loaded>,
) -> std::io::Result<()> {
    let pass = move || {
        for answer in answers {
            let (ticket, result) = match answer {
                keeper::Answer::Signed { ticket, result } => (ticket, result),
                keeper::Answer::Loaded { key, result } => {
                    // Whoever asked may have gone.
                    let _ = loaded.send((key, result.map(drop).map_err(|error| error.to_string())));
                    continue;
                }
            };
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
