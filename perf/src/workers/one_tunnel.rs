//! `workers/one-tunnel`: what one fat tunnel carries with one worker, with two that share its SA, and with two that have
//! one each (RFC 9611).
//!
//! Its packets are of many flows, which the device spreads over the workers by hash. What the tunnel carries is limited
//! by the worker that is busy longest: rates are all packets over that worker's CPU time. With one SA that is its owner,
//! who seals everything and fetches half of it from the other worker; with one each it is whoever got more.

use anyhow::Context;

use super::load::{Load, Steering};
use super::{Effort, crew, quartiles};
use crate::gcm::Direction;
use crate::rows::Rows;
use crate::scale::quantile;
use crate::traffic::Mix;

/// Hosts behind the tunnel: as many flows.
const HOSTS: u32 = 500;

/// Sealing; what is to be opened arrives where a card's hash of the outer addresses or a rule for the SPI puts it.
pub fn run(mix: Mix, effort: Effort, rows: &mut Rows) -> anyhow::Result<()> {
    let name = format!("workers/one-tunnel/encap/{}", mix.name());
    let load = |workers, own| Load::one_tunnel(workers, own, HOSTS, mix, Direction::Seal, Steering::Hashed);
    let (mut one, mut shared, mut own) = (load(1, false)?, load(2, false)?, load(2, true)?);
    let (mut alone, mut handing, mut each) = (Vec::new(), Vec::new(), Vec::new());
    let (mut of_shared, mut of_own) = (Vec::new(), Vec::new());
    for turn in 0..effort.pairs {
        let first = rate(&mut one, effort, turn)?;
        let second = rate(&mut shared, effort, turn)?;
        let third = rate(&mut own, effort, turn)?;
        alone.push(first);
        handing.push(second);
        each.push(third);
        of_shared.push(second / first);
        of_own.push(third / first);
    }
    for (part, mut rates) in [("1", alone), ("2-one-SA", handing), ("2-own-SAs", each)] {
        rows.add(format!("{name}/{part}"), quantile(&mut rates, 0.5), "Mpackets_a_CPU_second");
    }
    quartiles(&format!("{name}/ratio-one-SA"), of_shared, "of_one_worker", rows);
    quartiles(&format!("{name}/ratio-own-SAs"), of_own, "of_one_worker", rows);
    Ok(())
}

/// Million packets of the tunnel in a second of CPU time of the worker that is busy longest.
fn rate(load: &mut Load, effort: Effort, turn: usize) -> anyhow::Result<f64> {
    let served = crew::run_each(load, effort.rounds, turn)?;
    let longest = served.iter().map(|served| served.spent).max().context("there is a worker")?;
    let packets = served.iter().map(|served| served.packets).sum();
    Ok(crew::Served { spent: longest, packets }.rate())
}
