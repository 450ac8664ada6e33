"""The fabric's pure cores: who is a member, who is there, and how a message gets to them."""
