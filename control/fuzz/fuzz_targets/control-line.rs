//! A line on the control socket, from a client and back from the daemon (JSON-RPC 2.0).
//!
//! A call that is understood is understood again when written anew; every call is answered with one line
//! that carries its id and that a client reads.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ravelin_control::api::rpc::{read_answer, read_call, write_answer, write_call};
use ravelin_control::api::{ApiError, Reply};

fuzz_target!(|line: &[u8]| {
    let (id, call) = read_call(line);
    let answer = match call {
        Ok(request) => {
            let (again, read) = read_call(write_call(7, &request).as_bytes());
            assert_eq!((again, read), (7.into(), Ok(request)));
            Ok(Reply::Done { message: String::from_utf8_lossy(line).into_owned() })
        }
        Err(refused) => Err(refused),
    };
    let written = write_answer(&id, &answer);
    assert_eq!(written.find('\n'), Some(written.len() - 1), "an answer is one line");
    assert_eq!(read_answer(written.as_bytes()), answer);
    if let Err(ApiError::BadRequest { why }) = read_answer::<Reply>(line) {
        assert!(!why.is_empty());
    }
});
