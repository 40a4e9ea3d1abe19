//! Subscribing over the network.
