"""What the operators raise on purpose. `dispose` is above this package, so the family is its own."""


class KernelError(Exception):
    """Base of every error an operator raises on purpose."""


class BackendError(KernelError):
    """A backend asked for by name is unknown or not installed; the message says what there is."""


class OperandError(KernelError):
    """The operands of an operator disagree; the message shows the sizes or values."""
