//! The LDAP messages that are needed, in BER (RFC 4511 §4, §5.1). Pure: octets in, values out.
//!
//! Nothing recurses: every answer has a shape known beforehand, and is read level by level.

/// A search for one attribute of one object.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    /// Its distinguished name.
    pub object: &'a str,
    /// The attribute's description, without `;binary`.
    pub attribute: &'a str,
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// An object's attributes: names and values.
    Entry(Vec<(String, Vec<Vec<u8>>)>),
    /// The object is elsewhere too; not followed.
    Reference,
    /// The end of an operation, well or not.
    Done {
        /// resultCode (RFC 4511 §4.1.9); 0 is success.
        code: u32,
        /// diagnosticMessage.
        text: String,
    },
}

/// Attributes of an object and values of an attribute, at most: each costs memory however short it is.
const MANY: usize = 64;

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const BIND: u8 = 0x60;
const BIND_DONE: u8 = 0x61;
const UNBIND: u8 = 0x42;
const SEARCH: u8 = 0x63;
const ENTRY: u8 = 0x64;
const SEARCH_DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;
const EXTENDED: u8 = 0x78;
/// Context tags: simple authentication (0) and the filter that an attribute is there (7).
const SIMPLE: u8 = 0x80;
/// ExtendedRequest, and the context tag (0) of its name.
const EXTENDED_REQUEST: u8 = 0x77;
const REQUEST_NAME: u8 = 0x80;
const PRESENT: u8 = 0x87;

/// BindRequest with a password (§4.2).
pub fn bind(number: u8, name: &str, password: &str) -> Vec<u8> {
    let version = element(INTEGER, &[3]);
    let who = [element(OCTETS, name.as_bytes()), element(SIMPLE, password.as_bytes())].concat();
    message(number, &element(BIND, &[version, who].concat()))
}

/// ExtendedRequest of StartTLS (§4.14.1).
pub fn start_tls(number: u8) -> Vec<u8> {
    message(number, &element(EXTENDED_REQUEST, &element(REQUEST_NAME, b"1.3.6.1.4.1.1466.20037")))
}

/// SearchRequest of one object (§4.5.1): scope base, aliases not followed, no limit but ours.
pub fn search(number: u8, search: &Search<'_>) -> Vec<u8> {
    let attribute = element(OCTETS, format!("{};binary", search.attribute).as_bytes());
    let request = [
        element(OCTETS, search.object.as_bytes()),
        element(ENUMERATED, &[0]),
        element(ENUMERATED, &[0]),
        element(INTEGER, &[0]),
        element(INTEGER, &[0]),
        element(BOOLEAN, &[0]),
        element(PRESENT, b"objectClass"),
        element(SEQUENCE, &attribute),
    ];
    message(number, &element(SEARCH, &request.concat()))
}

/// UnbindRequest (§4.3).
pub fn unbind(number: u8) -> Vec<u8> {
    message(number, &element(UNBIND, &[]))
}

/// The content of an answer's outermost SEQUENCE: which request it answers, and what it says. `None` for what is none.
pub fn read_answer(mut message: &[u8]) -> Option<(u32, Answer)> {
    let number = unsigned(expect(&mut message, INTEGER)?)?;
    let (tag, mut content) = take(&mut message)?;
    let answer = match tag {
        ENTRY => Answer::Entry(entry(content)?),
        REFERENCE => Answer::Reference,
        BIND_DONE | SEARCH_DONE | EXTENDED => {
            let code = unsigned(expect(&mut content, ENUMERATED)?)?;
            let _matched = expect(&mut content, OCTETS)?;
            let text = String::from_utf8_lossy(expect(&mut content, OCTETS)?).into_owned();
            Answer::Done { code, text }
        }
        _ => return None,
    };
    Some((number, answer))
}

