//! The packet path: graph, nodes, security associations, policy, workers.
