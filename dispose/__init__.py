"""Who is who and where is every joint, when several calibrated cameras watch several people."""

__version__ = "0.1.0"
