//! IKEv2 (RFC 7296) as arithmetic: datagrams, instants and answers in; datagrams, wants and events out.
