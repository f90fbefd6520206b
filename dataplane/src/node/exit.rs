//! Next hops looked up lately: port, tag, addresses and MTU, so that a packet needs neither route nor
//! neighbour table when its flow or SA remembers where the last one left.
//!
//! A note is good for one state of the tables ([`Exits::forget`]) and as long as no other has taken its
//! place; whoever remembers one ([`ExitRef`]) asks, and looks up anew when told no. An SA copies what a note says,
//! and asks only whether the state is still the same ([`Exits::epoch`]). Nothing here is ever the only way to find
//! an exit: that is [`super::forward`]'s.

use std::net::IpAddr;

use arrayvec::ArrayVec;

use super::forward;
use crate::net::eth::{self, Mac, ethertype};
use crate::net::vlan;

/// Notes kept; a power of two. Next hops beyond it are looked up for every packet.
const PLACES: usize = 4096;

/// A note of a next hop. The default is of none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExitRef {
    /// Where the note is kept.
    pub index: u32,
    /// Which note it is: of another one in its place nothing is believed.
    pub stamp: u32,
}

/// A next hop with everything a frame to it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(64))]
pub struct Exit {
    epoch: u64,
    stamp: u32,
    /// Port to send by.
    pub port: u16,
    /// Tag to put on, 0 for none.
    pub vlan: u16,
    /// Largest packet.
    pub mtu: u16,
    /// Destination and source address of the frame.
    pub addresses: [u8; 12],
    instance: u16,
    neighbour: IpAddr,
}

const _: () = assert!(size_of::<Exit>() == 64, "a note is one cache line");

/// Octets of the longest link header: Ethernet and a tag.
const LONGEST_LINK: usize = eth::Repr::LEN + vlan::Repr::LEN;

impl Exit {
    /// The link header of an IP packet that leaves here: Ethernet, and the tag if the interface has one.
    pub fn link(&self, v4: bool) -> ArrayVec<u8, LONGEST_LINK> {
        let kind = if v4 { ethertype::IPV4 } else { ethertype::IPV6 };
        let tag = [ethertype::VLAN.to_be_bytes(), self.vlan.to_be_bytes()];
        let tag = if self.vlan == 0 { &[][..] } else { tag.as_flattened() };
        self.addresses.iter().chain(tag).chain(&kind.to_be_bytes()).copied().collect()
    }
}

/// The notes of one worker.
#[derive(Debug)]
pub struct Exits {
    places: Box<[Exit]>,
    /// Notes of another epoch are not believed. Begins at 1 and comes to no end.
    epoch: u64,
    last_stamp: u32,
}

impl Exits {
    /// No note.
    pub fn new() -> Exits {
        let nothing = Exit {
            epoch: 0,
            stamp: 0,
            port: 0,
            vlan: 0,
            mtu: 0,
            addresses: [0; 12],
            instance: 0,
            neighbour: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
        };
        Exits { places: vec![nothing; PLACES].into(), epoch: 1, last_stamp: 0 }
    }

    /// Believes no note any more: a table has changed.
    pub fn forget(&mut self) {
        self.epoch += 1;
    }

    /// Which state of tables and configuration this is.
    #[inline(always)]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The exit that `at` remembers, if it is still to be believed.
    #[inline(always)]
    pub fn get(&self, at: ExitRef) -> Option<&Exit> {
        let exit = self.places.get(at.index as usize)?;
        (exit.stamp == at.stamp && exit.epoch == self.epoch).then_some(exit)
    }

    /// Notes an exit that was just looked up.
    pub fn note(&mut self, exit: &forward::Exit, mac: Mac) -> ExitRef {
        let index = place(exit);
        let forward::Exit { interface, neighbour } = *exit;
        let (epoch, stamp) = (self.epoch, self.last_stamp.wrapping_add(1).max(1));
        let Some(place) = self.places.get_mut(index) else { return ExitRef::default() };
        let same = (place.epoch, place.instance, place.port, place.vlan, place.neighbour)
            == (epoch, interface.instance, interface.port, interface.vlan, neighbour);
        if !same {
            let addresses = addresses(mac, interface.mac);
            let (instance, port, vlan, mtu) =
                (interface.instance, interface.port, interface.vlan, interface.mtu);
            *place = Exit { epoch, stamp, port, vlan, mtu, addresses, instance, neighbour };
            self.last_stamp = stamp;
        }
        ExitRef { index: index as u32, stamp: place.stamp }
    }
}

impl Default for Exits {
    fn default() -> Exits {
        Exits::new()
    }
}

fn addresses(Mac([a, b, c, d, e, f]): Mac, Mac([g, h, i, j, k, l]): Mac) -> [u8; 12] {
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

/// Where the note of an exit lies: by its neighbour and interface, mixed.
fn place(exit: &forward::Exit) -> usize {
    let address = match exit.neighbour {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64 ^ v6.to_bits() as u64,
    };
    let interface = u64::from(exit.interface.port) << 48 | u64::from(exit.interface.vlan) << 32;
    let mixed = (address ^ interface).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::snapshot::Interface;

    fn exit(neighbour: u32, mtu: u16) -> forward::Exit {
        let interface = Interface { port: 1, vlan: 7, instance: 3, mac: Mac([1; 6]), mtu };
        forward::Exit { interface, neighbour: IpAddr::V4(neighbour.into()) }
    }

    #[test]
    fn a_note_is_believed_until_the_tables_change() {
        let mut exits = Exits::new();
        let at = exits.note(&exit(9, 1500), Mac([2; 6]));
        let found = exits.get(at).unwrap();
        assert_eq!((found.port, found.vlan, found.mtu), (1, 7, 1500));
        assert_eq!(found.addresses, [2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1]);
        assert_eq!(exits.note(&exit(9, 1500), Mac([2; 6])), at, "one next hop, one note");
        exits.forget();
        assert_eq!(exits.get(at), None);
        let anew = exits.note(&exit(9, 9000), Mac([3; 6]));
        assert_eq!((exits.get(at), exits.get(anew).map(|exit| exit.mtu)), (None, Some(9000)));
        assert_eq!(exits.get(ExitRef::default()), None);
    }

    #[test]
    fn a_place_that_another_took_is_noticed() {
        let mut exits = Exits::new();
        let at = exits.note(&exit(9, 1500), Mac([2; 6]));
        let rival = (10..).find(|address| place(&exit(*address, 1500)) == at.index as usize).unwrap();
        let taken = exits.note(&exit(rival, 1500), Mac([4; 6]));
        assert_eq!((exits.get(at), taken.index), (None, at.index));
        assert!(exits.get(taken).is_some());
    }

    #[test]
    fn a_link_header_is_what_a_frame_begins_with() {
        let mut exits = Exits::new();
        let mut link = |vlan, v4| {
            let interface = Interface { port: 1, vlan, instance: 3, mac: Mac([1; 6]), mtu: 1500 };
            let at = exits.note(&forward::Exit { interface, ..exit(9, 1500) }, Mac([2; 6]));
            exits.get(at).unwrap().link(v4)
        };
        let addresses = [2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1];
        for (vlan, v4, behind) in [
            (0, true, &[8, 0][..]),
            (0, false, &[0x86, 0xdd]),
            (7, true, &[0x81, 0, 0, 7, 8, 0]),
            (4094, false, &[0x81, 0, 0x0f, 0xfe, 0x86, 0xdd]),
        ] {
            assert_eq!(link(vlan, v4).as_slice(), [&addresses, behind].concat());
        }
    }
}
