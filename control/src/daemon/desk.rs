//! Where operators' requests arrive. Reads are answered from the view after the loop was
//! asked to renew it, or from the last one when the loop is late: a reader never waits
//! longer than the deadline. Actions are one message to the loop, and so is what is not in the view: what grows with
//! the number of tunnels, in parts.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::channel::bounded;

use super::core::{Asked, Work};
use super::reload::Reload;
use super::view::View;
use crate::api::reply::Applied;
use crate::api::request::{ClientDbName, Events, Page};
use crate::api::server::{Answer, Caller};
use crate::api::{ApiError, Reply, Request};
use crate::keeper::Vault;
use crate::observe::journal::Journal;
use crate::post::Post;
use crate::tap::Taps;
use crate::trust::revocation::Revocation;

/// How long an action may wait for the loop.
pub(super) const ACTION: Duration = Duration::from_secs(2);
/// How long a part of a list may wait for the loop: late is better than not at all.
const LIST: Duration = Duration::from_secs(10);
/// How long a read waits for a fresh view before it takes the last one.
const FRESH: Duration = Duration::from_millis(200);
/// The longest a client may wait for an event.
const LONGEST_WAIT: u64 = 30_000;

fn refused(why: String) -> ApiError {
    ApiError::Refused { why }
}

/// The daemon's answers.
#[derive(Debug)]
pub struct Desk {
    /// To the loop.
    pub asked: Post<Asked>,
    /// The last view.
    pub view: Arc<ArcSwap<View>>,
    /// The journal.
    pub journal: Arc<Journal>,
    /// The way in for another configuration.
    pub reload: Reload,
    /// The store of certificates and keys.
    pub vault: Vault,
    /// Held while a key is made.
    pub making: Mutex<()>,
    /// Who knows of revocation.
    pub revocation: Revocation,
    /// The capture or trace that is on.
    pub taps: Arc<Taps>,
    /// Held while a path is probed.
    pub probing: Mutex<()>,
}

impl Desk {
    /// Hands a request to the loop and waits for its answer, so long and no longer.
    pub(super) fn ask(&self, request: Request, patience: Duration) -> Result<Reply, ApiError> {
        let (reply, answer) = bounded(1);
        let late = || ApiError::Late { milliseconds: patience.as_millis() as u64 };
        self.asked.send_timeout(Asked::Request(request, reply), patience).map_err(|_| late())?;
        answer.recv_timeout(patience).map_err(|_| late())?
    }

    /// Reads the configuration again and has the loop carry out what is other, or only compare. The reading,
    /// judging and loading is done here, on the thread of whoever asks.
    ///
    /// # Errors
    /// Every refusal, a line each; nothing was changed then.
    pub fn apply(&self, dry_run: bool) -> Result<Applied, ApiError> {
        let plan = self.reload.read().map_err(refused)?;
        self.hand_over(match dry_run {
            true => Work::Compare(Box::new(plan)),
            false => Work::Apply(Box::new(self.reload.prepare(plan).map_err(refused)?)),
        })
    }

    /// Reads the configuration again, and has the loop take over certificates, keys and anchors of it and nothing else.
    fn apply_material(&self) -> Result<Applied, ApiError> {
        let plan = self.reload.read().map_err(refused)?;
        let prepared = self.reload.prepare(plan).map_err(refused)?;
        self.hand_over(Work::ApplyMaterial(Box::new(prepared)))
    }

    fn hand_over(&self, work: Work) -> Result<Applied, ApiError> {
        let (reply, answer) = bounded(1);
        let late = || ApiError::Late { milliseconds: ACTION.as_millis() as u64 };
        self.asked.send_timeout(Asked::Configured(work, reply), ACTION).map_err(|_| late())?;
        answer.recv_timeout(ACTION).map_err(|_| late())
    }

