//! `mtu probe`: what a tunnel's path carries, and what follows for the packets in it. The loop says whom to ask and from
//! where, and has the instance's thread open a socket; sending and waiting is done on the thread of whoever asked, one
//! probe at a time.
//!
//! Asked is the peer's own address, by packets as large as the tunnel's outer ones: what ESP takes of them follows from
//! its suite. IKE has no message that could be lost without holding up what comes behind it, and a dummy packet of ESP is
//! not answered. A peer that answers no echo leaves a host behind it (`--to`), which is asked through the tunnel.

use std::net::IpAddr;
use std::sync::TryLockError;
use std::time::Instant;

use crossbeam::channel::{Receiver, Sender, bounded};
use ravelin_dataplane::io::{Meta, Origin, Pool};
use ravelin_dataplane::net::flow::{Flow, Upper};
use ravelin_dataplane::net::{icmp, protocol};
use ravelin_dataplane::node::policy::{self, Fate, Judgement};
use ravelin_dataplane::policy::route::NextHop;
use ravelin_dataplane::sa::shard::WorkerId;
use ravelin_dataplane::verdict::Drop;
use ravelin_ike::config::ConnectionId;

use super::core::{Asked, Core};
use super::desk::{ACTION, Desk};
use crate::api::reply::MtuProbe;
use crate::api::{ApiError, Reply, request};
use crate::config::plan::InstanceId;
use crate::instance::Request as InstanceRequest;
use crate::probe::echo::{Echo, LEAST};
use crate::probe::search::Limit;
use crate::probe::{self, Outcome};
use crate::tunnel::sas::Installed;
use crate::tunnel::wrapping::Sizes;

/// No worker: what any of them would do with a packet.
const ANYBODY: WorkerId = WorkerId(u8::MAX);

fn refused(why: String) -> ApiError {
    ApiError::Refused { why }
}

/// Which way packets of a probe take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Beside the tunnel, from end to end: they are as large as its outer packets.
    Path,
    /// In it.
    Tunnel,
}

/// Whom to ask, and what follows from the answers.
#[derive(Debug, Clone)]
pub struct Course {
    tunnel: String,
    way: Way,
    instance: InstanceId,
    from: IpAddr,
    to: IpAddr,
    most: u16,
    /// Our own addresses in that instance: who names a size may be we.
    locals: Vec<IpAddr>,
    sa: Installed,
}

/// An echo on its way from the instance's thread.
pub type Opened = Receiver<std::io::Result<Echo>>;

/// A question of the desk's to the loop: what was asked, randomness for the socket, and where the answer goes.
#[derive(Debug)]
pub struct Question {
    asked: request::MtuProbe,
    random: [u8; 10],
    reply: Sender<Result<(Course, Opened), ApiError>>,
}

impl Desk {
    /// Probes the path of a tunnel, on this thread.
    ///
    /// # Errors
    /// When the tunnel is not up, nobody answers, or another probe is under way.
    pub(super) fn probe(&self, asked: request::MtuProbe) -> Result<Reply, ApiError> {
        let _one = match self.probing.try_lock() {
            Err(TryLockError::WouldBlock) => {
                return Err(refused("another probe is under way: wait some seconds".into()));
            }
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        };
        let (course, mut echo) = self.begin_probe(asked)?;
        let begun = Instant::now();
        let least = if course.to.is_ipv4() { LEAST.0 } else { LEAST.1 };
        let cannot = |error| {
            let to = course.to;
            refused(format!(
                "no packet to {to} leaves this machine: {error}; echoes go by the kernel's routes"
            ))
        };
        let outcome = probe::run(&mut echo, (least, course.most)).map_err(cannot)?;
        let told = course.told(&outcome, begun.elapsed().as_millis() as u64)?;
        let MtuProbe { path_mtu, inner_mtu, ref asked, .. } = told;
        let path = path_mtu.map_or_else(String::new, |octets| format!("{octets} octets to {asked}, "));
        self.journal.note(&course.tunnel, "mtu-probed", format!("{path}{inner_mtu} octets in the tunnel"));
        Ok(Reply::MtuProbe(Box::new(told)))
    }

