//! A tunnel: one IKE relationship from the first message to the last repetition, whatever its phase.
//!
//! Sends inputs to the phase, and deals with the end of phases: failed attempts, ended tunnels.

use super::call::Call;
use super::call_resume;
use super::called::{Caller, ExpectSharedSecret};
use super::called_resume;
use super::common::Common;
use super::crossing::Yield;
use super::handshake::Abort;
use super::line::Line;
use super::phase::{Called, Calling, Lingering, Next, Patience, Phase};
use super::resolution;
use super::ticket::{self, Resumable};
use super::up::{Task, Up};
use super::waits;
use crate::config::{ChildId, Identity};
use crate::context::{Aside, Context, Pending};
use crate::error::Failure;
use crate::event::Event;
use crate::id::{ChildSaId, Ticket};
use crate::input::{ChildFactKind, Datagram, Packet};
use crate::recorder::Stage;
use crate::time::Instant;
use crate::want::{Answer, Role};
use crate::wire::{GatewayIdentity, IkeSpi, Outer, without_cookie};
use crate::words;
use std::net::IpAddr;

/// A tunnel of any phase. Owned by the engine.
pub(crate) struct Tunnel {
    pub(crate) common: Common,
    /// `None` once it is to be forgotten.
    pub(crate) phase: Option<Phase>,
    /// Children wanted while it is not up.
    wanted: Vec<ChildId>,
    /// Set if it is to go because another tunnel with the same peer stays.
    pub(crate) yields: Option<Yield>,
    /// Whether it goes for no other one any more.
    pub(crate) undisputed: bool,
}

impl Tunnel {
    /// We call, by what is left of a lost IKE SA if there is anything.
    pub(crate) fn call(
        ctx: &mut Context<'_>,
        mut common: Common,
        child: ChildId,
        lost: Option<Box<Resumable>>,
    ) -> Tunnel {
        let next = match lost {
            Some(lost) => call_resume::begin(ctx, &mut common, child, *lost),
            None => Call::begin(ctx, &mut common, child),
        };
        let mut tunnel = Tunnel::new(common, None);
        tunnel.enter(ctx, next);
        tunnel
    }

    /// We call a gateway of which we have the name.
    pub(crate) fn call_by_name(
        ctx: &mut Context<'_>,
        common: Common,
        child: ChildId,
        to: GatewayIdentity,
    ) -> Tunnel {
        let phase = resolution::begin(ctx, &common, child, to);
        Tunnel::new(common, Some(phase))
    }

    /// We are called.
    pub(crate) fn called(ctx: &mut Context<'_>, mut common: Common, caller: Caller) -> Tunnel {
        let phase = ExpectSharedSecret::begin(ctx, &mut common, caller);
        Tunnel::new(common, Some(phase))
    }

    /// We are called by a ticket.
    pub(crate) fn called_again(
        ctx: &mut Context<'_>,
        mut common: Common,
        caller: called_resume::Caller,
    ) -> Tunnel {
        let next = called_resume::begin(ctx, &mut common, caller);
        let mut tunnel = Tunnel::new(common, None);
        tunnel.enter(ctx, next);
        tunnel
    }

    fn new(common: Common, phase: Option<Phase>) -> Tunnel {
        Tunnel { common, phase, wanted: Vec::new(), yields: None, undisputed: false }
    }

    /// Whether it is ours and has not proven its peer.
    pub(crate) fn is_calling(&self) -> bool {
        matches!(self.phase, Some(Phase::Calling(_)))
    }

    pub(crate) fn up(&self) -> Option<&Up> {
        match &self.phase {
            Some(Phase::Up(up)) => Some(up),
            _ => None,
        }
    }

    /// Whether it serves the peer: up, and not being wound up.
    pub(crate) fn is_established(&self) -> bool {
        self.up().is_some_and(|up| !up.is_closing())
    }

    /// Whether its caller can be sent to another gateway.
    pub(crate) fn is_redirectable(&self) -> bool {
        self.is_established() && self.common.redirectable.is_some()
    }

    /// Whether it is over and only repeats its last words.
    pub(crate) fn is_over(&self) -> bool {
        match &self.phase {
            None | Some(Phase::Lingering(_)) => true,
            Some(Phase::Up(up)) => up.is_over(),
            _ => false,
        }
    }

