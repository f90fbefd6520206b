//! Fetches what the PKI needs over the network, with caps and deadlines. Holds no code yet: nothing is fetched.
