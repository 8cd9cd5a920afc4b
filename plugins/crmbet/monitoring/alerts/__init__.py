"""Messages to the person on call: what they say, and the channels that carry them."""
