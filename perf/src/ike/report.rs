//! What a run gave: one value, as JSON for programs and as text for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::cost::Cost;
use super::fleet::Outcome;
use super::kept::Kept;

/// A run of the generator.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `ike-load/<authentication>/<proposal>`.
    pub scenario: String,
    /// Setups that succeeded.
    pub setups: u64,
    /// Those that did not.
    pub failed: u64,
    /// Why, each with its count.
    pub failures: BTreeMap<String, u64>,
    /// Wall time from the first call to the last end.
    pub seconds: f64,
    /// Setups a second of wall time.
    pub setups_per_second: f64,
    /// From a call to its CHILD_SA, the generator's own part included: median, 99 of 100, the longest.
    pub latency_ms: Latency,
    /// IKE datagrams sent and received: four a setup where nothing is lost, refused or in fragments.
    pub datagrams_sent: u64,
    /// See `datagrams_sent`.
    pub datagrams_received: u64,
    /// Packets sent through tunnels, and those that came back.
    pub packets_sent: u64,
    /// See `packets_sent`.
    pub packets_received: u64,
    /// What happened to the tunnels afterwards, if they were kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// What it cost the responder, if its process was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responder: Option<Responder>,
}

/// Quantiles in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    p50: f64,
    p99: f64,
    max: f64,
}

/// The responder's cost.
#[derive(Debug, Clone, Serialize)]
pub struct Responder {
    /// Processor seconds a setup.
    pub cpu_seconds_per_setup: f64,
    /// The reciprocal.
    pub setups_per_cpu_second: f64,
    /// The account behind it.
    #[serde(flatten)]
    pub cost: Cost,
}

impl Report {
    /// Of an outcome and, if it was measured, of what the responder paid.
    pub fn new(scenario: String, outcome: &Outcome, cost: Option<Cost>) -> Report {
        let milliseconds = |share| outcome.latency.value_at_quantile(share) as f64 / 1e3;
        let seconds = outcome.elapsed.as_secs_f64();
        let setups = outcome.up.max(1) as f64;
        Report {
            scenario,
            setups: outcome.up,
            failed: outcome.failures.values().sum(),
            failures: outcome.failures.clone(),
            seconds,
            setups_per_second: outcome.up as f64 / seconds,
            latency_ms: Latency { p50: milliseconds(0.5), p99: milliseconds(0.99), max: milliseconds(1.0) },
            datagrams_sent: outcome.datagrams.0,
            datagrams_received: outcome.datagrams.1,
            packets_sent: outcome.packets.0,
            packets_received: outcome.packets.1,
            kept: (outcome.kept.seconds >= 1.0).then(|| outcome.kept.clone()),
            responder: cost.map(|cost| Responder {
                cpu_seconds_per_setup: cost.cpu_seconds / setups,
                setups_per_cpu_second: setups / cost.cpu_seconds,
                cost,
            }),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let Report { scenario, setups, failed, seconds, setups_per_second, latency_ms, .. } = self;
        let Latency { p50, p99, max } = latency_ms;
        let mut text = format!(
            "{scenario}\n  {setups} setups in {seconds:.2} s, {failed} failed: {setups_per_second:.0} a second\n  \
             up after {p50:.2} ms (median), {p99:.2} ms (99 %), {max:.2} ms (longest)\n  \
             IKE datagrams {} sent, {} received; packets through tunnels {} sent, {} back\n",
            self.datagrams_sent, self.datagrams_received, self.packets_sent, self.packets_received,
        );
        for (reason, count) in &self.failures {
            let _ = writeln!(text, "  {count} failed: {reason}");
        }
        if let Some(kept) = &self.kept {
            text.push_str(&kept.text());
        }
        if let Some(responder) = &self.responder {
            text.push_str(&responder.text());
        }
        text
    }
}

impl Responder {
    fn text(&self) -> String {
        let mut text = format!(
            "  responder: {:.0} us of processor a setup ({:.0} setups a processor second), {:.0} octets a tunnel\n",
            self.cpu_seconds_per_setup * 1e6,
            self.setups_per_cpu_second,
            self.cost.memory_octets_per_tunnel,
        );
        for (thread, time) in &self.cost.threads_us_per_setup {
            let _ = writeln!(text, "    {thread:<18} {time:>9.1} us");
        }
        text
    }
}
