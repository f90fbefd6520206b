//! The Ravelin certificate authority. Holds no code yet: no certificate is issued.