    /// The peer, once proven.
    pub(crate) fn peer(&self) -> Option<&Identity> {
        self.up().map(|up| up.proven.identity())
    }

    /// The SPIs under which messages find this tunnel; those of IKE SAs that only the peer may have yet among them.
    pub(crate) fn local_spis(&self) -> Vec<IkeSpi> {
        match &self.phase {
            None => Vec::new(),
            Some(Phase::Calling(state)) => vec![state.local_spi()],
            Some(Phase::Called(state)) => vec![state.local_spi()],
            Some(Phase::Up(up)) => up.lines.iter().flat_map(|line| line.local_spis()).collect(),
            Some(Phase::Lingering(state)) => vec![state.sa.local_spi()],
        }
    }

    /// When it has something to do by itself.
    pub(crate) fn deadline(&self, patience: Patience) -> Option<Instant> {
        match self.phase.as_ref()? {
            Phase::Calling(state) => state.deadline(),
            Phase::Called(state) => {
                let end = self.half_open_until(state, patience);
                Some(state.deadline().map_or(end, |due| due.min(end)))
            }
            Phase::Up(up) => {
                let look = self.yields.filter(|_| !up.is_closing()).map(|lot| lot.at);
                up.deadline(&self.common).into_iter().chain(look).min()
            }
            Phase::Lingering(state) => Some(state.deadline()),
        }
    }

    /// A message for the SPI that is ours.
    pub(crate) fn datagram(&mut self, ctx: &mut Context<'_>, datagram: Datagram, outer: Outer) {
        let spi = match self.common.role_of(outer.header()) {
            Role::Initiator => outer.header().initiator_spi,
            Role::Responder => outer.header().responder_spi,
        };
        let path = self.common.path_to(datagram.local, datagram.remote);
        let next = match self.phase.take() {
            Some(Phase::Calling(Calling::ResumeReply(state))) => {
                state.datagram(ctx, &mut self.common, datagram, outer)
            }
            Some(Phase::Calling(Calling::InitReply(state))) => {
                state.datagram(ctx, &mut self.common, datagram, outer)
            }
            Some(Phase::Calling(Calling::IntermediateReply(state))) => {
                state.datagram(ctx, &mut self.common, outer)
            }
            Some(Phase::Calling(Calling::AuthReply(state))) => state.datagram(ctx, &mut self.common, outer),
            Some(Phase::Called(Called::IntermediateRequest(state))) => {
                state.datagram(ctx, &mut self.common, &datagram, outer)
            }
            Some(Phase::Called(Called::AuthRequest(state))) => {
                state.datagram(ctx, &mut self.common, &datagram, outer)
            }
            Some(Phase::Called(Called::SecondRequest(state))) => {
                state.datagram(ctx, &mut self.common, &datagram, outer)
            }
            Some(Phase::Up(mut up)) => {
                let index = up.lines.iter().position(|line| line.sa.local_spi() == spi);
                if let Some(index) = index {
                    up.turn(ctx, &mut self.common, index, |turn| {
                        turn.datagram(outer, datagram.local, datagram.remote)
                    });
                }
                Ok(Phase::Up(up))
            }
            Some(Phase::Lingering(mut state)) => {
                if state.datagram(ctx, &path, outer) {
                    return;
                }
                Ok(Phase::Lingering(state))
            }
            Some(other) => Ok(other),
            None => return,
        };
        self.enter(ctx, next);
    }

    /// When a caller has taken too long. Whoever asks again has not had our answer yet and gets as long once more, but
    /// not for ever.
    fn half_open_until(&self, state: &Called, patience: Patience) -> Instant {
        let longest = self.common.attempt.began + patience.to_proof;
        (self.common.asked + state.limit(patience)).min(longest)
    }

    /// A repetition of the IKE_SA_INIT request that made this half-open tunnel. One with a cookie that we gave is the
    /// caller's last word, which its AUTH covers: we asked for it before we let the caller in without.
    pub(crate) fn repeated_init(&mut self, ctx: &mut Context<'_>, datagram: &Datagram, shows_cookie: bool) {
        let Some(Phase::Called(state)) = &mut self.phase else { return };
        let Some(request) = state.init_request() else { return };
        if shows_cookie && without_cookie(request) == without_cookie(&datagram.bytes) {
            request.clone_from(&datagram.bytes);
        }
        if *request == datagram.bytes
            && let Some(handshake) = state.awaiting()
        {
            let path = self.common.path_to(datagram.local, datagram.remote);
            ctx.answer_again(&path, &vec![handshake.reply.clone()]);
            self.common.asked = ctx.now;
        }
    }

