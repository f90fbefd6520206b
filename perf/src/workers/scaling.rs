//! `workers/scaling`: what one worker does in a second of its CPU time, alone and beside another.
//!
//! Each worker has tunnels and packets of its own, as many alone as beside the other, so that what is lost
//! is lost to sharing: tables, counters, pools, memory. Where the device spreads by hash, half of the packets
//! arrive at the worker that does not own their SA, and the cost of that is in the figure.

use super::load::{Load, Steering};
use super::{Effort, crew, quartiles};
use crate::gcm::Direction;
use crate::rows::Rows;
use crate::scale::quantile;
use crate::traffic::Mix;

/// Both directions, steered by owner and by hash.
pub fn run(mix: Mix, effort: Effort, rows: &mut Rows) -> anyhow::Result<()> {
    for (direction, name) in [(Direction::Seal, "encap"), (Direction::Open, "decap")] {
        let name = format!("workers/scaling/{name}/{}", mix.name());
        compare(&name, mix, direction, Steering::Owner, effort, rows)?;
        compare(&format!("{name}/hashed"), mix, direction, Steering::Hashed, effort, rows)?;
    }
    Ok(())
}

fn compare(
    name: &str,
    mix: Mix,
    direction: Direction,
    steering: Steering,
    effort: Effort,
    rows: &mut Rows,
) -> anyhow::Result<()> {
    let load = |workers| Load::new(workers, effort.tunnels, mix, direction, steering);
    let (mut one, mut two) = (load(1)?, load(2)?);
    let (mut alone, mut beside, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..effort.pairs {
        let first = crew::run(&mut one, effort.rounds, turn)?.rate();
        let second = crew::run(&mut two, effort.rounds, turn)?.rate();
        alone.push(first);
        beside.push(second);
        ratios.push(second / first);
    }
    rows.add(format!("{name}/1"), quantile(&mut alone, 0.5), "Mpackets_a_CPU_second");
    rows.add(format!("{name}/2"), quantile(&mut beside, 0.5), "Mpackets_a_CPU_second");
    quartiles(&format!("{name}/ratio"), ratios, "of_one_worker", rows);
    Ok(())
}
