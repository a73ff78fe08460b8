"""Preparing: photos, and drawings of them, become a prepared folder."""
