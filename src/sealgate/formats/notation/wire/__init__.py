"""What Notation signs and stores: the payload, and its two kinds of envelopes."""
