//! LDAPv3 (RFC 4511): one attribute of one object, as URLs of certificates ask for it (RFC 4516, 4523).
//!
//! The client is our own: the kept crate (`ldap3`) reads a message however long it says to be, takes it apart to any
//! depth by recursion and stumbles over an empty one, none of which a server that a certificate names may be let do; it
//! would also bring some forty crates. What is needed is two requests and four answers.

mod target;

use std::io::{Read, Write};

use self::target::Target;
use super::{Content, Errand, server};
use crate::answer::ldap::{Answer, Search, bind, read_answer, search, start_tls, unbind};
use crate::answer::{check_size, words};
use crate::error::{FetchError, Size, Stage};
use crate::tls::Judge;
use crate::url::Scheme;
use crate::wire::{Connection, Deadline};

/// Octets of a message besides the values asked for: names, and what else a server may say.
const SLACK: usize = 64 << 10;

/// RFC 4511 §4.1.9: done; and the attribute is not there.
const SUCCESS: u32 = 0;
const NO_SUCH_ATTRIBUTE: u32 = 16;

/// Numbers of our requests, each of which is made once.
const BIND: u8 = 1;
const SEARCH: u8 = 2;
const UNBIND: u8 = 3;
const START_TLS: u8 = 4;

pub(super) fn run(errand: &Errand<'_>) -> Result<Content, FetchError> {
    let request = errand.request;
    let target = Target::parse(&request.url)?;
    let server = server(&request.url)?;
    // Known before the server is spoken to: whether it could be judged at all.
    let wants_tls = request.start_tls && request.url.scheme == Scheme::Ldap;
    let judge = wants_tls.then(|| errand.dialer.roots.judge(&server.host)).transpose()?;
    let (connection, address) =
        errand.dialer.dial(request.url.scheme, server, request.origin, &errand.deadline)?;
    let mut session = Session {
        connection,
        scheme: request.url.scheme,
        host: server.host.to_string(),
        deadline: errand.deadline,
        cap: request.limits.content,
        taken: 0,
    };
    if let Some(judge) = judge {
        session = session.secured(judge)?;
    }
    if let Some(credentials) = &request.credentials {
        session.say(&bind(BIND, &credentials.user, &credentials.password))?;
        session.accepted(BIND)?;
    }
    session.say(&search(SEARCH, &Search { object: &target.object, attribute: target.attribute }))?;
    let mut values = session.values(&target)?.into_iter();
    // RFC 4511 §4.3: a client that goes says so; nobody answers.
    let _ = session.say(&unbind(UNBIND));
    let bytes = values.next().unwrap_or_default();
    Ok(Content {
        bytes,
        further: values.collect(),
        from: Some((request.url.clone(), address)),
        ..Content::default()
    })
}

struct Session {
    connection: Connection,
    scheme: Scheme,
    host: String,
    deadline: Deadline,
    cap: usize,
    /// Octets that came, in all messages together.
    taken: usize,
}

impl Session {
    fn say(&mut self, message: &[u8]) -> Result<(), FetchError> {
        let sent = self.connection.write_all(message).and_then(|()| self.connection.flush());
        sent.map_err(|error| self.deadline.explain(Stage::Answer, &self.host, &error))
    }

    /// StartTLS. What was read is exactly the answer to it: nothing said in clear is taken for said under TLS.
    fn secured(mut self, judge: Judge) -> Result<Self, FetchError> {
        self.say(&start_tls(START_TLS))?;
        self.accepted(START_TLS)?;
        let Connection::Plain(wire) = self.connection else { return Err(self.malformed("TLS within TLS")) };
        Ok(Self { connection: judge.secure(wire, &self.deadline)?, ..self })
    }

    fn accepted(&mut self, number: u8) -> Result<(), FetchError> {
        match self.hear(number)? {
            Answer::Done { code: SUCCESS, .. } => Ok(()),
            Answer::Done { code, text } => Err(refusal(code, &text)),
            _ => Err(self.malformed("an answer to another request")),
        }
    }

