//! Redirection to a gateway that is given by name (RFC 5685 §9.2, a FQDN), in IKE_SA_INIT, in IKE_AUTH, and of what is up.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use crate::harness::{Dice, Faults, World, failures, settings};
use crate::redirect::{SECOND, accepting, anywhere, at, call, world};
use ravelin_ike::config::{AcceptRedirect, ChildId, RedirectAt, RedirectCallers, Redirection};
use ravelin_ike::event::Event;
use ravelin_ike::input::Command;
use ravelin_ike::want::WantKind;
use ravelin_ike::wire::GatewayIdentity;
use std::net::IpAddr;

const NAME: &str = "gw2.example";

fn name() -> GatewayIdentity {
    NAME.parse().unwrap()
}

fn callers_to_name(at: RedirectAt) -> Redirection {
    Redirection { accept: AcceptRedirect::Never, callers: Some(RedirectCallers { to: name(), at }) }
}

fn redirect(world: &mut World) {
    world.command(1, Command::Redirect { connection: settings::CONNECTION, to: name() });
}

/// Why a tunnel that is up stayed with its gateway.
fn stayed(world: &World) -> Vec<String> {
    let refused = |event: &Event| match event {
        Event::RedirectRefused { reason, .. } => {
            assert_eq!(reason.code(), "RV-INIT-008");
            Some(reason.to_string())
        }
        _ => None,
    };
    world.ends[0].events.iter().filter_map(refused).collect()
}

fn gateway(number: u8) -> IpAddr {
    settings::gateway(number)
}

/// ```text
///   A  ... ------- B   N(REDIRECT, gw2.example), in each place where it may stand
///   A  asks its resolver
///   A  IKE_SA_INIT{N(REDIRECTED_FROM, B)} ------- C
/// ```
#[test]
fn a_caller_follows_to_the_first_address_that_is_allowed() {
    let others = vec![Redirection::default(); 3];
    let found = [IpAddr::from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), settings::outer(1)];
    let found = [&found[..], &[gateway(2), gateway(1), gateway(0)]].concat();
    for stage in [Some(RedirectAt::Init), Some(RedirectAt::Auth), None] {
        let accept = AcceptRedirect::Within(vec![gateway(0)..=gateway(1)]);
        let first = stage.map_or_else(Redirection::default, callers_to_name);
        let mut world = world(0, accepting(accept, settings::connection(0)), first, &others);
        world.names.insert(NAME.to_owned(), found.clone());
        call(&mut world);
        world.command(0, Command::Initiate { connection: settings::CONNECTION, child: Some(ChildId(2)) });
        world.run_for(2 * SECOND);
        if stage.is_none() {
            redirect(&mut world);
            world.run_for(2 * SECOND);
        }
        world.assert_converged();
        assert_eq!((at(&world), world.served(0)), (vec![gateway(1)], vec![1, 2]), "{stage:?}");
        assert_eq!(failures(&world, 0), ["RV-END-008"], "{stage:?}");
        let attempts = world.ends[0].engine.recorder().of(settings::CONNECTION);
        let told: Vec<String> = attempts.filter_map(|it| Some(it.failure.as_ref()?.to_string())).collect();
        assert!(stage.is_none() || told[0].contains(NAME), "{told:?}");
    }
}