    /// A view in which what is asked for is fresh, or the last one.
    pub(super) fn view(&self, request: Request) -> Arc<View> {
        // Late is no error for a reader: the last view is an answer too.
        let _ = self.ask(request, FRESH);
        self.view.load_full()
    }

    /// A list whole, for those who do not ask for parts: the loop makes it in parts all the same.
    fn whole(&self, request: impl Fn(Page) -> Request) -> Result<Reply, ApiError> {
        let mut whole = self.ask(request(Page::default()), LIST)?;
        while let Some(from) = whole.next() {
            whole.append(self.ask(request(Page { from }), LIST)?);
        }
        Ok(whole)
    }

    fn events(&self, events: &Events) -> Reply {
        let wait = Duration::from_millis(events.wait_ms.min(LONGEST_WAIT));
        Reply::Events { events: self.journal.read(events.after, wait) }
    }
}

impl Answer for Desk {
    fn answer(&self, request: Request, caller: Caller) -> Result<Reply, ApiError> {
        let view = |read: &Request| self.view(read.clone());
        match request {
            Request::ShowVersion => Ok(Reply::Version(view(&request).version.clone())),
            Request::ShowPorts => Ok(Reply::Ports { ports: view(&request).ports.clone() }),
            Request::ShowWorkers => Ok(Reply::Workers { workers: view(&request).workers.clone() }),
            Request::ShowTunnels(None) => self.whole(|page| Request::ShowTunnels(Some(page))),
            Request::ShowSa(None) => self.whole(|page| Request::ShowSa(Some(page))),
            Request::ShowClientDb(ClientDbName { client_db, page: None }) => self.whole(|page| {
                Request::ShowClientDb(ClientDbName { client_db: client_db.clone(), page: Some(page) })
            }),
            Request::ShowCounters => Ok(Reply::Counters { counters: view(&request).counters.clone() }),
            Request::Doctor => Ok(Reply::Doctor { findings: view(&request).findings.clone() }),
            Request::Events(events) => Ok(self.events(&events)),
            Request::TapBegin(begin) => self.begin_tap(begin, caller),
            Request::TapRead(read) => {
                self.taps.read(read.tap, Duration::from_millis(read.wait_ms)).map(Reply::TapPage)
            }
            Request::TapEnd(end) => self.taps.end(end.tap).map(|()| Reply::Done { message: "ended".into() }),
            Request::MtuProbe(probe) => self.probe(probe),
            Request::ConfigApply(apply) => self.apply(apply.dry_run).map(Reply::Applied),
            Request::PkiReload => self.apply_material().map(Reply::Applied),
            pki @ (Request::PkiList
            | Request::PkiShow(_)
            | Request::PkiImport(_)
            | Request::PkiExport(_)
            | Request::PkiGenerate(_)
            | Request::PkiCsr(_)
            | Request::PkiZeroize(_)
            | Request::PkiRemove(_)) => self.pki(&pki),
            about @ (Request::ShowRevocation | Request::PkiCrlUpdate(_) | Request::PkiClearOcspCache) => {
                self.revocation(about)
            }
            part @ (Request::ShowTunnels(_) | Request::ShowSa(_)) => self.ask(part, LIST),
            read @ (Request::Explain(_)
            | Request::ShowGateways(_)
            | Request::ShowTunnelGroups(_)
            | Request::ShowIpTunnels(_)
            | Request::ShowClientDb(_)
            | Request::MatchClient(_)
            | Request::ShowMirrors
            | Request::ShowPolicy
            | Request::ShowCertificates
            | Request::ShowRoutes) => self.ask(read, ACTION),
            action @ (Request::Initiate(_)
            | Request::Terminate(_)
            | Request::Rekey(_)
            | Request::Redirect(_)
            | Request::Lookup(_)
            | Request::Debug(_)
            | Request::ShowLockout
            | Request::ClearLockout(_)) => self.ask(action, ACTION),
            #[cfg(feature = "stall")]
            action @ Request::StandStill(_) => self.ask(action, ACTION),
        }
    }
}
