//! A list that is long where there are thousands of tunnels, on the CLI's end: asked for in parts and written as they
//! come, so that the first row is there at once and nobody holds them all. What comes out is one object, as of any
//! other reply.

use std::io::Write;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{CallError, Connection};
use super::request::Page;
use super::{ApiError, Request, SCHEMA, rpc};

/// Asks for the parts of a list and writes the whole as one line of JSON. The next part is asked for before one is
/// written, so that the daemon makes it meanwhile.
///
/// # Errors
/// As [`super::client::call`]. What the reader of the list does not take is its own affair: the rest is left out.
pub fn write_json(socket: &Path, out: impl Write, part: impl Fn(Page) -> Request) -> Result<(), CallError> {
    let mut connection = Connection::open(socket)?;
    let mut writer = Writer { out, begun: false, separator: b"" };
    connection.ask(&part(Page::default()))?;
    loop {
        let line = connection.answer()?;
        let read: Part<'_> = rpc::read_answer(&line)?;
        let next = read.next.map(|from| Page { from });
        next.map_or(Ok(()), |page| connection.ask(&part(page)))?;
        if writer.rows(read.kind, read.rows()?).is_err() {
            return Ok(());
        }
        if next.is_none() {
            break;
        }
    }
    let _ = writer.end();
    Ok(())
}

/// A part of a list, as one of the long replies of [`super::Reply`] is written. Its rows are handed on and need not be
/// understood.
#[derive(Deserialize)]
struct Part<'l> {
    kind: &'l str,
    #[serde(borrow)]
    tunnels: Option<&'l RawValue>,
    #[serde(borrow)]
    sas: Option<&'l RawValue>,
    next: Option<u32>,
}

impl Part<'_> {
    /// Its rows, commas between them.
    fn rows(&self) -> Result<&str, ApiError> {
        let rows = self.tunnels.or(self.sas).map(|rows| rows.get().trim());
        let inside = rows.and_then(|rows| rows.strip_prefix('[')?.strip_suffix(']'));
        let why = || format!("an answer of kind {:?}, which is no list", self.kind);
        inside.map(str::trim).ok_or_else(|| ApiError::BadRequest { why: why() })
    }
}

struct Writer<W> {
    out: W,
    begun: bool,
    separator: &'static [u8],
}

impl<W: Write> Writer<W> {
    fn rows(&mut self, kind: &str, rows: &str) -> std::io::Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            write!(self.out, "{{\"schema\":{SCHEMA},\"kind\":\"{kind}\",\"{kind}\":[")?;
        }
        if !rows.is_empty() {
            self.out.write_all(std::mem::replace(&mut self.separator, b","))?;
            self.out.write_all(rows.as_bytes())?;
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
    use crate::api::Reply;
    use crate::api::reply::{Sa, Tunnel};
    use serde::Serialize;

    fn tunnels(names: &[&str]) -> Reply {
        let named = |name: &&str| Tunnel { name: (*name).into(), ..Tunnel::default() };
        Reply::Tunnels { tunnels: names.iter().map(named).collect(), next: None }
    }

    fn written(replies: impl IntoIterator<Item = Reply>) -> String {
        let mut out = Vec::new();
        let mut writer = Writer { out: &mut out, begun: false, separator: b"" };
        for reply in replies {
            let line = rpc::write_answer(&1.into(), &Ok(reply));
            let part: Part<'_> = rpc::read_answer(line.as_bytes()).unwrap();
            writer.rows(part.kind, part.rows().unwrap()).unwrap();
        }
        writer.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    fn whole(reply: &Reply) -> String {
        #[derive(Serialize)]
        struct Versioned<'a> {
            schema: u32,
            #[serde(flatten)]
            reply: &'a Reply,
        }
        serde_json::to_string(&Versioned { schema: SCHEMA, reply }).unwrap() + "\n"
    }

    /// Who reads the output cannot tell into how many parts it was cut.
    #[test]
    fn parts_make_one_object() {
        for cut in [&[&["a", "b", "c"][..]][..], &[&["a"], &["b", "c"]], &[&[], &["a", "b"], &["c"]], &[&[]]]
        {
            let mut expected = tunnels(&[]);
            cut.iter().for_each(|part| expected.append(tunnels(part)));
            assert_eq!(written(cut.iter().map(|part| tunnels(part))), whole(&expected));
        }
        let sas = Reply::Sas { sas: vec![Sa { tunnel: "[a]".into(), ..Sa::default() }], next: Some(7) };
        let expected = Reply::Sas { sas: vec![Sa { tunnel: "[a]".into(), ..Sa::default() }], next: None };
        assert_eq!(written([sas]), whole(&expected));
    }

    /// Another answer than a list is no list without rows.
    #[test]
    fn another_answer_is_no_list() {
        let line = rpc::write_answer(&1.into(), &Ok(Reply::Done { message: "begun".into() }));
        let part: Part<'_> = rpc::read_answer(line.as_bytes()).unwrap();
        assert!(part.rows().is_err());
    }
}
