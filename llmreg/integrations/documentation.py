"""Where the documentation is, for the links in HTML representations."""

__all__ = ["API", "DocumentedMixin"]

API = "https://llmreg.readthedocs.io/en/latest/api/"


class DocumentedMixin:
    """Let scikit-learn's HTML representation link to a class's page, parameter by parameter.

    Stands before :class:`sklearn.base.BaseEstimator` among the bases. Subclasses that are defined
    elsewhere have no link.

    Examples
    --------
    >>> from llmreg import DigitCodec
    >>> DigitCodec()._get_doc_link()
    'https://llmreg.readthedocs.io/en/latest/api/llmreg.DigitCodec.html'
    """

    _doc_link_module = "llmreg"
    _doc_link_template = API + "llmreg.{name}.html"

    def _doc_link_url_param_generator(self):
        return {"name": type(self).__name__}