    /// An answer to a question of this tunnel; given back if nobody waits for it any more.
    pub(crate) fn answer(&mut self, ctx: &mut Context<'_>, ticket: Ticket, answer: Answer) -> Option<Answer> {
        if let Some(Phase::Up(up)) = &mut self.phase {
            if up.is_sought(ticket) {
                up.found(ctx, &mut self.common, answer);
                self.settle(ctx);
                return None;
            }
            let Some(pending) = up.pending_of(ticket) else { return Some(answer) };
            let left = up.answer(ctx, &mut self.common, pending, answer);
            self.settle(ctx);
            return left;
        }
        let waiting = match &self.phase {
            Some(Phase::Calling(state)) => state.pending(),
            Some(Phase::Called(state)) => state.pending(),
            _ => None,
        };
        if waiting.map(|pending| pending.ticket) != Some(ticket) {
            return Some(answer);
        }
        let next = match self.phase.take() {
            Some(Phase::Calling(state)) => waits::calling_answer(state, ctx, &mut self.common, answer),
            Some(Phase::Called(state)) => waits::called_answer(state, ctx, &mut self.common, answer),
            Some(other) => Ok(other),
            None => return Some(answer),
        };
        self.enter(ctx, next);
        None
    }

    /// Everything that is due.
    pub(crate) fn timeout(&mut self, ctx: &mut Context<'_>, patience: Patience) {
        let next = match self.phase.take() {
            Some(Phase::Calling(Calling::ResumeReply(state))) => state.timeout(ctx, &mut self.common),
            Some(Phase::Calling(Calling::InitReply(state))) => state.timeout(ctx, &mut self.common),
            Some(Phase::Calling(Calling::IntermediateReply(state))) => state.timeout(ctx, &mut self.common),
            Some(Phase::Calling(Calling::AuthReply(state))) => state.timeout(ctx, &mut self.common),
            Some(Phase::Calling(state)) => waits::calling_timeout(state, ctx, &self.common),
            Some(Phase::Called(state)) if self.half_open_until(&state, patience) <= ctx.now => {
                Err(state.expired(patience).into())
            }
            Some(Phase::Called(state)) => waits::called_timeout(state, ctx, &self.common),
            Some(Phase::Up(mut up)) => {
                up.timeout(ctx, &mut self.common);
                if self.yields.is_some_and(|lot| lot.at <= ctx.now) && !up.is_closing() {
                    ctx.out.asides.push(Aside::Yield { ike: self.common.id });
                }
                Ok(Phase::Up(up))
            }
            Some(Phase::Lingering(mut state)) => {
                if state.timeout(ctx, &self.common.path) {
                    return;
                }
                Ok(Phase::Lingering(state))
            }
            None => return,
        };
        self.enter(ctx, next);
    }

    /// Takes the result of a step.
    fn enter(&mut self, ctx: &mut Context<'_>, next: Next) {
        match next {
            Ok(phase) => {
                self.phase = Some(phase);
                self.settle(ctx);
            }
            Err(abort) => self.fail(ctx, abort),
        }
    }

    /// The attempt failed: recorded, reported, and wound up with the peer where it has to be.
    fn fail(&mut self, ctx: &mut Context<'_>, abort: Abort) {
        let Abort { failure, sa } = abort;
        ctx.trace(self.common.path.remote, || format!("the attempt ends with {}: {failure}", failure.code()));
        let mut attempt = self.common.attempt.clone();
        attempt.ended = Some(ctx.now);
        words::tell(&mut attempt, &failure, &self.common.config);
        if let Some(policy) = self.common.config.lockout
            && self.common.role == Role::Responder
            && failure.is_failed_proof()
        {
            let (caller, floated) = (self.common.caller(), self.common.path.remote.port());
            ctx.out.asides.push(Aside::ProofFailed { caller, floated, policy });
        }
        let is_told = !matches!(failure, Failure::HalfOpenTimeout(_)) || ctx.tells_expiry();
        attempt.failure = Some(failure);
        if is_told {
            ctx.out.record(self.common.connection, &self.common.config, attempt.clone());
            let connection = Some(self.common.connection);
            ctx.event(Event::AttemptFailed { connection, attempt: Box::new(attempt) });
        }
        if let Some(mut onward) = self.common.onward.take() {
            onward.children.append(&mut self.wanted);
            onward.packets = std::mem::take(&mut self.common.packets);
            ctx.out.asides.push(Aside::GoOn(onward));
        }
        let until = ctx.now + ctx.config.linger;
        self.phase = sa.map(|sa| Phase::Lingering(Lingering { sa, until }));
    }

