//! Names of gateways that we are redirected to (RFC 5685), looked up by the name servers of the tunnel's instance.
//!
//! The question goes to a thread of the fetcher's, which also resolves the names of its servers; the loop is answered when
//! there is an answer. The engine gives up waiting by itself.

use std::net::IpAddr;
use std::sync::Arc;

use ravelin_fetch::FetchError;
use ravelin_ike::id::Ticket;
use ravelin_ike::want::{Answer, AnswerError, Resolve};

use super::core::Input;
use crate::post::Post;
use crate::trust::revocation::Errands;

const CODE: &str = "RV-LOCAL-023";

/// Asks; the answer is an input of the loop.
pub fn resolve(errands: &Arc<Errands>, inputs: &Post<Input>, ticket: Ticket, question: &Resolve) {
    let instance = match errands.network(question.instance) {
        Ok(instance) => instance,
        Err(why) => return answer(inputs, ticket, Err(why)),
    };
    let way_back = inputs.clone();
    let reply = move |found: Result<Vec<IpAddr>, FetchError>| {
        answer(&way_back, ticket, found.map_err(|error| error.to_string()));
    };
    if let Err(error) = errands.fetcher.resolve(&question.name, instance, reply) {
        answer(inputs, ticket, Err(error.to_string()));
    }
}

fn answer(inputs: &Post<Input>, ticket: Ticket, found: Result<Vec<IpAddr>, String>) {
    let found = found.map_err(|text| AnswerError { code: CODE.to_owned(), text });
    // A loop that has ended asks nothing.
    let _ = inputs.send(Input::Answered(ticket, Answer::Resolve(found)));
}
