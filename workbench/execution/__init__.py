"""From a decision to what the broker did with it: order states, brokers, and the rules of sending."""