    /// After a step of a tunnel that is up: begins what can be begun, ends what has to end.
    fn settle(&mut self, ctx: &mut Context<'_>) {
        let Some(Phase::Up(up)) = &mut self.phase else { return };
        let common = &mut self.common;
        if common.attempt.stage == Stage::Up && common.attempt.ended.is_none() {
            common.attempt.ended = Some(ctx.now);
            ctx.out.record(common.connection, &common.config, common.attempt.clone());
            ctx.trace(common.path.remote, || "the IKE SA is up".to_owned());
            up.tasks.extend(self.wanted.drain(..).map(Task::CreateChild));
            ctx.out.asides.push(Aside::CameUp { ike: common.id });
        }
        up.pump(ctx, common);
        up.relieve_elder(ctx, common);
        up.trim();
        if let Some(failure) = up.ended.take() {
            ticket::keep(ctx, common, up, &failure);
            up.report_end(ctx, common, failure);
            let until = ctx.now + ctx.config.linger;
            up.lines.iter_mut().for_each(|line| line.end(ctx, until));
        }
        if up.lines.is_empty() {
            up.report_end(ctx, common, Failure::PeerDeleted);
            let left: Vec<ChildSaId> = up.children.iter().map(|child| child.id).collect();
            left.into_iter().for_each(|child| _ = up.drop_child(ctx, common, child, Failure::Superseded));
            self.phase = None;
        }
    }

    /// A packet wants a child: it is told to the peer when the child is asked for.
    pub(crate) fn note_packet(&mut self, child: ChildId, packet: Option<Packet>) {
        let is_there = self.up().is_some_and(|up| up.children.has(child));
        packet.into_iter().filter(|_| !is_there).for_each(|packet| self.common.packets.note(child, packet));
    }

    /// Brings a child up, now or when the tunnel is up.
    pub(crate) fn want_child(&mut self, ctx: &mut Context<'_>, child: ChildId) {
        match &mut self.phase {
            Some(Phase::Up(up)) => {
                if !up.children.has(child) && !up.tasks.contains(&Task::CreateChild(child)) {
                    up.tasks.push_back(Task::CreateChild(child));
                }
                self.settle(ctx);
            }
            _ if !self.wanted.contains(&child) => self.wanted.push(child),
            _ => {}
        }
    }

    /// Puts a task on the list of a tunnel that is up.
    pub(crate) fn task(&mut self, ctx: &mut Context<'_>, task: Task) {
        if let Some(Phase::Up(up)) = &mut self.phase {
            if !up.is_closing() && !up.tasks.contains(&task) {
                up.tasks.push_back(task);
            }
            self.settle(ctx);
        }
    }

    /// The session of its IKE SA with these SPIs was resumed by another one.
    pub(crate) fn is_resumed(&mut self, ctx: &mut Context<'_>, spis: super::session::Spis) {
        if let Some(Phase::Up(up)) = &mut self.phase {
            up.is_resumed(spis);
            self.settle(ctx);
        }
    }

    /// Closes the tunnel, whatever its phase.
    pub(crate) fn close(&mut self, ctx: &mut Context<'_>, reason: Failure) {
        match self.phase.take() {
            Some(Phase::Up(mut up)) => {
                up.close(ctx, &mut self.common, reason);
                self.enter(ctx, Ok(Phase::Up(up)));
            }
            Some(Phase::Calling(state)) => {
                waits::release(&state, ctx);
                self.fail(ctx, reason.into());
            }
            Some(Phase::Called(_)) => self.fail(ctx, reason.into()),
            other => self.phase = other,
        }
    }

