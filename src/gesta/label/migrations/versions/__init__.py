"""The steps, oldest first: each names the one before it in `down_revision`, and is never changed once released."""
