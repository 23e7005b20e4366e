"""A hub token among the parameters: it is there for whoever asks for it, and never shown."""

__all__ = ["Masked", "MaskedParameter"]


class Masked(str):
    """A string that is written as stars; it compares, hashes and is copied as what it is.

    Representations of estimators show the values of parameters, on a page as well, and so do
    pipelines, searches and loggers around them.

    Examples
    --------
    >>> from llmreg.integrations.masking import Masked
    >>> token = Masked("hf_secret")
    >>> token, f"{token}", token == "hf_secret"
    ('***', '***', True)
    """

    __slots__ = ()

    def __repr__(self):
        return "'***'"

    def __str__(self):
        return "***"

    def reveal(self):
        """The string itself."""
        return str.__str__(self)


class MaskedParameter:
    """An attribute in which strings become :class:`Masked`."""

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        try:
            return vars(instance)[self.name]
        except KeyError:
            raise AttributeError(f"{owner.__name__} has no {self.name!r}.") from None

    def __set__(self, instance, value):
        vars(instance)[self.name] = Masked(value) if type(value) is str else value
