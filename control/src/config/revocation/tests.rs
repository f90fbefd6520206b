//! What an operator writes of revocation, and what is refused of it.