    fn begin_probe(&self, asked: request::MtuProbe) -> Result<(Course, Echo), ApiError> {
        let mut random = [0; 10];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| refused("the machine gives no randomness".into()))?;
        let late = || ApiError::Late { milliseconds: ACTION.as_millis() as u64 };
        let (reply, answer) = bounded(1);
        let question = Question { asked, random, reply };
        self.asked.send_timeout(Asked::Probe(Box::new(question)), ACTION).map_err(|_| late())?;
        let (course, opened) = answer.recv_timeout(ACTION).map_err(|_| late())??;
        let echo = opened.recv_timeout(ACTION).map_err(|_| late())?;
        let Course { from, to, .. } = course;
        let cannot = |error| refused(format!("no socket from {from} to {to}: {error}"));
        Ok((course, echo.map_err(cannot)?))
    }
}

impl<P: Pool> Core<P> {
    /// Says whom a probe asks, and has a socket opened for it.
    pub(super) fn begin_probe(&self, question: Question) {
        let Question { asked, random, reply } = question;
        let begun = self.course(&asked).map(|course| {
            let (sender, opened) = bounded(1);
            let (instance, from, to) = (course.instance, course.from, course.to);
            let open = move || drop(sender.send(Echo::open(from, to, random)));
            self.ask_instance(instance, InstanceRequest::Run(Box::new(open)));
            (course, opened)
        });
        // Who asked may be gone.
        let _ = reply.try_send(begun);
    }

    /// Whom a probe asks, from where, and which way.
    ///
    /// # Errors
    /// When there is no such tunnel, it has no SA, or policy has other ways for the packets.
    pub(super) fn course(&self, asked: &request::MtuProbe) -> Result<Course, ApiError> {
        let request::MtuProbe { tunnel: name, to } = asked;
        let not_found = || ApiError::NotFound { name: name.clone(), known: self.roster.names() };
        let id = self.roster.find(name).ok_or_else(not_found)?;
        let tunnel = self.roster.tunnel(id).ok_or_else(not_found)?;
        self.in_service(tunnel)?;
        let mut sas = self.roster.children(id).flat_map(|(number, _)| self.workers.sas().of(number.0));
        let sa = sas.find(|sa| !sa.draining).ok_or_else(|| {
            refused(format!("{name} has no SA: what fits in it follows from the suite that is agreed on"))
        })?;
        let widest = self.workers.sizes(&sa.path()).widest;
        let outer = sa.encapsulation;
        let (instance, to, from) = match to {
            Some(to) => (tunnel.private, *to, self.source_within(id, tunnel.private, *to)?),
            None => (outer.instance, outer.peer.address, outer.local.address),
        };
        let way = self.way_of(id, instance, from, to)?;
        let most = match way {
            Way::Path => widest,
            Way::Tunnel => sa.wrapping.fits(&outer, Sizes { widest, learned: None }),
        };
        let most =
            most.ok_or_else(|| refused(format!("{name}: no interface of its public instance is up")))?;
        let locals = self.workers.routing().0.addresses(instance).collect();
        let course = Course { tunnel: name.clone(), way, instance, from, to, most, locals, sa: sa.clone() };
        Ok(course)
    }

    /// Our address from which packets to a host go into this tunnel.
    fn source_within(&self, id: ConnectionId, instance: InstanceId, to: IpAddr) -> Result<IpAddr, ApiError> {
        let mut ours =
            self.workers.routing().0.addresses(instance).filter(|from| from.is_ipv4() == to.is_ipv4());
        let found = ours.find(|from| matches!(self.way_of(id, instance, *from, to), Ok(Way::Tunnel)));
        found.ok_or_else(|| {
            let name = self.roster.name(id);
            refused(format!(
                "no address of this machine has a way to {to} through {name}: its selectors must have one of ours and this \
                 host, or leave --to out"
            ))
        })
    }

    /// What policy does with an echo of ours: the kernel sends it by `rv-` where a route leads into a tunnel, else by the twin
    /// of an interface.
    fn way_of(
        &self,
        id: ConnectionId,
        instance: InstanceId,
        from: IpAddr,
        to: IpAddr,
    ) -> Result<Way, ApiError> {
        let (routing, tables) = self.workers.routing();
        let (flow, meta) = (echo_of(from, to), Meta { instance, origin: Origin::Tun, ..Meta::default() });
        let fate = match tables.route(instance, to) {
            Some(NextHop::Tunnel(_) | NextHop::IpTunnel(_)) => {
                match policy::judge(tables, &routing.snapshot(), ANYBODY, &meta, &flow) {
                    Judgement::Goes(fate, _) => Some(fate),
                    Judgement::Kernel | Judgement::Ours | Judgement::Routed => {
                        Some(Fate::Drop(Drop::NotForwardable))
                    }
                }
            }
            _ => policy::decide_twin(tables, ANYBODY, instance, &flow),
        };
        match fate {
            None => Ok(Way::Path),
            Some(Fate::Seal(sa)) => {
                let of = self.workers.resident(sa).and_then(|number| self.roster.child(number));
                match of.is_some_and(|(of, ..)| of == id) {
                    true => Ok(Way::Tunnel),
                    false => {
                        Err(refused(format!("what this machine sends to {to} goes into another tunnel")))
                    }
                }
            }
            Some(_) => Err(refused(format!(
                "policy lets no echo from {from} to {to}: see `ravelin lookup {from} {to} icmp`"
            ))),
        }
    }
}

