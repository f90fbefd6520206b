//! Fetches what the PKI needs over the network, with caps and deadlines.
