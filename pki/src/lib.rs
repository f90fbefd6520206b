//! X.509 for IKE: parsing, stores, path validation, identities, signatures. Pure.