fn entry(mut content: &[u8]) -> Option<Vec<(String, Vec<Vec<u8>>)>> {
    let _object = expect(&mut content, OCTETS)?;
    let mut list = expect(&mut content, SEQUENCE)?;
    let mut attributes = Vec::new();
    while !list.is_empty() {
        if attributes.len() == MANY {
            return None;
        }
        let mut attribute = expect(&mut list, SEQUENCE)?;
        let name = String::from_utf8_lossy(expect(&mut attribute, OCTETS)?).into_owned();
        let (mut set, mut values) = (expect(&mut attribute, SET)?, Vec::new());
        while !set.is_empty() {
            if values.len() == MANY {
                return None;
            }
            values.push(expect(&mut set, OCTETS)?.to_vec());
        }
        attributes.push((name, values));
    }
    Some(attributes)
}

/// Takes the next element, of definite length.
fn take<'a>(octets: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&[tag, first], rest) = octets.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (usize::try_from(unsigned(length)?).ok()?, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    *octets = rest;
    Some((tag, content))
}

fn expect<'a>(octets: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    take(octets).filter(|(found, _)| *found == tag).map(|(_, content)| content)
}

fn unsigned(octets: &[u8]) -> Option<u32> {
    let fits = (1..=4).contains(&octets.len());
    fits.then(|| octets.iter().fold(0, |number, &octet| number << 8 | u32::from(octet)))
}

fn message(number: u8, operation: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&element(INTEGER, &[number]), operation].concat())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut octets = vec![tag];
    match u8::try_from(content.len()) {
        Ok(short @ 0..=0x7f) => octets.push(short),
        _ => {
            octets.push(0x84);
            // A request is a name and a password: it never comes near four octets of length.
            octets.extend_from_slice(&u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
    octets.extend_from_slice(content);
    octets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(message: &[u8]) -> &[u8] {
        let mut rest = message;
        let content = expect(&mut rest, SEQUENCE).unwrap();
        assert!(rest.is_empty());
        content
    }

    /// RFC 4511 §4.5.1, octet by octet.
    #[test]
    fn a_search_is_written() {
        let octets = search(2, &Search { object: "o=X", attribute: "a" });
        let expected =
            b"\x30\x32\x02\x01\x02\x63\x2d\x04\x03o=X\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\
            \x01\x01\x00\x87\x0bobjectClass\x30\x0a\x04\x08a;binary";
        assert_eq!(octets, expected);
    }

    /// An entry with two values, a reference, and both ends of an operation.
    #[test]
    fn answers_are_read() {
        let set = element(SET, &[element(OCTETS, b"one"), element(OCTETS, &[7; 300])].concat());
        let attribute = element(SEQUENCE, &[element(OCTETS, b"a;binary"), set].concat());
        let object = [element(OCTETS, b"o=X"), element(SEQUENCE, &attribute)].concat();
        let octets = message(2, &element(ENTRY, &object));
        let values = vec![b"one".to_vec(), vec![7; 300]];
        let entry = Answer::Entry(vec![("a;binary".into(), values)]);
        assert_eq!(read_answer(content(&octets)), Some((2, entry)));
        let octets = message(2, &element(REFERENCE, &element(OCTETS, b"ldap://other/")));
        assert_eq!(read_answer(content(&octets)), Some((2, Answer::Reference)));
        for tag in [BIND_DONE, SEARCH_DONE, EXTENDED] {
            let result = [element(ENUMERATED, &[32]), element(OCTETS, b""), element(OCTETS, b"no")].concat();
            let done = Answer::Done { code: 32, text: "no".into() };
            assert_eq!(read_answer(content(&message(9, &element(tag, &result)))), Some((9, done)));
        }
        assert_eq!(read_answer(b""), None, "an empty message");
    }

    /// As many values as are taken, and one more.
    #[test]
    fn values_are_counted() {
        let with = |count: usize| {
            let set = element(SET, &element(OCTETS, b"").repeat(count));
            let attribute = element(SEQUENCE, &[element(OCTETS, b"a"), set].concat());
            message(2, &element(ENTRY, &[element(OCTETS, b""), element(SEQUENCE, &attribute)].concat()))
        };
        assert!(read_answer(content(&with(MANY))).is_some());
        assert_eq!(read_answer(content(&with(MANY + 1))), None);
    }

    proptest! {
        /// Any octets: no stumbling.
        #[test]
        fn any_octets_are_survived(octets in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = read_answer(&octets);
            let _ = read_answer(&[&[2, 1, 2, ENTRY][..], &octets].concat());
        }
    }
}
