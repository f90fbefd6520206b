//! Next hops as codes, so that a route is a number in a cell and changing it is one store.
//!
//! A tunnel's code is its number. Any other next hop is a slip that all routes through it share, counted by
//! the writer and given back with the last of them.

use super::fib::{CODE_BITS, Code, Memory, SLIP};
use super::pool::{TableFull, unit};
use super::route::{Interface, IpTunnelId, NextHop, TunnelId};
use ravelin_mem::words::Words;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;

/// Set in the codes of tunnels; the rest is their number.
const TUNNEL: Code = 1 << (CODE_BITS - 1);
/// Tunnels have numbers below this.
pub const TUNNELS: u32 = TUNNEL;

const CONNECTED: u64 = 1;
const VIA_V4: u64 = 2;
const VIA_V6: u64 = 3;
const LOCAL: u64 = 4;
const BLACKHOLE: u64 = 5;
const IP_TUNNEL: u64 = 6;

/// The next hops in use: the writer's end.
#[derive(Debug, Default)]
pub struct Hops {
    known: HashMap<NextHop, (Code, usize)>,
    by_code: HashMap<Code, NextHop>,
}

impl Hops {
    /// The code of a next hop, used once more from now on.
    pub fn acquire(&mut self, memory: &mut Memory, hop: NextHop) -> Result<Code, TableFull> {
        if let NextHop::Tunnel(TunnelId(number)) = hop {
            let full = TableFull { what: "tunnels", capacity: TUNNELS as usize, used: 0, resting: 0 };
            return if number < TUNNELS { Ok(TUNNEL | number) } else { Err(full) };
        }
        if let Some((code, users)) = self.known.get_mut(&hop) {
            *users += 1;
            return Ok(*code);
        }
        let code = memory.slips.take()?;
        let words = memory.slips.unit(code).iter();
        words.zip(encode(hop)).for_each(|(word, value)| word.store(value, Relaxed));
        self.known.insert(hop, (code, 1));
        self.by_code.insert(code, hop);
        Ok(code)
    }

    /// A code is used once less; what it meant. The last use makes its slip rest.
    pub fn release(&mut self, memory: &mut Memory, code: Code) -> Option<NextHop> {
        if code & TUNNEL != 0 {
            return Some(NextHop::Tunnel(TunnelId(code & !TUNNEL)));
        }
        let hop = self.by_code.get(&code).copied()?;
        let (_, users) = self.known.get_mut(&hop)?;
        *users -= 1;
        if *users == 0 {
            self.known.remove(&hop);
            self.by_code.remove(&code);
            memory.slips.retire(code);
        }
        Some(hop)
    }
}

fn encode(hop: NextHop) -> [u64; SLIP] {
    let at = |kind: u64, Interface { port, vlan }| kind | u64::from(port) << 16 | u64::from(vlan) << 32;
    match hop {
        NextHop::Connected(interface) => [at(CONNECTED, interface), 0, 0, 0],
        NextHop::Via(interface, IpAddr::V4(gateway)) => {
            [at(VIA_V4, interface), u64::from(gateway.to_bits()), 0, 0]
        }
        NextHop::Via(interface, IpAddr::V6(gateway)) => {
            let bits = gateway.to_bits();
            [at(VIA_V6, interface), (bits >> 64) as u64, bits as u64, 0]
        }
        NextHop::Local => [LOCAL, 0, 0, 0],
        NextHop::IpTunnel(IpTunnelId(number)) => [IP_TUNNEL | u64::from(number) << 16, 0, 0, 0],
        // Tunnels have no slip.
        NextHop::Blackhole | NextHop::Tunnel(_) => [BLACKHOLE, 0, 0, 0],
    }
}

/// What a code means; nothing for 0.
#[inline]
pub fn decode(slips: &Words, code: Code) -> Option<NextHop> {
    if code & TUNNEL != 0 {
        return Some(NextHop::Tunnel(TunnelId(code & !TUNNEL)));
    }
    if code == 0 {
        return None;
    }
    let [meta, high, low, _] = unit(slips, SLIP, code) else { return None };
    let meta = meta.load(Relaxed);
    let interface = Interface { port: (meta >> 16) as u16, vlan: (meta >> 32) as u16 };
    match meta & 0xffff {
        CONNECTED => Some(NextHop::Connected(interface)),
        VIA_V4 => Some(NextHop::Via(interface, IpAddr::V4((high.load(Relaxed) as u32).into()))),
        VIA_V6 => {
            let bits = u128::from(high.load(Relaxed)) << 64 | u128::from(low.load(Relaxed));
            Some(NextHop::Via(interface, IpAddr::V6(bits.into())))
        }
        LOCAL => Some(NextHop::Local),
        IP_TUNNEL => Some(NextHop::IpTunnel(IpTunnelId((meta >> 16) as u32))),
        _ => Some(NextHop::Blackhole),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_and_is_shared() {
        let (mut memory, mut hops) = (Memory::with_room(1, 1, 1, 16), Hops::default());
        let at = Interface { port: 3, vlan: 4095 };
        let v6 = "2001:db8::1".parse().unwrap();
        let all = [
            NextHop::Connected(at),
            NextHop::Via(at, [192, 0, 2, 255].into()),
            NextHop::Via(at, v6),
            NextHop::Local,
            NextHop::Blackhole,
            NextHop::IpTunnel(IpTunnelId(u32::MAX)),
            NextHop::Tunnel(TunnelId(TUNNELS - 1)),
        ];
        let slips = std::sync::Arc::clone(memory.slips.words());
        for hop in all {
            let code = hops.acquire(&mut memory, hop).unwrap();
            assert_eq!(hops.acquire(&mut memory, hop), Ok(code));
            assert_eq!(decode(&slips, code), Some(hop));
            assert_eq!(hops.release(&mut memory, code), Some(hop));
            assert_eq!(decode(&slips, code), Some(hop), "one use is left");
        }
        assert_eq!(memory.slips.used(), all.len() - 1);
        assert_eq!(decode(&slips, 0), None);
        assert!(hops.acquire(&mut memory, NextHop::Tunnel(TunnelId(TUNNELS))).is_err());
        for hop in all {
            let code = hops.acquire(&mut memory, hop).unwrap();
            hops.release(&mut memory, code);
            hops.release(&mut memory, code);
        }
        assert_eq!(memory.slips.used(), 0);
    }
}
