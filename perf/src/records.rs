//! Runs worth keeping: `perf/records/<machine>/<date>.csv`, beside the sources, under the machine it was seen on.

use std::path::PathBuf;

use anyhow::Context;

use crate::machine::Machine;

/// Writes a record of the day; `name` stands behind the date. What the day has under that name is replaced.
///
/// # Errors
/// What could not be written.
pub fn keep(machine: &Machine, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("records").join(machine.slug());
    std::fs::create_dir_all(&folder).with_context(|| format!("could not create {}", folder.display()))?;
    let path = folder.join(format!("{}{name}.csv", machine.date));
    std::fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
    Ok(path)
}

/// The first lines of every record: the machine, as comments.
pub fn head(machine: &Machine) -> String {
    let Machine { cpu, cores, core, tsc_hz, virtual_machine, kernel, revision, date } = machine;
    format!(
        "# cpu: {cpu}\n# cores: {cores}\n# core: {core}\n# tsc_hz: {tsc_hz}\n\
         # virtual_machine: {virtual_machine}\n# kernel: {kernel}\n# revision: {revision}\n# date: {date}\n"
    )
}
