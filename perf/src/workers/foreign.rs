//! `workers/foreign`: what a packet costs more that arrives at a worker that does not own its SA.
//!
//! Two workers, the same packets; in one run the device puts each before its owner, in the other before the
//! other worker. Cycles are those of both workers: of the one that looks and hands over, and of the one that
//! fetches the packet from the other core's cache.

use super::load::{Load, Steering};
use super::{Effort, crew, quartiles};
use crate::gcm::Direction;
use crate::rows::Rows;
use crate::scale::quantile;
use crate::traffic::Mix;

/// Both directions.
pub fn run(mix: Mix, effort: Effort, rows: &mut Rows) -> anyhow::Result<()> {
    for (direction, name) in [(Direction::Seal, "encap"), (Direction::Open, "decap")] {
        compare(&format!("workers/foreign/{name}/{}", mix.name()), mix, direction, effort, rows)?;
    }
    Ok(())
}

fn compare(
    name: &str,
    mix: Mix,
    direction: Direction,
    effort: Effort,
    rows: &mut Rows,
) -> anyhow::Result<()> {
    let load = |steering| Load::new(2, effort.tunnels, mix, direction, steering);
    let (mut own, mut foreign) = (load(Steering::Owner)?, load(Steering::Foreign)?);
    let (mut none, mut all, mut more) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..effort.pairs {
        let first = crew::run(&mut own, effort.rounds, turn)?.cycles();
        let second = crew::run(&mut foreign, effort.rounds, turn)?.cycles();
        none.push(first);
        all.push(second);
        more.push(second - first);
    }
    rows.add(format!("{name}/none"), quantile(&mut none, 0.5), "cycles_a_packet");
    rows.add(format!("{name}/all"), quantile(&mut all, 0.5), "cycles_a_packet");
    quartiles(&format!("{name}/more"), more, "cycles_a_packet", rows);
    Ok(())
}