    fn values(&mut self, target: &Target) -> Result<Vec<Vec<u8>>, FetchError> {
        let mut values = Vec::new();
        loop {
            match self.hear(SEARCH)? {
                Answer::Entry(attributes) => {
                    let ours = attributes.into_iter().filter(|(name, _)| target.is_named(name));
                    values.extend(ours.flat_map(|(_, values)| values));
                }
                Answer::Reference => {}
                Answer::Done { code: SUCCESS, .. } if values.is_empty() => {
                    let text = format!("the object has no {}", target.attribute);
                    return Err(FetchError::Status { code: NO_SUCH_ATTRIBUTE, text });
                }
                Answer::Done { code: SUCCESS, .. } => {
                    check_size(values.iter().map(Vec::len).sum(), self.cap)?;
                    return Ok(values);
                }
                Answer::Done { code, text } => return Err(refusal(code, &text)),
            }
        }
    }

    /// The next message, which must answer the request of that number.
    fn hear(&mut self, number: u8) -> Result<Answer, FetchError> {
        let length = self.length()?;
        self.taken = self.taken.saturating_add(length);
        if self.taken > self.cap.saturating_add(SLACK) {
            let announced = Size::AtLeast(self.taken.try_into().unwrap_or(u64::MAX));
            return Err(FetchError::TooLarge { announced, cap: self.cap });
        }
        let mut message = Vec::new();
        let wanted = u64::try_from(length).unwrap_or(u64::MAX);
        let read = (&mut self.connection).take(wanted).read_to_end(&mut message);
        read.map_err(|error| self.deadline.explain(Stage::Body, &self.host, &error))?;
        if message.len() < length {
            return Err(FetchError::Ended {
                stage: Stage::Body,
                reason: "in the middle of a message".into(),
            });
        }
        let (answered, answer) =
            read_answer(&message).ok_or_else(|| self.malformed("a message that is none of LDAP's"))?;
        match (answered, answer) {
            (0, Answer::Done { text, .. }) => {
                // RFC 4511 §4.4.1: notice of disconnection.
                Err(FetchError::Ended { stage: Stage::Answer, reason: words(&text) })
            }
            (answered, answer) if answered == u32::from(number) => Ok(answer),
            _ => Err(self.malformed("an answer to another request")),
        }
    }

    /// Reads a message's tag and length (a SEQUENCE, X.690 §8.1.3), and counts them.
    fn length(&mut self) -> Result<usize, FetchError> {
        let [tag, first] = self.octets()?;
        self.taken = self.taken.saturating_add(2);
        if tag != 0x30 {
            return Err(self.malformed("what is no message at all"));
        }
        match first {
            0..=0x7f => Ok(first.into()),
            0x81 => self.octets().map(|[a]| a.into()),
            0x82 => self.octets().map(|octets| u16::from_be_bytes(octets).into()),
            0x83 => self.octets().map(|[a, b, c]| big(u32::from_be_bytes([0, a, b, c]))),
            0x84 => self.octets().map(|octets| big(u32::from_be_bytes(octets))),
            _ => Err(self.malformed("a message without a length that can be")),
        }
    }

    fn octets<const N: usize>(&mut self) -> Result<[u8; N], FetchError> {
        let mut octets = [0; N];
        self.connection
            .read_exact(&mut octets)
            .map_err(|error| self.deadline.explain(Stage::Answer, &self.host, &error))?;
        Ok(octets)
    }

    fn malformed(&self, reason: &str) -> FetchError {
        FetchError::Malformed { scheme: self.scheme, reason: reason.into() }
    }
}

/// Servers mostly leave the words to us (RFC 4511 §4.1.9, appendix A).
fn refusal(code: u32, text: &str) -> FetchError {
    let known = match code {
        8 | 13 => "it wants a stronger way to prove who asks, or TLS",
        10 => "the object is at another server, which is not followed",
        32 => "no such object",
        34 => "the object's name is not one",
        48 | 49 => "the name or password is not taken",
        50 => "insufficient access rights",
        51 | 52 => "it is busy or going down",
        _ => "without words",
    };
    let told = words(text);
    FetchError::Status { code, text: if told.is_empty() { known.into() } else { told } }
}

fn big(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