/// A name without an address for us: a call fails and says why, what is up stays up.
#[test]
fn a_name_that_leads_nowhere_is_not_followed() {
    let v6 = IpAddr::from([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    for (found, why) in [
        (None, "whose address is not to be had"),
        (Some(vec![]), "which has no address"),
        (Some(vec![v6]), "where we cannot call from our address"),
        (Some(vec![settings::outer(1)]), "which is itself"),
        (Some(vec![gateway(5)]), "which the configuration does not allow"),
        (Some(vec![gateway(5); 16].into_iter().chain([gateway(0)]).collect()), "does not allow"),
    ] {
        for stage in [Some(RedirectAt::Init), Some(RedirectAt::Auth), None] {
            let accept = AcceptRedirect::Within(vec![v6..=v6, settings::outer(1)..=settings::outer(1)]);
            let caller = accepting(accept, settings::connection(0));
            let first = stage.map_or_else(Redirection::default, callers_to_name);
            let mut world = world(0, caller, first, &[Redirection::default()]);
            found.iter().for_each(|found| _ = world.names.insert(NAME.to_owned(), found.clone()));
            call(&mut world);
            world.run_for(5 * SECOND);
            if stage.is_some() {
                assert_eq!(failures(&world, 0), ["RV-END-008", "RV-INIT-008"], "{why} {stage:?}");
                let attempts = world.ends[0].engine.recorder().of(settings::CONNECTION);
                let told: Vec<String> = attempts.map(|it| it.failure.as_ref().unwrap().to_string()).collect();
                assert!(told.iter().any(|it| it.contains(why) && it.contains(NAME)), "{told:?}");
                world.run_for(100 * SECOND);
                world.assert_empty();
            } else {
                redirect(&mut world);
                world.run_for(5 * SECOND);
                world.assert_converged();
                assert_eq!(at(&world), [settings::outer(1)], "{why}");
                let told = stayed(&world);
                assert!(told.len() == 1 && told[0].contains(why) && told[0].contains(NAME), "{told:?}");
            }
        }
    }
}

/// A name server that is silent holds nobody up, and nothing waits for it for ever; what is up stays up.
#[test]
fn a_silent_name_server_is_given_up() {
    for stage in [Some(RedirectAt::Init), Some(RedirectAt::Auth), None] {
        let first = stage.map_or_else(Redirection::default, callers_to_name);
        let mut world = world(0, anywhere(0), first, &[Redirection::default()]);
        world.names.insert(NAME.to_owned(), vec![gateway(0)]);
        world.ends[0].hold = |want| matches!(want, WantKind::Resolve(_));
        call(&mut world);
        world.run_for(SECOND);
        if stage.is_none() {
            redirect(&mut world);
        }
        world.run_for(10 * SECOND);
        match stage {
            Some(_) => assert_eq!(failures(&world, 0), ["RV-END-008", "RV-LOCAL-001"], "{stage:?}"),
            None => {
                assert!(stayed(&world)[0].contains("nobody knew within 4s"), "{:?}", stayed(&world));
                world.assert_converged();
                assert_eq!(at(&world), [settings::outer(1)]);
            }
        }
        // What comes too late changes nothing.
        let held = std::mem::take(&mut world.ends[0].held);
        assert_eq!(held.len(), 1);
        held.into_iter().for_each(|want| world.answer(0, want));
        world.run_for(10 * SECOND);
        assert_eq!(at(&world).len(), usize::from(stage.is_none()));
    }
}

/// A tunnel that is closed, or sent elsewhere, while its question is under way.
#[test]
fn other_things_happen_meanwhile() {
    for (closes, rekeys) in [(true, false), (false, true), (false, false)] {
        let others = vec![Redirection::default(); 2];
        let mut world = world(0, anywhere(0), Redirection::default(), &others);
        world.names.insert(NAME.to_owned(), vec![gateway(0)]);
        call(&mut world);
        world.run_for(SECOND);
        world.ends[0].hold = |want| matches!(want, WantKind::Resolve(_));
        redirect(&mut world);
        world.run_for(SECOND);
        let held = std::mem::take(&mut world.ends[0].held);
        world.ends[0].hold = |_| false;
        if rekeys {
            world.command(1, Command::RekeyIke { ike: world.ikes(1)[0] });
            world.run_for(SECOND);
        }
        if closes {
            world.command(0, Command::Terminate { connection: settings::CONNECTION });
            world.run_for(SECOND);
        }
        held.into_iter().for_each(|want| world.answer(0, want));
        world.run_for(3 * SECOND);
        let there = if closes { vec![] } else { vec![gateway(0)] };
        assert_eq!(at(&world), there, "{closes} {rekeys}");
        world.command(0, Command::Terminate { connection: settings::CONNECTION });
        world.run_for(60 * SECOND);
        world.assert_empty();
    }
}

/// Two gateways that send to names of each other: who comes from the one is served by the other, which cannot know that it
/// is the one.
#[test]
fn nobody_is_sent_back_by_name() {
    for stage in [RedirectAt::Init, RedirectAt::Auth] {
        let mut world = world(0, anywhere(0), callers_to_name(stage), &[callers_to_name(stage)]);
        world.names.insert(NAME.to_owned(), vec![settings::outer(1), gateway(0)]);
        call(&mut world);
        world.run_for(3 * SECOND);
        world.assert_converged();
        assert_eq!(at(&world), [gateway(0)]);
    }
}

/// What is no host's name reaches no resolver.
#[test]
fn a_name_that_is_none_is_not_resolved() {
    let mut world = world(0, anywhere(0), Redirection::default(), &[Redirection::default()]);
    call(&mut world);
    world.run_for(SECOND);
    for octets in [&b"gw2.example\0"[..], b"-gw", b"192.0.2.300", b"a b", &[b'a'; 200], &[0xff, 0xfe]] {
        let to = GatewayIdentity::Name(octets.to_vec());
        world.command(1, Command::Redirect { connection: settings::CONNECTION, to });
        world.run_for(SECOND);
    }
    let told = stayed(&world);
    assert!(told.len() == 6 && told.iter().all(|it| it.contains("no name of a host")), "{told:?}");
    assert_eq!(at(&world), [settings::outer(1)]);
}

/// In a bad world, at any stage, with a resolver that is slow and fails: in the end there is one tunnel, with one of the two.
#[test]
fn seeded_lives() {
    for seed in 0..40u64 {
        let mut dice = Dice(seed);
        let first = match dice.below(3) {
            0 => callers_to_name(RedirectAt::Init),
            1 => callers_to_name(RedirectAt::Auth),
            _ => Redirection::default(),
        };
        let later = first.callers.is_none();
        let mut world = world(seed, anywhere(0), first, &[Redirection::default()]);
        world.names.insert(NAME.to_owned(), vec![gateway(0)]);
        world.faults = Faults {
            loss: dice.below(200),
            repeat: dice.below(300),
            delay: 1000 + dice.below(300_000),
            answer_delay: 1 + dice.below(200_000),
            answer_never: dice.below(100),
            answer_fails: dice.below(100),
            ..Faults::default()
        };
        for _ in 0..4 {
            call(&mut world);
            world.run_for(20 * SECOND);
            if later {
                redirect(&mut world);
                world.run_for(20 * SECOND);
            }
        }
        world.faults = Faults { delay: 1000, ..Faults::default() };
        // What was redirected five times goes nowhere for a while.
        world.run_for(320 * SECOND);
        call(&mut world);
        world.run_for(5 * SECOND);
        if later {
            redirect(&mut world);
        }
        for _ in 0..6 {
            world.run_for(10 * SECOND);
            world.traffic();
        }
        world.assert_converged();
        assert_eq!((at(&world), world.served(0)), (vec![gateway(0)], vec![1]), "{seed}");
    }
}
