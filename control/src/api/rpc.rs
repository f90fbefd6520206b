//! JSON-RPC 2.0 framing: a line to a request and back, a reply or error to a line.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ApiError, Reply, Request, SCHEMA};

#[derive(Serialize, Deserialize)]
struct Envelope {
    jsonrpc: String,
    #[serde(default)]
    id: Value,
    #[serde(flatten)]
    request: Request,
}

/// A request and the identifier its answer must carry.
pub type Call = (Value, Result<Request, ApiError>);

/// Reads one line from a client.
pub fn read_call(line: &[u8]) -> Call {
    let value: Value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(error) => return (Value::Null, Err(ApiError::BadRequest { why: error.to_string() })),
    };
    let id = value.get("id").filter(|id| id.is_string() || id.is_number()).cloned().unwrap_or_default();
    let envelope = serde_json::from_value::<Envelope>(value);
    let request = match envelope {
        Ok(envelope) if envelope.jsonrpc == "2.0" => Ok(envelope.request),
        Ok(_) => Err(ApiError::BadRequest { why: "jsonrpc must be \"2.0\"".into() }),
        Err(error) => Err(ApiError::BadRequest { why: error.to_string() }),
    };
    (id, request)
}

/// An answer as it is written: one pass over the value, of which there may be megabytes.
#[derive(Serialize)]
struct Answered<'a> {
    jsonrpc: &'static str,
    id: &'a Value,
    schema: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Reply>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Refusal<'a>>,
}

#[derive(Serialize)]
struct Refusal<'a> {
    code: i64,
    message: String,
    data: &'a ApiError,
}

/// The same as it is read.
#[derive(Deserialize)]
struct Answer<R> {
    result: Option<R>,
    error: Option<Value>,
}

/// The line that answers a call.
pub fn write_answer(id: &Value, answer: &Result<Reply, ApiError>) -> String {
    let refusal = |error| Refusal { code: ApiError::code(error), message: error.to_string(), data: error };
    let (result, error) = (answer.as_ref().ok(), answer.as_ref().err().map(refusal));
    let answered = Answered { jsonrpc: "2.0", id, schema: SCHEMA, result, error };
    serde_json::to_string(&answered).unwrap_or_default() + "\n"
}

/// The line a client sends.
pub fn write_call(id: u64, request: &Request) -> String {
    let envelope = Envelope { jsonrpc: "2.0".into(), id: id.into(), request: request.clone() };
    serde_json::to_string(&envelope).unwrap_or_default() + "\n"
}

/// Reads the line that answers a client, as far as `R` wants to know.
///
/// # Errors
/// The daemon's own error, or `BadRequest` when the line is not an answer.
pub fn read_answer<'l, R: Deserialize<'l>>(line: &'l [u8]) -> Result<R, ApiError> {
    let bad = |why: String| ApiError::BadRequest { why };
    let answer: Answer<R> = serde_json::from_slice(line).map_err(|error| bad(error.to_string()))?;
    if let Some(mut error) = answer.error {
        let data = error.get_mut("data").map(Value::take).unwrap_or_default();
        return Err(serde_json::from_value(data).unwrap_or_else(|_| bad(error.to_string())));
    }
    answer.result.ok_or_else(|| bad("an answer with neither result nor error".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::request::{Page, TunnelName};

    /// What the CLI writes the daemon reads, and the answer comes back whole.
    #[test]
    fn round_trip() {
        for request in [
            Request::ShowTunnels(None),
            Request::ShowSa(Some(Page { from: 512 })),
            Request::Explain(TunnelName { tunnel: "a".into() }),
            Request::Rekey(crate::api::request::Rekey {
                tunnel: "a".into(),
                child: None,
                ike: true,
                reauthenticate: false,
            }),
            Request::PkiList,
            Request::PkiCrlUpdate(crate::api::request::PkiName { name: Some("root".into()) }),
            Request::PkiShow(crate::api::request::PkiName::default()),
            Request::PkiImport(crate::api::request::PkiImport {
                kind: "key".into(),
                name: "gw".into(),
                data: crate::api::secret::Secret("c2VjcmV0".to_owned().into()),
                exportable: true,
                replace: false,
            }),
            Request::Redirect(crate::api::request::Redirect { tunnel: "a".into(), to: "192.0.2.3".into() }),
        ] {
            let (id, read) = read_call(write_call(7, &request).as_bytes());
            assert_eq!((id, read), (7.into(), Ok(request)));
        }
        let reply = Reply::Done { message: "begun".into() };
        assert_eq!(read_answer(write_answer(&1.into(), &Ok(reply.clone())).as_bytes()), Ok(reply));
        let error = ApiError::NotFound { name: "x".into(), known: "a, b".into() };
        assert_eq!(read_answer::<Reply>(write_answer(&1.into(), &Err(error.clone())).as_bytes()), Err(error));
    }

    /// Malformed lines are answered with an error that carries the client's own id.
    #[test]
    fn malformed() {
        for line in [
            "",
            "{",
            "[]",
            "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"nope\"}",
            "{\"id\":3,\"method\":\"show.sa\"}",
        ] {
            assert!(matches!(read_call(line.as_bytes()).1, Err(ApiError::BadRequest { .. })), "{line}");
        }
        assert_eq!(read_call(b"{\"id\":3,\"method\":\"nope\"}").0, 3);
    }
}
