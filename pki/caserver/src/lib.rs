//! The Ravelin certificate authority.
