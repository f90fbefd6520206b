//! A list that is long where there are thousands of tunnels, on the CLI's end: asked for in parts and written as they
//! come, so that the first row is there at once and nobody holds them all. What comes out is one object, as of any
//! other reply.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use super::client::{CallError, Connection};
use super::request::Page;
use super::{Reply, Request, SCHEMA};

/// Asks for the parts of a list and writes the whole as one line of JSON.
///
/// # Errors
/// As [`super::client::call`]. What the reader of the list does not take is its own affair: the rest is left out.
pub fn write_json(socket: &Path, out: impl Write, part: impl Fn(Page) -> Request) -> Result<(), CallError> {
    let mut connection = Connection::open(socket)?;
    let mut writer = Writer { out, begun: false, separator: b"" };
    let mut page = Some(Page::default());
    while let Some(this) = page {
        let reply = connection.call(&part(this))?;
        if writer.part(&reply).is_err() {
            return Ok(());
        }
        page = reply.next().map(|from| Page { from });
    }
    let _ = writer.end();
    Ok(())
}

struct Writer<W> {
    out: W,
    begun: bool,
    separator: &'static [u8],
}

impl<W: Write> Writer<W> {
    fn part(&mut self, reply: &Reply) -> std::io::Result<()> {
        match reply {
            Reply::Tunnels { tunnels, .. } => self.rows("tunnels", tunnels),
            Reply::Sas { sas, .. } => self.rows("sas", sas),
            _ => Ok(()),
        }
    }

    fn rows(&mut self, kind: &str, rows: &[impl Serialize]) -> std::io::Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            write!(self.out, "{{\"schema\":{SCHEMA},\"kind\":\"{kind}\",\"{kind}\":[")?;
        }
        for row in rows {
            self.out.write_all(std::mem::replace(&mut self.separator, b","))?;
            serde_json::to_writer(&mut self.out, row)?;
        }
        self.out.flush()
    }

    fn end(&mut self) -> std::io::Result<()> {
        self.out.write_all(b"]}\n")?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reply::Tunnel;

    fn tunnels(names: &[&str]) -> Reply {
        let named = |name: &&str| Tunnel { name: (*name).into(), ..Tunnel::default() };
        Reply::Tunnels { tunnels: names.iter().map(named).collect(), next: None }
    }

    /// Who reads the output cannot tell into how many parts it was cut.
    #[test]
    fn parts_make_one_object() {
        #[derive(Serialize)]
        struct Versioned<'a> {
            schema: u32,
            #[serde(flatten)]
            reply: &'a Reply,
        }
        for cut in [&[&["a", "b", "c"][..]][..], &[&["a"], &["b", "c"]], &[&[], &["a", "b"], &["c"]], &[&[]]]
        {
            let (mut out, mut whole) = (Vec::new(), tunnels(&[]));
            let mut writer = Writer { out: &mut out, begun: false, separator: b"" };
            for part in cut {
                writer.part(&tunnels(part)).unwrap();
                whole.append(tunnels(part));
            }
            writer.end().unwrap();
            let expected =
                serde_json::to_string(&Versioned { schema: SCHEMA, reply: &whole }).unwrap() + "\n";
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