    /// Our own address is another one: what cannot go along ends.
    pub(crate) fn move_to(&mut self, ctx: &mut Context<'_>, local: IpAddr) {
        let from = self.common.path;
        if from.local.ip() == local {
            return;
        }
        self.common.path.local.set_ip(local);
        match &mut self.phase {
            Some(Phase::Up(up)) => {
                if up.move_own(ctx, &mut self.common, from) {
                    return self.settle(ctx);
                }
            }
            None | Some(Phase::Lingering(_)) => return,
            Some(Phase::Calling(_) | Phase::Called(_)) => {}
        }
        self.close(ctx, Failure::AddressChanged);
    }

    /// What a worker noticed about one of its children.
    pub(crate) fn fact(&mut self, ctx: &mut Context<'_>, child: ChildSaId, kind: ChildFactKind) {
        let Some(Phase::Up(up)) = &mut self.phase else { return };
        let current = ctx.connections.get(&self.common.connection).unwrap_or(&self.common.config);
        match kind {
            ChildFactKind::SoftExpiry if current.responder_only => {}
            ChildFactKind::SoftExpiry => self.task(ctx, Task::RekeyChild(child)),
            ChildFactKind::HardExpiry => {
                self.task(ctx, Task::DeleteChild { child, reason: Failure::Expired });
            }
            ChildFactKind::FirstInbound => up.announce(ctx, &self.common, child),
            ChildFactKind::TrafficSeen { at } => self.common.heard = self.common.heard.max(at.min(ctx.now)),
            ChildFactKind::PeerMoved { remote } => {
                let path = self.common.path;
                // While the peer has yet to show that it is at the address it named, packets decide nothing.
                let settled = self.common.mobility.checked.is_none();
                if settled && path.remote_behind_nat && !self.common.local_behind_nat && path.remote != remote
                {
                    up.peer_moved(ctx, &mut self.common, remote);
                }
            }
        }
    }

    /// The names of its CHILD_SAs.
    pub(crate) fn child_ids(&self) -> Vec<ChildSaId> {
        self.up().map(|up| up.children.iter().map(|child| child.id).collect()).unwrap_or_default()
    }

    /// Whether a child wanted of its connection can be made in it.
    pub(crate) fn takes_children(&self) -> bool {
        self.is_established() || matches!(self.phase, Some(Phase::Calling(_)))
    }

    /// Whether it is what the peer has forgotten, if it says at a contact begun at `before` that it has no other IKE
    /// SA. One that came up meanwhile is not: both sides called at once.
    pub(crate) fn is_stale(&self, identity: &Identity, before: Instant) -> bool {
        let came_up = self.common.attempt.ended;
        self.is_established() && self.peer() == Some(identity) && came_up.is_some_and(|at| at < before)
    }
}

impl Common {
    /// Which of a message's two SPIs is ours: the sender's I flag says what the sender was.
    pub(crate) fn role_of(&self, header: &crate::wire::Header) -> Role {
        if header.flags.initiator { Role::Responder } else { Role::Initiator }
    }
}

impl Line {
    /// Ends without a word to the peer, but goes on answering repetitions.
    fn end(&mut self, ctx: &mut Context<'_>, until: Instant) {
        if !self.is_closed() {
            self.abandon(ctx);
            self.own = None;
            self.peer = None;
            self.delete = false;
            self.sa.window.withdraw();
            self.standing = super::line::Standing::Closed { until };
        }
    }
}

impl Up {
    fn pending_of(&self, ticket: Ticket) -> Option<Pending> {
        let pendings = self.lines.iter().flat_map(|line| {
            let own = line.own.as_ref().and_then(super::line::Own::pending);
            own.into_iter().chain(line.peer.as_ref().map(super::line::Peer::pending))
        });
        pendings.into_iter().find(|pending| pending.ticket == ticket)
    }

    fn answer(
        &mut self,
        ctx: &mut Context<'_>,
        common: &mut Common,
        pending: Pending,
        answer: Answer,
    ) -> Option<Answer> {
        let mut left = Some(answer);
        for index in 0..self.lines.len() {
            if let Some(answer) = left.take() {
                self.turn(ctx, common, index, |turn| left = turn.answer(pending, answer));
            }
        }
        left
    }
}