/// An echo request.
const fn echo_of(source: IpAddr, destination: IpAddr) -> Flow {
    let (protocol, kind) = match destination {
        IpAddr::V4(_) => (protocol::ICMP, icmp::v4::ECHO),
        IpAddr::V6(_) => (protocol::ICMPV6, icmp::v6::ECHO),
    };
    Flow { source, destination, protocol, upper: Upper::Icmp { kind, code: 0 } }
}

impl Course {
    /// What answers mean for the tunnel.
    ///
    /// # Errors
    /// When there was none.
    fn told(&self, outcome: &Outcome, milliseconds: u64) -> Result<MtuProbe, ApiError> {
        let Some(found) = outcome.found else { return Err(self.unanswered(outcome)) };
        let over = |widest, learned| self.sa.wrapping.fits(&self.sa.encapsulation, Sizes { widest, learned });
        let now = self.sa.wrapping.whole(&self.sa.encapsulation).unwrap_or_default();
        let (path_mtu, inner) = match self.way {
            Way::Path => (Some(found.mtu), over(Some(found.mtu), None).unwrap_or_default()),
            Way::Tunnel => (None, found.mtu),
        };
        let (limit, limited_by) = match (self.way, found.limit) {
            // Of its own packets the gateway says nothing that its kernel would believe.
            (Way::Tunnel, Limit::Silence) if inner == now => ("gateway", String::new()),
            (_, limit) => self.limit(limit),
        };
        Ok(MtuProbe {
            tunnel: self.tunnel.clone(),
            way: if self.way == Way::Path { "path" } else { "tunnel" }.to_owned(),
            asked: self.to.to_string(),
            from: self.from.to_string(),
            path_mtu,
            inner_mtu: inner,
            inner_mtu_now: now,
            limit: limit.to_owned(),
            limited_by,
            echoes: outcome.sent,
            doubtful: outcome.doubtful,
            milliseconds,
            advice: self.advice(found.limit, path_mtu, (inner, now)),
        })
    }

    /// In a word, and who.
    fn limit(&self, limit: Limit) -> (&'static str, String) {
        match limit {
            Limit::Asked | Limit::Here => ("interface", String::new()),
            Limit::Router(by) if self.locals.contains(&by) => ("gateway", by.to_string()),
            Limit::Router(by) => ("router", by.to_string()),
            Limit::Silence => ("silence", String::new()),
        }
    }

    fn advice(&self, limit: Limit, path: Option<u16>, (inner, now): (u16, u16)) -> String {
        match path {
            Some(path) if inner < now && limit == Limit::Silence => format!(
                "larger packets are lost without a word, so that no sender learns it: set encapsulated-ip-mtu = {path} \
                 (ESP packets are cut) or ip-mtu = {inner} (senders are told) in the tunnel's packets"
            ),
            Some(_) if inner < now => {
                "senders learn it by the first packet that is too large; ip-mtu would tell them at once".to_owned()
            }
            Some(_) if inner > now => {
                "more fits than is believed now: what a router said is forgotten in time, or ip-mtu is set lower".to_owned()
            }
            _ => String::new(),
        }
    }

    fn unanswered(&self, outcome: &Outcome) -> ApiError {
        let Self { to, tunnel, .. } = self;
        let by = outcome.obstacle.filter(|told| told.mtu.is_none());
        let by = by.map(|told| format!(" ({} says that it cannot be reached)", told.by)).unwrap_or_default();
        let instead = match self.way {
            Way::Path => {
                format!(", or ask a host behind the tunnel: `ravelin mtu probe {tunnel} --to ADDRESS`")
            }
            Way::Tunnel => String::new(),
        };
        let doubtful = match outcome.doubtful {
            0 => String::new(),
            several => format!(" ({several} answers were forged, or changed on the way)"),
        };
        refused(format!(
            "{to} answers no echo, however small{by}{doubtful}: have it answer our pings from {}{instead}",
            self.from
        ))
    }
}
