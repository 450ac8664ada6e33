"""Adapters of the fabric: the broker child, links, mDNS. They translate; they do not decide."""
